"""Transforms of images [B, C, H, W]: (images, generator) → images, an ``augment`` of ``batches``.

Frozen values in plain torch; every sample draws its own, and the input is not written to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import ConfigError, ShapeError
from .affine import AffineSettings
from .checks import Range, around, at_least, ends
from .compose import Compose
from .draws import between
from .plane import CropPlane, CutoutPlane, FlipPlane, OnPlane, RollPlane

__all__ = [
    "Affine",
    "ColourJitter",
    "Compose",
    "Crop",
    "Cutout",
    "Flip",
    "Normalise",
    "Roll",
]


class _Images(OnPlane):
    axes: ClassVar[str] = "[B, C, H, W]"

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        self.check(batch)
        return self.act(batch[None], generator)[0]

    def check(self, batch: Tensor) -> None:
        """Raise ShapeError unless the batch is [B, C, H, W]."""
        check_images(batch)


def check_images(images: Tensor) -> None:
    """Raise ShapeError unless the batch is [B, C, H, W]."""
    if images.dim() != 4:
        raise ShapeError(
            "images have the wrong rank", got=list(images.shape), expected="[B, C, H, W]"
        )


@dataclass(frozen=True)
class Flip(_Images, FlipPlane):
    """Mirror each image left to right and upside down, each with its probability.

    Raises ConfigError for impossible probabilities.

    >>> Flip(left_right=1.0)(torch.tensor([[[[1, 2, 3]]]]), torch.Generator())
    tensor([[[[3, 2, 1]]]])
    """


@dataclass(frozen=True)
class Crop(_Images, CropPlane):
    """A random window of each image, with ``pad`` rows and columns of zeros around the image.

    ``size`` (height, width) of the window, by default that of the image. Raises ConfigError for
    impossible sizes, ShapeError for a window larger than the padded image.

    >>> Crop(4)(torch.ones(2, 3, 32, 32), torch.Generator()).shape
    torch.Size([2, 3, 32, 32])
    """


@dataclass(frozen=True)
class Roll(_Images, RollPlane):
    """Move each image down and right by whole pixels; what leaves one side enters the other.

    n is drawn from −n … n, (low, high) between them. Raises ConfigError for impossible ranges.

    >>> Roll(0, (1, 1))(torch.tensor([[[[1, 2, 3]]]]), torch.Generator())
    tensor([[[[3, 1, 2]]]])
    """


@dataclass(frozen=True)
class Cutout(_Images, CutoutPlane):
    """Zero in a square of ``size`` pixels around a random pixel of each image, cut at the border.

    Raises ConfigError for negative sizes. DeVries and Taylor, arXiv:1708.04552.

    >>> int(Cutout(1)(torch.ones(2, 3, 8, 8), torch.Generator()).sum())
    378
    """


@dataclass(frozen=True)
class Affine(AffineSettings, _Images):
    """Turn, move, enlarge and slant each image about its centre (AffineSettings).

    A new pixel is the bilinear mean of the four old ones around where the inverse map leads, 0
    outside. Images are float. Raises ConfigError for impossible ranges.

    >>> Affine(degrees=(90, 90))(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), torch.Generator())
    tensor([[[[2., 4.],
              [1., 3.]]]])
    """

    def act(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        """The mapped images [1, B, C, H, W]."""
        images, (height, width) = frames[0], frames.shape[-2:]
        matrix, move = self.draw(len(images), generator)
        inverse = torch.linalg.inv(matrix)
        # grid_sample counts −1 … 1 over each side, so pixels are halves of it.
        half = torch.tensor([width / 2, height / 2], dtype=torch.float64)
        turn = inverse * half / half[:, None]
        shift = -(inverse @ move[..., None]) / half[:, None]
        theta = torch.cat([turn, shift], -1).to(images)
        grid = torch.nn.functional.affine_grid(theta, list(images.shape), align_corners=False)
        return torch.nn.functional.grid_sample(images, grid, align_corners=False)[None]


@dataclass(frozen=True)
class Normalise:
    """(x − mean) / std for every channel; nothing is drawn.

    Raises ConfigError for deviations that are not above 0, ShapeError where the number of channels
    is another.

    >>> Normalise((0.5,), (0.25,))(torch.ones(1, 1, 1, 2), torch.Generator())
    tensor([[[[2., 2.]]]])
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not all(deviation > 0 for deviation in self.std):
            raise ConfigError(
                "impossible std", got=self.std, expected="one number above 0 per channel's mean"
            )

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """A new batch of the same shape."""
        check_images(images)
        if images.shape[1] != len(self.mean):
            raise ShapeError(
                "images have another number of channels",
                got=images.shape[1],
                expected=len(self.mean),
            )
        mean, std = (images.new_tensor(values).view(-1, 1, 1) for values in (self.mean, self.std))
        return (images - mean) / std


@dataclass(frozen=True)
class ColourJitter:
    """Change brightness, contrast and saturation of each image by factors and amounts of its own.

    In this order x ← x + b; x ← m + c (x − m) with m the image's mean; x ← g + s (x − g) with g
    each pixel's mean over the channels. b is drawn from −brightness … brightness, c and s from
    1 − n … 1 + n; ranges may be given. Nothing is clipped, so that images normalised before are
    changed alike. Raises ConfigError for impossible ranges, c and s are not below 0.

    >>> ColourJitter((0.5, 0.5), 0.0, 0.0)(torch.zeros(1, 3, 1, 1), torch.Generator()).flatten()
    tensor([0.5000, 0.5000, 0.5000])
    """

    brightness: Range = 0.1
    contrast: Range = 0.1
    saturation: Range = 0.1

    def __post_init__(self) -> None:
        around("brightness", self.brightness)
        _factors("contrast", self.contrast)
        _factors("saturation", self.saturation)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """A new batch of the same shape."""
        check_images(images)
        shape = (len(images), 1, 1, 1)
        add = between(around("brightness", self.brightness), shape, generator).to(images)
        contrast = between(_factors("contrast", self.contrast), shape, generator).to(images)
        colour = between(_factors("saturation", self.saturation), shape, generator).to(images)
        mean = images.mean((1, 2, 3), keepdim=True)
        images = mean + add + contrast * (images - mean)
        grey = images.mean(1, keepdim=True)
        return grey + colour * (images - grey)


def _factors(name: str, value: Range) -> tuple[float, float]:
    if isinstance(value, tuple):
        return ends(name, value, 0)
    at_least(0, **{name: value})
    return ends(name, (1 - value, 1 + value), 0)
