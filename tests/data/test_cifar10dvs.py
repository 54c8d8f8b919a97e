"""CIFAR10-DVS: files in the official layout, written here."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from localspike.data import Sensor, make_events
from localspike.data.cifar10dvs import CLASSES, SPLITS, cifar10dvs, members, numbers
from localspike.data.formats import Recording, write_aedat2
from localspike.errors import DataError

NUMBERS = (0, 1, 99, 100, 101, *range(300, 320))
START = 4_000_000


def write_one(folder: Path, label: int, number: int) -> None:
    """Events at x = label: two at the start, one 130 ms later at y = number mod 128, one late."""
    t = START + np.array([0, 129_999, 130_000, 1_400_000])
    y = np.array([0, 0, number % 128, 127])
    events = make_events(t, np.full(4, label), np.array([1, 1, 0, 1]), y)
    path = folder / CLASSES[label] / f"cifar10_{CLASSES[label]}_{number}.aedat"
    write_aedat2(path, Recording(events, Sensor(2, 128, 128)), layout="cifar10dvs")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    for label, name in enumerate(CLASSES):
        (root / "cifar10dvs" / name).mkdir(parents=True)
        for number in NUMBERS:
            write_one(root / "cifar10dvs", label, number)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy"


def test_frames_worked_by_hand(made: Path) -> None:
    data = cifar10dvs("test", made, size=None)
    assert (data.steps, data.sample_shape, len(data)) == (10, (2, 128, 128), 30)
    assert data.labels.tolist() == [label for label in range(10) for _ in range(3)]
    expected = torch.zeros(10, 1, 2, 128, 128)
    expected[0, 0, 1, 0, 3] = expected[1, 0, 0, 99, 3] = 1
    assert torch.equal(data.batch([3 * 3 + 2]).frames, expected)
    counted = cifar10dvs("test", made, size=None, counts=True, steps=11)
    assert counted.batch([11]).frames[0, 0, 1, 0, 3] == 2
    assert counted.batch([11]).frames.sum() == 4
    assert cifar10dvs("test", made).sample_shape == (2, 48, 48)
    assert cifar10dvs("test", made, variable=True).lengths.tolist() == [11] * 30


def test_the_address_bits_by_hand(root: Path) -> None:
    """x = 127 − bits 1–7, y = bits 8–14, bit 0 clear is polarity 1; two big-endian words."""
    path = root / "cifar10dvs" / "cat" / "cifar10_cat_0.aedat"
    address = (5 << 8) | ((127 - 9) << 1) | 0
    path.write_bytes(b"#!AER-DAT2.0\r\n" + address.to_bytes(4, "big") + (77).to_bytes(4, "big"))
    frames = cifar10dvs("test", root, size=None).batch([9]).frames
    assert frames.nonzero().tolist() == [[0, 0, 1, 5, 9]]


def test_splits_cut_every_class_alike_and_share_nothing(made: Path) -> None:
    for name in CLASSES:
        sets = [set(numbers(split, name)) for split in SPLITS]
        assert [len(one) for one in sets] == [810, 90, 100]
        assert set.union(*sets) == set(range(1000))
        assert sets[2] == set(range(100))
    assert numbers("val", "cat") != numbers("val", "dog")
    files = {split: {path for path, _ in members(made / "cifar10dvs", split)} for split in SPLITS}
    assert sum(map(len, files.values())) == 10 * len(NUMBERS) == len(set.union(*files.values()))
    names = {path.name for path in files["test"] if "frog" in path.name}
    assert names == {f"cifar10_frog_{number}.aedat" for number in (0, 1, 99)}


def test_membership_does_not_depend_on_what_is_there(root: Path) -> None:
    before = {path.name for path, _ in members(root / "cifar10dvs", "train")}
    gone = sorted(before)[0]
    (root / "cifar10dvs" / gone.split("_")[1] / gone).unlink()
    assert {path.name for path, _ in members(root / "cifar10dvs", "train")} == before - {gone}


def test_limit(made: Path) -> None:
    few, more = cifar10dvs("train", made, 5), cifar10dvs("train", made, 9)
    assert few.labels.tolist() == more.labels[:5].tolist()
    columns = cifar10dvs("train", made, 9, size=None).batch(range(9)).frames.sum((0, 2, 3))
    assert columns.argmax(1).tolist() == more.labels.tolist()
    assert more.subset([8, 1]).labels.tolist() == more.labels[[8, 1]].tolist()


def test_damaged_files_are_named(root: Path) -> None:
    path = root / "cifar10dvs" / "dog" / "cifar10_dog_1.aedat"
    whole = path.read_bytes()
    header = whole[: len(whole) - 32]
    for content, text in (
        (whole[:-5], r"cifar10_dog_1\.aedat: half a record"),
        (header, r"cifar10_dog_1\.aedat: recording without events"),
        (b"PK\x03\x04", r"cifar10_dog_1\.aedat: not an AEDAT 2\.0 file"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=text):
            cifar10dvs("test", root)


def test_other_layouts(root: Path, tmp_path: Path) -> None:
    folder = root / "cifar10dvs"
    shutil.copytree(folder / "cat", folder / "lynx")
    with pytest.raises(DataError, match=r"lynx: not a class of this data set: .*Move that folder"):
        cifar10dvs("test", root)
    shutil.rmtree(folder / "lynx")
    (folder / "__MACOSX").mkdir()
    (folder / "cat" / "._cifar10_cat_0.aedat").write_bytes(b"hidden")
    assert len(cifar10dvs("test", root)) == 30
    (folder / "cat" / "cifar10_cat_0.aedat").rename(folder / "dog" / "cifar10_cat_0.aedat")
    with pytest.raises(DataError, match=r"dog/cifar10_cat_0\.aedat: not the name of a recording"):
        cifar10dvs("test", root)
    (folder / "dog" / "cifar10_cat_0.aedat").unlink()
    shutil.rmtree(folder / "truck")
    (folder / "truck.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"truck: no recordings: got no such folder.*truck\.zip"):
        cifar10dvs("test", root)
    (folder / "truck").mkdir()
    with pytest.raises(DataError, match=r"truck: no recordings: got an empty folder"):
        cifar10dvs("test", root)
    with pytest.raises(DataError, match=r"no data files under .*cifar10dvs or CIFAR10DVS"):
        cifar10dvs("test", tmp_path)
    (tmp_path / "CIFAR10DVS").write_bytes(b"")
    with pytest.raises(DataError, match=r"CIFAR10DVS: cannot be read: got Not a directory"):
        cifar10dvs("test", tmp_path)


def test_a_split_of_which_nothing_is_there(tmp_path: Path) -> None:
    for label, name in enumerate(CLASSES):
        (tmp_path / "cifar10dvs" / name).mkdir(parents=True)
        write_one(tmp_path / "cifar10dvs", label, 7)
    assert len(cifar10dvs("test", tmp_path)) == 10
    with pytest.raises(DataError, match=r"no recordings for split 'train'"):
        cifar10dvs("train", tmp_path)


@pytest.mark.parametrize(("options", "side"), [({}, 48), ({"size": 7}, 7), ({"size": None}, 128)])
def test_the_shape_is_that_of_the_size(made: Path, options: dict, side: int) -> None:
    assert cifar10dvs("test", made, 1, **options).sample_shape == (2, side, side)
