"""What data.py compares with: per-sample data sets for torch's DataLoader, written with care.

The samples lie decoded in memory, and every sample is made and augmented by vectorised NumPy or
torch calls of its own; torch's default collation makes the batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as PerSample

from localspike.data import BinnedEvents, Dataset, ImageAugment, StaticImages

Sample = tuple[Tensor, int]


def loader(samples: PerSample[Sample], batch: int, workers: int) -> DataLoader[Any]:
    """Shuffled batches; workers outlive the epoch."""
    return DataLoader(
        samples, batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )


class Events(PerSample[Sample]):
    """Recordings as columns (time in µs, p, y, x), binned to spikes [T, 2, 34, 34] on the way."""

    def __init__(self, raw: Dataset, bin_us: int, steps: int) -> None:
        source = raw.inputs
        assert isinstance(source, BinnedEvents)
        place = source.place.numpy().astype(np.int64)
        step, cell = np.divmod(place, np.prod(raw.sample_shape))
        self.time = step * 1000
        self.where = [part.astype(np.uint8) for part in np.unravel_index(cell, raw.sample_shape)]
        self.offsets = source.offsets.tolist()
        self.labels = raw.labels.tolist()
        self.shape = (steps, *raw.sample_shape)
        self.bin_us, self.steps = bin_us, steps

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, number: int) -> Sample:
        own = slice(self.offsets[number], self.offsets[number + 1])
        step = self.time[own] // self.bin_us
        p, y, x = (part[own] for part in self.where)
        if step[-1] >= self.steps:
            kept = step < self.steps
            step, p, y, x = step[kept], p[kept], y[kept], x[kept]
        frames = np.zeros(self.shape, np.float32)
        frames[step, p, y, x] = 1
        return torch.from_numpy(frames), self.labels[number]


class Augmented(PerSample[Sample]):
    """Event frames moved in time by at most ``shift`` steps and in x by one, bins thinned."""

    def __init__(self, samples: Events, shift: int, drop: float) -> None:
        self.samples, self.shift, self.drop = samples, shift, drop

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, number: int) -> Sample:
        frames, label = self.samples[number]
        later = int(torch.randint(-self.shift, self.shift + 1, ()))
        right = int(torch.randint(-1, 2, ()))
        moved = torch.zeros_like(frames)
        (to_t, from_t), (to_x, from_x) = part(later, len(frames)), part(right, frames.shape[-1])
        moved[to_t, ..., to_x] = frames[from_t, ..., from_x]
        if self.drop:
            moved *= torch.rand(moved.shape) >= self.drop
        return moved, label


def part(by: int, size: int) -> tuple[slice, slice]:
    """Where what moves by ``by`` comes to lie, and where it comes from."""
    return slice(max(by, 0), size + min(by, 0)), slice(max(-by, 0), size - max(by, 0))


class Images(PerSample[Sample]):
    """Pixels uint8, normalised, then a crop of the padded image, a flip and a cutout."""

    def __init__(self, images: Dataset, augment: ImageAugment, flip: float = 0.5) -> None:
        source = images.inputs
        assert isinstance(source, StaticImages)
        self.pixels, self.labels, self.augment = source.pixels, images.labels.tolist(), augment
        self.flip = flip
        self.mean = torch.tensor(source.mean).view(-1, 1, 1)
        self.std = torch.tensor(source.std).view(-1, 1, 1)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, number: int) -> Sample:
        border, size = self.augment.pad, self.augment.cutout
        image = (self.pixels[number].float() / 255 - self.mean) / self.std
        side = image.shape[-1]
        top, left = torch.randint(2 * border + 1, (2,)).tolist()
        image = pad(image, (border,) * 4)[:, top : top + side, left : left + side]
        if torch.rand(()) < self.flip:
            image = image.flip(-1)
        y, x = (torch.randint(side, (2,)) - size // 2).tolist()
        image[:, max(y, 0) : y + size, max(x, 0) : x + size] = 0
        return image, self.labels[number]
