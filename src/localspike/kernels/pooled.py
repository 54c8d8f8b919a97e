"""Neurons and max pooling after them in one pass: the spikes before pooling are never written.

For windows of size × size that do not overlap, on channels-last maps seen as rows
[T, R, size, Q, size, C]: R·Q windows of every channel. Bytes per neuron and step, b those of an
element: b in, and (b + 2)/size² out: the maximum, its place and the number of spikes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from .compiling import Kernel, active
from .maxpool import fits
from .parts import Joined, parts_of
from .slopes import Dynamics, Slopes, membranes, wide

LARGEST = 3
"""Windows' size up to which each place is unrolled."""

UNROLLED = 32
"""Steps times places unrolled at most."""


class Pooled(NamedTuple):
    """Maxima [T, R, Q, C] and their places in the window (uint8: `maxpool`), spikes, last v.

    ``spikes`` uint8 [T, R, Q, C] counts those of each window. ``slopes`` are of the shape of the
    rows, v [R, size, Q, size, C].
    """

    out: Tensor
    which: Tensor
    spikes: Tensor
    slopes: Slopes
    v: Tensor


def pays(currents: Tensor, size: int) -> bool:
    """Whether currents [N, C, H, W] can and should be scanned and pooled at once.

    >>> pays(torch.zeros(1, 2, 4, 4), 2)  # eager code gains nothing
    False
    """
    here = active() and currents.device.type == "cpu"  # elsewhere not measured
    return here and size <= LARGEST and fits(currents, size)


def scan(currents: Tensor, v: Tensor | None, dynamics: Dynamics) -> Pooled:
    """LIF on rows of currents [T, R, size, Q, size, C], from v of one step (None: at rest).

    >>> from .neuron import Constants
    >>> from .surrogate import Triangle
    >>> rows = torch.tensor([0.1, 0.8, 0.2, 0.9]).view(1, 1, 2, 1, 2, 1)
    >>> found = scan(rows, None, Dynamics(Constants(0.5, 0.6), Triangle()))
    >>> [x.item() for x in found[:3]]
    [1.0, 1, 2]
    """
    size = currents.shape[2]
    kernel, parts = _kernel(dynamics, size), tuple(parts_of(currents, UNROLLED // size**2))
    small, starts = currents[:, :, 0, :, 0], []
    joined = [Joined(small) for _ in range(3)]
    for part in parts:
        key = (part.stop - part.start, v is None, currents.stride(0) == 0)
        starts.append(v)
        *found, last = kernel(
            currents[part], v, _still(small), key=(*key, currents.dtype, currents.device)
        )
        v = _interleaved(last, size)
        for all_of_it, values in zip(joined, found, strict=True):
            all_of_it.add(part, values)
    assert v is not None  # T ≥ 1
    slopes = Slopes(currents, parts, tuple(starts), dynamics)
    out, which, spikes = (x.whole() for x in joined)
    return Pooled(out, which, spikes, slopes, v)


def _interleaved(places: Tensor, size: int) -> Tensor:
    """[R, size, Q, size, C] of the windows' places one by one, [size², R, Q, C].

    A copy by itself: a compiled kernel that also puts places side by side takes far longer for it.
    """
    return places.unflatten(0, (size, size)).permute(2, 0, 3, 1, 4).contiguous()


def _still(small: Tensor) -> Tensor:
    """Zeros [R, Q, 1] in rows longer than Q: see `slopes.still_for`.

    What is added to them has no axes to merge, whichever tensors it comes from.
    """
    rows, columns = small.shape[1:3]
    return torch.zeros(rows, columns + 1, 1, dtype=wide(small), device=small.device)[:, :-1]


@lru_cache(256)
def _kernel(dynamics: Dynamics, size: int) -> Kernel:
    def run(
        currents: Tensor, v: Tensor | None, still: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        at = [(i, j) for i in range(size) for j in range(size)]
        fired, last = [], []
        for i, j in at:
            start = None if v is None else v[:, i, :, j]
            _, spikes, after = membranes(currents[:, :, i, :, j], start, dynamics)
            fired.append(spikes)
            last.append(after)
        counts = [sum(step[1:], step[0]) + still for step in zip(*fired, strict=True)]
        # By way of a wide number: machine code makes a narrow one of a comparison very slowly.
        out = torch.stack([(n > 0).to(n.dtype).to(currents.dtype) for n in counts])
        which = torch.stack([_first(step, still) for step in zip(*fired, strict=True)])
        spikes_of = torch.stack([n.to(torch.uint8) for n in counts])
        return out, which, spikes_of, torch.stack(last)

    return Kernel(run)


def _first(fired: tuple[Tensor, ...], still: Tensor) -> Tensor:
    """The first place that fired, 0 where none did."""
    which = torch.zeros_like(fired[0])
    for place in range(len(fired) - 1, 0, -1):
        which = torch.where(fired[place] > 0, float(place), which)
    return (torch.where(fired[0] > 0, 0.0, which) + still).to(torch.uint8)
