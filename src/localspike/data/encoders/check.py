"""What the encoders ask of their arguments."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...errors import ConfigError, DataError, ShapeError
from ..arguments import is_whole


def check_steps(name: str, steps: int) -> int:
    """``steps`` as an int; ConfigError unless it is a whole number of 1 or more."""
    if not is_whole(steps) or steps < 1:
        raise ConfigError(
            f"{name}: impossible steps", got=repr(steps), expected="1 or more, a whole number"
        )
    return int(steps)


def check_positive(name: str, what: str, value: float) -> None:
    """Raise ConfigError unless ``value`` is a finite number above 0."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value <= 0:
        raise ConfigError(f"{name}: impossible {what}", got=repr(value), expected="a number > 0")


def check_floating(name: str, values: Tensor) -> None:
    """Raise ShapeError unless ``values`` is a tensor of floating-point numbers."""
    if not isinstance(values, Tensor) or not values.is_floating_point():
        raise ShapeError(
            f"{name}: not a tensor of floating-point numbers",
            got=values.dtype if isinstance(values, Tensor) else type(values).__name__,
            expected="torch.float32 or another floating dtype",
            fix="Scale integers to 0 … 1 first",
        )


def check_range(name: str, values: Tensor, low: float, high: float) -> None:
    """Raise DataError unless all ``values`` are finite and in low … high.

    >>> check_range("toy", torch.tensor([0.5, 2.0]), 0.0, 1.0)
    Traceback (most recent call last):
    localspike.errors.DataError: toy: value out of range: got 2.0; expected finite, 0.0 … 1.0.
    """
    wrong = ~(torch.isfinite(values) & (values >= low) & (values <= high))
    if wrong.any():
        raise DataError(
            f"{name}: value out of range",
            got=float(values[wrong].flatten()[0]),
            expected=f"finite, {low} … {high}",
        )
