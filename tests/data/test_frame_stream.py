"""A streamed recording is the binned one, step by step, and costs no memory however long it is."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers_events import SENSOR, recordings
from localspike import Learner, models, rules
from localspike.data import EVENT, Sensor, make_events
from localspike.data.binning import ByTime, bin_recording
from localspike.data.chunks import chunks_of, save_chunks
from localspike.data.formats import Recording
from localspike.data.frame_stream import HOUR_US, stream_frames
from localspike.errors import ConfigError, DataError, ShapeError

CAMERA = Sensor(2, 8, 8)


def at(*times: int) -> np.ndarray:
    t = np.array(times, np.int64)
    return make_events(t, t * 0, t * 0)


def cut(events: np.ndarray, bounds: list[int]) -> list[np.ndarray]:
    return np.split(events, sorted(bounds))


@given(
    recordings(most=1),
    st.lists(st.integers(0, 12), max_size=6),
    st.integers(1, 3_000),
    st.one_of(st.just("first"), st.integers(0, 3_000)),
    st.booleans(),
)
def test_a_stream_is_the_binned_recording(recording, bounds, step_us, origin, counts) -> None:
    """However the events are cut into chunks."""
    frames = list(
        stream_frames(cut(recording.events, bounds), SENSOR, step_us, origin=origin, counts=counts)
    )
    binned = bin_recording(recording, ByTime(step_us, origin=origin), counts=counts)
    if binned.dropped.total == len(recording.events):
        assert frames == []
        return
    assert torch.equal(torch.stack(frames), binned.frames.gather(torch.tensor([0])))


def test_frames_come_as_soon_as_they_are_complete_and_are_not_reused() -> None:
    taken = []

    def chunks() -> Iterator[np.ndarray]:
        for number, chunk in enumerate((at(0, 5), at(7), at(25), at(26))):
            taken.append(number)
            yield chunk

    frames = stream_frames(chunks(), Sensor(1, 1, 1), 10, counts=True, sample_shape=(1,))
    assert taken == []
    first = next(frames)
    assert taken == [0, 1, 2]
    assert first.tolist() == [[3.0]] and first.dtype == torch.float32
    rest = list(frames)
    assert first.tolist() == [[3.0]]
    assert [frame.tolist() for frame in rest] == [[[0.0]], [[2.0]]]


def test_what_cannot_be_streamed() -> None:
    sensor = Sensor(1, 1, 1)
    for options, error, text in (
        ({"step_us": 0}, ConfigError, "step_us: got 0"),
        ({"step_us": 5, "origin": -1}, ConfigError, "origin: got -1"),
        ({"step_us": 5, "max_gap_us": 0}, ConfigError, "max_gap_us: got 0"),
        ({"step_us": 5, "sample_shape": (3,)}, ShapeError, "sample_shape does not fit the sensor"),
    ):
        with pytest.raises(error, match=text):
            stream_frames([], sensor, **options)
    off = make_events(np.array([1]), np.array([1]), np.array([0]))
    for chunks, text in (
        ([at(1), off], r"chunk 1: event coordinate 'x' out of range: got 1"),
        ([at(5), at(), at(4)], "chunk 2: event times run backwards: got t = 4 µs .* after 5 µs"),
        ([at(5, 3)], "chunk 0: event times run backwards"),
        ([at(5), at(6 + HOUR_US)], f"chunk 1: nothing happens for very long: got {HOUR_US + 1} µs"),
        ([at(1 << 60)], "nothing happens for very long"),
        ([np.zeros(3)], "chunk 0: not an array of events"),
    ):
        with pytest.raises(DataError, match=text):
            list(stream_frames(chunks, sensor, step_us=HOUR_US))
    calm = stream_frames([at(0), at(5 * HOUR_US)], sensor, HOUR_US, max_gap_us=None)
    assert len(list(calm)) == 6


def circling(seconds: int, rate: int = 2_000) -> Iterator[np.ndarray]:
    for second in range(seconds):
        rng = np.random.default_rng(second)
        t = np.sort(rng.integers(0, 1_000_000, rate)) + 1_000_000 * second
        x, y = rng.integers(0, 8, (2, rate))
        yield make_events(t, x, rng.integers(0, 2, rate), y)


def small_learner() -> Learner:
    torch.manual_seed(0)
    return Learner(models.mlp(128, (12,), 2), rules.tess(), update="step")


def tensors() -> int:
    gc.collect()
    return sum(issubclass(type(one), torch.Tensor) for one in gc.get_objects())


def growth(path: Path, keep: bool) -> tuple[float, int]:
    """Bytes of Python and NumPy, and number of tensors, that the second half of a run adds.

    ``keep`` holds on to every frame, which must show.
    """
    learner, held, seen = small_learner(), [], {}
    gc.collect()
    gc.freeze()  # looks only at what is made from here on
    tracemalloc.start()
    frames = stream_frames(chunks_of(path, 100), CAMERA, 10_000, sample_shape=(128,))
    for step, frame in enumerate(frames):
        learner.stream(frame, torch.tensor([step % 2]))
        if keep:
            held.append(frame)
        if step in (50, 190):
            seen[step] = (tensors(), tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    gc.unfreeze()
    (m, a), (n, b) = seen.values()
    return b - a, n - m


def test_a_long_file_is_learned_from_in_constant_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.npy"
    assert save_chunks(path, circling(2)) == 4_000
    more_bytes, more_tensors = growth(path, keep=False)
    assert more_tensors == 0
    assert more_bytes < 30_000
    leaking_bytes, leaking_tensors = growth(path, keep=True)
    assert leaking_tensors >= 140 and leaking_bytes > 140 * 512


def test_the_most_that_is_held_does_not_depend_on_the_length(tmp_path: Path) -> None:
    peaks = []
    for seconds in (4, 32):
        path = tmp_path / f"{seconds}.npy"
        save_chunks(path, circling(seconds))
        tracemalloc.start()
        for _ in stream_frames(chunks_of(path, 1_000), CAMERA, 50_000):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # A head of up to 1 MiB is read to recognise the format, whatever the file.
    assert peaks[1] < peaks[0] + 20_000 + (1 << 20)
    assert 32 * 2_000 * EVENT.itemsize > 800_000


def test_recording_is_what_bins_it_too(tmp_path: Path) -> None:
    """Through a file and back: streamed frames are those of the whole recording."""
    path = tmp_path / "short.npy"
    save_chunks(path, circling(2))
    whole = Recording(np.load(path), CAMERA)
    binned = bin_recording(whole, ByTime(30_000), counts=True).frames.gather(torch.tensor([0]))
    streamed = list(stream_frames(chunks_of(path, 333), CAMERA, 30_000, counts=True))
    assert torch.equal(torch.stack(streamed), binned)
