"""Events in one structured dtype, checked once, then binned into time steps.

An event is (t in µs, x, y, polarity). A data set of N recordings is one array of all events and
``offsets`` [N + 1]: recording i owns ``events[offsets[i]:offsets[i + 1]]``, in time order.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import DataError, ShapeError
from .moves import Moves, check_groups
from .scatter import dense
from .scatter_moved import dense_moved

EVENT = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])


@dataclass(frozen=True)
class Sensor:
    """Extent of the event coordinates: polarities × height × width.

    >>> Sensor(2, 34, 34).cells
    2312
    """

    polarities: int
    height: int
    width: int

    @property
    def cells(self) -> int:
        """Number of distinct (p, y, x)."""
        return self.polarities * self.height * self.width


def make_events(
    t: NDArray[np.generic],
    x: NDArray[np.generic],
    p: NDArray[np.generic],
    y: NDArray[np.generic] | None = None,
) -> NDArray[np.void]:
    """Pack columns of equal length into one array of dtype ``EVENT``; without ``y``, y = 0.

    Columns are whole numbers, ``p`` may be bool. Raises DataError for others, for values that the
    field of ``EVENT`` cannot hold, and for columns of different lengths.

    >>> make_events(np.array([5]), np.array([1]), np.array([0]))["t"]
    array([5])
    """
    given = {"t": t, "x": x, "p": p} if y is None else {"t": t, "x": x, "p": p, "y": y}
    columns = {name: np.asarray(column) for name, column in given.items()}
    _check_lengths(columns)
    events = np.zeros(len(columns["t"]), dtype=EVENT)
    for name, column in columns.items():
        _check_column(name, column)
        events[name] = column
    return events


def _check_lengths(columns: dict[str, NDArray[np.generic]]) -> None:
    shapes = {column.shape for column in columns.values()}
    if len(shapes) > 1 or columns["t"].ndim != 1:
        raise DataError(
            "events: columns of different lengths",
            got=", ".join(f"{name} {list(column.shape)}" for name, column in columns.items()),
            expected="one dimension each, and a value per event in all",
            fix="Give make_events arrays of the same length",
        )


def _check_column(name: str, column: NDArray[np.generic]) -> None:
    if column.size == 0 or (np.can_cast(column.dtype, EVENT[name]) and column.dtype.kind != "b"):
        return
    if column.dtype.kind not in ("iub" if name == "p" else "iu"):
        raise DataError(
            f"events: column {name!r} is not of whole numbers",
            got=f"dtype {column.dtype}",
            expected="integers",
            fix="Round it as is right for it, t in µs, and convert it with .astype(np.int64)",
        )
    bounds = np.iinfo(EVENT[name])
    low, high = int(column.min()), int(column.max())
    if low < bounds.min or high > bounds.max:
        raise DataError(
            f"events: column {name!r} does not fit its field",
            got=low if low < bounds.min else high,
            expected=f"{bounds.min} … {bounds.max}",
            fix="Check the units of the column and the order of the arguments (t, x, p, y)",
        )


def check_events(
    events: NDArray[np.void], offsets: NDArray[np.int64], sensor: Sensor, source: str
) -> None:
    """Raise DataError, naming ``source`` and the recording, unless the events make sense.

    Checked: offsets run from 0 to len(events) and every recording has an event; coordinates lie on
    the sensor; times are not negative and do not run backwards within a recording.
    """
    check_offsets(offsets, len(events), source)
    for axis, bound in (("x", sensor.width), ("y", sensor.height), ("p", sensor.polarities)):
        _check_range(events[axis], bound, offsets, f"{source}: event coordinate {axis!r}")
    backwards = np.diff(events["t"], prepend=0) < 0
    backwards[offsets[:-1]] = events["t"][offsets[:-1]] < 0
    if backwards.any():
        at = int(backwards.argmax())
        raise DataError(
            f"{source}: event times run backwards",
            got=f"t = {events['t'][at]} µs at event {at} of recording {_owner(offsets, at)}",
            expected="times >= 0 in rising order within each recording",
            fix="Sort the events of each recording by time",
        )


def check_offsets(offsets: NDArray[np.int64], count: int, source: str) -> None:
    """Raise DataError unless ``offsets`` cuts ``count`` events into non-empty recordings."""
    ends = (int(offsets[0]), int(offsets[-1])) if len(offsets) > 1 else None
    if ends != (0, count) or (np.diff(offsets) < 0).any():
        raise DataError(
            f"{source}: offsets do not cut the events into recordings",
            got=f"{len(offsets)} offsets with ends {ends}",
            expected=f"rising offsets from 0 to {count}",
            fix="Get the file again; it is damaged or of another format",
        )
    empty = np.flatnonzero(np.diff(offsets) == 0)
    if len(empty):
        raise DataError(
            f"{source}: recording without events",
            got=f"{len(empty)} empty, the first is number {empty[0]}",
            expected="at least one event in each recording",
            fix="Remove the empty recordings and their labels",
        )


def _check_range(
    value: NDArray[np.integer], bound: int, offsets: NDArray[np.int64], what: str
) -> None:
    wrong = value >= bound
    if wrong.any():
        at = int(wrong.argmax())
        raise DataError(
            f"{what} out of range",
            got=f"{value[at]} at event {at} of recording {_owner(offsets, at)}",
            expected=f"0 … {bound - 1}",
            fix="Check that the file belongs to this sensor",
        )


def _owner(offsets: NDArray[np.int64], at: int) -> int:
    return int(np.searchsorted(offsets, at, side="right")) - 1


@dataclass(frozen=True)
class BinnedEvents:
    """Recordings of events, each event already placed in a (step, cell); dense only per batch.

    ``place`` [E] int32 (int64 where too large) = step · cells + cell, ``offsets`` [N + 1] int64,
    ``weight`` [E] uint8 how often that event counts (None: once). ``counts`` False makes frames
    binary (spikes), True keeps how many events fell in a bin. ``sample_shape`` is the shape of one
    step of one sample.

    >>> one = BinnedEvents(torch.tensor([0, 3, 3]), torch.tensor([0, 3]), 2, (2,), counts=True)
    >>> one.gather(torch.tensor([0]))[:, 0]
    tensor([[1., 0.],
            [0., 2.]])
    """

    place: Tensor
    offsets: Tensor
    steps: int
    sample_shape: tuple[int, ...]
    counts: bool = False
    weight: Tensor | None = None

    static = False

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def gather(self, index: Tensor) -> Tensor:
        """Frames [T, B, *sample_shape] float32 of the recordings ``index`` [B]."""
        frames = dense(
            self.place, self.offsets, index, steps=self.steps, cells=prod(self.sample_shape),
            counts=self.counts, weight=self.weight,
        )  # fmt: skip
        return frames.view(self.steps, len(index), *self.sample_shape)

    def gather_moved(self, index: Tensor, moves: Moves) -> Tensor:
        """``moves.applied(gather(index))`` at a fraction of the price."""
        check_groups(self.sample_shape, moves.groups)
        frames = dense_moved(
            self.place, self.offsets, index, moves, steps=self.steps,
            cells=prod(self.sample_shape), width=self.sample_shape[-1], counts=self.counts,
            weight=self.weight,
        )  # fmt: skip
        return frames.view(self.steps, len(index), *self.sample_shape)

    def frames(self, gathered: Tensor) -> Tensor:
        """Gathered samples are time first already."""
        return gathered


def place_by_time(
    events: NDArray[np.void],
    offsets: NDArray[np.int64],
    sensor: Sensor,
    *,
    step_us: int,
    steps: int,
    sample_shape: tuple[int, ...] | None = None,
    counts: bool = False,
    weight: NDArray[np.uint8] | None = None,
) -> BinnedEvents:
    """What `bin_events` makes of events that have been checked already."""
    shape = sample_shape or (sensor.polarities, sensor.height, sensor.width)
    return place_events(
        events["t"] // step_us, cells_of(events, sensor), offsets, steps=steps,
        cells=sensor.cells, sample_shape=shape, counts=counts, weight=weight,
    )  # fmt: skip


def cells_of(events: NDArray[np.void], sensor: Sensor) -> NDArray[np.int64]:
    """Place of every event within a step, (p · height + y) · width + x.

    >>> cells_of(make_events(np.array([0]), np.array([1]), np.array([1])), Sensor(2, 3, 4)).tolist()
    [13]
    """
    cell = events["p"].astype(np.int64)
    cell *= sensor.height
    cell += events["y"]
    cell *= sensor.width
    cell += events["x"]
    return cell


def place_events(
    step: NDArray[np.int64],
    cell: NDArray[np.int64],
    offsets: NDArray[np.int64],
    *,
    steps: int,
    cells: int,
    sample_shape: tuple[int, ...],
    counts: bool = False,
    weight: NDArray[np.uint8] | None = None,
) -> BinnedEvents:
    """Store events whose step and cell are known; those outside 0 … ``steps`` - 1 are left out.

    Raises ShapeError when ``sample_shape`` has not ``cells`` places.
    """
    if prod(sample_shape) != cells:
        raise ShapeError(
            "sample_shape does not fit the sensor",
            got=f"{list(sample_shape)}, {prod(sample_shape)} places",
            expected=f"{cells} places",
        )
    steps = int(steps)  # a NumPy int of few bits would wrap around below
    keep = (step >= 0) & (step < steps)
    kept = np.concatenate([[0], np.cumsum(keep)])[offsets]
    # Half the memory wherever it is enough; large sensors over many steps need more.
    width = np.int32 if steps * cells <= np.iinfo(np.int32).max else np.int64
    return BinnedEvents(
        place=torch.from_numpy((step[keep] * cells + cell[keep]).astype(width)),
        offsets=torch.from_numpy(kept.astype(np.int64)),
        steps=steps,
        sample_shape=sample_shape,
        counts=counts,
        weight=None if weight is None else torch.from_numpy(weight[keep]),
    )
