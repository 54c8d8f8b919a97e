"""Events moved in time: a window, backwards, faster or slower."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from ....errors import ConfigError, DataError
from ...events import Sensor
from ..checks import Range, chances, ends, wholes
from ..draws import between, chance, whole
from .base import Events, EventTransform

END = 2**63 - 1  # of what times can be


@dataclass(frozen=True)
class TimeCrop(EventTransform):
    """Keep the events of a window of ``length_us`` µs, start included; the start becomes t = 0.

    ``place`` is "first" (from the first event on), "centre", "random" (any window that begins and
    ends within the recording) or the start in µs. A recording that is not longer than the window
    is kept from its first event on. Raises ConfigError for a window without length.

    >>> from localspike.data import make_events
    >>> events = make_events(np.array([10, 20, 30]), np.zeros(3, int), np.zeros(3, int))
    >>> TimeCrop(15, place="first")(events, Sensor(2, 1, 1), torch.Generator())[0]["t"].tolist()
    [0, 10]
    """

    length_us: int
    place: Literal["first", "centre", "random"] | int = "random"

    def __post_init__(self) -> None:
        wholes(self, 1, "length_us")
        if not isinstance(self.place, str):
            wholes(self, 0, "place")
        elif self.place not in ("first", "centre", "random"):
            raise ConfigError(
                "impossible place",
                got=repr(self.place),
                expected="first, centre, random or a start in µs",
            )

    def change(
        self, events: Events, sensor: Sensor, generator: torch.Generator
    ) -> tuple[Events, Sensor]:
        """The window's events."""
        if len(events) == 0:
            return events, sensor
        start = self._start(int(events["t"][0]), int(events["t"][-1]), generator)
        begin, end = np.searchsorted(events["t"], [start, min(start + self.length_us, END)])
        window = events[begin:end].copy()
        window["t"] -= start
        return window, sensor

    def _start(self, first: int, last: int, generator: torch.Generator) -> int:
        if isinstance(self.place, int):
            return self.place
        spare = max(last + 1 - first - self.length_us, 0)
        if self.place == "random":
            return first + int(whole(0, spare, (), generator))
        return first + (spare // 2 if self.place == "centre" else 0)


@dataclass(frozen=True)
class TimeReverse(EventTransform):
    """Play a recording backwards with ``probability``: t' = first + last − t.

    ``polarity`` also swaps ON and OFF, since what grew brighter grows darker when seen backwards;
    a sensor with one polarity has nothing to swap. Raises ConfigError for impossible probabilities.

    >>> from localspike.data import make_events
    >>> events = make_events(np.array([3, 4, 9]), np.arange(3), np.zeros(3, int))
    >>> back, _ = TimeReverse(1.0)(events, Sensor(2, 1, 3), torch.Generator())
    >>> back["t"].tolist(), back["x"].tolist(), back["p"].tolist()
    ([3, 8, 9], [2, 1, 0], [1, 1, 1])
    """

    probability: float = 0.5
    polarity: bool = True

    def __post_init__(self) -> None:
        chances(probability=self.probability)

    def change(
        self, events: Events, sensor: Sensor, generator: torch.Generator
    ) -> tuple[Events, Sensor]:
        """A copy, backwards or not."""
        yes = bool(chance(self.probability, (), generator))
        if not yes or len(events) == 0:
            return events, sensor
        back = events[::-1].copy()
        back["t"] = events["t"][0] + (events["t"][-1] - back["t"])
        if self.polarity and sensor.polarities == 2:
            back["p"] ^= 1
        return back, sensor


@dataclass(frozen=True)
class TimeScale(EventTransform):
    """Make a recording ``factor`` times as long: t' = first + ⌊factor (t − first)⌋.

    A range (low, high) draws the factor. Raises ConfigError for factors outside 0.001 … 1000,
    DataError where a time would pass 2⁶² µs.

    >>> from localspike.data import make_events
    >>> events = make_events(np.array([3, 4, 9]), np.arange(3), np.zeros(3, int))
    >>> TimeScale(0.5)(events, Sensor(2, 1, 3), torch.Generator())[0]["t"].tolist()
    [3, 3, 6]
    """

    factor: Range = (0.8, 1.25)

    def __post_init__(self) -> None:
        ends("factor", self.factor, 1e-3, 1e3)

    def change(
        self, events: Events, sensor: Sensor, generator: torch.Generator
    ) -> tuple[Events, Sensor]:
        """A stretched copy."""
        if len(events) == 0:
            return events, sensor
        factor = float(between(ends("factor", self.factor, 1e-3), (), generator))
        first = events["t"][0]
        longest = int(first) + factor * int(events["t"][-1] - first)
        if longest >= 2**62:
            raise DataError("stretched times are too large", got=longest, expected="below 2^62 µs")
        scaled = events.copy()
        scaled["t"] = first + np.floor((events["t"] - first) * factor).astype(np.int64)
        return scaled, sensor
