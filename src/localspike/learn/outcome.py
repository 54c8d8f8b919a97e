"""What a schedule returns for one sequence batch, and what the learner makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from ..nn.network import State


class Outcome(NamedTuple):
    """Loss (0-d), logits of every step [T, B, C], firing rate per block (0-d each), last state."""

    loss: Tensor
    logits: Tensor
    rates: dict[str, Tensor]
    state: State


@dataclass
class Result:
    """Loss (0-d: sum over active steps, mean over the batch) and logits [B, C], summed over steps.

    ``rates`` are spikes per neuron and step by block. Unpacks as ``loss, logits = result``.
    """

    loss: Tensor
    logits: Tensor
    rates: dict[str, float]

    def __iter__(self) -> Iterator[Tensor]:
        return iter((self.loss, self.logits))
