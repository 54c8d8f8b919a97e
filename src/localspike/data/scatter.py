"""Compact samples into dense frames, a batch at a time and a few samples at once.

In NumPy on one thread: the work is bound by memory, and threads that wait for each other on a busy
machine cost more than they save. NumPy also asks Linux for large pages, which halves the time of a
batch of more than some 30 MB.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

EVENTS = 1 << 11
"""Events written at once: enough to hide the calls, few enough to stay in the processor's cache."""
SPARSE = 32
"""Bins for an event from which on it costs more to make all bins anew than to set those hit."""
NARROW = np.iinfo(np.int32).max
BLOCK = 1 << 18
"""Bins held at once as a byte each: they stay in the processor's cache."""


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
    parts, events = list(map(slice, first, last)), sum(last) - sum(first)
    if weight is None and not counts and _many(events, len(parts), steps * cells):
        return torch.from_numpy(_bytewise(place.numpy(), parts, steps, cells))
    frames = np.zeros(steps * len(parts) * cells, dtype=np.float32)
    at = place.numpy()
    kind = np.promote_types(at.dtype, np.int32 if frames.size <= NARROW else np.int64)
    weights = None if weight is None else weight.numpy()
    together = max(1, EVENTS * len(parts) // max(1, events))
    for start in range(0, len(parts), together):
        some = parts[start : start + together]
        target = _targets([at[part] for part in some], cells, len(parts), kind)
        own = frames[start * cells :]
        if weights is not None:
            np.add.at(
                own, target, np.concatenate([weights[part] for part in some], dtype=np.float32)
            )
        elif counts:
            np.add.at(own, target, np.float32(1))
        else:
            own[target] = 1
    if weights is not None and not counts:
        np.minimum(frames, 1.0, out=frames)
    return torch.from_numpy(frames).view(steps, len(parts), cells)


def _many(events: int, samples: int, bins: int) -> bool:
    """Whether spikes are better set as bytes, a sample at a time, and then made frames."""
    return bins <= BLOCK and events >= samples * max(EVENTS, bins // SPARSE)


def _bytewise(
    place: NDArray[np.integer], parts: list[slice], steps: int, cells: int
) -> NDArray[np.float32]:
    """Spikes [T, B, cells] by way of one sample as bytes."""
    frames = np.empty((steps, len(parts), cells), np.float32)
    sample = np.empty((steps, cells), np.uint8)
    flat = sample.reshape(-1)
    for number, part in enumerate(parts):
        flat.fill(0)
        flat[place[part].astype(np.intp)] = 1  # narrower indices take NumPy twice the time
        frames[:, number] = sample
    return frames


def _targets(
    places: list[NDArray[np.integer]], cells: int, batch: int, kind: np.dtype[np.signedinteger]
) -> NDArray[np.intp]:
    """Where in flat frames [T, batch, cells] the events of the first few samples lie.

    ``kind`` is the type to reckon in: the narrower the faster.
    """
    place = places[0] if len(places) == 1 else np.concatenate(places)
    target = (place // place.dtype.type(cells)).astype(kind, copy=False)
    target *= kind.type((batch - 1) * cells)
    target += place
    if len(places) > 1:
        first = np.arange(0, len(places) * cells, cells, dtype=kind)
        target += np.repeat(first, list(map(len, places)))
    return target.astype(np.intp, copy=False)


def unpacked(bits: Tensor, index: Tensor, cells: int) -> Tensor:
    """Frames [T, B, cells] float32 of the samples ``index`` [B] of bits [N, T, ceil(cells / 8)].

    Bit i of byte j is cell 8 j + i. Raises IndexError for an ``index`` that is not there.

    >>> unpacked(torch.tensor([[[5], [2]]], dtype=torch.uint8), torch.tensor([0]), 3).tolist()
    [[[1.0, 0.0, 1.0]], [[0.0, 1.0, 0.0]]]
    """
    held, chosen, steps = bits.numpy(), index.numpy(), bits.shape[1]
    frames = np.empty((steps, len(chosen), cells), dtype=np.float32)
    together = max(1, BLOCK // max(1, steps * cells))
    for start in range(0, len(chosen), together):
        rows = held[chosen[start : start + together]]
        spikes = np.unpackbits(rows, axis=-1, count=cells, bitorder="little")
        frames[:, start : start + together] = spikes.swapaxes(0, 1)
    return torch.from_numpy(frames)
