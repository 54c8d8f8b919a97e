"""SHD and SSC: files in the official layout, and child processes that misbehave."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from localspike.data import Finding, heidelberg_stream, make_events
from localspike.data.check import _people
from localspike.data.formats import CHANNELS, Recording, write_shd
from localspike.data.formats import child as formats_child
from localspike.data.heidelberg import by_speaker, shared_speakers, shd, ssc
from localspike.data.heidelberg_stream import open_shd
from localspike.errors import DataError

h5py = pytest.importorskip("h5py")
N = 150
SPEAKERS = [number % 10 for number in range(N)]


def recordings(count: int = N, **meta: list[int]) -> Recording:
    """Recording r: channels r and 699 at 1 ms, channel 699 again, channel 0 at 1.2 s."""
    channels = np.array([[r, 699, 699, 0] for r in range(count)]).ravel()
    times = np.tile(np.array([1000, 1000, 13_999, 1_200_000]), count)
    events = make_events(times, channels, np.zeros(4 * count, int))
    return Recording(events, CHANNELS, meta, 4 * np.arange(count + 1))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More recordings than pass through the pipe in one group."""
    root = tmp_path_factory.mktemp("data")
    for name, parts, classes in (
        ("shd", ("train", "test"), 20),
        ("ssc", ("train", "valid", "test"), 35),
    ):
        (root / name).mkdir()
        for part in parts:
            count = N if part == "train" else 40
            labels = [(r + len(part)) % classes for r in range(count)]
            speaker = SPEAKERS[:count]
            write_shd(
                root / name / f"{name}_{part}.h5", recordings(count, labels=labels, speaker=speaker)
            )
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy"


def first_channel(data, n: int) -> list[int]:
    return data.batch(range(n)).frames[0, :, :699].argmax(1).tolist()


def test_frames_worked_by_hand(made: Path) -> None:
    data = shd("test", made)
    assert (data.steps, data.sample_shape, len(data)) == (100, (700,), 40)
    assert data.labels.tolist() == [(r + 4) % 20 for r in range(40)]
    assert data.classes[3], data.classes[13] == ("three", "drei")
    expected = torch.zeros(100, 1, 700)
    expected[0, 0, 17] = expected[0, 0, 699] = expected[85, 0, 0] = 1
    assert torch.equal(data.batch([17]).frames, expected)
    counted = shd("test", made, counts=True).batch([17]).frames
    assert (counted[0, 0, 699], counted.sum()) == (2, 4)
    varied = shd("test", made, variable=True)
    assert (varied.steps, varied.lengths.tolist()) == (86, [86] * 40)


