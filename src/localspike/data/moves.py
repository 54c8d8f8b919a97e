"""Samples moved in time and along a line of places, then thinned: what was drawn, and frames of it.

The same moves can be made with events before they are frames (see `scatter_moved`), which is much
cheaper; the numbers are the same.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import ShapeError
from .thinning import Thinning


class Moves(NamedTuple):
    """What happens to the samples of a batch, in this order.

    Sample b comes ``later[b]`` steps later, moves ``right[b]`` places up the last axis, in
    ``groups`` blocks of it apart, and loses the bins of ``thinning`` (None: none). What leaves is
    lost, zeros come in.

    >>> Moves([1], [0]).applied(torch.tensor([[[1.0]], [[2.0]]])).flatten()
    tensor([0., 1.])
    """

    later: list[int]
    right: list[int]
    groups: int = 1
    thinning: Thinning | None = None

    def applied(self, frames: Tensor) -> Tensor:
        """Frames [T, B, ..., n] so changed; the input is not written to."""
        check_groups(frames.shape[-1], self.groups)
        if any(self.later) or any(self.right):
            frames = moved(frames, self.later, self.right, self.groups)
        return frames if self.thinning is None else self.thinning.apply(frames)


class Mover:
    """An augmentation that is `Moves` alone, and so can be made of events as well as of frames.

    >>> class Late(Mover):
    ...     def moves(self, batch, generator):
    ...         return Moves([1] * batch, [0] * batch)
    >>> Late()(torch.tensor([[[1.0]], [[2.0]]]), torch.Generator()).flatten()
    tensor([0., 1.])
    """

    def moves(self, batch: int, generator: torch.Generator) -> Moves:
        """What is drawn for a batch of that size; each kind of augmentation has its own."""
        return Moves([0] * batch, [0] * batch)

    def __call__(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        """A new batch [T, B, ..., n] of the same shape."""
        return self.moves(frames.shape[1], generator).applied(frames)


def moved(frames: Tensor, later: list[int], right: list[int], groups: int = 1) -> Tensor:
    """Frames [T, B, ..., n], sample b moved by ``later[b]`` steps and ``right[b]`` places.

    >>> moved(torch.tensor([[[1.0, 2.0, 3.0, 4.0]]]), [0], [1], 2).flatten()
    tensor([0., 1., 0., 3.])
    """
    blocks = frames.detach().unflatten(-1, (groups, -1))
    out = torch.zeros_like(blocks)
    # NumPy's slices of what lies in memory cost a third of torch's.
    near = frames.device.type == "cpu" and frames.dtype != torch.bfloat16
    source, target = (blocks.numpy(), out.numpy()) if near else (blocks, out)
    for b, (steps, places) in enumerate(zip(later, right, strict=True)):
        to_t, from_t = overlap(steps, len(frames))
        to_x, from_x = overlap(places, blocks.shape[-1])
        target[to_t, b, ..., to_x] = source[from_t, b, ..., from_x]
    return out.flatten(-2)


def overlap(by: int, size: int) -> tuple[slice, slice]:
    """Where what moves by ``by`` comes to lie on an axis, and where it comes from.

    >>> overlap(1, 4)
    (slice(1, 4, None), slice(0, 3, None))
    """
    by = max(-size, min(size, by))
    return slice(max(by, 0), size + min(by, 0)), slice(max(-by, 0), size - max(by, 0))


def check_groups(places: int, groups: int) -> None:
    """Raise ShapeError unless the last axis divides into so many blocks."""
    if places % groups:
        raise ShapeError(
            "last axis does not divide into groups", got=f"{places} places, {groups} groups"
        )
