"""Damage is found and repaired, a cache that cannot be used is no obstacle, and both are told."""

from __future__ import annotations

import errno
import os
import resource
import signal
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from helpers_cache import KINDS, events, images, same, start
from localspike.data import Dataset, cache_store
from localspike.data.cache import Cache, CacheWarning, Note, fetch
from localspike.data.cache_file import PROLOGUE, Damaged, compose, read_about, read_entry

ARRAYS = {"labels": np.arange(5), "pixels": np.arange(70, dtype=np.uint8).reshape(7, 10)}


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    path = tmp_path / "entry"
    path.write_bytes(b"".join(compose({"name": "toy"}, ARRAYS)))
    return path


def test_an_entry_is_what_was_written(entry: Path) -> None:
    found = read_entry(entry)
    assert found.about == read_about(entry) == {"name": "toy"}
    assert found.nbytes == entry.stat().st_size
    for name, array in ARRAYS.items():
        assert found.arrays[name].dtype == array.dtype
        assert np.array_equal(found.arrays[name], array)
        assert found.arrays[name].ctypes.data % 64 == 0


def test_every_flipped_byte_is_found(entry: Path) -> None:
    whole = entry.read_bytes()
    for at in range(len(whole)):
        broken = bytearray(whole)
        broken[at] ^= 1 << at % 8
        entry.write_bytes(broken)
        with pytest.raises(Damaged):
            read_entry(entry)


def test_every_truncation_and_what_is_too_long_is_found(entry: Path) -> None:
    whole = entry.read_bytes()
    for size in (*range(len(whole)), len(whole) + 1):
        entry.write_bytes((whole + b"x")[:size])
        with pytest.raises(Damaged):
            read_entry(entry)


def test_a_length_that_is_not_there_is_not_asked_for(entry: Path) -> None:
    whole = bytearray(entry.read_bytes())
    whole[12:16] = b"\xff\xff\xff\x7f"
    entry.write_bytes(whole)
    with pytest.raises(Damaged, match="header does not match"):
        read_entry(entry)


def kept(folder: Path) -> tuple[Dataset, Note]:
    return fetch(images, {"kind": "images"}, cache=folder)


