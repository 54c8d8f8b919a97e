"""FLAC: decoded in a process of its own and held against its header; damage is a DataError."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from localspike.data.formats import child, flac
from localspike.data.formats.clip import Clip
from localspike.data.formats.flac import read_flac, write_flac
from localspike.errors import DataError, MissingDependencyError

soundfile = pytest.importorskip("soundfile")


def noise(bits: int, shape: tuple[int, ...] = (5000,)) -> Clip:
    dtype = {8: np.int8, 16: np.int16, 24: np.int32}[bits]
    top = 1 << (bits - 1)
    values = np.random.default_rng(bits).integers(-top, top, shape).astype(dtype)
    values.flat[:2] = -top, top - 1
    return Clip(values, 44_100, {"bits": bits})


def made(tmp_path: Path, clip: Clip | None = None) -> Path:
    write_flac(tmp_path / "file", clip or noise(16))
    return tmp_path / "file"


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_flac(path)
    said = str(caught.value)
    assert said.startswith(f"{path}: "), said
    return said.removeprefix(f"{path}: ")


@pytest.mark.parametrize(("bits", "shape"), [(8, (900,)), (16, (5000, 2)), (24, (777, 8))])
def test_what_is_written_is_read_back(bits: int, shape: tuple[int, ...], tmp_path: Path) -> None:
    clip = noise(bits, shape)
    again = read_flac(made(tmp_path, clip))
    assert again.samples.dtype == clip.samples.dtype
    assert np.array_equal(again.samples, clip.samples)
    assert (again.rate, again.bits, again.channels) == (44_100, bits, clip.channels)
    assert np.array_equal(again.unit(), soundfile.read(tmp_path / "file")[0])


def test_md5_is_of_the_samples_as_the_standard_says(tmp_path: Path) -> None:
    """By hand: 1 and -2 in 24 bits are 010000 feffff, low byte first."""
    clip = Clip(np.array([1, -2], np.int32), 8000, {"bits": 24})
    expected = hashlib.md5(bytes.fromhex("010000 feffff")).hexdigest()
    assert read_flac(made(tmp_path, clip)).meta["md5"] == expected


def test_the_header_by_hand(tmp_path: Path) -> None:
    """8,000 Hz = 0x01F40 in 20 bits, 2 channels as 1 in 3, 16 bits as 15 in 5, 3 samples in 36."""
    made(tmp_path, Clip(np.zeros((3, 2), np.int16), 8000))
    content = (tmp_path / "file").read_bytes()
    assert content[18:26].hex() == "01f402f000000003"
    assert flac._stream_info(content, "by hand")[:4] == (8000, 2, 16, 3)


def edit(path: Path, at: int, new: bytes) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[:at] + new + content[at + len(new) :])
    return path


@pytest.mark.parametrize(
    ("at", "new", "said"),
    [
        (0, b"OggS", "not a FLAC file at byte 0: got b'OggS"),
        (4, b"\x84", "not a FLAC file"),
        (18, b"\0\0\0", "not read here at byte 18: got 16 bits at 0 Hz"),
        (20, b"\xf1\x30", "sound of a kind that is not read here at byte 18: got 20 bits"),
        (21, b"\xf0\0\0\x13\x89", "samples cut short at byte 18: got 5000 a channel; expected"),
        (21, b"\xff\xff\xff\xff\xff", "frames that decode|samples cut short|as announced"),
        (26, b"\1\2\3\4", "samples that do not match their MD5 at byte 26: got"),
        (3000, b"\xff\0\xff\0", "not a whole FLAC file at byte 0: got"),
    ],
)  # fmt: skip
def test_damage(at: int, new: bytes, said: str, tmp_path: Path) -> None:
    text = refusal(edit(made(tmp_path), at, new))
    assert re.search(said, text), text


def test_cut_short(tmp_path: Path) -> None:
    content = made(tmp_path).read_bytes()
    for length, said in ((30, "STREAMINFO cut short at byte 8"), (100, ""), (5000, "")):
        (tmp_path / "file").write_bytes(content[:length])
        assert said in refusal(tmp_path / "file")


def test_a_file_that_does_not_say_its_number_or_md5(tmp_path: Path) -> None:
    path = edit(made(tmp_path), 22, bytes(20))
    assert np.array_equal(read_flac(path).samples, noise(16).samples)


def test_silence_packed_ten_thousandfold_is_not_unpacked_without_end(tmp_path: Path) -> None:
    path = made(tmp_path, Clip(np.zeros(40_000_000, np.int16), 16_000))
    assert path.stat().st_size < 130_000
    said = refusal(path)
    assert "not a whole FLAC file" in said
    assert "samples a hundred times larger than the file" in said


@pytest.mark.parametrize(
    ("clip", "said"),
    [
        (Clip(np.zeros(3, np.uint8), 8000), "got uint8"),
        (Clip(np.zeros(3, np.float32), 8000), "got float32"),
        (Clip(np.zeros(3, np.int32), 8000), "of 32 bits at 8000 Hz"),
        (Clip(np.zeros(0, np.int16), 8000), r"got int16 \[0\]"),
        (Clip(np.zeros((3, 9), np.int16), 8000), r"got int16 \[3, 9\]"),
        (Clip(np.zeros(3, np.int16), 65_537), "at 65537 Hz"),
        (Clip(np.zeros(3, np.int16), 655_360), "at 655360 Hz"),
    ],
)
def test_what_flac_cannot_hold_is_not_written(clip: Clip, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"FLAC cannot hold this sound: .*{said}.*Use write_wave"):
        write_flac(tmp_path / "file", clip)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("rate", [1, 65_535, 65_540, 655_350])
def test_the_rates_it_can_hold(rate: int, tmp_path: Path) -> None:
    content = made(tmp_path, Clip(np.zeros(3, np.int16), rate)).read_bytes()
    assert flac._stream_info(content, "file").rate == rate


def test_without_soundfile_the_message_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(tmp_path)
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(MissingDependencyError, match=r"reading FLAC .*localspike\[audio\]"):
        read_flac(path)
    with pytest.raises(MissingDependencyError, match=r"writing FLAC .*localspike\[audio\]"):
        write_flac(path, noise(16))


SENDER = "class Refusal(Exception): pass\ndef send(path, out):\n    "


@pytest.mark.parametrize(
    ("program", "said", "seconds"),
    [
        ("import os; os.abort()", "reader died of the file: got signal 6", 60.0),
        ("import os; os._exit(7)", "reader died of the file: got exit status 7", 60.0),
        ("while True: pass", "reader died of the file: got no end after 1 s of processor", 60.0),
        ("import time; time.sleep(60)", "reader died of the file: got no end after 1 s", -3.0),
        ("bytearray(1 << 30)", "not a whole FLAC file at byte 0: got MemoryError", 60.0),
        ("raise Refusal('no')", "not a whole FLAC file at byte 0: got no; expected", 60.0),
        ("raise KeyError('a\\nb')", "not a whole FLAC file at byte 0: got KeyError", 60.0),
    ],
)
def test_the_end_of_the_decoder_is_an_error(
    program: str, said: str, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "decoder.py").write_text(SENDER + program)
    decoder = replace(flac.DECODER, script=tmp_path / "decoder.py")
    monkeypatch.setattr(flac, "DECODER", decoder)
    monkeypatch.setattr(child, "START_SECONDS", seconds)
    assert said in refusal(made(tmp_path))


def test_a_python_that_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    assert "the FLAC reader died of the file: got it did not start" in refusal(path)


def test_the_process_imports_nothing_of_the_package(tmp_path: Path) -> None:
    """It would take seconds to start, and modules here have the names of others."""
    path, script = made(tmp_path), flac.DECODER.script
    code = (
        f"import sys; sys.argv = {[str(child.MAIN), str(script), str(path), '9', str(1 << 28)]!r}\n"
        f"import runpy\ntry:\n    runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        "assert not {'localspike', 'torch'} & set(sys.modules)"
    )
    done: Any = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(noise(16).samples.tobytes())


def test_real_sound_is_what_its_md5_says(real_root: Path, tmp_path: Path) -> None:
    path = real_root / "speech_commands" / "down.flac"
    if not path.exists():
        pytest.skip(f"real data: {path} is not there")
    clip = read_flac(path)
    assert (clip.samples.shape, clip.rate, clip.bits) == ((205 * 16_000,), 16_000, 16)
    write_flac(tmp_path / "again", clip)
    assert np.array_equal(read_flac(tmp_path / "again").samples, clip.samples)
