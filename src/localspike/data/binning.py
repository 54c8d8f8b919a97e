"""Events into time steps: by time, by count, or into a number of frames that is the same for all.

Bins are half open: an event at the very end of a bin belongs to the next one. Events by count are
taken in the order of the file, also where times are equal. What is left out is counted, by reason,
in `Dropped`; everything else is in one frame exactly.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import ConfigError, DataError, LateWarning
from .arguments import MAX_TIME, Origin, Partial, check_origin, check_partial, check_positive
from .events import BinnedEvents, Sensor, cells_of, place_events
from .formats.recording import Recording, check_recording

MAX_STEPS = 1_000_000
_EARLY, _PARTIAL = -1, -2


class Dropped(NamedTuple):
    """How many events are in no frame: before the origin, after the last step, in a last bin that
    was not full. An event of weight w counts w times.

    >>> Dropped(late=3).total
    3
    """

    early: int = 0
    late: int = 0
    partial: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self)


class Binned(NamedTuple):
    """Frames (a Source), lengths [N] int64 (steps of each recording, 1 at least), what was lost."""

    frames: BinnedEvents
    lengths: Tensor
    dropped: Dropped


class Places(NamedTuple):
    """The step of each event (negative: left out), the steps of each recording, and T."""

    step: NDArray[np.int64]
    lengths: NDArray[np.int64]
    steps: int


class Binning(Protocol):
    """A way to put the events of checked recordings into steps: `ByTime`, `ByCount`, `ByFrames`.

    All are values without state, and their ``repr`` says all about them.
    """

    def place(self, recording: Recording) -> Places: ...
    @property
    def by_count(self) -> bool: ...


def bin_recording(
    recording: Recording,
    binning: Binning,
    *,
    counts: bool = False,
    sample_shape: tuple[int, ...] | None = None,
    weight: NDArray[np.uint8] | None = None,
) -> Binned:
    """Frames [T, B, polarities, height, width] (or ``sample_shape``) of one or more recordings.

    Σ frames + dropped = Σ events where ``counts`` is True; False makes frames binary. ``weight``
    [E] says how often each event counts (None: once). Raises DataError for events that make no
    sense, or more steps than ``MAX_STEPS``; ConfigError for weights where bins are made by count.

    >>> from .events import Sensor, make_events
    >>> t = np.array([0, 1500, 9000])
    >>> one = Recording(make_events(t, t % 2, t * 0), Sensor(1, 1, 2))
    >>> frames, lengths, dropped = bin_recording(one, ByTime(1000, steps=4), counts=True)
    >>> frames.gather(torch.tensor([0])).sum(dim=(1, 2, 3, 4)), lengths, dropped.late
    (tensor([1., 1., 0., 0.]), tensor([4]), 1)
    """
    check_recording(recording, "events to bin")
    _check_weight(weight, len(recording.events), binning)
    step, ends, steps = binning.place(recording)
    _check_steps(steps)
    sensor = recording.sensor
    frames = place_events(
        step, cells_of(recording.events, sensor), recording.offsets, steps=steps,
        cells=sensor.cells, counts=counts, weight=weight,
        sample_shape=sample_shape or (sensor.polarities, sensor.height, sensor.width),
    )  # fmt: skip
    lengths = torch.from_numpy(ends.clip(1, steps))
    return Binned(frames, lengths, _dropped(step, steps, weight))


def bin_events(
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
    """Put the events of recordings into ``steps`` bins of ``step_us`` µs; later ones are left out.

    frames[s, p, y, x] = number of events with s = floor(t / step_us); ``sample_shape`` reshapes
    (p, y, x), by default [polarities, height, width]. As `bin_recording` by time, without the count
    of what is left out; where that is all, as where times are those of a clock, a LateWarning says
    so. DataError for events that make no sense, ConfigError for impossible steps.

    >>> from .events import make_events
    >>> events = make_events(np.array([0, 1500, 9000]), np.array([0, 1, 1]), np.array([0, 0, 1]))
    >>> spikes = bin_events(events, np.array([0, 3]), Sensor(2, 1, 2), step_us=1000, steps=4)
    >>> spikes.gather(torch.tensor([0])).sum(dim=(1, 2, 3, 4))
    tensor([1., 1., 0., 0.])
    """
    recording = Recording(events, sensor, {}, np.asarray(offsets))
    frames = bin_recording(
        recording, ByTime(step_us, steps), counts=counts, sample_shape=sample_shape, weight=weight
    ).frames
    if len(events) and not len(frames.place):
        warnings.warn(
            f"all {len(events)} events, from {events['t'].min()} µs on, are later than the last of "
            f"{steps} steps of {step_us} µs: where these are times of a clock, count them from "
            "each recording's first with bin_recording and origin='first'",
            LateWarning,
            stacklevel=2,
        )
    return frames


@dataclass(frozen=True)
class ByTime:
    """step = floor((t - origin) / step_us), of the first ``steps`` steps (None: of all).

    Later events, and those before an origin given in µs, are left out. A recording's length is the
    step of its last event plus one. Raises ConfigError for impossible values.

    >>> ByTime(1000)
    ByTime(step_us=1000, steps=None, origin=0)
    """

    step_us: int
    steps: int | None = None
    origin: Origin = 0

    by_count = False

    def __post_init__(self) -> None:
        check_positive(step_us=self.step_us, steps=self.steps)
        check_origin(self.origin)

    def place(self, recording: Recording) -> Places:
        """See `Binning`."""
        t, offsets = recording.events["t"], recording.offsets
        step = t - _per_event(_starts(recording, self.origin), offsets)
        step //= self.step_us
        count = _at_last(step, offsets) + 1
        np.maximum(step, _EARLY, out=step)
        return Places(step, count, self.steps or int(count.max(initial=1)))


@dataclass(frozen=True)
class ByCount:
    """Event i of a recording goes to step i // per_step, of the first ``steps`` (None: of all).

    ``partial`` "keep" makes a last, shorter step of the events left over; "drop" leaves them out.
    Raises ConfigError for impossible values.

    >>> ByCount(500, partial="drop")
    ByCount(per_step=500, steps=None, partial='drop')
    """

    per_step: int
    steps: int | None = None
    partial: Partial = "keep"

    by_count = True

    def __post_init__(self) -> None:
        check_positive(per_step=self.per_step, steps=self.steps)
        check_partial(self.partial)

    def place(self, recording: Recording) -> Places:
        """See `Binning`."""
        offsets = recording.offsets
        number = np.diff(offsets)
        step = _within(offsets) // self.per_step
        count = number // self.per_step
        if self.partial == "drop":
            step[step >= _per_event(count, offsets)] = _PARTIAL
        else:
            count += number % self.per_step > 0
        return Places(step, count, self.steps or int(count.max(initial=1)))


@dataclass(frozen=True)
class ByFrames:
    """Each recording in ``frames`` parts, all of which have the length ``frames``.

    equal="time": parts of equal duration of the time from ``origin`` to just after the last event,
    step = floor((t - origin) · frames / (t_last + 1 - origin)); only events before an origin given
    in µs are left out. equal="count": parts that differ by one event at most, step = floor(i ·
    frames / n), whatever the origin; nothing is left out. Raises ConfigError for impossible values.

    >>> ByFrames(16, equal="count")
    ByFrames(frames=16, equal='count', origin=0)
    """

    frames: int
    equal: Literal["time", "count"] = "time"
    origin: Origin = 0

    def __post_init__(self) -> None:
        check_positive(frames=self.frames)
        check_origin(self.origin)
        if self.equal not in ("time", "count"):
            raise ConfigError("equal", got=repr(self.equal), expected="'time' or 'count'")

    @property
    def by_count(self) -> bool:
        """Whether bins are made by number of events."""
        return self.equal == "count"

    def place(self, recording: Recording) -> Places:
        """See `Binning`."""
        offsets = recording.offsets
        if self.by_count:
            done, whole = _within(offsets), np.diff(offsets)
        else:
            start = _starts(recording, self.origin)
            done = recording.events["t"] - _per_event(start, offsets)
            whole = _at_last(done, offsets) + 1
        self._check(whole)
        step = done * self.frames // np.maximum(_per_event(whole, offsets), 1)
        step[done < 0] = _EARLY
        return Places(step, np.full(len(offsets) - 1, self.frames), self.frames)

    def _check(self, whole: NDArray[np.int64]) -> None:
        longest = int(whole.max(initial=0))
        if longest > MAX_TIME // self.frames:
            raise DataError(
                "recording too long to divide", got=f"{longest} µs",
                expected=f"below {MAX_TIME // self.frames} µs", fix="Check its times",
            )  # fmt: skip


def _check_steps(steps: int) -> None:
    if not 1 <= steps <= MAX_STEPS:
        raise DataError(
            "too many steps for one sequence", got=steps, expected=f"1 … {MAX_STEPS}",
            fix="Use longer steps, origin='first', windows or stream_frames",
        )  # fmt: skip


def _check_weight(weight: NDArray[np.uint8] | None, events: int, binning: Binning) -> None:
    if weight is None:
        return
    if len(weight) != events:
        raise DataError("not one weight per event", got=len(weight), expected=events)
    if binning.by_count:
        raise ConfigError(
            "bins by count cannot take weights: one event may belong to two steps",
            got=binning,
            fix="Repeat the events with np.repeat(events, weight)",
        )


def _starts(recording: Recording, origin: Origin) -> NDArray[np.int64]:
    """The time in µs at which each recording begins."""
    t, first = recording.events["t"], recording.offsets[:-1]
    if not isinstance(origin, str):
        return np.full(len(first), origin, np.int64)
    empty = recording.offsets[1:] == first
    start: NDArray[np.int64] = np.append(t, 0)[np.where(empty, len(t), first)]
    return start


def _per_event(value: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.repeat(value, np.diff(offsets))


def _within(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each event's number within its recording."""
    place: NDArray[np.int64] = np.arange(offsets[-1]) - _per_event(offsets[:-1], offsets)
    return place


def _at_last(value: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """The value at each recording's last event, -1 where it has none."""
    empty = offsets[1:] == offsets[:-1]
    last: NDArray[np.int64] = np.append(value, -1)[np.where(empty, len(value), offsets[1:] - 1)]
    return last


def _dropped(step: NDArray[np.int64], steps: int, weight: NDArray[np.uint8] | None) -> Dropped:
    def count(out: NDArray[np.bool_]) -> int:
        return int(out.sum() if weight is None else weight[out].sum(dtype=np.int64))

    return Dropped(count(step == _EARLY), count(step >= steps), count(step == _PARTIAL))
