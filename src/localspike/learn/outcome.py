"""What a schedule returns for one sequence batch."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from ..nn.network import State


class Outcome(NamedTuple):
    """Loss (0-d), logits of every step [T, B, C], firing rate per block (0-d each), last state."""

    loss: Tensor
    logits: Tensor
    rates: dict[str, Tensor]
    state: State
