"""Events of one pixel kept apart in time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ....errors import DataError
from ...events import Sensor
from ..checks import wholes
from .base import Events, EventTransform, kept


@dataclass(frozen=True)
class Refractory(EventTransform):
    """After an event that is kept, lose the same pixel's events for ``interval_us`` µs.

    An event stays if t − t_kept >= interval_us for the last event of its pixel that stayed, or if
    there is none; lost events do not prolong the pause. ``per_polarity`` lets ON and OFF of a pixel
    pause apart. Of events at the same pixel and time the first counts. Raises ConfigError
    below 0, DataError where events × interval pass 2⁶² µs.

    >>> from localspike.data import make_events
    >>> events = make_events(np.array([0, 4, 8, 12]), np.zeros(4, int), np.zeros(4, int))
    >>> Refractory(5)(events, Sensor(2, 1, 1), torch.Generator())[0]["t"].tolist()
    [0, 8]
    """

    interval_us: int
    per_polarity: bool = False

    def __post_init__(self) -> None:
        wholes(self, 0, "interval_us")

    def change(
        self, events: Events, sensor: Sensor, generator: torch.Generator
    ) -> tuple[Events, Sensor]:
        """The events that stay; nothing is drawn."""
        if self.interval_us == 0 or len(events) == 0:
            return events, sensor
        keys = [np.ascontiguousarray(events[axis]) for axis in ("x", "y", "p")]
        keys = keys if self.per_polarity else keys[:2]
        order = np.lexsort(keys)
        other = np.ones(len(events), dtype=bool)
        other[1:] = np.logical_or.reduce([np.diff(key[order]) != 0 for key in keys])
        stays = np.empty(len(events), dtype=bool)
        stays[order] = _spaced(events["t"][order], other, self.interval_us)
        return kept(events, stays), sensor


def _spaced(t: NDArray[np.int64], begins: NDArray[np.bool_], interval: int) -> NDArray[np.bool_]:
    """Which of the times, rising within groups that begin at ``begins``, are kept.

    An event at least ``interval`` after its neighbour stays whatever happened before: it heads a
    burst. Within a burst the next one kept is the first at least ``interval`` later, its successor;
    all that heads reach by going from successor to successor stay. Successors of successors double
    the reach with each pass, so log₂ of the longest chain are enough.
    """
    gap = np.diff(t, prepend=t[0])
    gap[begins] = interval
    np.minimum(gap, interval, out=gap)
    check_fits(float(gap.sum(dtype=np.float64)), "pause")
    clock = np.cumsum(gap)
    successor = np.append(np.searchsorted(clock, clock + interval), len(t))
    reached = np.append(gap >= interval, True)
    while True:
        found = successor[reached]
        if reached[found].all():
            return reached[:-1]
        reached[found] = True
        successor = successor[successor]


def check_fits(largest: float, what: str) -> None:
    """Raise DataError where sums of pixels × µs would not fit into 64 bits."""
    if largest >= 2**62:
        raise DataError(
            f"recording is too long to {what} on this sensor",
            got=f"about {largest:.2g} pixels × µs",
            expected="less than 2^62",
            fix="Cut the recording into windows, or use a shorter interval",
        )
