"""How far events reach in time and space, found block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..events import Sensor

BLOCK = 1 << 14
"""Events looked at together: few enough to stay in the processor's cache."""

PLACED = np.dtype([("t", "<i8"), ("xy", "<u4"), ("p", "u1")])
"""``EVENT`` with x and y as one word, x in bits 0–15: one operation reads or writes both."""

WHOLE = np.dtype(("V", PLACED.itemsize))
"""``EVENT`` without fields: NumPy copies those one by one, which takes five times as long."""


def blocks(array: NDArray[Any], size: int = BLOCK) -> Iterator[NDArray[Any]]:
    """Views of ``size`` elements each, the last one shorter.

    >>> [one.tolist() for one in blocks(np.arange(5), 2)]
    [[0, 1], [2, 3], [4]]
    """
    for first in range(0, len(array), size):
        yield array[first : first + size]


class Extent:
    """The sides that hold all events so far, and whether their times are >= 0 and never fall.

    >>> one = Extent()
    >>> one.add(np.array([3, 4]), np.array([7, 5 << 16], np.uint32), np.array([0, 1]))
    >>> one.sensor(), one.ordered, one.within(Sensor(2, 5, 8))
    (Sensor(polarities=2, height=6, width=8), True, False)
    """

    def __init__(self) -> None:
        self.polarities = self.height = self.width = 0
        self.ordered = True
        self._last = 0

    def add(self, t: NDArray[Any], xy: NDArray[np.uint32], p: NDArray[Any]) -> None:
        """Look at the events that follow."""
        if len(t) == 0:
            return
        self.width = max(self.width, int((xy & np.uint32(0xFFFF)).max()) + 1)
        self.height = max(self.height, (int(xy.max()) >> 16) + 1)
        self.polarities = max(self.polarities, int(p.max()) + 1)
        rising = int(t[0]) >= self._last and not (t[1:] < t[:-1]).any()
        self.ordered, self._last = self.ordered and rising, int(t[-1])

    def sensor(self) -> Sensor:
        """The smallest camera that holds the events."""
        return Sensor(2, max(1, self.height), max(1, self.width))

    def within(self, sensor: Sensor) -> bool:
        """Whether all events lie on ``sensor``."""
        return (
            self.polarities <= sensor.polarities
            and self.height <= sensor.height
            and self.width <= sensor.width
        )
