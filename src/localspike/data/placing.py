"""From recordings to one store of placed events, with one recording in memory at a time.

A data set of event files may be far larger than memory, but its events, put into bins and cells,
are few: those of one recording that fall on the same (step, cell) are one entry (with a weight,
where counts are asked for). So recordings come one by one, are placed, and are forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import DataError
from .arguments import is_whole
from .dataset import Dataset
from .events import BinnedEvents, Sensor
from .files import check_steps

LARGEST = np.iinfo(np.int32).max
Recordings = Iterable[tuple[str, NDArray[np.void]]]
"""(what to call it in an error, its events with t from 0), one recording after another."""


@dataclass(frozen=True)
class Grid:
    """Where events go: cells of a sensor seen at a smaller size, and steps of ``step_us`` µs.

    place = step · cells + (p · H' + ⌊y H' / H⌋) · W' + ⌊x W' / W⌋, ``sensor`` being H × W and
    ``onto`` H' × W', so each cell covers a block of pixels whose sides differ by one at most.
    ``steps`` None takes all steps there are.

    >>> Grid(Sensor(2, 128, 128), Sensor(2, 32, 32), 1000, 5).cells
    2048
    """

    sensor: Sensor
    onto: Sensor
    step_us: int
    steps: int | None
    counts: bool = False

    @property
    def cells(self) -> int:
        """Number of cells of one step."""
        return self.onto.cells

    def place(self, events: NDArray[np.void], source: str) -> Placed:
        """One recording's events as places; DataError, naming ``source``, if there are none."""
        if len(events) == 0:
            raise DataError(
                f"{source}: recording without events",
                expected="at least one event",
                fix="Get the file again, or remove it; it is empty or damaged",
            )
        step = events["t"] // self.step_us
        duration = int(step.max()) + 1
        last = duration if self.steps is None else self.steps
        self._check_room(min(last, duration), source)
        keep = step < last
        place = step[keep] * self.cells + self._cell(events[keep])
        distinct, count = _distinct(place.astype(np.int32))
        if self.counts:
            return Placed(*_weighted(distinct, count), duration)
        return Placed(distinct, None, duration)

    def _cell(self, events: NDArray[np.void]) -> NDArray[np.int64]:
        x, y, p = (events[axis].astype(np.int64) for axis in "xyp")
        row = p * self.onto.height + y * self.onto.height // self.sensor.height
        cell: NDArray[np.int64] = row * self.onto.width + x * self.onto.width // self.sensor.width
        return cell

    def _check_room(self, steps: int, source: str) -> None:
        if steps * self.cells > LARGEST:
            raise DataError(
                f"{source}: too many steps of too many cells",
                got=f"{steps} steps of {self.cells} cells",
                expected=f"a product of {LARGEST} at most",
                fix="Take longer or fewer steps, or a smaller size",
            )


class Placed(NamedTuple):
    """One recording: places in rising order, how often each counts (None: once), and the steps up
    to its last event, which may come after the last step."""

    place: NDArray[np.int32]
    weight: NDArray[np.uint8] | None
    duration: int