def spoil_byte(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0x10
    path.write_bytes(content)


def other_version(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[8] += 1
    path.write_bytes(content)


def other_entry(path: Path) -> None:
    """A whole entry, of something else."""
    _, note = fetch(events, {}, cache=path.parent / "other")
    path.write_bytes(note.path.read_bytes())


def other_content(path: Path) -> None:
    """A whole entry with the right name that is no data set."""
    made_by = read_about(path)["made_by"]
    path.write_bytes(b"".join(compose({"made_by": made_by, "form": "none"}, ARRAYS)))


DAMAGE = {
    "first byte": (lambda path: spoil_byte(path, 0), "not a cache entry"),
    "digest of the header": (lambda path: spoil_byte(path, 20), "header does not match"),
    "header": (lambda path: spoil_byte(path, PROLOGUE.size + 9), "header does not match"),
    "last byte": (lambda path: spoil_byte(path, -1), "arrays do not match their digest"),
    "truncated": (lambda path: os.truncate(path, path.stat().st_size - 1), "bytes instead of"),
    "empty": (lambda path: os.truncate(path, 0), "not a cache entry"),
    "foreign": (lambda path: path.write_text("a letter to the editor" * 9), "not a cache entry"),
    "version": (other_version, "of version 2 instead of 1"),
    "another entry": (other_entry, "the entry of another data set"),
    "no data set": (other_content, r"does not hold a data set \(KeyError: 'none'\)"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_reported_and_made_good(damage: str, tmp_path: Path) -> None:
    spoil, text = DAMAGE[damage]
    path = kept(tmp_path)[1].path
    spoil(path)
    with pytest.warns(CacheWarning, match=f"{path.name} is damaged .*{text}.*made again") as said:
        data, note = kept(tmp_path)
    assert len(said) == 1
    assert note.outcome == "rebuilt"
    assert same(data, images())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data, note = kept(tmp_path)
    assert note.outcome == "hit"
    assert same(data, images())


def test_python_says_it_once(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("default", CacheWarning)
        (tmp_path / "file").touch()
        for _ in range(3):
            kept(tmp_path / "file")
    assert len(said) == 1


def uncached(folder: Path, text: str) -> None:
    """The data come all the same, with one line that says why nothing was kept."""
    with pytest.warns(CacheWarning, match=text) as said:
        data, note = kept(folder)
    assert len(said) == 1
    assert str(said[0].message).endswith("; going on without it")
    assert "\n" not in str(said[0].message)
    assert note.outcome == "uncached"
    assert same(data, images())


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    uncached(tmp_path / "file", r"cannot write in .*file \(File exists\)")
    uncached(tmp_path / "file" / "below", r"cannot write in .*below \(Not a directory\)")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_in_place_of_the_entry(tmp_path: Path) -> None:
    path = kept(tmp_path)[1].path
    path.unlink()
    path.mkdir()
    with pytest.warns(CacheWarning) as said:
        data, note = kept(tmp_path)
    assert [text in str(one.message) for text, one in zip(
        ("is damaged (not a file)", "cannot write in"), said, strict=True
    )] == [True, True]  # fmt: skip
    assert note.outcome == "uncached"
    assert same(data, images())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    uncached(tmp_path, r"cannot write in .* \(Permission denied\): Change its permissions")


def test_a_read_only_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def refusing(path: str, flags: int, *rest: int) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return real(path, flags, *rest)

    monkeypatch.setattr(cache_store.os, "open", refusing)
    uncached(tmp_path, r"\(Read-only file system\): Make that file system writable")


def test_what_may_only_be_read_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept(tmp_path)

    def refusing(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(cache_store.os, "utime", refusing)
    assert kept(tmp_path)[1].outcome == "hit"


@pytest.mark.parametrize("pieces", [0, 1, 3])
def test_a_full_disk(pieces: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, left = cache_store._write, [pieces]

    def filling(stream, piece: memoryview) -> None:
        if not left[0]:
            real(stream, piece[: len(piece) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left[0] -= 1
        real(stream, piece)

    monkeypatch.setattr(cache_store, "_write", filling)
    uncached(tmp_path, r"\(No space left on device\): Free some space there")
    assert list(tmp_path.iterdir()) == []


def test_a_limit_of_the_system_on_files(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        uncached(tmp_path, r"\(File too large\): Allow larger files there")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


def test_an_entry_lost_behind_our_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cache, "write", lambda *_: None)
    uncached(tmp_path, "the entry just written is gone")


WRITER = """
import sys
from pathlib import Path
from helpers_cache import images
from localspike.data import cache_store
from localspike.data.cache import fetch

def half(stream, piece, real=cache_store._write):
    real(stream, piece[: len(piece) // 2])
    print("half", flush=True)
    sys.stdin.read()

cache_store._write = half
fetch(images, {"kind": "images"}, cache=Path(sys.argv[1]))
"""


def test_a_writer_killed_half_way_leaves_nothing_that_is_served(tmp_path: Path) -> None:
    with start(WRITER, str(tmp_path)) as writer:
        assert writer.stdout.readline() == "half\n"
        (part,) = tmp_path.iterdir()
        assert part.suffix == ".part"
        assert part.stat().st_size > 0
        assert Cache(tmp_path).clear() == []  # its writer lives
        writer.kill()
        writer.wait()
    assert part.exists()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data, note = kept(tmp_path)
    assert note.outcome == "made"
    assert same(data, images())
    assert list(tmp_path.iterdir()) == [note.path]


RACER = """
import sys
from pathlib import Path
from helpers_cache import KINDS, same
from localspike.data.cache import fetch

print("ready", flush=True)
sys.stdin.readline()
for turn in range(12):
    for kind in ("images", "dense spikes", "counts"):
        make = KINDS[kind][0]
        data, note = fetch(make, {"kind": kind, "turn": turn}, cache=Path(sys.argv[1]))
        assert same(data, make()), note
        assert note.outcome in ("made", "hit"), note
print("done", flush=True)
"""


def test_two_processes_at_once(tmp_path: Path) -> None:
    with start(RACER, str(tmp_path)) as one, start(RACER, str(tmp_path)) as other:
        for racer in (one, other):
            assert racer.stdout.readline() == "ready\n"
        for racer in (one, other):
            racer.stdin.write("go\n")
            racer.stdin.flush()
        assert [racer.stdout.readline() for racer in (one, other)] == ["done\n"] * 2
    assert len(list(tmp_path.iterdir())) == 12 * 3


def test_many_threads_while_entries_are_removed(tmp_path: Path) -> None:
    """Room for two entries of three: each is removed under the others' hands, none is wrong."""
    makes = [KINDS[kind][0] for kind in ("images", "dense spikes", "weighted counts")]
    sizes = [fetch(make, {}, cache=tmp_path / str(k))[1].nbytes for k, make in enumerate(makes)]
    store = Cache(tmp_path / "shared", limit=sum(sizes) - 1)

    def work(number: int) -> bool:
        make = makes[number % 3]
        data, _ = fetch(make, {"kind": number % 3}, cache=store)
        return same(data, make())

    with warnings.catch_warnings(), ThreadPoolExecutor(4) as pool:
        warnings.simplefilter("ignore", CacheWarning)  # all three may be in use at once
        assert all(pool.map(work, range(120)))
    assert store.nbytes() <= store.limit + max(sizes)  # two may have found room for one
    store.make_room(0)
    assert store.nbytes() <= store.limit
    assert all(one.complete for one in store.kept())
