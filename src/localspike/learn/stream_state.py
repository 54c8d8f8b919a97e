"""What one stream carries from step to step, as a tree to look at or as a list of tensors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ..nn.layer import Weights
from ..nn.network import Network, State
from ..rules.factors import tensors_of
from .gradients import Gradients
from .tree import flatten, unflatten


class StreamState:
    """Everything one sequence batch carries from step to step: states, traces, filtered latents.

    ``gradients`` gathers what steps have learned but no optimiser step has applied yet;
    ``weights`` are the effective weights of the parameters' ``versions``, a count of the network's
    updates first: not every optimiser leaves a mark on the tensors it changes. ``batch`` is the
    number of samples, ``steps`` that of the steps taken; ``valid`` [B] is False for samples whose
    next step is padding.

    A captured step takes and gives a flat list of tensors (`carried`, `carry`); whoever looks at
    ``net``, ``traces`` or ``signals`` finds the trees, made of the list when they are asked for.
    """

    def __init__(self, net: State, gradients: Gradients, batch: int) -> None:
        self.gradients, self.batch, self.steps = gradients, batch, 0
        self.valid: Tensor | None = None
        self.weights: dict[str, Weights] = {}
        self.versions: tuple[int, ...] = ()
        self._trees: tuple[State, dict[str, Any], dict[str, Any]] | None = (net, {}, {})
        self._flat: tuple[Any, list[Tensor]] | None = None

    @property
    def net(self) -> State:
        """State of every block."""
        return self._open()[0]

    @property
    def traces(self) -> dict[str, Any]:
        """Eligibility traces by block, made at the first step."""
        return self._open()[1]

    @property
    def signals(self) -> dict[str, Any]:
        """What each block's learning signal keeps."""
        return self._open()[2]

    def take_seen(self) -> dict[str, Tensor]:
        """The moments that normalised blocks have seen since they were last taken."""
        taken = {}
        for name, block in self.net.items():
            if block.seen is not None:
                taken[name] = block.seen
                self.net[name] = block._replace(seen=torch.zeros_like(block.seen))
        return taken

    def _open(self) -> tuple[State, dict[str, Any], dict[str, Any]]:
        """The trees; the list is given up, for the trees may be changed from now on."""
        if self._trees is None:
            assert self._flat is not None  # one of the two is always there
            self._trees = unflatten(*self._flat, numbers=True)
        self._flat = None
        assert self._trees is not None
        return self._trees

    def carried(self) -> tuple[Any, list[Tensor]]:
        """Layout and tensors of the trees.

        Raises
        ------
        Strange
            If a tree holds what cannot be such a list.
        """
        return flatten(self._trees) if self._flat is None else self._flat

    def carry(self, layout: Any, tensors: list[Tensor]) -> None:
        """Take the state after a step."""
        self._trees, self._flat = None, (layout, tensors)

    def effective_weights(
        self, net: Network, parameters: Iterable[nn.Parameter] | None = None
    ) -> dict[str, Weights]:
        """The network's effective weights, worked out again only where a parameter changed."""
        held = net.parameters() if parameters is None else parameters
        versions = (net.updates, *(p._version for p in held))
        if versions != self.versions:
            self.weights, self.versions = net.weights(), versions
        return self.weights

    def tensors(self) -> list[Tensor]:
        """Every tensor held, for measuring the state's size."""
        return [*tensors_of(self.net), *tensors_of(self.traces), *tensors_of(self.signals)]
