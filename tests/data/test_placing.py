"""Placing: no event is lost or made, one recording is in memory at a time, options are checked."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from localspike.data import EVENT, Sensor, make_events
from localspike.data.placing import Grid, gather_dataset, make_grid, place_all, shrunk
from localspike.errors import DataError

SENSOR = Sensor(2, 9, 12)


def recording(rng: np.random.Generator, events: int, until: int = 9_000) -> np.ndarray:
    t = np.sort(rng.integers(0, until, events))
    p, y, x = (rng.integers(0, bound, events) for bound in (2, SENSOR.height, SENSOR.width))
    return make_events(t, x, p, y)


def slowly(events: np.ndarray, grid: Grid) -> np.ndarray:
    """Frames [T, P, H, W] of counts, one event at a time, blocks by their first pixel."""
    onto = grid.onto
    frames = np.zeros((grid.steps, onto.polarities, onto.height, onto.width), np.int64)
    for t, x, y, p in events.tolist():
        if t // grid.step_us < grid.steps:
            row = max(r for r in range(onto.height) if r * grid.sensor.height <= y * onto.height)
            column = max(c for c in range(onto.width) if c * grid.sensor.width <= x * onto.width)
            frames[t // grid.step_us, p, row, column] += 1
    return frames


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    sizes=st.lists(st.integers(1, 700), min_size=1, max_size=4),
    steps=st.integers(1, 12),
    height=st.integers(1, 9),
    width=st.integers(1, 12),
    counts=st.booleans(),
)
def test_frames_are_those_of_a_slow_count(seed, sizes, steps, height, width, counts) -> None:
    rng = np.random.default_rng(seed)
    events = [recording(rng, size) for size in sizes]
    grid = Grid(SENSOR, Sensor(2, height, width), 1000, steps, counts)
    data = gather_dataset(
        "toy", "train", [("toy", one) for one in events], [0] * len(sizes), ("a",), grid,
        variable=False,
    )  # fmt: skip
    frames = data.batch(range(len(sizes))).frames
    expected = torch.from_numpy(np.stack([slowly(one, grid) for one in events], axis=1)).float()
    assert torch.equal(frames, expected if counts else expected.clamp(max=1))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), steps=st.integers(1, 12), size=st.integers(1, 3000))
def test_every_event_is_counted_or_late(seed: int, steps: int, size: int) -> None:
    events = [recording(np.random.default_rng(seed + k), size) for k in range(3)]
    grid = Grid(SENSOR, Sensor(2, 1, 2), 1000, steps, counts=True)
    store = place_all([("toy", one) for one in events], grid)
    for number, one in enumerate(events):
        first, last = store.offsets[number : number + 2]
        late = int((one["t"] >= 1000 * steps).sum())
        assert store.weight[first:last].sum() == len(one) - late
        assert store.duration[number] == one["t"].max() // 1000 + 1


def test_a_count_above_255_is_not_cut() -> None:
    for number in (255, 256, 511, 1000):
        events = np.zeros(number, EVENT)
        grid = Grid(SENSOR, SENSOR, 1000, 1, counts=True)
        data = gather_dataset(
            "toy", "train", [("toy", events)], [0], ("a",), grid, variable=False
        )  # fmt: skip
        assert data.batch([0]).frames.max() == number


def test_variable_lengths_and_steps_of_the_longest() -> None:
    events = [
        make_events(np.array(t), np.zeros(2, int), np.zeros(2, int)) for t in ([0, 4999], [5, 2000])
    ]
    all_steps = Grid(SENSOR, SENSOR, 1000, None)
    data = gather_dataset(
        "toy", "train", [("a", events[0]), ("b", events[1])], [0, 0], ("a",), all_steps,
        variable=True,
    )  # fmt: skip
    assert (data.steps, data.lengths.tolist()) == (5, [5, 3])
    assert data.batch([0]).frames[4].sum() == 1
    short = Grid(SENSOR, SENSOR, 1000, 4)
    data = gather_dataset(
        "toy", "train", [("a", events[0]), ("b", events[1])], [0, 0], ("a",), short, variable=True
    )
    assert (data.steps, data.lengths.tolist()) == (4, [4, 3])
    assert data.batch([0]).frames.sum() == 1


@pytest.mark.parametrize("counts", [False, True])
def test_memory_is_that_of_the_places_and_one_recording(counts: bool) -> None:
    """60 recordings of 0.65 MB of events each come to 39 MB; what is kept is 2 MB."""
    grid = Grid(Sensor(2, 128, 128), Sensor(2, 32, 32), 1000, 10, counts=counts)

    def recordings() -> Iterator[tuple[str, np.ndarray]]:
        rng = np.random.default_rng(0)
        for _ in range(60):
            events = np.zeros(50_000, EVENT)
            events["t"] = np.sort(rng.integers(0, 10_000, len(events)))
            events["x"] = rng.integers(0, 128, len(events))
            events["y"] = rng.integers(0, 128, len(events))
            yield "toy", events

    one = 50_000 * EVENT.itemsize
    tracemalloc.start()
    try:
        store = place_all(recordings(), grid)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    kept = store.place.nbytes + (store.weight.nbytes if counts else 0)
    assert 2_000_000 < kept < 4_000_000
    assert peak < 1.3 * kept + 10 * one < 15_000_000


def test_a_recording_without_events_is_named() -> None:
    grid = Grid(SENSOR, SENSOR, 1000, 4)
    with pytest.raises(DataError, match=r"^b\.bin: recording without events: expected at least"):
        place_all([("a.bin", np.zeros(1, EVENT)), ("b.bin", np.zeros(0, EVENT))], grid)


def test_more_places_than_fit_are_refused_and_not_wrapped() -> None:
    far = make_events(np.array([0, 3_000_000_000]), np.zeros(2, int), np.zeros(2, int))
    grid = Grid(Sensor(2, 128, 128), Sensor(2, 128, 128), 1000, None)
    with pytest.raises(DataError, match=r"toy: too many steps of too many cells: got 3000001 ste"):
        place_all([("toy", far)], grid)
    near = Grid(Sensor(2, 128, 128), Sensor(2, 128, 128), 1000, 65_535)
    store = place_all([("toy", far)], near)
    assert (len(store.place), store.duration.tolist()) == (1, [3_000_001])


def test_shrinking_keeps_the_aspect() -> None:
    assert shrunk(Sensor(2, 180, 240), 48, "toy") == Sensor(2, 36, 48)
    assert shrunk(Sensor(2, 240, 180), 48, "toy") == Sensor(2, 48, 36)
    assert shrunk(Sensor(2, 128, 128), None, "toy") == Sensor(2, 128, 128)
    assert shrunk(Sensor(2, 1, 100), 10, "toy") == Sensor(2, 1, 10)
    assert shrunk(Sensor(2, 180, 240), np.uint8(48), "toy") == Sensor(2, 36, 48)
    for size in (0, 129, 1.5, True):
        with pytest.raises(DataError, match=r"toy: impossible size: got .* expected 1 … 128"):
            shrunk(Sensor(2, 128, 128), size, "toy")


@pytest.mark.parametrize("onto", [1, 5, 48, 127, 128])
def test_blocks_are_even_and_cover_the_sensor(onto: int) -> None:
    sensor = Sensor(1, 1, 128)
    x = np.arange(128)
    events = make_events(np.zeros(128, int), x, np.zeros(128, int))
    store = place_all([("toy", events)], Grid(sensor, Sensor(1, 1, onto), 1000, 1, counts=True))
    assert store.place.tolist() == list(range(onto))
    assert store.weight.max() - store.weight.min() <= 1


def test_options_that_cannot_be() -> None:
    given = {"nominal_ms": 300, "counts": False, "variable": False}
    for bin_ms, steps, text in (
        (0, None, "toy: impossible bin_ms: got 0; expected 1 … 300"),
        (301, None, "toy: impossible bin_ms: got 301"),
        (10, 0, "toy: impossible number of steps: got 0"),
        (10, 2.5, "toy: impossible number of steps: got 2.5"),
    ):
        with pytest.raises(DataError, match=text):
            make_grid("toy", SENSOR, SENSOR, bin_ms=bin_ms, steps=steps, **given)
    assert make_grid("toy", SENSOR, SENSOR, bin_ms=7, steps=None, **given).steps == 43
    grid = make_grid("toy", SENSOR, SENSOR, bin_ms=np.uint8(7), steps=np.int16(9), **given)
    assert (grid.step_us, grid.steps, type(grid.steps)) == (7_000, 9, int)
