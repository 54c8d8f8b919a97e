"""Compact samples into dense frames, moved and thinned on the way: no frame is made twice.

A sample is filled in a buffer of its own, a byte a bin where frames are spikes, small enough for
the processor's cache. Moved by places it is the same buffer read from another byte on, once the
columns that leave are empty; moved in time, other rows of it.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .moves import Moves, check_groups, overlap


def dense_moved(
    place: Tensor,
    offsets: Tensor,
    index: Tensor,
    moves: Moves,
    *,
    steps: int,
    cells: int,
    width: int,
    counts: bool = False,
    weight: Tensor | None = None,
) -> Tensor:
    """Frames [T, B, cells] float32 as `scatter.dense` makes them, then moved (see `Moves`).

    ``width`` is the length of the last axis of a sample, along which places move. Raises
    IndexError for an ``index`` that is not there, ShapeError where groups do not divide the axis.

    >>> one = torch.tensor([0, 3]), torch.tensor([0, 2]), torch.tensor([0])
    >>> dense_moved(*one, Moves([0], [1]), steps=2, cells=2, width=2)[:, 0]
    tensor([[0., 1.],
            [0., 0.]])
    """
    first, last = offsets[:-1][index].tolist(), offsets[1:][index].tolist()
    at, weights = place.numpy(), None if weight is None else weight.numpy()
    buffer = _Buffer((steps, cells), width, moves, counts, counts or weights is not None)
    frames = np.empty((steps, len(first), cells), np.float32)
    for b, own in enumerate(map(slice, first, last)):
        rest, heavy = at[own], None if weights is None else weights[own]
        stays = buffer.stays(b, rest)
        if stays is not None:
            rest, heavy = rest[stays], None if heavy is None else heavy[stays]
        buffer.fill(rest, heavy)
        buffer.show(b, frames)
    return torch.from_numpy(frames)


def unpacked_moved(bits: Tensor, index: Tensor, moves: Moves, *, cells: int, width: int) -> Tensor:
    """Frames [T, B, cells] float32 as `scatter.unpacked` makes them, then moved (see `Moves`).

    Raises IndexError for an ``index`` that is not there, ShapeError where groups do not divide the
    axis of ``width`` places.

    >>> held = torch.tensor([[[1], [2]]], dtype=torch.uint8), torch.tensor([0])
    >>> unpacked_moved(*held, Moves([0], [1]), cells=2, width=2)[:, 0]
    tensor([[0., 1.],
            [0., 0.]])
    """
    held, steps = bits.numpy(), bits.shape[1]
    buffer = _Buffer((steps, cells), width, moves, counts=False, summed=False)
    frames = np.empty((steps, len(index), cells), np.float32)
    for b, number in enumerate(index.tolist()):
        spikes = np.unpackbits(held[number], axis=-1, count=cells, bitorder="little")
        buffer.own.reshape(steps, cells)[:] = spikes
        if moves.thinning is not None:
            place = np.flatnonzero(buffer.own.view(np.bool_))
            buffer.own[place[~buffer.stays(b, place)]] = 0  # type: ignore[operator]
        buffer.show(b, frames)
    return torch.from_numpy(frames)


class _Buffer:
    """One sample [T, cells] at a time, with room at both ends to read it from another place on."""

    def __init__(
        self, shape: tuple[int, int], width: int, moves: Moves, counts: bool, summed: bool
    ) -> None:
        check_groups((width,), moves.groups)
        self.shape, self.moves, self.width = shape, moves, width // moves.groups
        self.counts, self.summed = counts, summed
        self.room = min(self.width, max(map(abs, moves.right), default=0))
        size = shape[0] * shape[1]
        self.whole = np.zeros(size + 2 * self.room, np.float32 if summed else np.uint8)
        self.own = self.whole[self.room : self.room + size]

    def stays(self, b: int, place: NDArray[np.integer]) -> NDArray[np.bool_] | None:
        """Which of the places of sample ``b`` are kept, None if all: the fate of a bin is that of
        where it comes to lie."""
        if self.moves.thinning is None:
            return None
        steps, cells = self.shape
        shift = (b * steps + self.moves.later[b]) * cells + self.moves.right[b]
        return self.moves.thinning.stays(place, shift)

    def fill(self, place: NDArray[np.integer], weight: NDArray[np.uint8] | None) -> None:
        """Nothing but these events."""
        self.own.fill(0)
        if not self.summed:
            self.own[place.astype(np.intp)] = 1  # narrower indices take NumPy twice the time
            return
        np.add.at(self.own, place, np.float32(1) if weight is None else weight.astype(np.float32))
        if not self.counts:
            np.minimum(self.own, 1, out=self.own)

    def show(self, b: int, frames: NDArray[np.float32]) -> None:
        """Sample ``b`` of frames [T, B, cells] as what is held, moved; empties what leaves."""
        to_t, from_t = overlap(self.moves.later[b], self.shape[0])
        frames[: to_t.start, b] = 0
        frames[to_t, b] = self._moved(self.moves.right[b])[from_t]
        frames[to_t.stop :, b] = 0

    def _moved(self, right: int) -> NDArray[np.generic]:
        right = max(-self.width, min(self.width, right))
        columns = self.own.reshape(-1, self.width)
        if right > 0:
            columns[:, self.width - right :] = 0
        elif right < 0:
            columns[:, :-right] = 0
        start = self.room - right
        return self.whole[start : start + len(self.own)].reshape(self.shape)
