"""POKER-DVS: a file made on the fly, and the real one where present."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from localspike.data import batches
from localspike.data.poker import CLASSES, pokerdvs
from localspike.errors import DataError


def part(recordings: int) -> dict[str, np.ndarray]:
    """Recording r: an event at (r mod 35, 0) at 0 µs, two at (34, 34) at 29,999, one at 30,000."""
    n = 4 * recordings
    x, y = np.full(n, 34, np.uint8), np.full(n, 34, np.uint8)
    x[::4], y[::4] = np.arange(recordings) % 35, 0
    return {
        "t_us": np.tile(np.array([0, 29_999, 29_999, 30_000], np.uint32), recordings),
        "x": x,
        "y": y,
        "p": np.tile(np.array([1, 0, 0, 1], np.uint8), recordings),
        "offsets": 4 * np.arange(recordings + 1),
        "labels": (np.arange(recordings) % 4).astype(np.uint8),
    }


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write pokerdvs.npz; keywords replace arrays of the test part and the classes."""

    def write(classes: object = CLASSES, **changes: np.ndarray | None) -> Path:
        (tmp_path / "pokerdvs").mkdir(exist_ok=True)
        arrays = {f"train_{k}": v for k, v in part(48).items()}
        arrays |= {f"test_{k}": v for k, v in {**part(20), **changes}.items() if v is not None}
        np.savez(tmp_path / "pokerdvs" / "pokerdvs.npz", classes=np.array(classes), **arrays)
        return tmp_path

    return write


def test_frames_worked_by_hand(write) -> None:
    data = pokerdvs("test", write())
    assert (data.steps, data.sample_shape, data.lengths) == (30, (2, 35, 35), None)
    assert (data.labels.tolist(), data.classes[2]) == ([0, 1, 2, 3] * 5, "diamond")
    expected = torch.zeros(30, 1, 2, 35, 35)
    expected[0, 0, 1, 0, 7] = expected[29, 0, 0, 34, 34] = 1
    assert torch.equal(data.batch([7]).frames, expected)
    counted = pokerdvs("test", write(), counts=True, variable=True)
    assert (counted.steps, counted.lengths.tolist()) == (31, [31] * 20)
    assert counted.batch([7]).frames[29, 0, 0, 34, 34] == 2
    assert counted.batch([7]).frames.sum() == 4


def test_val_is_part_of_train_and_limit_is_nested(write) -> None:
    def columns(split: str, limit: int | None = None) -> list[int]:
        data = pokerdvs(split, write(), limit)
        return data.batch(range(len(data))).frames[0, :, 1, 0].argmax(1).tolist()

    assert sorted(columns("train") + columns("val")) == sorted(r % 35 for r in range(48))
    assert len(columns("val")) == 4
    assert sorted(pokerdvs("val", write()).labels.tolist()) == [0, 1, 2, 3]
    assert columns("train", 3) == columns("train", 7)[:3]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"labels": np.full(20, 4)}, r"pokerdvs test: label out of range: got 4 .* 0 … 3"),
        ({"labels": np.zeros(3, int)}, r"npz \(test\): arrays of different lengths: .* 3 labels"),
        ({"y": np.full(80, 35)}, r"event coordinate 'y' out of range: got 35 .* 0 … 34"),
        ({"t_us": np.full(80, np.nan)}, r"arrays of another kind: got dtype kinds fuuuiu"),
        ({"offsets": np.arange(21)}, r"offsets do not cut the events"),
        ({"t_us": None}, r"pokerdvs\.npz: no array test_t_us"),
        ({"classes": ("club", "heart", "spade", "diamond")}, r"other classes: got club, heart, sp"),
        ({"classes": (None, None)}, r"holds Python objects.*never unpickled"),
    ],
)
def test_a_damaged_file(write, changes, text: str) -> None:
    with pytest.raises(DataError, match=text):
        pokerdvs("test", write(**changes))


def test_a_cut_and_a_missing_file(write, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no data files under .*pokerdvs/pokerdvs\.npz"):
        pokerdvs("train", tmp_path)
    path = write() / "pokerdvs" / "pokerdvs.npz"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"pokerdvs\.npz: not a whole npz file"):
        pokerdvs("train", tmp_path)


def test_the_real_file(real_root: Path) -> None:
    path = real_root / "pokerdvs" / "pokerdvs.npz"
    if not path.exists():
        pytest.skip("real data: pokerdvs is not there")
    sizes = {"train": 44, "val": 4, "test": 20}
    splits = {split: pokerdvs(split, real_root, counts=True) for split in sizes}
    assert {split: len(data) for split, data in splits.items()} == sizes
    assert splits["test"].labels.bincount(minlength=4).tolist() == [5, 5, 5, 5]
    assert splits["val"].labels.bincount(minlength=4).tolist() == [1, 1, 1, 1]
    frames = splits["test"].batch(range(20)).frames
    with np.load(path) as raw:
        events = np.diff(raw["test_offsets"])
        assert int(raw["test_t_us"].max()) < 30_000  # so none is late
    assert frames.sum((0, 2, 3, 4)).tolist() == events.tolist()
    batch = next(batches(splits["train"], 16, shuffle=True))
    assert batch.frames.shape == (30, 16, 2, 35, 35)
