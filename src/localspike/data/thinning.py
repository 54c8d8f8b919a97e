"""Which bins lose their events: a number mixed from a key and the bin's place, drawn for no other.

A bin's fate depends on the key and on where in the batch it lies, on nothing else. So numbers are
needed only where something is, which is in few places of event frames, and it is all the same
whether a batch is thinned as events or as frames, on which device, and how often a bin is hit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

WORD = 1 << 32


@dataclass(frozen=True)
class Thinning:
    """Lose each bin with ``probability``, as ``key`` (two numbers below 2³²) has it.

    Half the key is added to the place, half is its exclusive or, and two rounds of multiplications
    and shifts, those that end MurmurHash3 (A. Appleby, public domain), make it a number that is
    lost when it is among the smallest ``probability`` · 2³².

    >>> bool(0.6 < Thinning((1, 2), 0.3).stays(np.arange(999, dtype=np.uint32)).mean() < 0.8)
    True
    """

    key: tuple[int, int]
    probability: float

    @classmethod
    def draw(cls, probability: float, generator: torch.Generator) -> Thinning:
        """A thinning whose key comes from ``generator``."""
        first, second = torch.randint(WORD, (2,), generator=generator).tolist()
        return cls((first, second), probability)

    def stays(self, place: NDArray[np.integer], shift: int = 0) -> NDArray[np.bool_]:
        """For each bin, by its place + ``shift`` in a batch [B, T, cells], whether it is kept."""
        if self.probability >= 1:
            return np.zeros(place.shape, np.bool_)
        number = place.astype(np.uint32)
        number += np.uint32((self.key[0] + shift) % WORD)
        number ^= np.uint32(self.key[1])
        number ^= number >> np.uint32(16)
        number *= np.uint32(0x85EBCA6B)
        number ^= number >> np.uint32(13)
        number *= np.uint32(0xC2B2AE35)
        number ^= number >> np.uint32(16)
        stays: NDArray[np.bool_] = number >= np.uint32(self.probability * WORD)
        return stays

    def apply(self, frames: Tensor) -> Tensor:
        """Frames [T, B, ...] without what was in the lost bins; the input is not written to."""
        if frames.device.type != "cpu" or frames.dtype == torch.bfloat16:
            return self._masked(frames)
        thinned = frames.detach().numpy().copy()
        for number in range(thinned.shape[1]):
            own = np.ascontiguousarray(thinned[:, number])
            place = np.flatnonzero(own != 0)
            lost = place[~self.stays(place, number * own.size)]
            np.ravel(own)[lost] = 0
            thinned[:, number] = own
        return torch.from_numpy(thinned)

    def _masked(self, frames: Tensor) -> Tensor:
        """The same with a number for every bin, on any device."""
        steps, batch = frames.shape[:2]
        stays = torch.from_numpy(self.stays(np.arange(frames.numel())))
        mask = stays.view(batch, steps, *frames.shape[2:]).transpose(0, 1)
        return frames.masked_fill(~mask.to(frames.device), 0)
