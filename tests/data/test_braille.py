"""Braille letters: a file made on the fly, worked by hand, and the real one where present."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from localspike.data import braille, info
from localspike.data.touch import CLASSES, members
from localspike.errors import DataError

REPEATS = 20


def arrays() -> dict[str, np.ndarray]:
    """Of every class 20 recordings; recording r of class c has an event at 1 ms · r, taxel c % 12,
    and an ON event of taxel 3 at 39 ms and again at 41 ms."""
    times, taxels, labels = [], [], []
    for label in range(len(CLASSES)):
        for repeat in range(REPEATS):
            times += [1e-3 * repeat, 0.039, 0.041]
            taxels += [label % 12, 3, 3]
            labels.append(label)
    n = len(labels)
    return {
        "t_s": np.array(times, np.float32),
        "taxel": np.array(taxels, np.uint8),
        "pol": np.tile(np.array([0, 1, 1], np.uint8), n),
        "offsets": np.arange(n + 1, dtype=np.int64) * 3,
        "labels": np.array(labels, np.uint8),
        "letters": np.array(CLASSES),
    }


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write braille_th10.npz; keywords replace arrays, None leaves one out."""

    def write(**changes: np.ndarray | None) -> Path:
        (tmp_path / "braille").mkdir(exist_ok=True)
        named = {k: v for k, v in {**arrays(), **changes}.items() if v is not None}
        np.savez(tmp_path / "braille" / "braille_th10.npz", **named)
        return tmp_path

    return write


def test_channels_are_off_then_on_and_bins_twenty_ms(write) -> None:
    data = braille("test", write())
    assert (data.steps, data.sample_shape, data.classes) == (65, (24,), CLASSES)
    labels = data.labels
    at = int((labels == 14).nonzero()[0])  # taxel 2, OFF
    frames = data.batch([at]).frames
    expected = torch.zeros(65, 1, 24)
    expected[0, 0, 2] = expected[1, 0, 12 + 3] = expected[2, 0, 12 + 3] = 1
    assert torch.equal(frames, expected)


def test_counts_and_other_bins(write) -> None:
    root = write()
    one = braille("val", root, bin_ms=50, counts=True)
    assert one.steps == 26
    assert one.batch([0]).frames[0, 0, 15] == 2
    assert braille("val", root, bin_ms=50).batch([0]).frames[0, 0, 15] == 1


def test_each_recording_has_its_own_length(write) -> None:
    times = arrays()["t_s"]
    times[2::3] = np.tile(np.array([0.041, 0.5, 1.3, 1.29], np.float32), len(times) // 12)
    root = write(t_s=times)
    data = braille("train", root)
    assert set(data.lengths.tolist()) == {3, 26, 65}
    assert data.batch([0]).lengths.tolist() == data.lengths[:1].tolist()
    filled = data.batch(range(len(data))).frames.sum(-1)
    last = torch.where(filled > 0, torch.arange(65)[:, None], -1).max(0).values
    assert torch.equal(last + 1, data.lengths)
    assert braille("train", root, variable=False).lengths is None
    assert set(braille("train", root, steps=10).lengths.tolist()) == {3, 10}


@pytest.mark.parametrize("seconds", [0.02, 0.175, 0.225])
def test_times_are_rounded_to_the_microsecond_that_was_meant(write, seconds: float) -> None:
    """As float32, 0.175 s lies below 175 ms, the beginning of a bin of 5 ms."""
    root = write(t_s=np.full(1620, seconds, np.float32))
    filled = braille("val", root, bin_ms=5).batch([0]).frames.sum((1, 2)).nonzero().flatten()
    assert filled.tolist() == [round(1000 * seconds) // 5]


def test_the_nominal_end_belongs_to_the_last_bin(write) -> None:
    root = write(t_s=np.full(1620, 1.3, np.float32))
    assert braille("val", root).batch([0]).frames.sum((1, 2)).nonzero().tolist() == [[64]]


def test_no_recording_is_in_two_splits_and_every_class_has_its_share() -> None:
    labels = torch.from_numpy(arrays()["labels"].astype(np.int64))
    splits = {split: members(labels, split) for split in ("train", "val", "test")}
    everything = torch.cat(list(splits.values()))
    assert everything.sort().values.tolist() == list(range(len(labels)))
    for split, share in (("train", 14), ("val", 2), ("test", 4)):
        assert labels[splits[split]].bincount().tolist() == [share] * len(CLASSES)


def test_the_split_does_not_follow_the_order_of_recording() -> None:
    """Neighbours in the file may be alike in ways a cut through the middle would hide or show."""
    test = members(torch.zeros(200, dtype=torch.int64), "test")
    assert 80 < float(test.float().mean()) < 120
    assert test.tolist()[:5] == [5, 8, 15, 20, 22]


def test_limit_keeps_the_first_of_a_fixed_permutation(write) -> None:
    root = write()
    few, more = braille("train", root, limit=5), braille("train", root, limit=9)
    assert few.labels.tolist() == more.labels[:5].tolist()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"labels": np.full(540, 27)}, r"npz: label out of range: got 27 at sample 0; .* 0 … 26"),
        ({"labels": np.zeros(5)}, r"arrays of different lengths: got 1620 times, .* 5 labels"),
        ({"pol": np.zeros(5)}, r"arrays of different lengths: .* 5 polarities"),
        ({"taxel": np.full(1620, 12)}, r"event coordinate 'x' out of range: got 12 .* 0 … 11"),
        ({"pol": np.full(1620, 2)}, r"event coordinate 'p' out of range: got 2"),
        ({"t_s": np.full(1620, np.nan)}, r"event time is not a number: got nan at event 0"),
        ({"t_s": np.tile([3.0, 2, 1], 540)}, r"event times run backwards: got t = 2000000 µs"),
        ({"offsets": np.arange(541)}, r"offsets do not cut the events"),
        ({"t_s": None}, r"braille_th10\.npz: no array t_s: got taxel"),
        ({"labels": np.array([None] * 540)}, r"holds Python objects.*never unpickled"),
    ],
)
def test_a_damaged_file(write, changes, text: str) -> None:
    with pytest.raises(DataError, match=text):
        braille("test", write(**changes))


def test_missing_file_root_and_bad_arguments(write, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no data root is set.*braille/braille_th10\.npz"):
        braille("train")
    with pytest.raises(DataError, match=r"no data files under .*braille_th10\.npz"):
        braille("train", tmp_path)
    root = write()
    with pytest.raises(DataError, match="braille: impossible bin_ms: got 0"):
        braille("train", root, bin_ms=0)
    with pytest.raises(DataError, match="braille has no such split: got 'dev'"):
        braille("dev", root)
    with pytest.raises(DataError, match="braille: impossible limit: got 0"):
        braille("train", root, limit=0)


def test_the_real_file(real_root: Path) -> None:
    if not (real_root / "braille").exists():
        pytest.skip("real data: braille is not there")
    about, sizes = info("braille"), {"train": 140, "val": 20, "test": 40}
    for split, share in sizes.items():
        data = braille(split, real_root)
        assert data.labels.bincount().tolist() == [share] * 27
        assert (data.steps, data.sample_shape) == (about.steps, about.sample_shape)
        assert 55 < float(data.lengths.float().mean()) < 65
    frames = data.batch(range(64)).frames
    assert 0.01 < float(frames.mean()) < 0.05
