"""N-MNIST: the 1 ms file and the official 5-byte files, the latter worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from localspike.data import nmnist
from localspike.errors import DataError

ONE = [(0, 0, 0, 0), (3, 1, 33, 32), (40, 0, 5, 6), (41, 0, 5, 6), (312, 1, 1, 2)]
TWO = [(7, 1, 2, 3), (9, 1, 2, 3), (289, 0, 33, 33)]


def test_the_1ms_file_worked_by_hand(write_nmnist) -> None:
    data = nmnist("test", write_nmnist([ONE, TWO]))
    frames = data.batch([0, 1]).frames
    assert frames.shape == (30, 2, 2, 34, 34)
    expected = torch.zeros(30, 2, 2, 34, 34)
    expected[0, 0, 0, 0, 0] = expected[0, 0, 1, 33, 32] = expected[4, 0, 0, 5, 6] = 1
    expected[0, 1, 1, 2, 3] = expected[28, 1, 0, 33, 33] = 1
    assert torch.equal(frames, expected)
    assert data.lengths is None
    assert data.labels.tolist() == [0, 1]


def test_counts_come_from_the_file(write_nmnist) -> None:
    """Event k of the file counts k + 1 times; two of them share a bin of 10 ms."""
    frames = nmnist("test", write_nmnist([ONE, TWO]), counts=True).batch([0, 1]).frames
    assert frames[4, 0, 0, 5, 6] == 3 + 4
    assert frames[0, 1, 1, 2, 3] == 6 + 7
    assert frames.sum() == 1 + 2 + 3 + 4 + 6 + 7 + 8


def test_variable_lengths(write_nmnist) -> None:
    root = write_nmnist([ONE, TWO])
    data = nmnist("test", root, variable=True)
    assert (data.steps, data.lengths.tolist()) == (32, [32, 29])
    assert data.batch([0]).frames[31, 0, 1, 1, 2] == 1
    cut = nmnist("test", root, steps=30, variable=True)
    assert (cut.steps, cut.lengths.tolist()) == (30, [30, 29])


@pytest.mark.parametrize(("bin_ms", "steps"), [(1, 300), (7, 43), (20, 15)])
def test_bins_of_other_widths(write_nmnist, bin_ms: int, steps: int) -> None:
    assert nmnist("test", write_nmnist([ONE]), bin_ms=bin_ms).steps == steps


def test_train_and_val_are_disjoint_and_limit_is_nested(write_nmnist) -> None:
    root = write_nmnist([[(n, 0, 0, n)] for n in range(30)])

    def members(split: str, limit: int | None = None) -> list[int]:
        frames = nmnist(split, root, limit, bin_ms=1).batch
        n = len(nmnist(split, root, limit))
        return frames(range(n)).frames.sum((0, 2, 3)).argmax(1).tolist()

    train, val = members("train"), members("val")
    assert (len(train), len(val)) == (27, 3)
    assert sorted(train + val) == list(range(30))
    assert members("train", 4) == members("train", 9)[:4]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"labels": np.array([0, 12])}, "nmnist test: label out of range: got 12 at sample 1; exp"),
        ({"labels": np.array([0])}, r"arrays of different lengths: got 2 recordings, 1 labels"),
        ({"count": np.array([1])}, "arrays of different lengths"),
        ({"big": np.array([], np.uint32)}, "escapes and large differences do not match: got 0 ent"),
        ({"offsets": np.array([0, 5, 9])}, r"npz \(heldout\): offsets do not cut the events"),
        ({"offsets": np.array([0, 8, 8])}, "recording without events: got 1 empty, the first is n"),
        ({"n_steps": np.array([312, 290])}, "event after the end .* got step 312 in recording 0"),
        ({"dlin": None}, r"nmnist_1ms\.npz: no array heldout_dlin: got "),
    ],
)
def test_a_damaged_1ms_file(write_nmnist, changes, text: str) -> None:
    with pytest.raises(DataError, match=text):
        nmnist("test", write_nmnist([ONE, TWO], **changes))


@pytest.mark.parametrize("keep", [0, 100, -30])
def test_a_truncated_1ms_file(write_nmnist, keep: int) -> None:
    root = write_nmnist([ONE])
    path = root / "nmnist" / "nmnist_1ms.npz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"1ms\.npz: not a (whole npz|\.npy or \.npz) file: got "):
        nmnist("test", root)


def five(x: int, y: int, polarity: int, time: int) -> bytes:
    return bytes([x, y]) + (polarity << 23 | time).to_bytes(3, "big")


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """Ten training and one test recording per digit; digit d fires at x = d, t = 10 d ms."""
    for part, count in (("Train", 2), ("Test", 1)):
        for digit in range(10):
            folder = tmp_path / "nmnist" / part / str(digit)
            folder.mkdir(parents=True)
            for k in range(count):
                (folder / f"{k:05d}.bin").write_bytes(five(digit, k, 1, 10_000 * digit))
    return tmp_path


def test_official_events_with_overflow_worked_by_hand(official: Path) -> None:
    """0x81 0x02 0x03 is polarity 1 at 0x010203 = 66,051 µs; each y = 240 adds 8,192 µs."""
    (official / "nmnist" / "Test" / "4" / "00000.bin").write_bytes(
        bytes([33, 0, 0x00, 0x00, 0x05])
        + bytes([1, 2, 0x81, 0x02, 0x03])
        + bytes([0, 240, 0, 0, 0])
        + bytes([4, 5, 0x01, 0x02, 0x04])
        + bytes([0, 240, 0, 0, 0]) * 2
        + bytes([6, 33, 0x81, 0x02, 0x03])
    )
    frames = nmnist("test", official, bin_ms=1).batch([4]).frames[:, 0]
    seen = [[0, 0, 0, 33], [66, 1, 2, 1], [74, 0, 5, 4], [90, 1, 33, 6]]
    assert frames.nonzero().tolist() == seen


def test_official_folders(official: Path) -> None:
    data = nmnist("test", official)
    frames = data.batch(range(10)).frames
    assert data.labels.tolist() == list(range(10))
    digits = torch.arange(10)
    assert frames[digits, digits, 1, 0, digits].tolist() == [1.0] * 10
    assert frames.sum() == 10
    assert (len(nmnist("train", official)), len(nmnist("val", official))) == (18, 2)
    assert len(nmnist("train", official, limit=5)) == 5


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "recording without events: expected at least one event.*it is empty or damaged"),
        (bytes(7), "half a record at byte 5: got 2 bytes; expected records of 5 bytes"),
        (five(34, 0, 0, 1), r"event coordinate 'x' out of range: got 34 at event 0.* 0 … 33"),
        (five(0, 34, 0, 1), "event coordinate 'y' out of range: got 34"),
        (five(0, 240, 0, 0), "recording without events"),
        (five(0, 0, 0, 9) + five(0, 0, 0, 8), "event times run backwards: got t = 8 µs at event 1"),
    ],
)
def test_damaged_official_files(official: Path, content: bytes, text: str) -> None:
    (official / "nmnist" / "Test" / "4" / "00000.bin").write_bytes(content)
    with pytest.raises(DataError, match=rf"00000\.bin: ({text})"):
        nmnist("test", official)


def test_a_missing_official_folder_is_named(official: Path) -> None:
    (official / "nmnist" / "Test" / "4" / "00000.bin").unlink()
    with pytest.raises(DataError, match=r"Test/4: no recordings: got an empty folder.*Test\.zip"):
        nmnist("test", official)


def test_another_folder_of_recordings_is_refused(official: Path) -> None:
    (official / "nmnist" / "Test" / "5").rename(official / "nmnist" / "Test" / "five")
    with pytest.raises(DataError, match=r"Test/five: not a class of this data set"):
        nmnist("test", official)


def test_counts_of_the_official_files(official: Path) -> None:
    path = official / "nmnist" / "Test" / "0" / "00000.bin"
    path.write_bytes(five(3, 4, 1, 500) * 300 + five(3, 4, 1, 300_000))
    counted = nmnist("test", official, counts=True).batch([0]).frames
    assert (counted.sum(), counted[0, 0, 1, 4, 3]) == (300, 300)
    assert nmnist("test", official).batch([0]).frames.sum() == 1
    longest = nmnist("test", official, counts=True, variable=True)
    assert (longest.steps, longest.lengths[0], longest.batch([0]).frames.sum()) == (31, 31, 301)


def raw_part(recordings: int) -> dict[str, np.ndarray]:
    """Recording r has an event in row r at 0 and at 10 r ms."""
    row = np.repeat(np.arange(recordings), 2)
    return {
        "t_us": (10_000 * row * (np.arange(len(row)) % 2)).astype(np.uint32),
        "x": np.full(len(row), 33, np.uint8),
        "y": row.astype(np.uint8),
        "p": np.ones(len(row), np.uint8),
        "offsets": 2 * np.arange(recordings + 1),
        "labels": (np.arange(recordings) % 10).astype(np.uint8),
    }


def write_raw(root: Path, **changes: np.ndarray | None) -> Path:
    parts = {"train": raw_part(30), "test": {**raw_part(5), **changes}}
    named = {f"{p}_{k}": v for p, part in parts.items() for k, v in part.items() if v is not None}
    (root / "nmnist").mkdir(exist_ok=True)
    np.savez(root / "nmnist" / "nmnist_raw_us.npz", **named)
    return root


def test_the_raw_form_is_chosen_by_name_only(write_nmnist) -> None:
    root = write_raw(write_nmnist([ONE, TWO]))
    data = nmnist("test", root, form="raw")
    expected = torch.zeros(30, 5, 2, 34, 34)
    for number in range(5):
        expected[[0, number], number, 1, number, 33] = 1
    assert torch.equal(data.batch(range(5)).frames, expected)
    assert data.labels.tolist() == list(range(5))
    assert (len(nmnist("train", root, form="raw")), len(nmnist("val", root, form="raw"))) == (27, 3)
    assert len(nmnist("train", root, 4, form="raw")) == 4
    for form in ("auto", "1ms"):
        assert torch.equal(nmnist("test", root, form=form).labels, torch.tensor([0, 1]))
    (root / "nmnist" / "nmnist_1ms.npz").unlink()
    with pytest.raises(DataError, match=r"no data files under .*nmnist_1ms\.npz or nmnist/Train"):
        nmnist("test", root)
    with pytest.raises(DataError, match=r"no data files under .*: expected nmnist/Train"):
        nmnist("test", root, form="official")
    with pytest.raises(DataError, match=r"no such form: got 'events'; expected 'auto' or '1ms' or"):
        nmnist("test", root, form="events")


def test_raw_train_and_val_share_nothing(tmp_path: Path) -> None:
    def rows(split: str) -> list[int]:
        data = nmnist(split, write_raw(tmp_path), form="raw", steps=1)
        return data.batch(range(len(data))).frames.sum((0, 2, 4)).argmax(1).tolist()

    assert sorted(rows("train") + rows("val")) == list(range(30))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"x": np.full(10, 34)}, r"npz \(test\): event coordinate 'x' out of range: got 34"),
        ({"x": np.zeros(9, np.uint8)}, r"\(test\): arrays of different lengths: got 10 t_us, 9 x"),
        ({"labels": np.full(5, 10)}, "nmnist test: label out of range: got 10"),
        ({"labels": np.zeros(4)}, "arrays of different lengths"),
        ({"t_us": np.arange(10)[::-1]}, "event times run backwards"),
        ({"t_us": np.zeros(10, np.float32)}, "arrays of another kind: got dtype kinds fuuuiu"),
        ({"offsets": np.array([0, 2, 2, 4, 6, 10])}, "recording without events: got 1 empty"),
        ({"p": None}, r"nmnist_raw_us\.npz: no array test_p"),
    ],
)
def test_a_damaged_raw_file(tmp_path: Path, changes, text: str) -> None:
    with pytest.raises(DataError, match=text):
        nmnist("test", write_raw(tmp_path, **changes), form="raw")


def test_the_real_raw_file(real_root: Path) -> None:
    """Against the 1 ms file: the same digits there, and no event lost in the raw one."""
    path = real_root / "nmnist" / "nmnist_raw_us.npz"
    if not path.exists():
        pytest.skip("real data: nmnist_raw_us.npz is not there")
    counted = {
        split: nmnist(split, real_root, form="raw", counts=True, variable=True)
        for split in ("train", "val", "test")
    }
    assert [len(data) for data in counted.values()] == [180, 20, 100]
    data = counted["test"]
    with np.load(path) as raw:
        events = np.diff(raw["test_offsets"])
        assert data.labels.tolist() == raw["test_labels"].tolist()
    frames = data.batch(range(100)).frames
    assert frames.sum((0, 2, 3, 4)).tolist() == events.tolist()
    assert data.steps == 34


def test_bad_arguments(write_nmnist) -> None:
    root = write_nmnist([ONE])
    with pytest.raises(DataError, match="nmnist: impossible bin_ms: got 0"):
        nmnist("test", root, bin_ms=0)
    with pytest.raises(DataError, match="nmnist: impossible number of steps: got 0"):
        nmnist("test", root, steps=0)
