"""What a convolution is besides its weights."""

from __future__ import annotations

from typing import NamedTuple


class ConvGeometry(NamedTuple):
    """Stride, padding and groups of a 2-d convolution (square, in pixels)."""

    stride: int = 1
    padding: int = 0
    groups: int = 1
