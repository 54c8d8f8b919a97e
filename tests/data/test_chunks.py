"""A file read in pieces gives what reading it whole gives, or a DataError."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localspike.data import EVENT, Sensor, formats, make_events
from localspike.data.chunks import chunks_of, save_chunks
from localspike.data.formats import Recording, read_dat, write_dat, write_npz
from localspike.errors import ConfigError, DataError

SENSOR = Sensor(2, 34, 34)
CAMERAS = ("aedat2", "aedat3", "aedat4", "aedat4-lz4", "aedat4-zstd", "dat", "evt2", "evt3")
FORMS = ("npy", "npz", "npz-stored", "nmnist", *CAMERAS)


def events(n: int = 100, gap: int = 100_000, start: int = 0) -> np.ndarray:
    rng = np.random.default_rng(n)
    t = start + np.cumsum(rng.integers(0, gap, n))
    return make_events(t, rng.integers(0, 34, n), rng.integers(0, 2, n), rng.integers(0, 34, n))


def write(path: Path, form: str, content: np.ndarray) -> str | None:
    """Write a file; how ``chunks_of`` must be told its form."""
    recording = Recording(content, SENSOR)
    if form == "npy":
        save_chunks(path, [content])
    elif form.startswith("npz"):
        write_npz(path, recording, compress=form == "npz")
    elif form.startswith("aedat4-"):
        formats.write_aedat4(path, recording, compression=form.partition("-")[2])
    else:
        getattr(formats, f"write_{form}")(path, recording)
    return "nmnist" if form == "nmnist" else None


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1, 7, 100, 1_000])
def test_pieces_of_any_size_are_the_whole_file(tmp_path: Path, form: str, size: int) -> None:
    path, content = tmp_path / "a", events(gap=300_000)  # 15 s: beyond the clock of 5-byte events
    told = write(path, form, content)
    pieces = list(chunks_of(path, size, form=told))
    assert all(piece.dtype == EVENT and len(piece) <= size for piece in pieces)
    assert np.array_equal(np.concatenate(pieces), content)


def test_a_clock_that_wraps_between_and_within_pieces(tmp_path: Path) -> None:
    path, content = tmp_path / "a.dat", events(60, gap=1 << 30)
    assert content["t"][-1] > 3 << 32
    write_dat(path, Recording(content, SENSOR))
    for size in (1, 7, 60):
        assert np.array_equal(np.concatenate(list(chunks_of(path, size))), content)
    assert np.array_equal(read_dat(path).events, content)


@pytest.mark.parametrize("form", [form for form in FORMS if form != "npy"])
def test_readers_of_whole_files_agree(tmp_path: Path, form: str) -> None:
    content = np.repeat(events(2_000, gap=9_000), 3)
    content["x"] = (content["x"] + np.arange(len(content)) % 3).clip(max=33)  # vectors of EVT 3
    told = write(tmp_path / "a", form, content)
    pieces = list(chunks_of(tmp_path / "a", 9, form=told))
    assert max(map(len, pieces)) == 9
    name = form.partition("-")[0]
    whole = formats.READERS[name](tmp_path / "a").events
    assert np.array_equal(np.concatenate(pieces), whole)
    assert np.array_equal(whole, content)


def test_large_packets_and_several_are_read_piece_by_piece(tmp_path: Path) -> None:
    """Packets hold 65,536 events; what is read at once of AEDAT 3.1 is a fourth of that."""
    content = events(150_000, gap=3)
    for name in ("aedat3", "aedat4", "evt3"):
        getattr(formats, f"write_{name}")(tmp_path / name, Recording(content, SENSOR))
        pieces = list(chunks_of(tmp_path / name, 1 << 16))
        assert len(pieces) > 2
        assert np.array_equal(np.concatenate(pieces), content)


def test_words_without_a_time_are_left_out_in_pieces_too(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    formats.write_evt2(path, Recording(events(50), SENSOR))
    head, words = path.read_bytes().split(b"% end\n")
    early = np.array([5 << 11, 1 << 28 | 7], "<u4").tobytes()  # two events before any time word
    path.write_bytes(head + b"% end\n" + early + words)
    for size in (1, 3, 99):
        pieces = np.concatenate(list(chunks_of(path, size)))
        assert np.array_equal(pieces, formats.read_evt2(path).events)
        assert len(pieces) == 50


def test_saved_chunks_are_a_plain_npy_file(tmp_path: Path) -> None:
    path, content = tmp_path / "a.npy", events(1_000)
    assert save_chunks(path, np.split(content, [3, 3, 500])) == 1_000
    assert np.array_equal(np.load(path, allow_pickle=False), content)
    assert list(tmp_path.iterdir()) == [path]
    assert save_chunks(path, []) == 0
    assert len(np.load(path)) == 0 and list(chunks_of(path)) == []


@pytest.mark.parametrize(
    ("chunks", "text"),
    [
        ([np.zeros(3)], "chunk 0 is no array of events: got float64"),
        ([events(5, start=10), events(5)], "chunk 1: event times run backwards"),
    ],
)
def test_a_refused_file_is_not_left_half_written(tmp_path: Path, chunks, text: str) -> None:
    with pytest.raises(DataError, match=text):
        save_chunks(tmp_path / "a.npy", chunks)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match="cannot be written: got No such file"):
        save_chunks(tmp_path / "absent" / "a.npy", [])


def consume(path: Path, told: str | None = None) -> None:
    for _ in chunks_of(path, 16, form=told):
        pass


@pytest.mark.parametrize("form", FORMS)
def test_a_truncated_file(tmp_path: Path, form: str) -> None:
    path = tmp_path / "a"
    told = write(path, form, events())
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DataError, match=str(path)):
        consume(path, told)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda p: p.write_bytes(b""), "cannot|not in a format .* got an empty file"),
        (lambda p: p.write_bytes(b"RIFFabcd"), "read in pieces: got a file that begins with b'RIF"),
        (lambda p: p.mkdir(), "cannot be read: got no regular file"),
        (lambda p: None, "cannot be read: got No such file"),
        (
            lambda p: p.write_bytes(b"% evt 2.1\n% end\nabcd"),
            "in pieces: .*EVT3, npz or npy; 5-byte",
        ),
        (lambda p: p.write_bytes(b"% evt 3.0\n% end\n\x00\x90"), "kind at byte 16: got kind 0x9"),
        (lambda p: p.write_bytes(b"% evt 2.0\n% end\n\x0c\x08"), "half a record at byte 16"),
        (lambda p: p.write_bytes(b"#!AER-DAT3.1\r\n# no end"), "header does not end"),
        (lambda p: p.write_bytes(b"% Version 1\n% end\n\x0c\x08"), "not a DAT file of version 2"),
        (
            lambda p: np.save(p.open("wb"), np.zeros(9)),
            r"of events: .*'<f8', .* not \[\('t'",
        ),
        (
            lambda p: np.save(p.open("wb"), events().reshape(2, 50)),
            r"'shape': \(2, 50\), .* in o",
        ),
        (
            lambda p: np.save(p.open("wb"), np.array([{}]), allow_pickle=True),
            r"'\|O', .* not \[",
        ),
        (
            lambda p: np.savez(p.open("wb"), t=np.zeros(3)),
            "not a whole npz file .* got Key",
        ),
        (
            lambda p: write_npz(p, Recording(events(), SENSOR, {}, np.array([0, 4, 100]))),
            "holds several recordings: got 2; expected one",
        ),
    ],
)
def test_other_files(tmp_path: Path, make: Callable[[Path], object], text: str) -> None:
    path = tmp_path / "a"
    make(path)
    with pytest.raises(DataError, match=text):
        consume(path)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("aedat2", "not an AEDAT 2.0 file"),
        ("aedat3", "not an AEDAT 3.1 file"),
        ("aedat4", "not an AEDAT 4.0 file"),
        ("evt2", "not a RAW file in EVT2"),
        ("evt3", "not a RAW file in EVT3"),
    ],
)
def test_a_file_of_another_form_than_told(tmp_path: Path, form: str, text: str) -> None:
    write_npz(tmp_path / "a", Recording(events(), SENSOR))
    with pytest.raises(DataError, match=f"{tmp_path / 'a'}: {text} at byte 0"):
        consume(tmp_path / "a", form)


def test_columns_of_different_lengths(tmp_path: Path) -> None:
    path, content = tmp_path / "a.npz", events()
    columns = {name: content[name] for name in "txyp"}
    for wrong in ({"x": content["x"][:9]}, {"offsets": np.array([0, 99])}):
        arrays = {**columns, "offsets": np.array([0, 100]), **wrong}
        np.savez(path, **arrays)
        with pytest.raises(DataError, match=r"columns of different lengths at byte \d+: got"):
            consume(path)


def test_bad_arguments(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="events: got 0"):
        chunks_of(tmp_path / "a", 0)
    with pytest.raises(ConfigError, match="form: got 'shd'; expected 'aedat2' or 'aedat3' or"):
        chunks_of(tmp_path / "a", form="shd")


def test_a_header_of_python_2_is_refused_without_a_warning(tmp_path: Path) -> None:
    """NumPy would read it, and warn; no file of this package has one."""
    for form, count in (("npy", b"(100,)"), ("npz-stored", b"(100,)")):
        path = tmp_path / form
        write(path, form, events())
        content = path.read_bytes()
        assert count in content
        path.write_bytes(content.replace(count + b", }", b"(100L,), }"[:-3] + b"}", 1))
        with warnings.catch_warnings(), pytest.raises(DataError, match=str(path)):
            warnings.simplefilter("error")
            consume(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.sampled_from(FORMS), st.data())
def test_damage_is_a_data_error_or_goes_unseen(tmp_path: Path, form: str, data) -> None:
    path = tmp_path / "a"
    told = write(path, form, events(12))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    keep = data.draw(st.one_of(st.none(), st.integers(0, len(content))))
    path.write_bytes(bytes(content[:keep]))
    with contextlib.suppress(DataError):
        for piece in chunks_of(path, 5, form=told):
            assert piece.dtype == EVENT and len(piece) <= 5
