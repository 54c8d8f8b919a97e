"""Means, deviations and paired differences of a few seeds, as they are printed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from typing import NamedTuple

T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""97.5 % points of Student's t for 1, 2, … degrees of freedom."""


class Interval(NamedTuple):
    """A mean difference in points over n pairs, and half its 95 % interval (None of one pair)."""

    mean: float
    half: float | None
    n: int

    def __str__(self) -> str:
        if self.half is None:
            return f"{self.mean:+.1f} (one pair)"
        low, high = self.mean - self.half, self.mean + self.half
        return f"{self.mean:+.2f} [{low:+.2f}, {high:+.2f}]"


def paired(mine: Mapping[int, float], other: Mapping[int, float]) -> Interval | None:
    """Differences of the seeds both have, in points, by Student's t.

    >>> str(paired({1: 0.5, 2: 0.52, 3: 0.54}, {1: 0.49, 2: 0.5, 3: 0.51}))
    '+2.00 [-0.48, +4.48]'
    """
    pairs = [100 * (mine[seed] - other[seed]) for seed in mine if seed in other]
    if not pairs:
        return None
    half = None
    if len(pairs) > 1:
        half = T_975[len(pairs) - 2] * statistics.stdev(pairs) / math.sqrt(len(pairs))
    return Interval(statistics.mean(pairs), half, len(pairs))


def percent(values: Iterable[float]) -> str:
    """Mean ± sd in per cent, with the number of seeds.

    >>> percent([0.5, 0.52])
    '51.0 ± 1.4 (2)'
    """
    numbers = list(values)
    return f"{spread(numbers)} ({len(numbers)})" if numbers else "not run"


def spread(values: Iterable[float]) -> str:
    """Mean ± sd in per cent, of one or more.

    >>> spread([0.5, 0.52]), spread([0.5])
    ('51.0 ± 1.4', '50.0')
    """
    numbers = [100 * v for v in values]
    sd = f" ± {statistics.stdev(numbers):.1f}" if len(numbers) > 1 else ""
    return f"{statistics.mean(numbers):.1f}{sd}"
