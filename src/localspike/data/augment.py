"""Augmentation of one batch at a time, chosen by name: fixed rows of ``transforms``.

All randomness comes from the generator passed in, so batch k of an epoch is the same whoever makes
it, and whenever. Settings are plain numbers of which 0 (or False) switches a part off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import ConfigError
from .cropping import cropped
from .dataset import sent
from .moves import Mover, Moves
from .thinning import Thinning
from .transforms import frames as on_frames
from .transforms import images as on_images
from .transforms.checks import at_least, chances, wholes
from .transforms.compose import Compose
from .transforms.draws import whole
from .transforms.images import check_images
from .transforms.plane import around, blank, window

Part = Callable[[Tensor, torch.Generator], Tensor]


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
        wholes(self, 0, "pad", "cutout")

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """A new batch of the same shape."""
        check_images(images)
        corner, mirrored, hole = self._drawn(images, generator)
        if images.device.type == "cpu":
            return cropped(images, corner, mirrored, hole, self.cutout)
        return self._gathered(images, corner, mirrored, hole)

    # One generator for all parts, drawn from in this order: published runs must repeat.
    def _drawn(
        self, images: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Top left corner [2, B], who is mirrored [B], first row and column of the hole [2, B]."""
        batch, sides = len(images), images.shape[-2:]
        corner = whole(0, 2 * self.pad, (2, batch, 1), generator)[..., 0] - self.pad
        mirrored = whole(0, 1, (batch, 1), generator)[:, 0].bool() if self.flip else None
        if not self.cutout:
            return corner, mirrored, None
        middles = [whole(0, side - 1, (batch, 1), generator)[:, 0] for side in sides]
        return corner, mirrored, torch.stack(middles) - self.cutout // 2

    def _gathered(
        self, images: Tensor, corner: Tensor, mirrored: Tensor | None, hole: Tensor | None
    ) -> Tensor:
        """The same on any device, which waits for nothing: only the draws are sent there."""
        device = images.device
        corner = sent(corner, device)
        mirrored, hole = (None if x is None else sent(x, device) for x in (mirrored, hole))
        rows, columns = (
            first[:, None] + torch.arange(side, device=device)
            for first, side in zip(corner, images.shape[-2:], strict=True)
        )
        if mirrored is not None:
            columns = torch.where(mirrored[:, None], columns.flip(1), columns)
        seen = window(images[None], rows, columns)
        if hole is not None:
            middles = hole + self.cutout // 2
            inside = [
                around(middle[:, None], side, self.cutout)
                for middle, side in zip(middles, images.shape[-2:], strict=True)
            ]
            seen = blank(seen, *inside)
        return seen[0]


@dataclass(frozen=True)
class EventAugment(Mover):
    """Shift in time, shift over bands, and loss of events, for event frames [T, B, ...].

    ``shift`` and ``bands`` are the largest number of steps and of neighbouring places along the
    last axis a sample is moved by (what leaves is lost, zeros come in; lengths move along in
    ``batches``); ``groups`` says how many blocks of that axis move separately: 2 for OFF and ON,
    None what the data set has in ``batches``, and 1 elsewhere. ``drop`` is the probability of
    losing all events of one bin. Raises ConfigError for impossible values, ShapeError where the
    axis does not divide into the groups or samples are planes, which have none.

    >>> frames = torch.ones(50, 4, 80)
    >>> bool(EventAugment(drop=0.5)(frames, torch.Generator().manual_seed(0)).mean() < 0.6)
    True
    """

    shift: int = 2
    bands: int = 1
    drop: float = 0.1
    groups: int | None = None

    def __post_init__(self) -> None:
        wholes(self, 0, "shift", "bands")
        _check_groups(self)
        if not 0.0 <= self.drop < 1.0:
            raise ConfigError("impossible drop", got=self.drop, expected="0 <= drop < 1")

    def moves(self, batch: int, generator: torch.Generator) -> Moves:
        """What is drawn for a batch of that size."""
        later, right = (
            whole(-most, most, (batch,), generator).tolist() if most else [0] * batch
            for most in (self.shift, self.bands)
        )  # fmt: skip
        thinning = Thinning.draw(self.drop, generator) if self.drop else None
        return Moves(later, right, (self.groups or 1) if self.bands else 1, thinning)

    def in_groups(self, groups: int) -> EventAugment:
        """The same with so many groups where they were left open.

        >>> EventAugment().in_groups(2).groups, EventAugment(groups=1).in_groups(2).groups
        (2, 1)
        """
        return replace(self, groups=groups) if self.groups is None else self