def _distinct(place: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Distinct places in rising order and how often each occurs; sorts ``place`` itself.

    np.unique would take ten times as long, and so be most of the loading of a data set.
    """
    place.sort()
    first = np.flatnonzero(np.diff(place, prepend=np.int32(-1)))
    return place[first], np.diff(first, append=len(place))


def _weighted(
    distinct: NDArray[np.int32], count: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Places and weights of a byte: a count above 255 takes several entries."""
    entries = -(-count // 255)
    weight = np.full(int(entries.sum()), 255, np.uint8)
    weight[np.cumsum(entries) - 1] = count - (entries - 1) * 255
    return np.repeat(distinct, entries), weight


class Store(NamedTuple):
    """All recordings end to end; ``duration`` [N] as in ``Placed``."""

    place: NDArray[np.int32]
    weight: NDArray[np.uint8] | None
    offsets: NDArray[np.int64]
    duration: NDArray[np.int64]


def place_all(recordings: Recordings, grid: Grid) -> Store:
    """Place recordings one after another, holding the events of one at a time.

    Events after the last step are left out. With ``grid.counts``, Σ weight is the number of the
    others; without, a place that several events of a recording share is kept once. Raises
    DataError, naming the recording.

    >>> from localspike.data import make_events
    >>> two = make_events(np.array([0, 2100]), np.array([0, 3]), np.array([1, 0]))
    >>> grid = Grid(Sensor(2, 1, 4), Sensor(2, 1, 2), 1000, 2, counts=True)
    >>> store = place_all([("toy", two)], grid)
    >>> store.place.tolist(), store.duration.tolist()
    ([2], [3])
    """
    places, weights = _Column(np.int32), _Column(np.uint8)
    offsets, durations = [0], []
    for source, events in recordings:
        one = grid.place(events, source)
        places.extend(one.place)
        if one.weight is not None:
            weights.extend(one.weight)
        offsets.append(places.used)
        durations.append(one.duration)
    weight = weights.whole() if grid.counts else None
    numbers = (np.array(column, np.int64) for column in (offsets, durations))
    return Store(places.whole(), weight, *numbers)


class _Column:
    """An array that grows by a quarter in place, so there is never a second copy of it."""

    def __init__(self, dtype: Any) -> None:
        self.array: NDArray[Any] = np.empty(1 << 12, dtype)
        self.used = 0

    def extend(self, values: NDArray[Any]) -> None:
        needed = self.used + len(values)
        if needed > len(self.array):
            self.array.resize(max(needed, len(self.array) * 5 // 4), refcheck=False)
        self.array[self.used : needed] = values
        self.used = needed

    def whole(self) -> NDArray[Any]:
        """What was put in; nothing may follow."""
        self.array.resize(self.used, refcheck=False)
        return self.array


def gather_dataset(
    name: str,
    split: str,
    recordings: Recordings,
    labels: Sequence[int],
    classes: tuple[str, ...],
    grid: Grid,
    *,
    variable: bool,
    sample_shape: tuple[int, ...] | None = None,
) -> Dataset:
    """Place recordings and give them with their labels as a Dataset.

    ``variable`` keeps each recording's own length in steps; with ``grid.steps`` None, T is the
    longest. ``sample_shape`` reshapes (p, y, x), by default [polarities, H', W'].
    """
    store = place_all(recordings, grid)
    steps = int(store.duration.max(initial=1)) if grid.steps is None else grid.steps
    inputs = BinnedEvents(
        place=torch.from_numpy(store.place),
        offsets=torch.from_numpy(store.offsets),
        steps=steps,
        sample_shape=sample_shape or frame_shape(grid.onto),
        counts=grid.counts,
        weight=None if store.weight is None else torch.from_numpy(store.weight),
    )
    lengths = torch.from_numpy(store.duration).clamp(max=steps) if variable else None
    return Dataset(
        name, split, inputs, torch.tensor(labels, dtype=torch.long), classes, lengths
    )  # fmt: skip


def make_grid(
    name: str,
    sensor: Sensor,
    onto: Sensor,
    *,
    bin_ms: int,
    steps: int | None,
    nominal_ms: int,
    counts: bool,
    variable: bool,
) -> Grid:
    """The grid of a loader's options; ``steps`` None covers ``nominal_ms``, or all if variable.

    Raises DataError for options that cannot be.
    """
    bin_ms = check_steps(name, bin_ms, maximum=nominal_ms, what="bin_ms")
    if steps is None and not variable:
        steps = ceil(nominal_ms / bin_ms)
    if steps is not None:
        steps = check_steps(name, steps)
    return Grid(sensor, onto, 1000 * bin_ms, steps, counts)


def frame_shape(sensor: Sensor) -> tuple[int, int, int]:
    """[polarities, height, width], the shape of one step of one sample."""
    return sensor.polarities, sensor.height, sensor.width


def shrunk(sensor: Sensor, size: int | None, name: str) -> Sensor:
    """The sensor with its longer side ``size`` and the same aspect; None leaves it as it is.

    Raises DataError for a size beyond the sensor's own.

    >>> shrunk(Sensor(2, 180, 240), 64, "toy")
    Sensor(polarities=2, height=48, width=64)
    """
    longer = max(sensor.height, sensor.width)
    if size is None:
        return sensor
    if not is_whole(size) or not 1 <= size <= longer:
        raise DataError(
            f"{name}: impossible size",
            got=repr(size),
            expected=f"1 … {longer}, a whole number, or None",
        )
    size = int(size)
    height, width = (max(1, round(side * size / longer)) for side in (sensor.height, sensor.width))
    return Sensor(sensor.polarities, height, width)
