"""Long recordings cut into windows, by time or by count, with overlap or gaps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .arguments import Origin, Partial, check_origin, check_partial, check_positive, check_rising
from .events import Sensor
from .formats.recording import Recording
from .indices import Index, chosen
from .ragged import spans

MAX_WINDOWS = 10_000_000


@dataclass(frozen=True, eq=False)
class Windows:
    """The windows of one recording: where each lies, cut out only when it is asked for.

    Window i holds ``events[first[i]:last[i]]``, and its time 0 is ``start_us[i]`` of the recording.
    ``events`` may be memory-mapped.

    >>> from .events import make_events
    >>> t = np.array([0, 400, 900, 1100, 2500])
    >>> halves = windows(make_events(t, t * 0, t * 0), 1000, 500)
    >>> len(halves), halves[1]["t"].tolist(), halves.start_us.tolist()
    (5, [400, 600], [0, 500, 1000, 1500, 2000])
    """

    events: NDArray[np.void]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    start_us: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, index: int) -> NDArray[np.void]:
        """A copy of the events of window ``index``, t counted from its start."""
        events: NDArray[np.void] = np.array(self.view(index))
        events["t"] -= self.start_us[index]
        return events

    def __iter__(self) -> Iterator[NDArray[np.void]]:
        return (self[index] for index in range(len(self)))

    def view(self, index: int) -> NDArray[np.void]:
        """The events of window ``index`` where they lie: not copied, t as in the recording."""
        return self.events[self.first[index] : self.last[index]]

    def subset(self, index: Index) -> Windows:
        """The windows ``index`` in that order, sharing the events.

        Whole numbers, or a mask with a boolean for each; raises DataError for others.
        """
        some = chosen(index, len(self), "windows").numpy()
        return replace(
            self, first=self.first[some], last=self.last[some], start_us=self.start_us[some]
        )

    def recording(self, sensor: Sensor) -> Recording:
        """All windows as recordings end to end, copied, to be binned into one Source.

        Events in the overlap of two windows are there twice; windows without events are kept.
        Raises DataError where there is no window.
        """
        if len(self) == 0:
            raise DataError(
                "no window to make a recording of",
                got=f"{len(self.events)} events",
                expected="a window or more",
                fix="Use narrower windows, or partial='keep'",
            )
        number = self.last - self.first
        position, offsets = spans(self.first, number)
        events = np.asarray(self.events[position])
        events["t"] -= np.repeat(self.start_us, number)
        return Recording(events, sensor, {}, offsets)


def windows(
    events: NDArray[np.void],
    width_us: int,
    stride_us: int | None = None,
    *,
    origin: Origin = 0,
    until_us: int | None = None,
    partial: Partial = "keep",
) -> Windows:
    """Window i holds the events with origin + i · stride <= t < origin + i · stride + width.

    ``stride_us`` None is the width: neither overlap nor gap. The recording ends just after its last
    event, or at ``until_us``; what happens later, or before ``origin``, is in no window. Windows
    are cut until one reaches the end; ``partial`` "drop" leaves out a last one that reaches beyond
    it. Takes 8 bytes per event while it works, and a search per window. Raises ConfigError for
    impossible values, DataError for more than ``MAX_WINDOWS`` windows or times that run backwards.

    >>> from .events import make_events
    >>> t = np.array([0, 1, 5])
    >>> cut = windows(make_events(t, t * 0, t * 0), 4, partial="drop")
    >>> [one["t"].tolist() for one in cut]
    [[0, 1]]
    """
    stride = width_us if stride_us is None else stride_us
    check_positive(width_us=width_us, stride_us=stride, until_us=until_us)
    check_origin(origin)
    check_partial(partial)
    t = np.ascontiguousarray(events["t"])
    check_rising(t, 0, "events to cut")
    begin = origin if not isinstance(origin, str) else int(t[0]) if len(t) else 0
    end = until_us if until_us is not None else int(t[-1]) + 1 if len(t) else 0
    start = begin + stride * np.arange(_count(end - begin, width_us, stride, partial))
    stop = start + np.minimum(width_us, end - start)
    first, last = np.searchsorted(t, start), np.searchsorted(t, stop)
    return Windows(events, first, last, start)


def count_windows(
    events: NDArray[np.void],
    width: int,
    stride: int | None = None,
    *,
    partial: Partial = "keep",
) -> Windows:
    """Window i holds events i · stride … i · stride + width - 1; its time 0 is its first event.

    Windows are cut until one holds the last event; ``partial`` "drop" leaves out a last one of
    fewer than ``width``. Raises ConfigError for impossible values, DataError as `windows`.

    >>> from .events import make_events
    >>> t = np.array([10, 20, 30, 40])
    >>> [one["t"].tolist() for one in count_windows(make_events(t, t * 0, t * 0), 3, 2)]
    [[0, 10, 20], [0, 10]]
    """
    stride = width if stride is None else stride
    check_positive(width=width, stride=stride)
    check_partial(partial)
    check_rising(events["t"], 0, "events to cut")
    first = stride * np.arange(_count(len(events), width, stride, partial))
    return Windows(events, first, np.minimum(first + width, len(events)), events["t"][first])


def _count(extent: int, width: int, stride: int, partial: Partial) -> int:
    """How many windows: all that are full, and the one that goes on where they leave off."""
    full = (extent - width) // stride + 1 if extent >= width else 0
    # With gaps between windows, the next one may begin only after the end.
    rest = full * stride < extent and (full == 0 or (full - 1) * stride + width < extent)
    number = full + (partial == "keep" and rest)
    if number > MAX_WINDOWS:
        raise DataError(
            "too many windows", got=number, expected=f"up to {MAX_WINDOWS}",
            fix="Use a longer stride, origin='first', or stream_frames",
        )  # fmt: skip
    return number
