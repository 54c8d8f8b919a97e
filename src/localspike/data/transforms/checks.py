"""Settings of transforms, refused when the transform is made rather than at the first batch."""

from __future__ import annotations

import math
import numbers
import operator
from typing import Any

from ...errors import ConfigError

Range = float | tuple[float, float]
"""A fixed number, or the ends (low, high) between which one is drawn."""
WholeRange = int | tuple[int, int]
"""A fixed whole number, or the ends (low, high), both included, between which one is drawn."""


def chances(**values: float) -> None:
    """Raise ConfigError unless every value is a probability.

    >>> chances(probability=1.5)
    Traceback (most recent call last):
    localspike.errors.ConfigError: impossible probability: got 1.5; expected 0 … 1.
    """
    for name, value in values.items():
        if not 0.0 <= value <= 1.0:
            raise ConfigError(f"impossible {name}", got=value, expected="0 … 1")


def at_least(least: float, **values: float) -> None:
    """Raise ConfigError unless every value is finite and not below ``least``.

    >>> at_least(1, rows=0)
    Traceback (most recent call last):
    localspike.errors.ConfigError: impossible rows: got 0; expected 1 or more.
    """
    for name, value in values.items():
        if not least <= value < math.inf:
            raise ConfigError(f"impossible {name}", got=value, expected=f"{least} or more")


def as_whole(name: str, value: Any, least: int) -> int:
    """A setting as an int, 5e3 as 5000. Raises ConfigError for 2.5, and below ``least``.

    >>> as_whole("interval_us", 5e3, 0)
    5000
    """
    try:
        whole = operator.index(value)
    except TypeError:
        if not isinstance(value, numbers.Real) or not float(value).is_integer():
            raise ConfigError(
                f"impossible {name}", got=repr(value), expected=f"a whole number, {least} or more"
            ) from None
        whole = int(float(value))
    if whole < least:
        raise ConfigError(f"impossible {name}", got=value, expected=f"{least} or more")
    return whole


def wholes(transform: object, least: int, *names: str) -> None:
    """Make settings of a frozen transform ints, all of them ``as_whole``."""
    for name in names:
        object.__setattr__(transform, name, as_whole(name, getattr(transform, name), least))


def ends(name: str, value: Range, least: float, most: float = math.inf) -> tuple[float, float]:
    """The ends of a range: a plain number is both. Raises ConfigError outside least … most.

    >>> ends("share", 0.5, 0, 1), ends("share", (0.1, 0.2), 0, 1)
    ((0.5, 0.5), (0.1, 0.2))
    """
    low, high = value if isinstance(value, tuple) else (value, value)
    if not (least <= low <= high <= most and math.isfinite(low) and math.isfinite(high)):
        limit = f"{least} or more" if math.isinf(most) else f"{least} … {most}"
        if math.isinf(least):
            limit = "finite"
        raise ConfigError(
            f"impossible {name}", got=value, expected=f"a number or rising (low, high), {limit}"
        )
    return low, high


def around(name: str, value: Range) -> tuple[float, float]:
    """The ends of a range around zero: a plain n is (−n, n). Raises ConfigError for n < 0.

    >>> around("degrees", 15.0), around("degrees", (90.0, 90.0))
    ((-15.0, 15.0), (90.0, 90.0))
    """
    if isinstance(value, tuple):
        return ends(name, value, -math.inf)
    at_least(0, **{name: value})
    return -value, value


def whole_around(name: str, value: WholeRange) -> tuple[int, int]:
    """``around`` for whole numbers.

    >>> whole_around("rows", 3), whole_around("rows", (2, 2))
    ((-3, 3), (2, 2))
    """
    low, high = around(name, value)
    if low != int(low) or high != int(high):
        raise ConfigError(f"impossible {name}", got=value, expected="whole numbers")
    return int(low), int(high)
