"""Every event is in one frame or counted as dropped, and where a plain loop would put it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers_events import SENSOR, loop, parts, recordings
from localspike.data import Sensor, bin_events, make_events
from localspike.data.binning import (
    MAX_STEPS,
    Binned,
    Binning,
    ByCount,
    ByFrames,
    ByTime,
    Dropped,
    bin_recording,
)
from localspike.data.events import place_events
from localspike.data.formats import Recording
from localspike.errors import ConfigError, DataError, LateWarning, ShapeError

origins = st.one_of(st.just("first"), st.just(0), st.integers(1, 4_000))
limits = st.one_of(st.none(), st.integers(1, 8))
by_time = st.builds(ByTime, st.integers(1, 3_000), limits, origins)
by_count = st.builds(ByCount, st.integers(1, 6), limits, st.sampled_from(["keep", "drop"]))
by_frames = st.builds(ByFrames, st.integers(1, 9), st.sampled_from(["time", "count"]), origins)


def every(binned: Binned) -> torch.Tensor:
    return binned.frames.gather(torch.arange(len(binned.frames)))


def began(times: list[int], origin: object) -> int:
    return origin if isinstance(origin, int) else times[0]


def at(times: list[int]) -> Recording:
    t = np.array(times, np.int64)
    return Recording(make_events(t, t * 0, t * 0), Sensor(1, 1, 1))


def sums(times: list[int], binning: Binning) -> list[int]:
    return every(bin_recording(at(times), binning, counts=True)).flatten().int().tolist()


@given(recordings(), st.one_of(by_time, by_count, by_frames))
def test_events_in_are_events_out_and_dropped(recording: Recording, binning: Binning) -> None:
    binned = bin_recording(recording, binning, counts=True)
    frames = every(binned)
    assert int(frames.sum()) + binned.dropped.total == len(recording.events)
    spikes = every(bin_recording(recording, binning))
    assert torch.equal(spikes, frames.clamp(max=1))
    beyond = torch.arange(len(frames))[:, None] >= binned.lengths
    assert not frames.flatten(2).sum(-1)[beyond].any()
    assert int(binned.lengths.min()) >= 1 and int(binned.lengths.max()) <= binned.frames.steps


@given(recordings(), by_time, st.data())
def test_weights_are_conserved_too(recording: Recording, binning: ByTime, data) -> None:
    n = len(recording.events)
    weight = np.array(data.draw(st.lists(st.integers(1, 255), min_size=n, max_size=n)), np.uint8)
    binned = bin_recording(recording, binning, counts=True, weight=weight)
    assert int(every(binned).sum()) + binned.dropped.total == int(weight.sum(dtype=int))


@given(recordings(), by_time)
def test_by_time_is_the_plain_loop(recording: Recording, binning: ByTime) -> None:
    placed = [
        (t - began(times, binning.origin)) // binning.step_us
        for times in parts(recording)
        for t in times
    ]
    binned = bin_recording(recording, binning, counts=True)
    steps = binning.steps or max([0, *placed]) + 1
    assert torch.equal(every(binned), loop(recording, steps, placed))
    early, late = sum(s < 0 for s in placed), sum(s >= steps for s in placed)
    assert binned.dropped == Dropped(early, late)
    ends = [
        (times[-1] - began(times, binning.origin)) // binning.step_us + 1 if times else 1
        for times in parts(recording)
    ]
    assert binned.lengths.tolist() == [min(max(end, 1), steps) for end in ends]


@given(recordings(), by_count)
def test_by_count_is_the_plain_loop(recording: Recording, binning: ByCount) -> None:
    placed, ends, partial = [], [], 0
    for times in parts(recording):
        groups = [range(i, min(i + binning.per_step, len(times)))
                  for i in range(0, len(times), binning.per_step)]  # fmt: skip
        short = bool(groups) and len(groups[-1]) < binning.per_step and binning.partial == "drop"
        for number, group in enumerate(groups):
            lost = short and number == len(groups) - 1
            placed += [-1 if lost else number] * len(group)
            partial += len(group) if lost else 0
        ends.append(len(groups) - short)
    steps = binning.steps or max([1, *ends])
    binned = bin_recording(recording, binning, counts=True)
    assert torch.equal(every(binned), loop(recording, steps, placed))
    assert binned.dropped == Dropped(late=sum(s >= steps for s in placed), partial=partial)
    assert binned.lengths.tolist() == [min(max(end, 1), steps) for end in ends]
    if binning.partial == "drop":
        full = torch.arange(steps)[:, None] < torch.tensor(ends)
        assert (every(binned).flatten(2).sum(-1)[full] == binning.per_step).all()


@given(recordings(), st.integers(1, 9))
def test_frames_of_equal_count_differ_by_one_event_at_most(recording: Recording, n: int) -> None:
    binned = bin_recording(recording, ByFrames(n, equal="count"), counts=True)
    number = every(binned).flatten(2).sum(-1)
    assert binned.dropped.total == 0
    assert number.sum(0).tolist() == [len(times) for times in parts(recording)]
    assert float((number.max(0).values - number.min(0).values).max()) <= 1
    assert binned.lengths.tolist() == [n] * (len(recording.offsets) - 1)


@given(recordings(), st.integers(1, 9), origins)
def test_frames_of_equal_time_are_the_plain_loop(recording: Recording, n: int, origin) -> None:
    placed = []
    for times in parts(recording):
        for t in times:
            begin = began(times, origin)
            whole = times[-1] + 1 - begin
            placed.append((t - begin) * n // whole if t >= begin else -1)
    binned = bin_recording(recording, ByFrames(n, "time", origin), counts=True)
    assert torch.equal(every(binned), loop(recording, n, placed))
    assert binned.dropped == Dropped(early=placed.count(-1))


@given(recordings(fewest=1), st.integers(1, 3_000), st.integers(1, 8))
def test_bin_events_is_by_time(recording: Recording, step_us: int, steps: int) -> None:
    def old():
        return bin_events(recording.events, recording.offsets, SENSOR, step_us=step_us, steps=steps)

    new, _, dropped = bin_recording(recording, ByTime(step_us, steps))
    if dropped.late == len(recording.events) > 0:
        with pytest.warns(LateWarning, match=r"all \d+ events, from \d+ µs on, are later"):
            assert len(old().place) == 0
        return
    assert torch.equal(old().place, new.place) and torch.equal(old().offsets, new.offsets)


def binned_at(*times: int, x: int = 0, offsets: object = None, step_us: object = 10, **options):
    events = make_events(np.array(times), np.full(len(times), x), np.zeros(len(times), int))
    cut = np.array([0, len(times)]) if offsets is None else offsets
    return bin_events(events, cut, SENSOR, step_us=step_us, **{"steps": 5, **options})


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: binned_at(1, 2, x=99), DataError, "events to bin: event coordinate 'x' out of ra"),
        (lambda: binned_at(2, 1), DataError, "events to bin: event times run backwards"),
        (lambda: binned_at(-1), DataError, "events to bin: event times run backwards"),
        (lambda: binned_at(1, 2, offsets=[0, 1]), DataError, r"offsets do not cut .* from 0 to 2"),
        (
            lambda: binned_at(1, offsets=[0.0, 1.0]),
            DataError,
            "offsets are no whole numbers: got f",
        ),
        (lambda: binned_at(1, step_us=0), ConfigError, "step_us: got 0; expected a whole number"),
        (lambda: binned_at(1, step_us=2.5), ConfigError, "step_us: got 2.5"),
        (lambda: binned_at(1, steps=0), ConfigError, "steps: got 0"),
        (lambda: binned_at(1, steps=10**7), DataError, "too many steps for one sequence"),
        (lambda: binned_at(1, weight=np.ones(2, np.uint8)), DataError, "not one weight per event"),
    ],
)
def test_events_are_checked_before_they_are_binned(call, error, text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_recordings_without_events_and_numpy_ints_are_binned() -> None:
    found = binned_at(1, 15, offsets=[0, 0, 2], step_us=np.int16(10), steps=np.uint8(5))
    assert found.gather(torch.tensor([0, 1])).sum((2, 3, 4)).T.tolist() == [
        [0] * 5,
        [1, 1, 0, 0, 0],
    ]
    assert len(binned_at()) == 1


def test_edges_worked_by_hand() -> None:
    times = [0, 999, 1000, 1999, 2000, 5000]
    assert sums(times, ByTime(1000)) == [2, 2, 1, 0, 0, 1]
    assert sums(times, ByTime(1000, steps=5)) == [2, 2, 1, 0, 0]  # 5000 is the end itself
    assert sums([t + 700 for t in times], ByTime(1000, origin="first")) == [2, 2, 1, 0, 0, 1]
    assert sums(times, ByTime(1000, origin=1000)) == [2, 1, 0, 0, 1]
    assert sums(times, ByCount(4)) == [4, 2]
    assert sums(times, ByCount(4, partial="drop")) == [4]
    assert sums(times, ByCount(4, steps=1)) == [4]
    assert sums(times, ByCount(3)) == [3, 3]
    assert sums([0, 10, 20, 39], ByFrames(4)) == [1, 1, 1, 1]
    assert sums([0, 10, 20, 40], ByFrames(4)) == [2, 1, 0, 1]  # of 41 µs: 10 is before 10.25
    assert sums([100, 139], ByFrames(4, origin="first")) == [1, 0, 0, 1]
    assert sums([100, 139], ByFrames(4)) == [0, 0, 1, 1]
    assert sums([5, 5, 5, 5, 9], ByFrames(2, equal="count")) == [3, 2]


def test_an_empty_recording_has_one_step_of_zeros() -> None:
    for binning in (ByTime(10), ByTime(10, origin="first"), ByCount(3), ByCount(3, partial="drop")):
        binned = bin_recording(at([]), binning, counts=True)
        assert every(binned).shape == (1, 1, 1, 1, 1) and binned.lengths.tolist() == [1]
    assert every(bin_recording(at([]), ByFrames(3))).sum() == 0


def test_places_beyond_32_bits_are_kept() -> None:
    events = make_events(np.array([0, 10]), np.array([0, 719]), np.array([0, 1]), np.array([0, 99]))
    wide = Recording(events, Sensor(2, 100, 60_000))
    binned = bin_recording(wide, ByTime(1, steps=400))
    assert binned.frames.place.dtype == torch.int64
    assert binned.frames.place[-1] == 10 * 12_000_000 + (100 + 99) * 60_000 + 719


def test_the_same_options_are_the_same_value() -> None:
    assert ByTime(5) == ByTime(5, None, 0) and hash(ByTime(5)) == hash(ByTime(5))
    assert repr(ByTime(5)) != repr(ByTime(5, origin="first"))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: ByTime(0), "step_us: got 0; expected a whole number of 1 or more"),
        (lambda: ByTime(1 << 63), "step_us: got 9223372036854775808"),
        (lambda: ByTime(2.5), "step_us: got 2.5"),
        (lambda: ByTime(10, steps=0), "steps: got 0"),
        (lambda: ByTime(10, origin=-1), "origin: got -1; expected 'first' or a time in µs"),
        (lambda: ByTime(10, origin="zero"), "origin: got 'zero'"),
        (lambda: ByCount(0), "per_step: got 0"),
        (lambda: ByCount(True), "per_step: got True"),
        (lambda: ByCount(1, partial="pad"), "partial: got 'pad'; expected 'keep' or 'drop'"),
        (lambda: ByFrames(0), "frames: got 0"),
        (lambda: ByFrames(4, equal="events"), "equal: got 'events'; expected 'time' or 'count'"),
    ],
)
def test_impossible_options(make, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        make()


def test_what_cannot_be_binned() -> None:
    far = at([0, 5_000_000_000_000_000_000])
    with pytest.raises(DataError, match=rf"too many steps .* expected 1 … {MAX_STEPS}"):
        bin_recording(far, ByTime(1))
    with pytest.raises(DataError, match="recording too long to divide"):
        bin_recording(far, ByFrames(8))
    with pytest.raises(DataError, match="events to bin: event times run backwards"):
        bin_recording(at([5, 3]), ByTime(10))
    outside = Recording(at([1]).events, Sensor(1, 1, 1), {}, np.array([0, 2]))
    with pytest.raises(DataError, match="offsets do not cut"):
        bin_recording(outside, ByCount(10))
    with pytest.raises(DataError, match="not one weight per event: got 2; expected 1"):
        bin_recording(at([1]), ByTime(10), weight=np.ones(2, np.uint8))
    for binning in (ByCount(2), ByFrames(2, equal="count")):
        with pytest.raises(ConfigError, match="cannot take weights"):
            bin_recording(at([1]), binning, weight=np.ones(1, np.uint8))
    with pytest.raises(ShapeError, match=r"sample_shape does not fit .* got \[2\], 2 places"):
        bin_recording(at([1]), ByTime(10), sample_shape=(2,))


def test_steps_before_the_first_are_left_out_not_wrapped() -> None:
    placed = place_events(
        np.array([-1, 0]), np.array([1, 1]), np.array([0, 2]), steps=2, cells=3, sample_shape=(3,)
    )
    assert placed.place.tolist() == [1]


def test_sizes_may_be_whole_numbers_of_numpy() -> None:
    events = Recording(make_events(np.array([7]), *np.zeros((2, 1), int)), Sensor(1, 30, 3000))
    small = bin_recording(events, ByTime(np.int64(5), np.int16(400), np.int32(0))).frames
    assert (small.steps, small.gather(torch.tensor([0]))[1].sum()) == (400, 1)
    for wrong in (2.0, np.float64(2), np.True_, "2"):
        with pytest.raises(ConfigError, match=r"step_us: got .* expected a whole number"):
            ByTime(wrong)
