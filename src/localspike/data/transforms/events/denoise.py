"""Events without a neighbour in space and time, found exactly and without a loop over events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from ...events import Sensor
from ..checks import wholes
from .base import Events, EventTransform, kept
from .filters import check_fits

CELLS = 2**18
"""Size of the tables, which should stay in the processor's cache."""
CROWD = 500
"""Events that a filling of the tables must serve on average, or searching is faster."""
LARGEST = 2**21
"""Pixels of a sensor above which tables would take too much memory."""
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Denoise(EventTransform):
    """Keep an event only if neighbouring pixels fired shortly before it (background activity).

    Event i stays if at least ``support`` pixels, other than its own and at most ``radius`` rows and
    columns away, had an event j, of either polarity, with 0 <= t_i − t_j <= ``within_us``. All
    events of the recording count as neighbours, also those that are lost themselves; of events at
    the same time each counts for the other, so their order does not matter.
    Raises ConfigError for impossible settings, DataError where pixels × duration pass 2⁶² µs.
    After Delbruck, Frame-free dynamic digital vision, 2008.

    >>> from localspike.data import make_events
    >>> events = make_events(np.array([0, 5, 50]), np.array([1, 2, 1]), np.zeros(3, int))
    >>> Denoise(10)(events, Sensor(2, 1, 4), torch.Generator())[0]["t"].tolist()
    [5]
    """

    within_us: int
    radius: int = 1
    support: int = 1

    def __post_init__(self) -> None:
        wholes(self, 0, "within_us")
        wholes(self, 1, "radius", "support")

    def change(
        self, events: Events, sensor: Sensor, generator: torch.Generator
    ) -> tuple[Events, Sensor]:
        """The supported events; nothing is drawn."""
        if len(events) == 0:
            return events, sensor
        keep = supported(events, sensor, self.within_us, self.radius, self.support)
        return kept(events, keep), sensor


def supported(
    events: Events, sensor: Sensor, within: int, radius: int, support: int
) -> NDArray[np.bool_]:
    """Which events have ``support`` neighbouring pixels active in the ``within`` µs up to them.

    Only differences of up to ``within`` matter, so longer gaps are shortened to within + 1: sums of
    gaps then stay small, and the bins of that width in which tables count are never empty.
    """
    clock = np.minimum(np.diff(events["t"], prepend=events["t"][0]), within + 1).cumsum()
    clock += within
    row = sensor.width + 2 * radius
    pixel = (events["y"].astype(np.int64) + radius) * row + events["x"] + radius
    pixels = row * (sensor.height + 2 * radius)
    around = _around(radius, row)
    bins = int(clock[-1]) // (within + 1) + 1
    if pixels <= LARGEST and len(events) * max(CELLS // pixels, 1) >= CROWD * bins:
        return _by_tables(clock, pixel, pixels, within, around, support)
    order = np.lexsort([np.ascontiguousarray(events[axis]) for axis in ("x", "y")])
    return _by_search(clock, pixel, order, pixels, within, around, support)


def _around(radius: int, row: int) -> list[int]:
    """Steps from a pixel to its neighbours in a plane flattened by rows, the nearest first."""
    side = range(-radius, radius + 1)
    places = [(down, right) for down in side for right in side if down or right]
    places.sort(key=lambda place: place[0] ** 2 + place[1] ** 2)
    return [down * row + right for down, right in places]


def _by_search(
    clock: NDArray[np.int64],
    pixel: NDArray[np.int64],
    order: NDArray[np.int64],
    pixels: int,
    within: int,
    around: list[int],
    support: int,
) -> NDArray[np.bool_]:
    """In ``order`` of (pixel, time); one binary search per neighbour and event still open."""
    span = int(clock[-1]) + 1
    check_fits(pixels * span, "denoise")
    key = (pixel * span + clock)[order]
    stays = np.empty(len(key), dtype=bool)
    stays[order] = _enough(np.arange(len(key)), partial(_find, key, span, within), around, support)
    return stays


def _by_tables(
    clock: NDArray[np.int64],
    pixel: NDArray[np.int64],
    pixels: int,
    within: int,
    around: list[int],
    support: int,
) -> NDArray[np.bool_]:
    """Tables of each pixel's first and last time in bins of within + 1 µs, some bins at a time.

    The times within reach of an event are those of its own bin up to it, of which there is one if
    the first is, and those of the bin before from t − within on, of which there is one if the last
    is: two looks tell.
    """
    many = max(CELLS // pixels, 1)
    number = clock // (within + 1)
    first = np.full((many + 1) * pixels, NEVER)
    last = np.full((many + 1) * pixels, -1)
    stays = np.empty(len(clock), dtype=bool)
    for begin in range(0, int(number[-1]) + 1, many):
        before, now, end = np.searchsorted(number, [begin - 1, begin, begin + many])
        cell = (number[before:end] - (begin - 1)) * pixels + pixel[before:end]
        time = clock[before:end]
        # Of equal cells the last one assigned stays.
        last[cell], first[cell[::-1]] = time, time[::-1]
        active = partial(_look, first, last, cell, time, pixels, within)
        stays[now:end] = _enough(np.arange(now - before, end - before), active, around, support)
        last[cell], first[cell] = -1, NEVER
    return stays


def _find(
    key: NDArray[np.int64], span: int, within: int, open_: NDArray[np.int64], step: int
) -> NDArray[np.bool_]:
    """Which open events have one of a neighbour's shortly before, by search among all keys."""
    wanted = key[open_] + step * span
    at = np.searchsorted(key, wanted, side="right") - 1
    found: NDArray[np.bool_] = (at >= 0) & (key[at] >= wanted - within)
    return found


def _look(
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    cell: NDArray[np.int64],
    time: NDArray[np.int64],
    pixels: int,
    within: int,
    open_: NDArray[np.int64],
    step: int,
) -> NDArray[np.bool_]:
    """The same by tables: in the event's own bin, or in the one before, ``pixels`` cells back."""
    there, then = cell[open_] + step, time[open_]
    found: NDArray[np.bool_] = (first[there] <= then) | (last[there - pixels] >= then - within)
    return found


def _enough(
    open_: NDArray[np.int64],
    active: Callable[[NDArray[np.int64], int], NDArray[np.bool_]],
    around: list[int],
    support: int,
) -> NDArray[np.bool_]:
    """Which of the events ``open_`` find ``support`` active neighbours; the others look on."""
    offset = int(open_[0])
    count = np.zeros(len(open_), dtype=np.int64)
    for step in around:
        found = active(open_, step)
        count[open_ - offset] += found
        open_ = open_[count[open_ - offset] < support]
    return count >= support
