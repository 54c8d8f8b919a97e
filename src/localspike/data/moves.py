"""Samples moved in time and along a line of places, then thinned: what was drawn, and frames of it.

The same moves can be made with events before they are frames (see `scatter_moved`), which is much
cheaper; the numbers are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

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
        check_groups(frames.shape[2:], self.groups)
        if any(self.later) or any(self.right):
            frames = moved(frames, self.later, self.right, self.groups)
        return frames if self.thinning is None else self.thinning.apply(frames)

    def ends(self, lengths: Tensor, steps: int) -> Tensor:
        """Lengths [B] of sequences so moved, within 1 … ``steps``.

        >>> Moves([1, 2, -9], [0, 0, 0]).ends(torch.tensor([3, 3, 3]), 4)
        tensor([4, 4, 1])
        """
        return (lengths + lengths.new_tensor(self.later)).clamp(1, steps)


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

    def with_lengths(
        self, frames: Tensor, lengths: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """The new batch, and the lengths [B] of its sequences."""
        moves = self.moves(frames.shape[1], generator)
        return moves.applied(frames), moves.ends(lengths, len(frames))


def in_groups(augment: Any, groups: int) -> Any:
    """An augmentation with so many groups of places, if it has such and leaves them open."""
    return augment.in_groups(groups) if hasattr(augment, "in_groups") else augment


def followed(
    augment: Callable[[Tensor, torch.Generator], Tensor],
    frames: Tensor,
    lengths: Tensor,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """``augment(frames, generator)``, and the lengths [B] moved in time as the frames are.

    An augmentation that moves samples in time tells by a method ``with_lengths(frames, lengths,
    generator)`` which gives both; the lengths of any other stay as they are.

    >>> class Late(Mover):
    ...     def moves(self, batch, generator):
    ...         return Moves([1] * batch, [0] * batch)
    >>> followed(Late(), torch.zeros(4, 1, 1), torch.tensor([2]), torch.Generator())[1]
    tensor([3])
    """
    if _tells(type(augment)):
        both: tuple[Tensor, Tensor] = augment.with_lengths(frames, lengths, generator)  # type: ignore[attr-defined]
        return both
    return augment(frames, generator), lengths


def _tells(kind: type) -> bool:
    """Whether ``with_lengths`` is of the class that ``__call__`` is of, or of a later one: a
    subclass that does something else when it is called must be called."""
    where = [
        next((at for at, base in enumerate(kind.__mro__) if name in vars(base)), None)
        for name in ("with_lengths", "__call__")
    ]
    return where[0] is not None and where[1] is not None and where[0] <= where[1]


def moved(frames: Tensor, later: list[int], right: list[int], groups: int = 1) -> Tensor:
    """Frames [T, B, ..., n], sample b moved by ``later[b]`` steps and ``right[b]`` places.

    Frames [T, B] have one place.

    >>> moved(torch.tensor([[[1.0, 2.0, 3.0, 4.0]]]), [0], [1], 2).flatten()
    tensor([0., 1., 0., 3.])
    """
    lines = frames.detach() if frames.dim() > 2 else frames.detach()[..., None]
    blocks = lines.unflatten(-1, (groups, -1))
    out = torch.zeros_like(blocks)
    # NumPy's slices of what lies in memory cost a third of torch's.
    near = frames.device.type == "cpu" and frames.dtype != torch.bfloat16
    source, target = (blocks.numpy(), out.numpy()) if near else (blocks, out)
    for b, (steps, places) in enumerate(zip(later, right, strict=True)):
        to_t, from_t = overlap(steps, len(frames))
        to_x, from_x = overlap(places, blocks.shape[-1])
        target[to_t, b, ..., to_x] = source[from_t, b, ..., from_x]
    return out.reshape(frames.shape)


def overlap(by: int, size: int) -> tuple[slice, slice]:
    """Where what moves by ``by`` comes to lie on an axis, and where it comes from.

    >>> overlap(1, 4)
    (slice(1, 4, None), slice(0, 3, None))
    """
    by = max(-size, min(size, by))
    return slice(max(by, 0), size + min(by, 0)), slice(max(-by, 0), size - max(by, 0))


def check_groups(shape: Sequence[int], groups: int) -> None:
    """Raise ShapeError unless the last axis of samples of that shape has so many blocks.

    >>> check_groups((80,), 2)
    >>> check_groups((2, 34, 34), 1)
    """
    if groups == 1:
        return
    if len(shape) > 1:
        raise ShapeError(
            "a plane has no groups of places along its last axis",
            got=f"{groups} groups of samples {list(shape)}",
            expected=1,
            fix="Set groups=1, or flatten samples whose rows are in blocks",
        )
    places = shape[0] if shape else 1
    if places % groups:
        raise ShapeError(
            "last axis does not divide into groups",
            got=f"{places} places, {groups} groups",
            fix="Set groups to the number of equal blocks that it has, or to 1",
        )
