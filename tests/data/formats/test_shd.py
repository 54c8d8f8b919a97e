"""HDF5 files of others: read in a process of its own, whose refusal or death is a DataError."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from localspike.data import Sensor, formats, make_events
from localspike.data.formats import child, hdf5_output
from localspike.errors import DataError, MissingDependencyError

h5py = pytest.importorskip("h5py")


SENDER = "class Refusal(Exception): pass\ndef send(path, out):\n    "


def made(path: Path, times: Any = ((0.1, 0.2),), units: Any = ((1, 2),)) -> Path:
    with h5py.File(path, "w") as file:
        for name, kind, rows in (("times", np.float32, times), ("units", np.uint16, units)):
            data = file.create_dataset(f"spikes/{name}", (len(rows),), h5py.vlen_dtype(kind))
            for at, row in enumerate(rows):
                data[at] = np.array(row, kind)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        formats.read_shd(path)
    return str(caught.value).removeprefix(str(path))


@pytest.mark.parametrize(
    ("times", "units", "said"),
    [
        (((0.1, 0.2),), ((1,),), "times and units differ in number"),
        (((0.1,), (0.2,)), ((1,),), "2 recordings in spikes/times, 1 in spikes/units"),
        (((0.1, np.nan),), ((1, 2),), "holds what is no time in seconds"),
        (((0.1, 1e30),), ((1, 2),), "holds what is no time in seconds"),
        (((0.1, 0.2),), ((1, 700),), "coordinate 'x' out of range: got 700 at event 1"),
        (((0.2, 0.1),), ((1, 2),), "event times run backwards"),
        (((-0.2, 0.1),), ((1, 2),), "event times run backwards: got t = -200000"),
    ],
)
def test_wrong_content(times: Any, units: Any, said: str, tmp_path: Path) -> None:
    assert said in refusal(made(tmp_path / "file", times, units))


def test_sorting_stays_within_recordings(tmp_path: Path) -> None:
    path = made(tmp_path / "file", ((0.5, 0.25), (0.125,)), ((1, 2), (3,)))
    one = formats.read_shd(path, sort=True)
    assert one.events["t"].tolist() == [250_000, 500_000, 125_000]
    assert one.events["x"].tolist() == [2, 1, 3]


def test_nothing_outside_the_file_is_opened(tmp_path: Path) -> None:
    made(tmp_path / "other")
    with h5py.File(tmp_path / "link", "w") as file:
        file["spikes"] = h5py.ExternalLink(str(tmp_path / "other"), "/spikes")
    assert "no data set spikes/times in the file itself" in refusal(tmp_path / "link")
    with h5py.File(tmp_path / "outside", "w") as file:
        file.create_dataset("spikes/times", (4,), "f4", external=[(tmp_path / "other", 0, 16)])
    assert "spikes/times is not a data set stored in the file itself" in refusal(
        tmp_path / "outside"
    )


def test_labels_must_fit(tmp_path: Path) -> None:
    with h5py.File(made(tmp_path / "file"), "a") as file:
        file["labels"] = np.array([1, 2, 3])
    assert "labels holds 3 of int64, not 1 integers" in refusal(tmp_path / "file")


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ([b"no", b"yes"], ["no", "yes"]),
        (np.array([b"no", b"yes"]), ["no", "yes"]),
        (["nein", "drei"], ["nein", "drei"]),
        (np.array([1, 2]), None),
        ([b"no", b""], None),
        ([b"no", b"a\nb"], None),
        ([b"x" * 101], None),
        ([b"x"] * 1001, None),
    ],
)
def test_names_of_classes_where_they_are_names(keys: Any, found: Any, tmp_path: Path) -> None:
    with h5py.File(made(tmp_path / "file"), "a") as file:
        file["extra/keys"] = keys
    recording = formats.read_shd(tmp_path / "file")
    assert recording.meta.get("keys") == found
    formats.write_shd(tmp_path / "again", recording)
    assert formats.read_shd(tmp_path / "again").meta == recording.meta


def test_damaged_files(tmp_path: Path) -> None:
    content = made(tmp_path / "file").read_bytes()
    (tmp_path / "file").write_bytes(content[: len(content) // 3])
    assert ": not a whole SHD or SSC file at byte 0: got OSError" in refusal(tmp_path / "file")
    (tmp_path / "file").write_bytes(b"text")
    assert ": not an HDF5 file at byte 0: got b'text'" in refusal(tmp_path / "file")


@pytest.mark.parametrize(
    ("program", "said", "seconds"),
    [
        ("import os; os.abort()", "signal 6", 60.0),
        ("import os; os._exit(7)", "exit status 7", 60.0),
        ("pass", "0 of 1 bytes from it", 60.0),
        ("print('{\"count\": 1}'); print('x' * 7)", "0 of 271275648142787520 bytes", 60.0),
        ("import os; os.kill(os.getpid(), 27)", "no end after 1 s of processor", 60.0),
        ("import time; time.sleep(60)", "no end after 1 s", -3.0),
    ],
)
def test_the_death_of_the_reader_is_an_error(
    program: str, said: str, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "child.py").write_text(SENDER + program)
    decoder = replace(hdf5_output.DECODER, script=tmp_path / "child.py")
    monkeypatch.setattr(hdf5_output, "DECODER", decoder)
    monkeypatch.setattr(child, "START_SECONDS", seconds)
    path = made(tmp_path / "file")
    assert f": the HDF5 reader died of the file: got {said}" in refusal(path)


@pytest.mark.parametrize(
    ("program", "status"), [("while True: pass", -27), ("b = bytearray(1 << 30)", 1)]
)
def test_the_child_limits_its_own_time_and_memory(
    program: str, status: int, tmp_path: Path
) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(child.MAIN.parent)!r})\n"
        f"import child_main\nchild_main.limit(0.2, 1 << 27)\n{program}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == status, done.stderr
    assert status < 0 or b"MemoryError" in done.stderr


def test_what_shd_cannot_hold_is_not_written(tmp_path: Path) -> None:
    events = make_events(np.array([5]), np.array([1]), np.array([0]))
    good = formats.Recording(events, formats.CHANNELS, {"labels": [1, 2]})
    with pytest.raises(DataError, match=r"labels do not fit the recordings: got int64 \[2\]"):
        formats.write_shd(tmp_path / "file", good)
    with pytest.raises(DataError, match="SHD cannot hold this recording"):
        formats.write_shd(tmp_path / "file", formats.Recording(events, Sensor(1, 1, 9)))
    assert list(tmp_path.iterdir()) == []


def test_without_h5py_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(tmp_path / "file")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingDependencyError, match=r"reading SHD and SSC files needs.*'h5py'"):
        formats.read(path)
