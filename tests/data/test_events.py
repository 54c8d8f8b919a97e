"""Binning loses no event, doubles none, and puts each where a loop in plain Python puts it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from localspike.data import EVENT, Sensor, bin_events, check_events, make_events
from localspike.errors import DataError, LateWarning

SENSOR = Sensor(2, 3, 4)
event = st.tuples(st.integers(0, 9_999), st.integers(0, 3), st.integers(0, 2), st.integers(0, 1))
recordings = st.lists(st.lists(event, min_size=1, max_size=12), min_size=1, max_size=5)


def columns(rows: list[list[tuple[int, int, int, int]]]) -> tuple[np.ndarray, np.ndarray]:
    flat = np.array([e for one in rows for e in sorted(one)], dtype=np.int64).reshape(-1, 4)
    offsets = np.cumsum([0, *map(len, rows)])
    return make_events(flat[:, 0], flat[:, 1], flat[:, 3], flat[:, 2]), offsets


@settings(max_examples=60, deadline=None)
@given(recordings, st.integers(1, 12), st.sampled_from([700, 1000, 2500]))
def test_binning_is_the_plain_loop(rows, steps: int, step_us: int) -> None:
    events, offsets = columns(rows)
    check_events(events, offsets, SENSOR, "made up")
    expected = torch.zeros(steps, len(rows), 2, 3, 4)
    for sample, one in enumerate(rows):
        for t, x, y, p in one:
            if t // step_us < steps:
                expected[t // step_us, sample, p, y, x] += 1
    index = torch.arange(len(rows))
    if not expected.any():
        with pytest.warns(LateWarning, match=r"are later than the last"):
            late = bin_events(events, offsets, SENSOR, step_us=step_us, steps=steps)
        assert torch.equal(late.gather(index), expected)
        return
    binned = bin_events(events, offsets, SENSOR, step_us=step_us, steps=steps, counts=True)
    assert torch.equal(binned.gather(index), expected)
    spikes = bin_events(events, offsets, SENSOR, step_us=step_us, steps=steps)
    assert torch.equal(spikes.gather(index), expected.clamp(max=1))


@settings(max_examples=30, deadline=None)
@given(recordings, st.integers(10, 40))
def test_counts_are_conserved_when_the_window_covers_all(rows, steps: int) -> None:
    events, offsets = columns(rows)
    binned = bin_events(events, offsets, SENSOR, step_us=1000, steps=steps, counts=True)
    per_sample = binned.gather(torch.arange(len(rows))).sum((0, 2, 3, 4))
    assert per_sample.tolist() == [len(one) for one in rows]


def test_weights_count_an_event_more_than_once() -> None:
    events = make_events(np.array([0, 0]), np.array([1, 2]), np.array([0, 0]))
    binned = bin_events(
        events, np.array([0, 2]), Sensor(1, 1, 3), step_us=10, steps=1, counts=True,
        weight=np.array([3, 1], np.uint8), sample_shape=(3,),
    )  # fmt: skip
    assert binned.gather(torch.tensor([0, 0])).tolist() == [[[0, 3, 1], [0, 3, 1]]]


def changed(field: str, at: int, value: int) -> np.ndarray:
    events = np.zeros(4, dtype=EVENT)
    events["t"] = [5, 6, 1, 2]
    events[field][at] = value
    return events


@pytest.mark.parametrize(
    ("events", "offsets", "text"),
    [
        (changed("x", 3, 4), [0, 2, 4], "'x' out of range: got 4 at event 3 of recording 1; exp"),
        (changed("y", 0, 3), [0, 2, 4], "'y' out of range: got 3 at event 0 of recording 0"),
        (changed("p", 1, 2), [0, 2, 4], r"'p' out of range: got 2 .* expected 0 … 1"),
        (
            changed("t", 3, 0),
            [0, 2, 4],
            "run backwards: got t = 0 µs at event 3 of recording 1",
        ),
        (changed("t", 2, -1), [0, 2, 4], "times run backwards: got t = -1 µs at event 2 of rec"),
        (changed("x", 0, 0), [0, 2, 2, 4], "without events: got 1 empty, the first is number 1"),
        (
            changed("x", 0, 0),
            [0, 2, 5],
            r"offsets do not cut .* rising offsets from 0 to 4",
        ),
        (changed("x", 0, 0), [0, 3, 2, 4], "offsets do not cut"),
        (changed("x", 0, 0), [0], "offsets do not cut"),
    ],
)
def test_senseless_events_are_refused(events, offsets, text: str) -> None:
    with pytest.raises(DataError, match=f"some file: .*{text}"):
        check_events(events, np.array(offsets), SENSOR, "some file")


def test_a_new_recording_may_start_before_the_last_one_ended() -> None:
    check_events(changed("x", 0, 0), np.array([0, 2, 4]), SENSOR, "some file")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"x": [-1, 0]}, "'x' does not fit its field: got -1; expected 0 … 65535"),
        ({"y": [70_000, 0]}, "'y' does not fit its field: got 70000"),
        ({"p": [300, 0]}, "'p' does not fit its field: got 300; expected 0 … 255"),
        (
            {"t": np.array([2**63, 0], np.uint64)},
            "'t' does not fit its field: got 9223372036854775808",
        ),
        ({"t": [0.5, 0.7]}, "'t' is not of whole numbers: got dtype float64"),
        ({"x": [True, False]}, "'x' is not of whole numbers: got dtype bool"),
        ({"x": [1, 2, 3]}, r"different lengths: got t \[2\], x \[3\], p \[2\], y \[2\]"),
    ],
)
def test_columns_that_an_event_cannot_hold_are_refused(changes, text: str) -> None:
    columns = {name: np.array(changes.get(name, [0, 1])) for name in "txpy"}
    with pytest.raises(DataError, match=f"^events: .*{text}"):
        make_events(**columns)


def test_the_largest_values_and_bool_polarities_are_kept() -> None:
    most = np.array([65_535, 0])
    events = make_events(most + 2**40, most, np.array([True, False]), most)
    assert events.tolist() == [(2**40 + 65_535, 65_535, 65_535, 1), (2**40, 0, 0, 0)]
