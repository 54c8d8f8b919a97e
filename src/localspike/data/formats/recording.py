"""What every reader returns and every writer takes: events, the sensor, and what the file says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from ..events import EVENT, Sensor
from .extent import PLACED, WHOLE, Extent, blocks

MAX_SIDE = 65536  # coordinates are uint16


@dataclass(frozen=True, eq=False)
class Recording:
    """Events of one recording, or of several end to end, in the order of time.

    Parameters
    ----------
    events:
        [E] of dtype ``EVENT``: t in µs (int64, not negative), x (or the channel), y, p.
    sensor:
        Extent of the coordinates; channels are ``Sensor(1, 1, channels)``.
    meta:
        What else the file says (``format``, header lines, labels, what was skipped): plain values.
    offsets:
        [N + 1]: recording i owns ``events[offsets[i]:offsets[i + 1]]``, empty ones allowed. One
        recording unless given.

    >>> from localspike.data import make_events
    >>> one = Recording(make_events(np.array([5]), np.array([1]), np.array([0])), Sensor(2, 1, 2))
    >>> len(one.events), one.offsets.tolist()
    (1, [0, 1])
    """

    events: NDArray[np.void]
    sensor: Sensor
    meta: Mapping[str, Any] = field(default_factory=dict)
    offsets: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        if len(self.offsets) == 0:
            object.__setattr__(self, "offsets", np.array([0, len(self.events)], np.int64))


def check_recording(recording: Recording, source: str) -> None:
    """Raise DataError, naming ``source`` and the event, unless the recording makes sense.

    Checked: the dtype; offsets from 0 to E that never fall; coordinates on the sensor; times that
    are not negative and do not run backwards within a recording. Empty recordings are fine.
    """
    _check_types(recording, source)
    _check_values(recording, _measured(recording.events), source)


def finished(source: str, recording: Recording, extent: Extent, sort: bool) -> Recording:
    """The recording whose events have that extent, sorted by time if asked for, after all checks.

    Raises DataError.
    """
    _check_types(recording, source)
    if sort and not extent.ordered:
        events = in_time_order(recording.events, recording.offsets)
        recording, extent = replace(recording, events=events), _measured(events)
    _check_values(recording, extent, source)
    return recording


def _measured(events: NDArray[np.void]) -> Extent:
    extent = Extent()
    for block in blocks(events.view(PLACED)):
        extent.add(block["t"], block["xy"], block["p"])
    return extent


def _check_values(recording: Recording, extent: Extent, source: str) -> None:
    if not extent.within(recording.sensor):
        _refuse_place(recording, source)
    if not extent.ordered:
        _check_times(recording.events["t"], recording.offsets, source)


def _refuse_place(recording: Recording, source: str) -> None:
    events, sensor = recording.events, recording.sensor
    for axis, bound in (("x", sensor.width), ("y", sensor.height), ("p", sensor.polarities)):
        wrong = events[axis] >= bound
        if wrong.any():
            at = int(wrong.argmax())
            raise DataError(
                f"{source}: event coordinate {axis!r} out of range",
                got=f"{events[axis][at]} at event {at}",
                expected=f"0 … {bound - 1}",
                fix="Name the right sensor, or get the file again",
            )


def _check_types(recording: Recording, source: str) -> None:
    events, offsets, sensor = recording.events, recording.offsets, recording.sensor
    if events.dtype != EVENT or events.ndim != 1:
        raise DataError(
            f"{source}: not an array of events",
            got=f"{events.dtype} {list(events.shape)}",
            expected=f"one dimension of {EVENT}",
            fix="Make it with make_events",
        )
    sides = (sensor.polarities, sensor.height, sensor.width)
    if not all(1 <= side <= MAX_SIDE for side in sides):
        raise DataError(
            f"{source}: impossible sensor", got=sensor, expected=f"sides of 1 … {MAX_SIDE}"
        )
    if offsets.ndim != 1 or offsets.dtype.kind not in "iu":
        raise DataError(
            f"{source}: offsets are no whole numbers",
            got=f"{offsets.dtype} {list(offsets.shape)}",
            expected="integers [recordings + 1]",
            fix="Convert them with .astype(np.int64)",
        )
    ends = (int(offsets[0]), int(offsets[-1])) if len(offsets) > 1 else None
    if ends != (0, len(events)) or (offsets[1:] < offsets[:-1]).any():
        raise DataError(
            f"{source}: offsets do not cut the events into recordings",
            got=f"{len(offsets)} offsets with ends {ends}",
            expected=f"rising offsets from 0 to {len(events)}",
            fix="Get the file again; it is damaged or of another format",
        )


def _check_times(t: NDArray[np.int64], offsets: NDArray[np.int64], source: str) -> None:
    backwards = np.empty(len(t), dtype=bool)
    np.less(t[1:], t[:-1], out=backwards[1:])
    starts = offsets[:-1][offsets[:-1] < len(t)]
    backwards[starts] = t[starts] < 0
    if backwards.any():
        at = int(backwards.argmax())
        raise DataError(
            f"{source}: event times run backwards",
            got=f"t = {t[at]} µs at event {at}" + (f" after {t[at - 1]} µs" if at else ""),
            expected="times >= 0 in rising order within each recording",
            fix="Pass sort=True to have the events sorted by time when reading",
        )


def in_time_order(events: NDArray[np.void], offsets: NDArray[np.int64]) -> NDArray[np.void]:
    """The events sorted by time within each recording; events of equal time keep their order."""
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    order = np.lexsort((events["t"], owner))
    ordered: NDArray[np.void] = events.view(WHOLE)[order].view(EVENT)
    return ordered


def single_camera(recording: Recording, source: str, name: str, side: int) -> None:
    """Raise DataError unless a camera format with sides up to ``side`` can hold the recording."""
    check_recording(recording, source)
    sensor = recording.sensor
    if len(recording.offsets) != 2:
        raise DataError(
            f"{source}: {name} holds one recording",
            got=f"{len(recording.offsets) - 1} recordings",
            expected="one",
            fix="Write a file for each, or use write_npz",
        )
    if sensor.polarities != 2 or sensor.width > side or sensor.height > side:
        raise DataError(
            f"{source}: {name} cannot hold this sensor",
            got=sensor,
            expected=f"2 polarities and sides up to {side}",
            fix="Use write_npz, which holds every sensor",
        )