def test_channels_are_pooled(made: Path) -> None:
    frames = shd("test", made, channels=140, counts=True).batch([39]).frames
    assert frames.shape == (100, 1, 140)
    assert frames.nonzero().tolist() == [[0, 0, 39 // 5], [0, 0, 139], [85, 0, 0]]
    assert frames.sum() == 4
    for channels in (0, 701, 1.5, True):
        with pytest.raises(DataError, match=r"shd: impossible number of channels: .* 1 … 700"):
            shd("test", made, channels=channels)


def test_val_is_whole_speakers_of_train(made: Path) -> None:
    train, val = (shd(split, made) for split in ("train", "val"))
    heard = {
        split: {SPEAKERS[r] for r in first_channel(data, len(data))}
        for split, data in (("train", train), ("val", val))
    }
    assert not heard["train"] & heard["val"]
    assert (len(train), len(val), len(heard["val"])) == (135, 15, 1)
    assert first_channel(val, 15) == [r for r in range(N) if SPEAKERS[r] in heard["val"]]


def test_speakers_of_both_official_files_are_counted(made: Path, root: Path) -> None:
    assert shared_speakers(made) == 10
    labels = {"labels": [0] * 4}
    write_shd(root / "shd" / "shd_test.h5", recordings(4, **labels, speaker=[10, 3, 11, 3]))
    assert shared_speakers(root) == 1
    assert Finding("speakers of test that train or val has too", "1", "", None) in _people(
        "shd", root
    )
    write_shd(root / "shd" / "shd_test.h5", recordings(4, **labels))
    assert shared_speakers(root) is None
    assert _people("shd", root) == _people("ssc", root) == []


def test_speakers_are_added_until_a_tenth() -> None:
    speakers = [0] * 3 + [1] * 3 + [2] * 94
    val, train = by_speaker(speakers, "val"), by_speaker(speakers, "train")
    assert sorted(val.tolist() + train.tolist()) == list(range(100))
    assert len(train) > 0
    assert len(by_speaker([5, 5, 8], "val")) in (1, 2)
    for held in (val, train):
        chosen = {speakers[r] for r in held.tolist()}
        assert sum(speaker in chosen for speaker in speakers) == len(held)


@pytest.mark.parametrize("speaker", [{}, {"speaker": [3] * N}])
def test_without_several_speakers_a_tenth_is_carved(root: Path, speaker: dict) -> None:
    labels = [r % 20 for r in range(N)]
    write_shd(root / "shd" / "shd_train.h5", recordings(labels=labels, **speaker))
    train, val = shd("train", root), shd("val", root)
    both = first_channel(train, len(train)) + first_channel(val, len(val))
    assert (sorted(both), len(val)) == (list(range(N)), 15)


def test_ssc_has_its_own_validation_file(made: Path) -> None:
    for split, part, count in (("train", "train", N), ("val", "valid", 40), ("test", "test", 40)):
        data = ssc(split, made)
        assert data.labels.tolist() == [(r + len(part)) % 35 for r in range(count)]
        assert first_channel(data, count) == list(range(count))
    assert (data.steps, data.batch([0]).frames.sum()) == (100, 3)
    assert len(data.classes) == 35


def test_limit_is_nested_and_keeps_labels_with_their_samples(made: Path) -> None:
    data, few = ssc("train", made, 20), ssc("train", made, 6)
    rows = first_channel(data, 20)
    assert rows[:6] == first_channel(few, 6)
    assert data.labels.tolist() == [(r + 5) % 35 for r in rows]
    assert len(set(rows)) == 20
    assert rows != sorted(rows)
    assert data.subset([3]).labels.tolist() == data.labels[3:4].tolist()


def test_damaged_files_are_named(root: Path) -> None:
    path = root / "shd" / "shd_test.h5"
    whole = path.read_bytes()
    for content, text in (
        (whole[: len(whole) // 2], r"shd_test\.h5: not a whole SHD or SSC file"),
        (b"", r"shd_test\.h5: not an HDF5 file: got an empty file"),
        (b"PK\x03\x04", r"shd_test\.h5: not an HDF5 file: got a file that begins with b'PK"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=text):
            shd("test", root)
    write_shd(path, recordings(5, speaker=[1] * 5))
    with pytest.raises(DataError, match=r"shd_test\.h5: no labels"):
        shd("test", root)
    write_shd(path, recordings(5, labels=[20] * 5))
    with pytest.raises(DataError, match=r"shd test: label out of range: got 20"):
        shd("test", root)
    with h5py.File(path, "r+") as file:
        units = file["spikes/units"][2]
        units[1] = 700
        file["spikes/units"][2] = units
    with pytest.raises(
        DataError, match=r"impossible spike in recording 2: got channel 700 at 1000"
    ):
        shd("test", root)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DataError, match=r"shd_test\.h5: not an HDF5 file: got a folder, pipe or"):
        shd("test", root)


def test_an_empty_recording_is_named(root: Path) -> None:
    one = make_events(np.array([5]), np.array([1]), np.array([0]))
    empty = Recording(one, CHANNELS, {"labels": [0, 1]}, np.array([0, 1, 1]))
    write_shd(root / "shd" / "shd_test.h5", empty)
    with pytest.raises(DataError, match=r"shd_test\.h5 recording 1: recording without events"):
        shd("test", root)


def test_missing_and_packed_files(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no data files under .*ssc/ssc_valid\.h5"):
        ssc("val", tmp_path)
    path = root / "ssc" / "ssc_valid.h5"
    path.rename(path.with_name("ssc_valid.h5.gz"))
    with pytest.raises(DataError, match=r"ssc_valid\.h5\.gz: still packed: .*Unpack it in that fo"):
        ssc("val", root)
    assert len(ssc("test", root)) == 40


CHILD = """
import os, time
class Refusal(Exception):
    pass
def write(out, *parts):
    for part in parts:
        out.write(part)
    out.flush()
def number(*values):
    return b"".join(value.to_bytes(8, "little") for value in values)
INFO = b'{{"count": 2, "labels": [0, 1], "keys": {keys}}}\\n'
ONE = number(1, 1, 7) + (3).to_bytes(2, "little")
def send(path, out):
    {body}
"""


@pytest.fixture
def child(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Let another script read the files; returns where they are."""

    def become(body: str, keys: str = "null") -> Path:
        script = tmp_path / "child.py"
        script.write_text(CHILD.format(body=body, keys=keys))
        decoder = replace(heidelberg_stream.DECODER, script=script)
        monkeypatch.setattr(heidelberg_stream, "DECODER", decoder)
        monkeypatch.setattr(formats_child, "START_SECONDS", 60.0)
        return root

    return become


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("write(out, b'{')", "the HDF5 reader died of the file: got its output ends too early"),
        ("write(out, INFO, number(1)[:3])", "its output ends too early"),
        ("write(out, INFO, number(1))", "its output ends too early"),
        ("write(out, INFO, ONE[:-1])", "its output ends too early"),
        ("write(out, INFO, ONE); os._exit(5)", "got exit status 5"),
        ("write(out, INFO, ONE); os.kill(os.getpid(), 9)", "got signal 9"),
        ("write(out, INFO, ONE); raise Refusal('a\\nodd')", "not a whole .* got odd"),
        ("write(out, INFO, ONE)", "shd test: number of labels and of samples differ"),
    ],
)
def test_a_child_that_dies(child, body: str, text: str) -> None:
    with pytest.raises(DataError, match=text):
        shd("test", child(body))


def test_a_child_that_says_nothing_more(child, monkeypatch: pytest.MonkeyPatch) -> None:
    root = child("write(out, INFO); time.sleep(60)")
    monkeypatch.setattr(formats_child, "START_SECONDS", -3.5)
    with pytest.raises(DataError, match=r"the HDF5 reader died of the file: got no output for"):
        shd("test", root)


def test_leaving_early_ends_the_child(made: Path) -> None:
    with open_shd(made / "shd" / "shd_train.h5") as stream:
        assert len(next(stream.recordings())) == 4
        process = stream._child.process
    assert process.returncode is not None


def test_names_of_classes_come_from_the_file_where_the_reader_tells(child) -> None:
    names = [f"w{number}" for number in range(35)]
    body = "write(out, INFO, ONE, ONE)"
    quoted = str(names).replace("'", '"')
    assert ssc("test", child(body, quoted)).classes == tuple(names)
    assert ssc("test", child(body, '["a", "b"]')).classes[0] == "word 0"
    assert ssc("test", child(body)).classes[34] == "word 34"
