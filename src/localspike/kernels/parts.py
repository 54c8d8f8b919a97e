"""The time steps of a sequence in groups, each of which one call of a kernel unrolls."""

from __future__ import annotations

import torch
from torch import Tensor

from .compiling import active

MOST = 16
"""Steps unrolled at most: machine code, and the time to make it, grow with them."""

SMALL = 1 << 20
"""Elements up to which eager code may hold a second copy for the sake of fewer calls."""


def chunk_of(steps: int, most: int = MOST) -> int:
    """How many of T steps one call unrolls: all of up to ``most``, else the half … all that fit T.

    >>> [chunk_of(steps) for steps in (6, 30, 100, 800)]
    [6, 15, 10, 16]
    """
    if steps <= most:
        return steps
    return max(range(max(most // 2, 1), most + 1), key=lambda k: (-(steps % k), k))


def parts_of(x: Tensor, most: int = MOST) -> list[slice]:
    """The steps of x [T, ...] in groups of at most ``most`` that one call unrolls.

    >>> parts_of(torch.zeros(3, 2))
    [slice(0, 3, None)]
    """
    steps, numbers = len(x), x.numel()
    size = chunk_of(steps, most) if active() or numbers <= SMALL else 1
    return [slice(start, min(start + size, steps)) for start in range(0, steps, size)]


class Joined:
    """Results of parts of the time steps, put together; those of a single part as they are."""

    def __init__(self, like: Tensor) -> None:
        self._like, self._whole = like, torch.empty(0)

    def add(self, part: slice, values: Tensor) -> None:
        """The values [part, ...] of some steps."""
        if len(values) == len(self._like):
            self._whole = values
            return
        if self._whole.numel() == 0:
            shape = (len(self._like), *values.shape[1:])
            self._whole = torch.empty(shape, dtype=values.dtype, device=values.device)
        self._whole[part].copy_(values)

    def whole(self) -> Tensor:
        """All steps [T, ...]."""
        return self._whole
