"""What frames and images have in common: every sample of a batch moved over its plane by its own.

Kernels work on [L, B, ..., H, W]: L steps (1 for images), B samples, any axes between. One index
per sample is worked out and used for all steps and channels.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import ShapeError
from .affine import AffineSettings, centre
from .checks import WholeRange, as_whole, chances, whole_around, wholes
from .draws import chance, whole


def gather(frames: Tensor, index: Tensor, height: int, width: int) -> Tensor:
    """out[l, b, ..., i] = frames[l, b, ..., index[b, i]] over the flattened plane, 0 for index < 0.

    ``index`` [B, height · width]. Returns a new [L, B, ..., height, width]. A device is not asked
    whether any index is below 0: it would have to wait for the answer.

    >>> gather(torch.tensor([[[[5, 6]]]]), torch.tensor([[1, -1]]), 1, 2).tolist()
    [[[[6, 0]]]]
    """
    steps, batch, *between = frames.shape[:-2]
    flat = frames.reshape(steps, batch, math.prod(between), -1)
    outside = index < 0
    some = index.device.type != "cpu" or bool(outside.any())
    index, outside = (x.to(frames.device)[None, :, None] for x in (index, outside))
    shape = (*flat.shape[:3], index.shape[-1])
    picked = flat.gather(3, index.clamp(min=0).expand(shape))
    if some:
        picked.masked_fill_(outside, 0)
    return picked.view(steps, batch, *between, height, width)


def window(frames: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Rows [B, h] and columns [B, w] of each sample, zero where they lie outside its plane.

    >>> window(torch.tensor([[[[5, 6]]]]), torch.tensor([[0]]), torch.tensor([[1, 2]])).tolist()
    [[[[6, 0]]]]
    """
    height, width = frames.shape[-2:]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[
        :, None
    ]
    index = (rows[:, :, None] * width + columns[:, None]).where(inside, -1)
    return gather(frames, index.flatten(1), rows.shape[1], columns.shape[1])


def blank(frames: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """A copy that is 0 where rows [B, H] and columns [B, W] are both True.

    >>> here = torch.tensor([[True]])
    >>> blank(torch.ones(1, 1, 1, 2), here, torch.tensor([[True, False]])).tolist()
    [[[[0.0, 1.0]]]]
    """
    hole = rows[:, :, None] & columns[:, None]
    between = (1,) * (frames.dim() - 4)
    return frames.masked_fill(hole.view(len(hole), *between, *hole.shape[1:]).to(frames.device), 0)


class OnPlane(ABC):
    """Base of the transforms of a plane; the rooms ``frames`` and ``images`` say which axes."""

    rank: ClassVar[int] = 4
    axes: ClassVar[str] = ""

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """A new batch. Raises ShapeError where it has the wrong rank."""
        self.check(batch)
        return self.act(batch, generator)

    def check(self, batch: Tensor) -> None:
        """Raise ShapeError unless the batch has the axes this transform works on."""
        if batch.dim() < self.rank:
            raise ShapeError(
                f"{type(self).__name__} cannot work on this batch",
                got=list(batch.shape),
                expected=self.axes,
            )

    @abstractmethod
    def act(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        """The transform itself, on [L, B, ..., H, W]."""


@dataclass(frozen=True)
class FlipPlane(OnPlane):
    """Mirror each sample left to right and upside down, each with its probability."""

    left_right: float = 0.5
    up_down: float = 0.0

    def __post_init__(self) -> None:
        chances(left_right=self.left_right, up_down=self.up_down)

    def act(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        """Every sample mirrored or not."""
        sides = []
        for probability, side in zip(
            (self.up_down, self.left_right), frames.shape[-2:], strict=True
        ):
            mirrored = chance(probability, (frames.shape[1], 1), generator)
            place = torch.arange(side)
            sides.append(torch.where(mirrored, place.flip(0), place))
        return window(frames, *sides)


@dataclass(frozen=True)
class CropPlane(OnPlane):
    """A random window of each sample's plane, which has ``pad`` zeros around it."""

    pad: int = 4
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        wholes(self, 0, "pad")
        if self.size is not None:
            height, width = self.size
            size = as_whole("height", height, 1), as_whole("width", width, 1)
            object.__setattr__(self, "size", size)

    def act(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        """The windows. Raises ShapeError where they are larger than the padded plane."""
        sides, old = [], tuple(frames.shape[-2:])
        for new, side in zip(self.size or old, old, strict=True):
            spare = side + 2 * self.pad - new
            if spare < 0:
                raise ShapeError(
                    "window is larger than the padded plane",
                    got=f"{self.size} of {old} with pad {self.pad}",
                )
            first = whole(0, spare, (frames.shape[1], 1), generator) - self.pad
            sides.append(first + torch.arange(new))
        return window(frames, *sides)


@dataclass(frozen=True)
class RollPlane(OnPlane):
    """Move each sample down and right by whole pixels; what leaves one side enters the other."""

    rows: WholeRange = 2
    columns: WholeRange = 2

    def __post_init__(self) -> None:
        whole_around("rows", self.rows)
        whole_around("columns", self.columns)

    def act(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        """Every sample moved by its own."""
        sides = []
        for name, side in zip(("rows", "columns"), frames.shape[-2:], strict=True):
            ends = whole_around(name, getattr(self, name))
            by = whole(*ends, (frames.shape[1], 1), generator)
            sides.append((torch.arange(side) - by) % side)
        return window(frames, *sides)


@dataclass(frozen=True)
class CutoutPlane(OnPlane):
    """Zero in a square of ``size`` pixels around a random pixel, cut at the border."""

    size: int = 8

    def __post_init__(self) -> None:
        wholes(self, 0, "size")

    def act(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        """The samples with their holes, the same hole at all steps and in all channels."""
        batch, (height, width) = frames.shape[1], frames.shape[-2:]
        rows = around(whole(0, height - 1, (batch, 1), generator), height, self.size)
        columns = around(whole(0, width - 1, (batch, 1), generator), width, self.size)
        return blank(frames, rows, columns)


def around(middle: Tensor, side: int, size: int | Tensor) -> Tensor:
    """Which places of a ``side`` belong to ``size`` of them around ``middle`` [B, 1].

    >>> around(torch.tensor([[0], [2]]), 4, 2).int().tolist()
    [[1, 0, 0, 0], [0, 1, 1, 0]]
    """
    place, first = torch.arange(side, device=middle.device), middle - size // 2
    return (place >= first) & (place < first + size)


def nearest(
    settings: AffineSettings, batch: int, height: int, width: int, generator: torch.Generator
) -> Tensor:
    """Index [B, H · W] of the pixel that each new pixel comes from, −1 from outside the plane.

    The inverse of the drawn map, rounded to the nearest pixel as ⌊v + ½⌋.
    """
    matrix, move = settings.draw(batch, generator)
    middle = centre(height, width)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    target = torch.stack([x, y], -1).flatten(0, 1).double() - middle
    source = (target - move[:, None]) @ torch.linalg.inv(matrix).mT + middle
    at = (source + 0.5).floor()
    inside = ((at >= 0) & (at < torch.tensor([width, height]))).all(-1)
    return (at[..., 1] * width + at[..., 0]).long().where(inside, -1)
