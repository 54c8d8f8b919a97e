"""Frames [T, B, ..., H, W] moved over their plane: every sample by its own, all its steps alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ....errors import ConfigError, ShapeError
from ..affine import AffineSettings
from ..checks import wholes
from ..events.grid import areas
from ..plane import CropPlane, CutoutPlane, FlipPlane, OnPlane, RollPlane, gather, nearest


class _Planes(OnPlane):
    axes: ClassVar[str] = "[T, B, ..., H, W]"


class _Lines(OnPlane):
    """Transforms that make sense on [T, B, n] as well, as on a plane one pixel high."""

    rank: ClassVar[int] = 3
    axes: ClassVar[str] = "[T, B, ..., n]"

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        self.check(batch)
        if batch.dim() == 3:
            return self.act(batch.unsqueeze(2), generator).squeeze(2)
        return self.act(batch, generator)


@dataclass(frozen=True)
class Flip(_Lines, FlipPlane):
    """Mirror each sample left to right and upside down, each with its probability.

    On [T, B, n] left to right is along the last axis. Raises ConfigError for impossible values.

    >>> Flip(left_right=1.0)(torch.tensor([[[1, 2, 3]]]), torch.Generator())
    tensor([[[3, 2, 1]]])
    """


@dataclass(frozen=True)
class Roll(_Lines, RollPlane):
    """Move each sample down and right by whole pixels; what leaves one side enters the other.

    n is drawn from −n … n, (low, high) between them, both included; on [T, B, n] ``columns`` is
    along the last axis. Raises ConfigError for impossible ranges.

    >>> Roll(0, (1, 1))(torch.tensor([[[1, 2, 3]]]), torch.Generator())
    tensor([[[3, 1, 2]]])
    """


@dataclass(frozen=True)
class Crop(_Planes, CropPlane):
    """A random window of each sample's plane, with ``pad`` rows and columns of zeros around it.

    ``size`` (height, width) of the window, by default that of the plane. Raises ConfigError for
    impossible sizes, ShapeError for a window larger than the padded plane.

    >>> Crop(0, size=(1, 2))(torch.ones(5, 3, 2, 8, 8), torch.Generator()).shape
    torch.Size([5, 3, 2, 1, 2])
    """


@dataclass(frozen=True)
class Cutout(_Planes, CutoutPlane):
    """Zero in a square of ``size`` pixels around a random pixel of each sample, cut at the border.

    The same square at all steps and in all channels. Raises ConfigError for negative sizes.

    >>> int(Cutout(1)(torch.ones(5, 3, 2, 8, 8), torch.Generator()).sum())
    1890
    """


@dataclass(frozen=True)
class Affine(AffineSettings, _Planes):
    """Turn, move, enlarge and slant each sample about the centre of its plane (AffineSettings).

    Every new pixel takes the value of the old one nearest to where the inverse map leads, 0 from
    outside, so spikes stay spikes and counts stay counts. Raises ConfigError for impossible ranges.

    >>> Affine(degrees=(90, 90))(torch.tensor([[[[1, 2], [3, 4]]]]), torch.Generator())[0, 0]
    tensor([[2, 4],
            [1, 3]])
    """

    def act(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        """The mapped samples."""
        height, width = frames.shape[-2:]
        return gather(
            frames, nearest(self, frames.shape[1], height, width, generator), height, width
        )


@dataclass(frozen=True)
class Resize(_Planes):
    """The same picture on ``height`` × ``width`` pixels, not more than there are.

    Old pixel (y, x) lies in new pixel (⌊y H' / H⌋, ⌊x W' / W⌋), as with ``events.Resize``;
    ``reduce`` "sum" adds them up (no event is lost), "mean" divides by their number, "any" is 1
    where one is not 0, in the dtype of the frames. Nothing is drawn. Raises ConfigError for
    impossible sizes, ShapeError for a plane that is smaller.

    >>> Resize(1, 2)(torch.tensor([[[[1.0, 0.0, 1.0, 1.0]]]]), torch.Generator())
    tensor([[[[1., 2.]]]])
    """

    height: int
    width: int
    reduce: Literal["sum", "mean", "any"] = "sum"

    def __post_init__(self) -> None:
        wholes(self, 1, "height", "width")
        if self.reduce not in ("sum", "mean", "any"):
            raise ConfigError(
                "impossible reduce", got=repr(self.reduce), expected="sum, mean or any"
            )

    def act(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        """Smaller frames, float for a sum or a mean."""
        old = frames.shape[-2:]
        if old[0] < self.height or old[1] < self.width:
            raise ShapeError(
                "frames cannot be enlarged",
                got=list(old),
                expected=f"{self.height} × {self.width} or more",
            )
        rows, columns = _shares(old[0], self.height), _shares(old[1], self.width)
        if self.reduce == "mean":
            rows, columns = (part / part.sum(1, keepdim=True) for part in (rows, columns))
        values = frames != 0 if self.reduce == "any" else frames
        values = values if values.is_floating_point() else values.float()
        summed = rows.to(values) @ values @ columns.T.to(values)
        return (summed != 0).to(frames.dtype) if self.reduce == "any" else summed


def _shares(old: int, new: int) -> Tensor:
    """[new, old] with 1 where the old place lies in the new one."""
    return torch.nn.functional.one_hot(torch.from_numpy(areas(old, new)), new).T.float()
