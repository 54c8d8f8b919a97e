"""Frames of a recording of any length, one step at a time, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import DataError, ShapeError
from .arguments import Origin, check_origin, check_positive, check_rising
from .events import Sensor, cells_of
from .formats.recording import Recording, check_recording

HOUR_US = 3_600_000_000


def stream_frames(
    chunks: Iterable[NDArray[np.void]],
    sensor: Sensor,
    step_us: int,
    *,
    origin: Origin = 0,
    counts: bool = False,
    sample_shape: tuple[int, ...] | None = None,
    max_gap_us: int | None = HOUR_US,
) -> Iterator[Tensor]:
    """Frames [1, polarities, height, width] (or ``sample_shape``) float32, one per step in order.

    ``chunks`` are the events of one recording in pieces of any size, dtype ``EVENT``, as
    `chunks_of` gives them; of these one is held at a time. Frame s has the events with
    s = floor((t - origin) / step_us); steps without events are frames of zeros, the last one is
    that of the last event, and events before the origin are left out: the frames of `ByTime`, one
    by one. Raises ConfigError for impossible values; while it runs, DataError for events off the
    sensor, times that run backwards, also from chunk to chunk, and silence of more than
    ``max_gap_us`` (None: any), which a damaged time would make.

    >>> from .events import make_events
    >>> t = np.array([100, 1500, 1600])
    >>> pieces = [make_events(one, one * 0, one * 0) for one in (t[:2], t[2:])]
    >>> frames = stream_frames(pieces, Sensor(1, 1, 1), step_us=1000, counts=True)
    >>> [frame.tolist() for frame in frames]
    [[[[[1.0]]]], [[[[2.0]]]]]
    """
    check_positive(step_us=step_us, max_gap_us=max_gap_us)
    check_origin(origin)
    shape = sample_shape or (sensor.polarities, sensor.height, sensor.width)
    if int(np.prod(shape)) != sensor.cells:
        raise ShapeError(
            "sample_shape does not fit the sensor", got=list(shape),
            expected=f"{sensor.cells} places",
        )  # fmt: skip
    checked = _checked(chunks, sensor, origin, max_gap_us)
    return (
        torch.from_numpy(frame).view(1, *shape)
        for frame in _frames(checked, sensor, step_us, counts)
    )


def _checked(
    chunks: Iterable[NDArray[np.void]], sensor: Sensor, origin: Origin, max_gap_us: int | None
) -> Iterator[NDArray[np.void]]:
    """Chunks in order, without what comes before the origin, their times counted from there."""
    start, last = None if isinstance(origin, str) else origin, 0
    for number, chunk in enumerate(chunks):
        source = f"chunk {number}"
        check_recording(Recording(chunk, sensor), source)
        if len(chunk) == 0:
            continue
        check_rising(chunk["t"][:1], last, source)
        start = int(chunk["t"][0]) if start is None else start
        kept = chunk[chunk["t"] >= start]
        kept["t"] -= start
        _check_gaps(kept["t"], max(last - start, 0), max_gap_us, source)
        last = int(chunk["t"][-1])
        if len(kept):
            yield kept


def _check_gaps(t: NDArray[np.int64], last: int, max_gap_us: int | None, source: str) -> None:
    if max_gap_us is None:
        return
    gap = np.diff(t, prepend=last)
    if (gap > max_gap_us).any():
        at = int(gap.argmax())
        raise DataError(
            f"{source}: nothing happens for very long",
            got=f"{gap[at]} µs without an event before event {at}",
            expected=f"up to {max_gap_us} µs",
            fix="Use origin='first', raise max_gap_us, or get the file again",
        )


def _frames(
    chunks: Iterator[NDArray[np.void]], sensor: Sensor, step_us: int, counts: bool
) -> Iterator[NDArray[np.float32]]:
    """The frame of each step [cells], as soon as an event of a later step is seen, or the end."""
    now, seen, frame = 0, False, np.zeros(sensor.cells, np.float32)
    for chunk in chunks:
        step, cell = chunk["t"] // step_us, cells_of(chunk, sensor)
        cuts = np.flatnonzero(step[1:] != step[:-1]) + 1
        for part, own in zip(step[np.append(0, cuts)], np.split(cell, cuts), strict=True):
            for _ in range(int(part) - now):
                yield frame
                frame = np.zeros(sensor.cells, np.float32)
            now, seen = int(part), True
            if counts:
                np.add.at(frame, own, 1)
            else:
                frame[own] = 1
    if seen:
        yield frame
