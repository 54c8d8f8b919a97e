"""From seconds to figures: medians, ratios with their spread, fitted lines with their errors."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import ConfigError

Blocks = Sequence[Sequence[float]]
"""Of one method: a block of step times per round."""


def per_round(blocks: Blocks) -> list[float]:
    """The median of every round's block.

    >>> per_round([[1.0, 9.0, 2.0], [3.0]])
    [2.0, 3.0]
    """
    return [statistics.median(block) for block in blocks]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, quartiles, smallest and largest, and how many.

    >>> spread([3.0, 1.0, 2.0])["median"]
    2.0
    """
    low = high = values[0]
    if len(values) > 1:
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return {
        "median": statistics.median(values),
        "q1": low,
        "q3": high,
        "min": min(values),
        "max": max(values),
        "n": len(values),
    }


def ratio(above: Blocks, below: Blocks) -> dict[str, float]:
    """The ratio of two methods' medians over the rounds; spread of the ratios within a round.

    >>> ratio([[2.0], [4.0], [6.0]], [[1.0], [2.0], [2.0]])["ratio"]
    2.0
    """
    upper, lower = per_round(above), per_round(below)
    pairs = [a / b for a, b in zip(upper, lower, strict=True)]
    return {"ratio": statistics.median(upper) / statistics.median(lower), **spread(pairs)}


@dataclass(frozen=True)
class Line:
    """y = intercept + slope · x by least squares; ``error`` is the slope's standard error.

    Of two points there is no error to tell: it is None.
    """

    slope: float
    intercept: float
    error: float | None
    n: int

    def tree(self) -> dict[str, Any]:
        """For a record."""
        return asdict(self)


def line(x: Sequence[float], y: Sequence[float]) -> Line:
    """The line through points.

    Raises
    ------
    ConfigError
        With fewer than two different x.

    >>> line([1, 2, 3], [5, 7, 9])
    Line(slope=2.0, intercept=3.0, error=0.0, n=3)
    """
    if len(set(x)) < 2:
        raise ConfigError("a line needs two different points", got=sorted(set(x)))
    slope, intercept = statistics.linear_regression(x, y)
    if len(x) < 3:
        return Line(slope, intercept, None, len(x))
    rest = sum((b - intercept - slope * a) ** 2 for a, b in zip(x, y, strict=True))
    mean = statistics.fmean(x)
    error = math.sqrt(rest / (len(x) - 2) / sum((a - mean) ** 2 for a in x))
    return Line(slope, intercept, error, len(x))


def exponent(x: Sequence[float], y: Sequence[float]) -> Line:
    """The power of a law y ∝ x^slope, by a line through the logarithms.

    >>> round(exponent([1, 10, 100], [3, 300, 30000]).slope, 6)
    2.0
    """
    return line([math.log(a) for a in x], [math.log(b) for b in y])
