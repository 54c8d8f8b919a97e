"""A file read in pieces gives what reading it whole gives, or a DataError."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localspike.data import EVENT, Sensor, make_events
from localspike.data.chunks import chunks_of, save_chunks
from localspike.data.formats import (
    Recording,
    read_dat,
    read_nmnist,
    read_npz,
    write_aedat2,
    write_dat,
    write_nmnist,
    write_npz,
)
from localspike.errors import ConfigError, DataError

SENSOR = Sensor(2, 34, 34)
FORMS = ("npy", "npz", "npz-stored", "dat", "nmnist")


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
    else:
        {"dat": write_dat, "nmnist": write_nmnist}[form](path, recording)
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


def test_readers_of_whole_files_agree(tmp_path: Path) -> None:
    content = events()
    for form, read in (("npz", read_npz), ("dat", read_dat), ("nmnist", read_nmnist)):
        told = write(tmp_path / form, form, content)
        pieces = np.concatenate(list(chunks_of(tmp_path / form, 9, form=told)))
        assert np.array_equal(pieces, read(tmp_path / form).events)


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
        (lambda p: write_aedat2(p, Recording(events(), SENSOR)), "DAT, npz or npy; 5-byte events"),
        (
            lambda p: p.write_bytes(b"% evt 3.0\n% end\nabcd"),
            "in pieces: .*whole with formats.read",
        ),
        (lambda p: p.write_bytes(b"% evt 2.0\n% end\n\x0c\x08"), "in pieces: .*formats.read, and"),
        (lambda p: p.write_bytes(b"% Version 1\n% end\n\x0c\x08"), "not a DAT file of version 2"),
        (lambda p: np.save(p.open("wb"), np.zeros(9)), "not a whole file of events: .*float64"),
        (lambda p: np.save(p.open("wb"), events().reshape(2, 50)), r"\[2, 50\], not .* one dim"),
        (lambda p: np.save(p.open("wb"), np.array([{}]), allow_pickle=True), "object"),
        (lambda p: np.savez(p.open("wb"), t=np.zeros(3)), "not a whole file of events: got KeyErr"),
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


def test_columns_of_different_lengths(tmp_path: Path) -> None:
    path, content = tmp_path / "a.npz", events()
    columns = {name: content[name] for name in "txyp"}
    for wrong in ({"x": content["x"][:9]}, {"offsets": np.array([0, 99])}):
        arrays = {**columns, "offsets": np.array([0, 100]), **wrong}
        np.savez(path, **arrays)
        with pytest.raises(DataError, match=r"not a whole file of events: got ValueError: columns"):
            consume(path)


def test_bad_arguments(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="events: got 0"):
        chunks_of(tmp_path / "a", 0)
    with pytest.raises(ConfigError, match="form: got 'evt3'; expected 'dat' or 'nmnist' or"):
        chunks_of(tmp_path / "a", form="evt3")


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
