"""Events disturbed one by one: moments, places and polarities."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from ...events import Sensor
from ..checks import chances, ends
from ..draws import chance
from .base import Events, EventTransform, placed
from .space import two_polarities


@dataclass(frozen=True)
class Jitter(EventTransform):
    """Add rounded normal noise to the moment (``time_us``) and place (``pixels``) of each event.

    Both are standard deviations. t' = |t + n|: time is reflected at 0, so that no event is lost in
    time; those that leave the sensor are. The result is sorted by time, events of equal time in
    the order they had. Raises ConfigError for deviations
    outside 0 … 10⁹ µs and 0 … 65536 pixels.

    >>> from localspike.data import make_events
    >>> events = make_events(np.arange(50) * 9, np.zeros(50, int), np.zeros(50, int))
    >>> moved, _ = Jitter(time_us=20.0)(events, Sensor(2, 1, 1), torch.Generator())
    >>> len(moved), bool((np.diff(moved["t"]) >= 0).all()), bool((moved["t"] == events["t"]).all())
    (50, True, False)
    """

    time_us: float = 0.0
    pixels: float = 0.0

    def __post_init__(self) -> None:
        ends("time_us", self.time_us, 0, 1e9)
        ends("pixels", self.pixels, 0, 65536)

    def change(
        self, events: Events, sensor: Sensor, generator: torch.Generator
    ) -> tuple[Events, Sensor]:
        """A disturbed copy, sorted."""
        t = np.abs(events["t"] + _noise(self.time_us, len(events), generator))
        x = events["x"] + _noise(self.pixels, len(events), generator)
        y = events["y"] + _noise(self.pixels if sensor.height > 1 else 0.0, len(events), generator)
        moved = events.copy()
        moved["t"] = t
        if self.pixels:
            moved = placed(moved, sensor, x, y)
        if self.time_us:
            moved = moved.take(np.argsort(moved["t"], kind="stable"))
        return moved, sensor


def _noise(deviation: float, count: int, generator: torch.Generator) -> NDArray[np.int64]:
    if not deviation:
        return np.zeros(count, dtype=np.int64)
    # Single precision is enough: a step of it is 10⁻⁷ of the deviation.
    normal = torch.randn(count, generator=generator)
    rounded: NDArray[np.int64] = normal.mul_(deviation).round_().long().numpy()
    return rounded


@dataclass(frozen=True)
class FlipPolarity(EventTransform):
    """Swap ON and OFF of every event with ``probability``, independently of the others.

    ``Flip(polarity=…)`` swaps those of a whole recording. Raises ConfigError for impossible
    probabilities and for a sensor without two polarities.

    >>> from localspike.data import make_events
    >>> events = make_events(np.arange(2), np.zeros(2, int), np.array([0, 1]))
    >>> FlipPolarity(1.0)(events, Sensor(2, 1, 1), torch.Generator())[0]["p"].tolist()
    [1, 0]
    """

    probability: float = 0.1

    def __post_init__(self) -> None:
        chances(probability=self.probability)

    def change(
        self, events: Events, sensor: Sensor, generator: torch.Generator
    ) -> tuple[Events, Sensor]:
        """A disturbed copy."""
        two_polarities(sensor, "FlipPolarity")
        flipped = events.copy()
        flipped["p"] ^= chance(self.probability, (len(events),), generator).numpy()
        return flipped, sensor


@dataclass(frozen=True)
class MergePolarity(EventTransform):
    """Forget the polarity: all events get 0, on a sensor with one.

    >>> from localspike.data import make_events
    >>> events = make_events(np.arange(2), np.zeros(2, int), np.array([0, 1]))
    >>> merged, sensor = MergePolarity()(events, Sensor(2, 1, 1), torch.Generator())
    >>> merged["p"].tolist(), sensor.polarities
    ([0, 0], 1)
    """

    def change(
        self, events: Events, sensor: Sensor, generator: torch.Generator
    ) -> tuple[Events, Sensor]:
        """A copy; nothing is drawn."""
        merged = events.copy()
        merged["p"] = 0
        return merged, replace(sensor, polarities=1)