@dataclass(frozen=True)
class SpatialAugment:
    """Flip, roll, turn and slant, cutout and loss, for event frames [T, B, ..., H, W] of a camera.

    ``flip`` is the probability of mirroring left to right (0 where that makes another class, as
    of a right hand a left one), ``roll`` the largest number of pixels a sample is moved by with
    wrap, ``degrees`` and ``shear`` the largest angles, ``cutout`` the side of the square set to
    zero, ``drop`` the probability of losing all events of one bin. 0 switches a part off.
    Raises ConfigError for impossible values, ShapeError where there is no plane.
    After Li et al., Neuromorphic data augmentation, arXiv:2203.06145.

    >>> SpatialAugment()(torch.ones(4, 3, 2, 34, 34), torch.Generator()).shape
    torch.Size([4, 3, 2, 34, 34])
    """

    flip: float = 0.5
    roll: int = 5
    degrees: float = 15.0
    shear: float = 0.0
    cutout: int = 8
    drop: float = 0.0

    def __post_init__(self) -> None:
        wholes(self, 0, "roll", "cutout")
        chances(flip=self.flip, drop=self.drop)
        on_frames.Affine(degrees=self.degrees, shear=self.shear)

    def __call__(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        """A new batch of the same shape."""
        turn = on_frames.Affine(degrees=self.degrees, shear=self.shear)
        turn.check(frames)
        parts: list[tuple[bool, Part]] = [
            (self.flip > 0, on_frames.Flip(self.flip)),
            (self.roll > 0, on_frames.Roll(self.roll, self.roll)),
            (self.degrees > 0 or self.shear > 0, turn),
            (self.cutout > 0, on_frames.Cutout(self.cutout)),
            (self.drop > 0, on_frames.Drop(self.drop)),
        ]
        return _those_on(parts)(frames, generator)


@dataclass(frozen=True)
class MaskAugment:
    """Shift in time and place, masks over time and places, loss: for event frames [T, B, ..., n].

    ``shift`` and ``bands`` are the largest moves in steps and places, ``mask_steps`` and
    ``mask_places`` the largest sizes of one stretch each that is set to zero, ``drop`` the
    probability of losing all events of one bin; places move and hide in ``groups`` blocks (as in
    `EventAugment`). 0 switches a part off. Raises ConfigError for impossible values, ShapeError for
    frames that are too short or do not divide. After SpecAugment, arXiv:1904.08779.

    >>> MaskAugment()(torch.ones(50, 4, 80), torch.Generator()).shape
    torch.Size([50, 4, 80])
    """

    shift: int = 2
    bands: int = 1
    mask_steps: int = 8
    mask_places: int = 6
    drop: float = 0.0
    groups: int | None = None

    def __post_init__(self) -> None:
        wholes(self, 0, "shift", "bands", "mask_steps", "mask_places")
        _check_groups(self)
        chances(drop=self.drop)

    def __call__(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        """A new batch of the same shape."""
        return self._parts()(frames, generator)

    def with_lengths(
        self, frames: Tensor, lengths: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """The same, and the lengths [B] of the sequences, moved in time as they are."""
        return self._parts().with_lengths(frames, lengths, generator)

    def in_groups(self, groups: int) -> MaskAugment:
        """The same with so many groups where they were left open."""
        return replace(self, groups=groups) if self.groups is None else self

    def _parts(self) -> Compose:
        groups = self.groups or 1
        parts: list[tuple[bool, Part]] = [
            (self.shift > 0, on_frames.TimeShift(self.shift)),
            (self.bands > 0, on_frames.PlaceShift(self.bands, groups)),
            (self.mask_steps > 0, on_frames.TimeMask(self.mask_steps)),
            (self.mask_places > 0, on_frames.PlaceMask(self.mask_places, groups)),
            (self.drop > 0, on_frames.Drop(self.drop)),
        ]
        return _those_on(parts)


@dataclass(frozen=True)
class ColourAugment:
    """Crop of a padded image, flip, turn, colour jitter, cutout, for images [B, C, H, W].

    ``pad`` pixels of zero before the crop, ``flip`` the probability of mirroring left to right,
    ``degrees`` the largest angle, ``brightness``, ``contrast`` and ``saturation`` as in
    ``transforms.images.ColourJitter``, ``cutout`` the side of the square set to zero. 0 switches a
    part off. Raises ConfigError for impossible values, ShapeError for another rank.

    >>> ColourAugment()(torch.ones(2, 3, 32, 32), torch.Generator()).shape
    torch.Size([2, 3, 32, 32])
    """

    pad: int = 4
    flip: float = 0.5
    degrees: float = 0.0
    brightness: float = 0.1
    contrast: float = 0.1
    saturation: float = 0.1
    cutout: int = 8

    def __post_init__(self) -> None:
        wholes(self, 0, "pad", "cutout")
        at_least(0, degrees=self.degrees)
        chances(flip=self.flip)
        on_images.ColourJitter(self.brightness, self.contrast, self.saturation)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """A new batch of the same shape."""
        check_images(images)
        jitter = on_images.ColourJitter(self.brightness, self.contrast, self.saturation)
        parts: list[tuple[bool, Part]] = [
            (self.pad > 0, on_images.Crop(self.pad)),
            (self.flip > 0, on_images.Flip(self.flip)),
            (self.degrees > 0, on_images.Affine(degrees=self.degrees)),
            (max(self.brightness, self.contrast, self.saturation) > 0, jitter),
            (self.cutout > 0, on_images.Cutout(self.cutout)),
        ]
        return _those_on(parts)(images, generator)


def _check_groups(augment: EventAugment | MaskAugment) -> None:
    if augment.groups is not None:
        wholes(augment, 1, "groups")


def _those_on(parts: list[tuple[bool, Part]]) -> Compose:
    return Compose([part for on, part in parts if on])
