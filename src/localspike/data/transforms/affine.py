"""Affine maps of a plane: one description, drawn once per sample, for events, frames and images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .checks import Range, around, ends
from .draws import between


@dataclass(frozen=True)
class AffineSettings:
    """What of an affine map is drawn: every setting is a number or the ends of a range.

    ``degrees`` turns against the clock as the picture is seen (y points down), ``rows`` and
    ``columns`` move down and right by so many pixels, ``shear`` (degrees) slants along x, for all
    four of which n means −n … n; ``scale`` enlarges. About the centre c of the plane a point x
    goes to

        x' = c + s R(degrees) S(shear) (x − c) + (columns, rows).

    Raises ConfigError for impossible ranges; scale is above 0, shear within ±80 degrees.
    """

    degrees: Range = 0.0
    rows: Range = 0.0
    columns: Range = 0.0
    scale: Range = 1.0
    shear: Range = 0.0

    def __post_init__(self) -> None:
        around("degrees", self.degrees)
        around("rows", self.rows)
        around("columns", self.columns)
        ends("scale", self.scale, 1e-3, 1e3)
        ends("shear", around("shear", self.shear), -80, 80)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Matrices [count, 2, 2] on (x, y) and moves [count, 2] in pixels, float64."""
        turn = between(around("degrees", self.degrees), (count,), generator).deg2rad()
        columns = between(around("columns", self.columns), (count,), generator)
        rows = between(around("rows", self.rows), (count,), generator)
        scale = between(ends("scale", self.scale, 1e-3), (count,), generator)
        slant = between(around("shear", self.shear), (count,), generator).deg2rad().tan()
        cos, sin = scale * turn.cos(), scale * turn.sin()
        upper = torch.stack([cos, cos * slant + sin], -1)
        lower = torch.stack([-sin, cos - sin * slant], -1)
        return torch.stack([upper, lower], -2), torch.stack([columns, rows], -1)


def centre(height: int, width: int) -> Tensor:
    """(x, y) in the middle of a plane whose pixels lie at whole numbers.

    >>> centre(3, 4)
    tensor([1.5000, 1.0000], dtype=torch.float64)
    """
    return torch.tensor([(width - 1) / 2, (height - 1) / 2], dtype=torch.float64)
