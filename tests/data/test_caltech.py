"""N-Caltech101: files in the official layout, written here."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from localspike.data import Sensor, make_events
from localspike.data.caltech import CLASSES, SPLITS, members, ncaltech101, sample_shape, share
from localspike.data.formats import Recording, write_nmnist
from localspike.errors import DataError

PER_CLASS = 10


def write_one(folder: Path, label: int, number: int) -> None:
    """One event at (label, number) at 10 · number ms, one in the far corner, one late."""
    path = folder / CLASSES[label] / f"image_{number:04d}.bin"
    if number % 2:  # by hand, which is faster: x, y, one bit of polarity and 23 of time
        records = (
            (label, number, 1, 10_000 * number),
            (239, 179, 0, 299_999),
            (239, 179, 0, 300_000),
        )
        five = (bytes([x, y]) + (p << 23 | t).to_bytes(3, "big") for x, y, p, t in records)
        path.write_bytes(b"".join(five))
        return
    t = np.array([10_000 * number, 299_999, 300_000])
    x, y = np.array([label, 239, 239]), np.array([number, 179, 179])
    events = make_events(t, x, np.array([1, 0, 0]), y)
    write_nmnist(path, Recording(events, Sensor(2, 180, 240)))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "Caltech101"
    for label, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for number in range(1, PER_CLASS + 1):
            write_one(folder, label, number)
    return folder.parent


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy"


def test_the_classes_are_those_of_the_archive() -> None:
    assert len(CLASSES) == len(set(CLASSES)) == 101
    assert list(CLASSES) == sorted(CLASSES)
    assert "Faces_easy" in CLASSES
    assert "Faces" not in CLASSES


def test_frames_worked_by_hand(made: Path) -> None:
    data = ncaltech101("test", made, size=None)
    assert (data.steps, data.sample_shape, len(data)) == (30, (2, 180, 240), 101)
    assert data.labels.tolist() == list(range(101))
    (path, label) = members(made / "Caltech101", "test")[7]
    number = int(path.stem[-4:])
    expected = torch.zeros(30, 1, 2, 180, 240)
    expected[number, 0, 1, number, label] = expected[29, 0, 0, 179, 239] = 1
    assert torch.equal(data.batch([7]).frames, expected)
    assert ncaltech101("test", made, limit=9, steps=31, counts=True).batch([0]).frames.sum() == 3
    varied = ncaltech101("test", made, limit=9, variable=True)
    assert (varied.steps, varied.lengths.tolist()) == (31, [31] * 9)


def test_the_canvas_keeps_its_aspect(made: Path) -> None:
    data = ncaltech101("test", made, limit=4)
    assert data.sample_shape == (2, 48, 64)
    assert data.batch([0]).frames[29, 0, 0, 47, 63] == 1
    assert ncaltech101("test", made, limit=4, size=30).sample_shape == (2, 22, 30)
    square = ncaltech101("test", made, limit=4, square=True)
    assert square.sample_shape == (2, 64, 64)
    assert square.batch([0]).frames[29, 0, 0, 47, 63] == 1
    assert square.batch([0]).frames[:, :, :, 48:].sum() == 0
    for options in ({}, {"size": 30}, {"size": 50, "square": True}, {"size": None}):
        data = ncaltech101("test", made, limit=1, **options)
        assert data.sample_shape == sample_shape(**options)
    with pytest.raises(DataError, match=r"ncaltech101: impossible size: got 241; expected 1 … 240"):
        ncaltech101("test", made, size=241)


def test_splits_share_nothing_and_every_class_has_its_part(made: Path) -> None:
    found = {split: members(made / "Caltech101", split) for split in SPLITS}
    paths = [path for rows in found.values() for path, _ in rows]
    assert len(paths) == len(set(paths)) == 101 * PER_CLASS
    for split, part in (("train", 8), ("val", 1), ("test", 1)):
        assert np.bincount([label for _, label in found[split]]).tolist() == [part] * 101
    assert [len(share(435, split, "airplanes")) for split in SPLITS] == [348, 44, 43]


def test_the_background_can_be_left_out(made: Path) -> None:
    data = ncaltech101("val", made, background=False)
    assert (len(data), int(data.labels.min()), len(data.classes)) == (100, 1, 101)


def test_limit(made: Path) -> None:
    few, more = ncaltech101("train", made, 5), ncaltech101("train", made, 12)
    assert few.labels.tolist() == more.labels[:5].tolist()
    frames = ncaltech101("train", made, 12, size=None, steps=12).batch(range(12)).frames
    assert frames[:, :, 1].sum((0, 2)).argmax(1).tolist() == more.labels.tolist()


def test_damaged_files_are_named(root: Path) -> None:
    path, _ = members(root / "Caltech101", "test")[0]
    whole = path.read_bytes()
    for content, text in (
        (whole[:-1], rf"{path.name}: half a record"),
        (b"", rf"{path.name}: recording without events"),
        (bytes([240, 0, 0, 0, 1]), rf"{path.name}: event coordinate 'x' out of range: got 240"),
        (bytes([0, 180, 0, 0, 1]), rf"{path.name}: event coordinate 'y' out of range: got 180"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=text):
            ncaltech101("test", root)


def test_other_layouts(root: Path, tmp_path: Path) -> None:
    folder = root / "Caltech101"
    (folder / "accordion").rename(folder / "Accordion")
    with pytest.raises(DataError, match=r"Accordion: not a class of this data set"):
        ncaltech101("test", root)
    shutil.rmtree(folder / "Accordion")
    with pytest.raises(
        DataError, match=r"accordion: no recordings: got no such folder.*Caltech101"
    ):
        ncaltech101("test", root)
    with pytest.raises(DataError, match=r"no data files under .*ncaltech101/Caltech101"):
        ncaltech101("test", tmp_path)


def test_too_few_files_for_a_split(tmp_path: Path) -> None:
    for label, name in enumerate(CLASSES):
        (tmp_path / "ncaltech101" / name).mkdir(parents=True)
        write_one(tmp_path / "ncaltech101", label, 1)
    assert len(ncaltech101("train", tmp_path)) == 101
    with pytest.raises(DataError, match=r"no recordings for split 'val'"):
        ncaltech101("val", tmp_path)
