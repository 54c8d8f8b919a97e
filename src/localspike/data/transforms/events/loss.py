"""Events taken away at random: one by one, for a while, from an area."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ....errors import ConfigError
from ...events import Sensor
from ..checks import Range, ends, wholes
from ..draws import between, whole
from .base import Events, EventTransform, kept


@dataclass(frozen=True)
class Drop(EventTransform):
    """Lose every event with ``probability``, independently of the others.

    A range (low, high) draws one probability for the whole recording. Raises ConfigError outside
    0 … 1. After Gu et al., EventDrop, IJCAI 2021.

    >>> from localspike.data import make_events
    >>> events = make_events(np.arange(999), np.zeros(999, int), np.zeros(999, int))
    >>> 0.6 < len(Drop(0.3)(events, Sensor(2, 1, 1), torch.Generator())[0]) / 999 < 0.8
    True
    """

    probability: Range = 0.1

    def __post_init__(self) -> None:
        ends("probability", self.probability, 0, 1)

    def change(
        self, events: Events, sensor: Sensor, generator: torch.Generator
    ) -> tuple[Events, Sensor]:
        """The events that stay."""
        share = float(between(ends("probability", self.probability, 0, 1), (), generator))
        stay = torch.rand(len(events), generator=generator) >= share
        return kept(events, stay.numpy()), sensor


@dataclass(frozen=True)
class DropTime(EventTransform):
    """Lose all events of one interval, ``share`` of the recording's duration long.

    The recording lasts from its first to its last event, both included; the interval lies anywhere
    in it. A range (low, high) draws the share. Raises ConfigError outside 0 … 1.

    >>> from localspike.data import make_events
    >>> events = make_events(np.arange(100), np.zeros(100, int), np.zeros(100, int))
    >>> DropTime(0.25).account(events, Sensor(2, 1, 1), torch.Generator()).lost
    {'DropTime': 25}
    """

    share: Range = 0.1

    def __post_init__(self) -> None:
        ends("share", self.share, 0, 1)

    def change(
        self, events: Events, sensor: Sensor, generator: torch.Generator
    ) -> tuple[Events, Sensor]:
        """The events before and after the interval."""
        if len(events) == 0:
            return events, sensor
        first, last = int(events["t"][0]), int(events["t"][-1])
        share = float(between(ends("share", self.share, 0, 1), (), generator))
        length = round(share * (last - first + 1))
        start = first + int(whole(0, last - first + 1 - length, (), generator))
        begin, end = np.searchsorted(events["t"], [start, start + length])
        return np.concatenate([events[:begin], events[end:]]), sensor


@dataclass(frozen=True)
class Cutout(EventTransform):
    """Lose all events of one rectangle of ``height`` × ``width`` pixels, anywhere on the sensor.

    Raises ConfigError for negative sizes and for a rectangle larger than the sensor.

    >>> from localspike.data import make_events
    >>> events = make_events(np.arange(9), np.arange(9), np.zeros(9, int))
    >>> Cutout(1, 4).account(events, Sensor(2, 1, 9), torch.Generator()).lost
    {'Cutout': 4}
    """

    height: int
    width: int

    def __post_init__(self) -> None:
        wholes(self, 0, "height", "width")

    def change(
        self, events: Events, sensor: Sensor, generator: torch.Generator
    ) -> tuple[Events, Sensor]:
        """The events outside the rectangle."""
        if self.height > sensor.height or self.width > sensor.width:
            raise ConfigError(
                "cutout is larger than the sensor",
                got=f"{self.height} × {self.width}",
                expected=f"up to {sensor.height} × {sensor.width}",
            )
        top = int(whole(0, sensor.height - self.height, (), generator))
        left = int(whole(0, sensor.width - self.width, (), generator))
        x, y = events["x"], events["y"]
        inside = (x >= left) & (x < left + self.width) & (y >= top) & (y < top + self.height)
        return kept(events, ~inside), sensor
