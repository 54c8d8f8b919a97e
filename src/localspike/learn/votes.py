"""Layers that predict the class by themselves are heard beside the readout when a net is judged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..nn.layer import Activity, Spiking, Weights
from .credit import Credit


class Votes:
    """Logits of the blocks whose signal votes, over one batch; parts of the time come in order.

    Values have no votes: what layers say of them does not add up.
    """

    def __init__(self, credit: Credit) -> None:
        # A user's signal may have an attribute of this name that means something else.
        voting = {n: b for n, b in credit.bound.items() if getattr(b, "votes", None) is True}
        self.voters = voting if credit.loss.of_classes else {}
        self._states: dict[str, Any] = {}
        self._logits: dict[str, list[Tensor]] = {}

    def add(self, name: str, output: Tensor) -> None:
        """Hear a block's output [t, B, ...]."""
        voter: Any = self.voters.get(name)
        if voter is None:
            return
        logits, self._states[name] = voter.vote(output, self._states.get(name))
        self._logits.setdefault(name, []).append(logits)

    def visit(self, name: str, block: Spiking, activity: Activity, weights: Weights) -> None:
        """Hear a block as `Network.run` shows it."""
        self.add(name, activity.out)

    def over(self, logits: Tensor) -> Tensor:
        """The readout's logits [T, B, C] and all votes: the logarithm of a product of opinions."""
        for heard in self._logits.values():
            logits = logits + torch.cat(heard)
        return logits
