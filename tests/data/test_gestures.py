"""DVS Gesture: trials in the official layout, written here, worked by hand."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from localspike.data import Sensor, make_events
from localspike.data.formats import Recording, write_aedat3
from localspike.data.gestures import CLASSES, dvs_gesture, segments
from localspike.errors import DataError

HEADER = "class,startTime_usec,endTime_usec\n"
TRAIN = [
    f"user{user:02d}_{light}.aedat" for user in (1, 2, 20, 21, 22, 23) for light in ("led", "lab")
]
TEST = ["user24_led.aedat", "user29_natural.aedat"]


def pixel(name: str) -> int:
    """Every trial has events at its own column only."""
    return (TRAIN + TEST).index(name)


def write_trial(folder: Path, name: str) -> None:
    """Three rows, the first two overlapping; events before, on and behind their edges."""
    t = np.array([50, 99, 100, 100_099, 150_100, 200_099, 200_100, 900_000, 1_000_000, 2_499_999])
    ones = np.ones(len(t), np.int64)
    events = make_events(t, pixel(name) * ones, ones, np.arange(len(t)) * 12)
    write_aedat3(folder / name, Recording(events, Sensor(2, 128, 128)))
    rows = "1,100,200100\n8,150000,250000\n11,1000000,9000000\n"
    (folder / name.replace(".aedat", "_labels.csv")).write_text(HEADER + rows)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "DvsGesture"
    folder.mkdir()
    for name in TRAIN + TEST:
        write_trial(folder, name)
    (folder / "trials_to_train.txt").write_text("\r\n".join([*TRAIN, ""]))
    (folder / "trials_to_test.txt").write_text("\n".join(TEST) + "\n\n")
    return folder.parent


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_sample_is_a_row_and_begins_at_its_start(made: Path) -> None:
    data = dvs_gesture("test", made, bin_ms=100, steps=15, size=None)
    assert data.labels.tolist() == [0, 7, 10] * 2
    assert (len(CLASSES), data.classes[7], data.sample_shape) == (11, "arm roll", (2, 128, 128))
    frames = data.batch([0, 1, 2]).frames
    expected = torch.zeros(15, 3, 2, 128, 128)
    column = pixel("user24_led.aedat")
    for sample, step, event in (
        (0, 0, 2), (0, 0, 3), (0, 1, 4), (0, 1, 5),  # 100 <= t < 200,100
        (1, 0, 4), (1, 0, 5), (1, 0, 6),
        (2, 0, 8), (2, 14, 9),
    ):  # fmt: skip
        expected[step, sample, 1, event * 12, column] = 1
    assert torch.equal(frames, expected)


def test_defaults_and_late_events(made: Path) -> None:
    data = dvs_gesture("test", made)
    assert (data.steps, data.sample_shape, data.lengths) == (20, (2, 32, 32), None)
    assert data.batch([2]).frames.sum() == 2
    assert dvs_gesture("test", made, steps=19).batch([2]).frames.sum() == 1
    one_step = dvs_gesture("test", made, bin_ms=100, steps=1, counts=True)
    assert one_step.batch([0]).frames.sum() == 2
    assert one_step.batch([0]).frames.max() == 1


def test_variable_lengths(made: Path) -> None:
    data = dvs_gesture("test", made, bin_ms=100, variable=True)
    assert (data.steps, data.lengths.tolist()) == (15, [2, 1, 15] * 2)


def test_nobody_is_in_two_splits(made: Path) -> None:
    whose = {
        split: [one.trial.name[:6] for one in segments(made / "DvsGesture", split)]
        for split in ("train", "val", "test")
    }
    assert sorted(set(whose["train"])) == ["user01", "user02", "user20"]
    assert sorted(set(whose["val"])) == ["user21", "user22", "user23"]
    assert sorted(set(whose["test"])) == ["user24", "user29"]
    assert [len(rows) for rows in whose.values()] == [18, 18, 6]
    assert [len(dvs_gesture(split, made)) for split in whose] == [18, 18, 6]


def test_limit_is_nested_and_keeps_labels_with_their_samples(made: Path) -> None:
    def seen(limit: int | None) -> list[tuple[int, int]]:
        data = dvs_gesture("train", made, limit, size=None, steps=40)
        columns = data.batch(range(len(data))).frames.sum((0, 2, 3)).argmax(1)
        return list(zip(data.labels.tolist(), columns.tolist(), strict=True))

    everything, some = seen(None), seen(7)
    assert some[:3] == seen(3)
    assert len(set(some)) == 7
    assert set(some) <= set(everything)
    assert everything[:3] == [(0, 0), (7, 0), (10, 0)]
    assert everything[3:6] == [(0, 1), (7, 1), (10, 1)]
    data = dvs_gesture("train", made)
    assert data.subset([4, 0]).labels.tolist() == [7, 0]


@pytest.mark.parametrize("place", ["dvs_gesture/DvsGesture", "dvs_gesture"])
def test_other_folders(root: Path, place: str) -> None:
    (root / place).parent.mkdir(exist_ok=True)
    (root / "DvsGesture").rename(root / place)
    assert len(dvs_gesture("test", root)) == 6


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ("", r"labels\.csv: no labels: got a header only; expected a row per gesture"),
        ("1,100,200\n12,1,2\n", r"csv: bad label in line 3: got '12,1,2'; expected class 1 … 11"),
        ("0,1,2\n", r"bad label in line 2: got '0,1,2'"),
        ("one,100,200\n", r"bad label in line 2: got 'one,100,200'.*Correct that line"),
        ("1,100\n", r"bad label in line 2: got '1,100'"),
        ("1,100,200,300\n", r"bad label in line 2"),
        ("1,1e3,2e3\n", r"bad label in line 2"),
        ("1,200,200\n", r"bad label in line 2: .*start < end"),
        ("1,-5,200\n", r"bad label in line 2"),
        ("1,51,60\n", r"user24_led\.aedat from 51 to 60 µs \(row 1 of its labels\): recording wi"),
    ],
)
def test_damaged_labels(root: Path, rows: str, text: str) -> None:
    (root / "DvsGesture" / "user24_led_labels.csv").write_text(HEADER + rows)
    with pytest.raises(DataError, match=text):
        dvs_gesture("test", root)


def test_labels_of_another_kind(root: Path) -> None:
    path = root / "DvsGesture" / "user24_led_labels.csv"
    for content, text in (
        (b"1,100,200\n", "other columns: got 1,100,200; expected class,startTime_usec,endTime_us"),
        (b"", "other columns: got an empty file"),
        (b"\xff\xfe1", r"labels\.csv: not a text file: got byte 0 is no UTF-8"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=text):
            dvs_gesture("test", root)
    path.unlink()
    with pytest.raises(DataError, match=r"user24_led_labels\.csv: cannot be read: got No such fi"):
        dvs_gesture("test", root)


def test_damaged_trials_are_named(root: Path) -> None:
    path = root / "DvsGesture" / "user29_natural.aedat"
    whole = path.read_bytes()
    for content, text in (
        (whole[:-3], r"user29_natural\.aedat: packet cut short"),
        (b"#!AER-DAT2.0\r\n", r"user29_natural\.aedat: not an AEDAT 3\.1 file"),
        (b"", r"user29_natural\.aedat: not an AEDAT 3\.1 file"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=text):
            dvs_gesture("test", root)
    path.unlink()
    with pytest.raises(DataError, match=r"user29_natural\.aedat: cannot be read"):
        dvs_gesture("test", root)
    wide = make_events(np.array([500]), np.array([200]), np.array([1]))
    write_aedat3(path, Recording(wide, Sensor(2, 256, 256)))
    with pytest.raises(DataError, match=r"user29_natural\.aedat: event coordinate 'x' out of ran"):
        dvs_gesture("test", root)


def test_events_out_of_order_are_put_right(root: Path) -> None:
    """Swapped neighbours land in the same bins as sorted ones."""
    before = dvs_gesture("test", root, limit=6).batch(range(6)).frames
    path = root / "DvsGesture" / "user24_led.aedat"
    content = bytearray(path.read_bytes())
    content[-32:-24], content[-24:-16] = content[-24:-16], content[-32:-24]
    path.write_bytes(content)
    assert torch.equal(dvs_gesture("test", root, limit=6).batch(range(6)).frames, before)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", r"trials_to_test\.txt: not a list of trials: got 0 lines"),
        ("user24_led.aedat\n" * 2, r"trials_to_test\.txt: not a list of trials: got 2 lines, 1 di"),
        ("led.aedat\n", r"trials_to_test\.txt: not the name of a trial: got 'led\.aedat'"),
        ("../user24_led.aedat\n", r"not the name of a trial"),
        ("user01_led.aedat\n", r"a trial is in both lists: got user01_led\.aedat"),
    ],
)
def test_damaged_lists(root: Path, content: str, text: str) -> None:
    (root / "DvsGesture" / "trials_to_test.txt").write_text(content)
    with pytest.raises(DataError, match=text):
        dvs_gesture("test", root)


def test_a_split_without_trials_and_a_missing_archive(root: Path, tmp_path: Path) -> None:
    (root / "DvsGesture" / "trials_to_train.txt").write_text("user01_led.aedat\n")
    with pytest.raises(DataError, match=r"no trials for split 'val'.*users 21, 22 and 23"):
        dvs_gesture("val", root)
    with pytest.raises(DataError, match=r"no data files under .*dvs_gesture/DvsGesture"):
        dvs_gesture("val", tmp_path)
    (tmp_path / "dvs_gesture").mkdir()
    (tmp_path / "dvs_gesture" / "DvsGesture.tar.gz").write_bytes(b"packed")
    with pytest.raises(DataError, match=r"trials_to_train\.txt: cannot be read"):
        dvs_gesture("val", tmp_path)


@pytest.mark.parametrize(("options", "side"), [({}, 32), ({"size": 7}, 7), ({"size": None}, 128)])
def test_the_shape_is_that_of_the_size(made: Path, options: dict, side: int) -> None:
    assert dvs_gesture("test", made, 1, **options).sample_shape == (2, side, side)
