"""Layers that predict the class by themselves are heard beside the readout when a net is judged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..nn.layer import Activity, Spiking, Weights
from ..rules.class_basis import BoundClassBasis
from .credit import Credit


class Votes:
    """Logits of the blocks whose signal votes, over one batch; parts of the time come in order.

    For one call of `Learner.evaluate`.

    ``every`` hears all blocks that predict the class, whether or not they count in `over`. Of
    those that vote ``heard`` says whether they count, by default as `Credit.heard`. Values have no
    votes: what layers say of them does not add up.
    """

    def __init__(self, credit: Credit, every: bool = False, heard: bool | None = None) -> None:
        heard = credit.heard if heard is None else heard
        # A user's signal may have an attribute of this name that means something else.
        voting = {n: b for n, b in credit.bound.items() if getattr(b, "votes", None) is True}
        counted = voting if heard else {}
        asked = {n: b for n, b in credit.bound.items() if _predicts(b)}
        found = asked | voting if every else counted
        of_classes = credit.loss.of_classes
        self.voters = {n: found[n] for n in credit.bound if n in found} if of_classes else {}
        self.counted = frozenset(counted) if of_classes else frozenset()
        self.readout: Tensor | None = None
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
        self.readout = logits
        for name, heard in self._logits.items():
            if name in self.counted:
                logits = logits + torch.cat(heard)
        return logits

    def alone(self) -> dict[str, Tensor]:
        """What each block has said by itself, [T, B, C]."""
        return {name: torch.cat(heard) for name, heard in self._logits.items()}


def _predicts(bound: object) -> bool:
    """Whether a block predicts the class as a class basis does, or says how else."""
    if not isinstance(bound, BoundClassBasis):
        return False
    kind, plain = type(bound), BoundClassBasis
    return kind._signal is plain._signal or kind.vote is not plain.vote
