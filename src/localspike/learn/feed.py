"""A split as batches on a device, in an order that can be taken up anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..data import Batch, Dataset, batch_count, batches
from ..data.batching import Augment
from ..data.dataset import sent

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Feed:
    """The batches of a data set; batch k of an epoch depends on (seed, epoch, k) only.

    ``sample_shape`` is what the network takes: images are flattened for one that takes vectors.
    ``bucket`` batches at a time are sorted by length and cut to their longest sequence, but not
    below ``least`` steps. Lengths stay on the CPU, which works with them.

    >>> from localspike.data import keywords
    >>> feed = Feed(keywords("val", limit=20), 8, (80,))
    >>> len(feed), next(feed.batches()).frames.shape
    (3, torch.Size([50, 8, 80]))
    """

    dataset: Dataset
    batch_size: int
    sample_shape: tuple[int, ...]
    shuffle: bool = False
    seed: int = 0
    device: torch.device = CPU
    augment: Augment | None = None
    bucket: int | None = None
    least: int = 1

    def __len__(self) -> int:
        return batch_count(len(self.dataset), self.batch_size)

    def batches(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from batch ``start`` on."""
        for frames, labels, lengths in batches(
            self.dataset,
            self.batch_size,
            shuffle=self.shuffle,
            seed=self.seed,
            epoch=epoch,
            start=start,
            augment=self.augment,
            bucket=self.bucket,
            least=self.least,
        ):
            moved = _moved(self.shaped(frames), self.device)
            yield Batch(moved, sent(labels, self.device), lengths)

    def shaped(self, frames: Tensor) -> Tensor:
        """Frames [T, B, ...] with the samples in the network's shape, still a view over time."""
        if frames.shape[2:] == self.sample_shape or len(self.sample_shape) > 1:
            return frames
        return frames.flatten(2)


def _moved(frames: Tensor, device: torch.device) -> Tensor:
    # A static image is one image seen T times; moving the view itself would make T copies.
    if frames.stride(0) == 0 and len(frames) > 0:
        return sent(frames[0], device).expand(frames.shape)
    return sent(frames, device)
