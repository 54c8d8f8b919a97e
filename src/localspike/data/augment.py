"""Augmentation of one batch at a time, vectorised, all randomness from the generator passed in."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ConfigError, ShapeError


@dataclass(frozen=True)
class ImageAugment:
    """Random crop of a padded image, horizontal flip, cutout, for images [B, C, H, W].

    ``pad`` pixels of zero (the mean colour of normalised images) on every side before the crop,
    flip with probability one half, a square of ``cutout`` pixels around a random centre set to
    zero. 0 or False switches a part off. Cutout: DeVries and Taylor, arXiv:1708.04552.
    Raises ConfigError for negative sizes, ShapeError when the batch is not [B, C, H, W].

    >>> images = torch.ones(2, 3, 32, 32)
    >>> ImageAugment()(images, torch.Generator().manual_seed(0)).shape
    torch.Size([2, 3, 32, 32])
    """

    pad: int = 4
    flip: bool = True
    cutout: int = 16

    def __post_init__(self) -> None:
        _not_negative(pad=self.pad, cutout=self.cutout)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """A new batch of the same shape."""
        if images.dim() != 4:
            raise ShapeError(
                "images have the wrong rank", got=list(images.shape), expected="[B, C, H, W]"
            )
        return self._cut(self._crop_flip(images, generator), generator)

    def _crop_flip(self, images: Tensor, generator: torch.Generator) -> Tensor:
        batch, _, height, width = images.shape
        corner = _integers(0, 2 * self.pad, (2, batch, 1), generator)
        rows = corner[0] + torch.arange(height)
        columns = corner[1] + torch.arange(width)
        if self.flip:
            mirrored = _integers(0, 1, (batch, 1), generator).bool()
            columns = torch.where(mirrored, columns.flip(1), columns)
        padded = torch.nn.functional.pad(images, (self.pad,) * 4)
        sample = torch.arange(batch)[:, None, None]
        picked = padded[sample, :, rows[:, :, None], columns[:, None, :]]
        return picked.permute(0, 3, 1, 2).contiguous()

    def _cut(self, images: Tensor, generator: torch.Generator) -> Tensor:
        if not self.cutout:
            return images
        inside = []
        for size in images.shape[2:]:
            first = _integers(0, size - 1, (len(images), 1), generator) - self.cutout // 2
            place = torch.arange(size)
            inside.append((place >= first) & (place < first + self.cutout))
        hole = inside[0][:, :, None] & inside[1][:, None, :]
        return images.masked_fill(hole[:, None], 0.0)


@dataclass(frozen=True)
class EventAugment:
    """Shift in time, shift over bands, and loss of events, for event frames [T, B, ...].

    ``shift`` and ``bands`` are the largest number of steps and of neighbouring places along the
    last axis a sample is moved by (what leaves is lost, zeros come in); ``groups`` says how many
    blocks of that axis move separately (2 for OFF and ON); ``drop`` is the probability of losing
    all events of one bin. Raises ConfigError for impossible values.

    >>> frames = torch.ones(50, 4, 80)
    >>> bool(EventAugment(drop=0.5)(frames, torch.Generator().manual_seed(0)).mean() < 0.6)
    True
    """

    shift: int = 2
    bands: int = 1
    drop: float = 0.1
    groups: int = 2

    def __post_init__(self) -> None:
        _not_negative(shift=self.shift, bands=self.bands)
        if self.groups < 1:
            raise ConfigError("impossible groups", got=self.groups, expected="1 or more")
        if not 0.0 <= self.drop < 1.0:
            raise ConfigError("impossible drop", got=self.drop, expected="0 <= drop < 1")

    def __call__(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        """A new batch of the same shape."""
        batch = frames.shape[1]
        if self.shift:
            by = _integers(-self.shift, self.shift, (batch,), generator)
            frames = shift_steps(frames, by)
        if self.bands:
            by = _integers(-self.bands, self.bands, (batch,), generator)
            frames = shift_places(frames, by, self.groups)
        if self.drop:
            frames = frames * (torch.rand(frames.shape, generator=generator) >= self.drop)
        return frames


def shift_steps(frames: Tensor, by: Tensor) -> Tensor:
    """Delay sample b of frames [T, B, ...] by ``by[b]`` steps, zeros coming in.

    >>> shift_steps(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([1])).flatten()
    tensor([0., 1., 2.])
    """
    steps, batch = frames.shape[:2]
    source = torch.arange(steps)[:, None] - by
    kept = ((source >= 0) & (source < steps)).view(steps, batch, *[1] * (frames.dim() - 2))
    return frames[source.clamp(0, steps - 1), torch.arange(batch)] * kept


def shift_places(frames: Tensor, by: Tensor, groups: int) -> Tensor:
    """Move sample b of frames [T, B, ..., n] up the last axis by ``by[b]``, in ``groups`` blocks.

    >>> shift_places(torch.tensor([[[1.0, 2.0, 3.0, 4.0]]]), torch.tensor([1]), 2).flatten()
    tensor([0., 1., 0., 3.])
    """
    if frames.shape[-1] % groups:
        raise ShapeError(
            "last axis does not divide into groups",
            got=f"{frames.shape[-1]} places, {groups} groups",
        )
    blocks = frames.reshape(*frames.shape[:-1], groups, -1).movedim(-1, 0)
    moved = shift_steps(blocks.movedim(2, 1), by).movedim(1, 2)
    return moved.movedim(0, -1).flatten(-2)


def _integers(low: int, high: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Whole numbers low … high, both included."""
    return torch.randint(low, high + 1, shape, generator=generator)


def _not_negative(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 0:
            raise ConfigError(f"impossible {name}", got=size, expected="0 or more")
