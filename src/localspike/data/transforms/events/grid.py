"""Events on a coarser (or finer) grid, and events that have become the same made one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from ...events import Sensor, cells_of
from ..checks import wholes
from .base import Events, EventTransform, kept


def areas(old: int, new: int) -> NDArray[np.int64]:
    """Which of ``new`` equal parts of a side each of its ``old`` pixels lies in: ⌊i · new / old⌋.

    >>> areas(5, 2).tolist()
    [0, 0, 0, 1, 1]
    """
    return np.arange(old, dtype=np.int64) * new // old


@dataclass(frozen=True)
class Resize(EventTransform):
    """The same picture on ``height`` × ``width`` pixels: x' = ⌊x W' / W⌋, y' = ⌊y H' / H⌋.

    Every old pixel belongs to one new one, so no event is lost; on a finer grid pixels stay empty.
    ``merge`` makes events of equal (t, x, y, p) one. Raises ConfigError for sizes below 1.

    >>> from localspike.data import make_events
    >>> events = make_events(np.array([1, 1]), np.array([2, 3]), np.zeros(2, int))
    >>> small, sensor = Resize(1, 2)(events, Sensor(2, 1, 4), torch.Generator())
    >>> small["x"].tolist(), sensor.width
    ([1, 1], 2)
    """

    height: int
    width: int
    merge: bool = False

    def __post_init__(self) -> None:
        wholes(self, 1, "height", "width")

    def change(
        self, events: Events, sensor: Sensor, generator: torch.Generator
    ) -> tuple[Events, Sensor]:
        """A scaled copy; nothing is drawn."""
        smaller = replace(sensor, height=self.height, width=self.width)
        return _regrid(
            events,
            smaller,
            areas(sensor.width, self.width),
            areas(sensor.height, self.height),
            self.merge,
        )


@dataclass(frozen=True)
class Downsample(EventTransform):
    """Every block of ``rows`` × ``columns`` pixels becomes one: x' = ⌊x / columns⌋.

    The last block of a side may be smaller. ``merge`` makes events of equal (t, x, y, p) one; to
    let a block fire once in a while only, put ``Refractory`` behind. Raises ConfigError below 1.

    >>> from localspike.data import make_events
    >>> events = make_events(np.array([1, 1]), np.array([2, 3]), np.zeros(2, int))
    >>> Downsample(1, 2, merge=True).account(events, Sensor(2, 1, 5), torch.Generator())[1:]
    (Sensor(polarities=2, height=1, width=3), {'Downsample': 1})
    """

    rows: int = 2
    columns: int = 2
    merge: bool = False

    def __post_init__(self) -> None:
        wholes(self, 1, "rows", "columns")

    def change(
        self, events: Events, sensor: Sensor, generator: torch.Generator
    ) -> tuple[Events, Sensor]:
        """A scaled copy; nothing is drawn."""
        high, wide = -(-sensor.height // self.rows), -(-sensor.width // self.columns)
        smaller = replace(sensor, height=high, width=wide)
        to_x = np.arange(sensor.width) // self.columns
        to_y = np.arange(sensor.height) // self.rows
        return _regrid(events, smaller, to_x, to_y, self.merge)


@dataclass(frozen=True)
class Merge(EventTransform):
    """Of events that are equal in (t, x, y, p) only the first stays.

    >>> from localspike.data import make_events
    >>> events = make_events(np.array([1, 1]), np.array([2, 2]), np.zeros(2, int))
    >>> len(Merge()(events, Sensor(2, 1, 5), torch.Generator())[0])
    1
    """

    def change(
        self, events: Events, sensor: Sensor, generator: torch.Generator
    ) -> tuple[Events, Sensor]:
        """The distinct events; nothing is drawn."""
        return distinct(events, sensor), sensor


def distinct(events: Events, sensor: Sensor) -> Events:
    """Events in time order without those that equal an earlier one."""
    t = np.ascontiguousarray(events["t"])
    tie = np.zeros(len(t) + 1, dtype=bool)
    np.equal(t[1:], t[:-1], out=tie[1:-1])
    # Only events that share their time can be equal: sort no others.
    among = np.flatnonzero(tie[1:] | tie[:-1])
    some = events[among]
    cell = cells_of(some, sensor)
    order = np.lexsort((cell, some["t"]))
    again = (np.diff(cell[order]) == 0) & (np.diff(some["t"][order]) == 0)
    keep = np.ones(len(t), dtype=bool)
    keep[among[order[1:][again]]] = False
    return kept(events, keep)


def _regrid(
    events: Events,
    sensor: Sensor,
    to_x: NDArray[np.integer],
    to_y: NDArray[np.integer],
    merge: bool,
) -> tuple[Events, Sensor]:
    scaled = events.copy()
    scaled["x"] = to_x.astype(np.uint16)[events["x"]]
    scaled["y"] = to_y.astype(np.uint16)[events["y"]]
    return (distinct(scaled, sensor) if merge else scaled), sensor
