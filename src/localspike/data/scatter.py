"""Events of a batch into dense frames, a few samples at a time."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BLOCK = 1 << 18
"""Bytes of the samples being filled: they are written and copied within the processor's cache."""


def dense(
    place: Tensor,
    offsets: Tensor,
    index: Tensor,
    *,
    steps: int,
    cells: int,
    counts: bool = False,
    weight: Tensor | None = None,
) -> Tensor:
    """Frames [T, B, cells] float32 of the recordings ``index`` [B].

    frames[s, b, c] = Σ weight of the events e of recording b with place[e] = s · cells + c, at
    most 1 unless ``counts``. Arguments as in `BinnedEvents`. Raises IndexError for an ``index``
    that is not there.

    >>> dense(torch.tensor([0, 3, 3]), torch.tensor([0, 3]), torch.tensor([0]), steps=2, cells=2)
    tensor([[[1., 0.]],
    <BLANKLINE>
            [[0., 1.]]])
    """
    first, last = offsets[:-1][index].tolist(), offsets[1:][index].tolist()
    batch, places = len(first), steps * cells
    # Not torch.empty: NumPy asks Linux for large pages, which halves the time of a large batch.
    frames = torch.from_numpy(np.empty((steps, batch, cells), dtype=np.float32))
    summed = counts or weight is not None
    kind = np.dtype(np.float32 if summed else np.uint8)
    block = np.empty((max(1, min(batch, BLOCK // (places * kind.itemsize))), places), kind)
    for start in range(0, batch, len(block)):
        rows = block[: batch - start]
        rows.fill(0)
        chosen = slice(start, start + len(rows))
        parts = list(map(slice, first[chosen], last[chosen]))
        at, flat = _joined(place, parts, places), rows.reshape(-1)
        if summed:
            np.add.at(flat, at, np.float32(1) if weight is None else _weights(weight, parts))
        else:
            flat[at] = 1
        if summed and not counts:
            np.minimum(rows, 1.0, out=rows)
        # torch copies with all its threads, NumPy with one.
        filled = torch.from_numpy(rows).view(-1, steps, cells)
        frames[:, chosen] = filled.transpose(0, 1)
    return frames


def _joined(place: Tensor, parts: list[slice], places: int) -> NDArray[np.int64]:
    """Places in a block whose row i is filled by the events ``parts[i]``."""
    values = place.numpy()
    row = np.arange(0, len(parts) * places, places)
    events = [values[part] for part in parts]
    joined: NDArray[np.int64] = np.concatenate(events) + np.repeat(row, list(map(len, events)))
    return joined


def _weights(weight: Tensor, parts: list[slice]) -> NDArray[np.float32]:
    values = weight.numpy()
    return np.concatenate([values[part] for part in parts]).astype(np.float32)
