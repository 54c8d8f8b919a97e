"""From decoded blocks to one array of events, checked on the way.

Readers decode a block at a time: its temporaries stay in the processor's cache, and so the checks
of a block cost little while it is there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..events import EVENT, Sensor
from .extent import PLACED, WHOLE, Extent
from .recording import Recording, finished

Columns = tuple[NDArray[np.integer], NDArray[np.uint32], NDArray[np.integer]]
"""Of a block of events: t in µs; x in bits 0–15 and y in bits 16–31 of one word; polarity."""


class Collector:
    """One array of events that takes block after block, and how far they reach.

    ``room`` is how many events are expected; more are taken.

    >>> one = Collector(1)
    >>> for t in (5, 7):
    ...     one.add(np.array([t]), np.array([2 << 16 | 1], np.uint32), np.array([0]))
    >>> one.done()["y"].tolist(), one.extent.sensor()
    ([2, 2], Sensor(polarities=2, height=3, width=2))
    """

    def __init__(self, room: int) -> None:
        self.count = 0
        self.extent = Extent()
        self._events = np.empty(room, EVENT)
        self._placed = self._events.view(PLACED)

    def add(self, t: NDArray[Any], xy: NDArray[np.uint32], p: NDArray[Any]) -> None:
        """Take the events of one block."""
        first, self.count = self.count, self.count + len(t)
        if self.count > len(self._events):
            self._grow(max(self.count, len(self._events) * 3 // 2))
        target = self._placed[first : self.count]
        target["t"], target["xy"], target["p"] = t, xy, p
        self.extent.add(t, xy, p)

    def _grow(self, room: int) -> None:
        larger = np.empty(room, EVENT)
        larger.view(WHOLE)[: len(self._events)] = self._events.view(WHOLE)
        self._events, self._placed = larger, larger.view(PLACED)

    def done(self) -> NDArray[np.void]:
        """The events."""
        return self._events[: self.count]


def gathered(columns: Iterable[Columns], room: int) -> tuple[NDArray[np.void], Extent]:
    """All events of all blocks, of which ``room`` are expected, and how far they reach."""
    collector = Collector(room)
    for one in columns:
        collector.add(*one)
    return collector.done(), collector.extent


def collected(
    source: str,
    columns: Iterable[Columns],
    room: int,
    sensor: Sensor | None,
    meta: dict[str, Any],
    sort: bool,
) -> Recording:
    """One checked camera recording from the columns of all blocks.

    ``room`` is how many events are expected. ``sensor`` None takes the smallest that fits, and says
    so in ``meta["sensor_from"]``. Raises DataError.
    """
    events, extent = gathered(columns, room)
    if sensor is None:
        sensor, meta = extent.sensor(), {**meta, "sensor_from": "events"}
    return finished(source, Recording(events, sensor, meta), extent, sort)


def count_lost(skipped: dict[str, int], name: str, number: int) -> None:
    """Add ``number`` to ``skipped[name]``; nothing is noted for 0.

    >>> skipped = {"trigger": 1}
    >>> count_lost(skipped, "trigger", 2)
    >>> skipped
    {'trigger': 3}
    """
    if number:
        skipped[name] = skipped.get(name, 0) + number
