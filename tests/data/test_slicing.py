"""Windows hold what a plain loop over all events puts there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers_events import SENSOR, recordings
from localspike.data import make_events
from localspike.data.binning import ByTime, bin_recording
from localspike.data.formats import Recording, check_recording
from localspike.data.slicing import count_windows, windows
from localspike.errors import ConfigError, DataError

one = recordings(most=1)
kinds = st.sampled_from(["keep", "drop"])
spans = st.integers(1, 4_000)


def at(*times: int) -> np.ndarray:
    t = np.array(times, np.int64)
    return make_events(t, t * 0, t * 0)


@given(one, spans, spans, st.one_of(st.just("first"), st.integers(0, 3_000)), kinds, st.data())
def test_windows_of_time_are_the_plain_loop(recording, width, stride, origin, partial, data):
    t = recording.events["t"].tolist()
    until = data.draw(st.one_of(st.none(), st.integers(1, 12_000)))
    begin = origin if isinstance(origin, int) else t[0] if t else 0
    end = until if until is not None else t[-1] + 1 if t else 0
    starts, covered = [], begin
    while (start := begin + len(starts) * stride) < end and (covered < end or not starts):
        if partial == "drop" and start + width > end:
            break
        starts.append(start)
        covered = start + width
    cut = windows(recording.events, width, stride, origin=origin, until_us=until, partial=partial)
    assert cut.start_us.tolist() == starts
    for start, events, view in zip(starts, cut, map(cut.view, range(len(cut))), strict=True):
        inside = [n for n, time in enumerate(t) if start <= time < min(start + width, end)]
        assert np.array_equal(view, recording.events[inside])
        assert events["t"].tolist() == [t[n] - start for n in inside]
        assert all(np.array_equal(events[axis], view[axis]) for axis in "xyp")


@given(recordings(most=1, fewest=1), spans)
def test_windows_without_overlap_lose_nothing(recording, width: int) -> None:
    cut = windows(recording.events, width)
    back = cut.recording(SENSOR)
    back.events["t"] += np.repeat(cut.start_us, np.diff(back.offsets))
    assert np.array_equal(back.events, recording.events)


@given(one, st.integers(1, 6), st.integers(1, 6), kinds)
def test_windows_by_count_are_the_plain_loop(recording, width, stride, partial) -> None:
    n = len(recording.events)
    expected, covered = [], 0
    for first in range(0, n, stride):
        group = list(range(first, min(first + width, n)))
        if covered < n and (partial == "keep" or len(group) == width):
            expected.append(group)
        covered = first + width
    cut = count_windows(recording.events, width, stride, partial=partial)
    assert len(cut) == len(expected)
    for group, events, start in zip(expected, cut, cut.start_us, strict=True):
        assert events["t"].tolist() == [recording.events["t"][i] - start for i in group]
        assert start == recording.events["t"][group[0]]


def test_worked_by_hand() -> None:
    events = at(0, 999, 1000, 2500)
    assert [w["t"].tolist() for w in windows(events, 1000)] == [[0, 999], [0], [500]]
    assert [w["t"].tolist() for w in windows(events, 1000, partial="drop")] == [[0, 999], [0]]
    assert len(windows(events, 1000, until_us=5000)) == 5
    assert [w["t"].tolist() for w in windows(events, 1000, until_us=2000)] == [[0, 999], [0]]
    assert [w["t"].tolist() for w in windows(events, 10, 2000)] == [[0], []]
    assert len(windows(at(), 10)) == len(count_windows(at(), 3)) == 0
    assert [w["t"].tolist() for w in windows(at(7), 10, origin="first")] == [[0]]


def test_a_view_is_no_copy_and_a_window_is(tmp_path: Path) -> None:
    np.save(tmp_path / "events.npy", at(*range(0, 5000, 10)))
    mapped = np.load(tmp_path / "events.npy", mmap_mode="r")
    cut = windows(mapped, 1000, 500)
    assert np.shares_memory(cut.view(3), mapped)
    assert not np.shares_memory(cut[3], mapped)
    assert cut[3]["t"].tolist() == list(range(0, 1000, 10))
    assert type(cut.recording(SENSOR).events) is np.ndarray


@given(recordings(most=1, fewest=1), st.integers(500, 2_000), st.integers(200, 2_000))
def test_windows_become_one_source(recording: Recording, width: int, stride: int) -> None:
    cut = windows(recording.events, width, stride)
    together = cut.recording(SENSOR)
    check_recording(together, "windows")
    binning = ByTime(250, steps=-(-width // 250))
    binned = bin_recording(together, binning, counts=True)
    assert binned.dropped.total == 0
    for number, events in enumerate(cut):
        own = bin_recording(Recording(events, SENSOR), binning, counts=True).frames
        assert torch.equal(
            binned.frames.gather(torch.tensor([number])), own.gather(torch.tensor([0]))
        )


def test_a_subset_of_windows() -> None:
    cut = windows(at(0, 10, 20, 30), 10).subset([3, 1])
    assert len(cut) == 2 and cut.start_us.tolist() == [30, 10]
    assert [view["t"].tolist() for view in map(cut.view, range(2))] == [[30], [10]]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: windows(at(1), 0), ConfigError, "width_us: got 0"),
        (lambda: windows(at(1), 5, 0), ConfigError, "stride_us: got 0"),
        (lambda: windows(at(1), 5, until_us=0), ConfigError, "until_us: got 0"),
        (lambda: windows(at(1), 5, partial="pad"), ConfigError, "partial: got 'pad'"),
        (lambda: windows(at(1), 5, origin=-2), ConfigError, "origin: got -2"),
        (lambda: count_windows(at(1), 0), ConfigError, "width: got 0"),
        (lambda: windows(at(1, 1 << 62), 5), DataError, "too many windows: got 92233"),
        (lambda: windows(at(5, 3), 5), DataError, "backwards: got t = 3 µs at event 1 after 5 µs"),
        (lambda: windows(at(-5, 3), 5), DataError, "backwards: got t = -5 µs at event 0"),
        (lambda: count_windows(at(5, 3), 5), DataError, "backwards"),
        (lambda: windows(at(), 5).recording(SENSOR), DataError, "no window to make .* got 0 ev"),
    ],
)
def test_what_cannot_be_cut(call, error, text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_far_times_do_not_overflow() -> None:
    far = (1 << 63) - 1000
    cut = windows(at(far, far + 900), 1 << 62, origin="first")
    assert [w["t"].tolist() for w in cut] == [[0, 900]]
