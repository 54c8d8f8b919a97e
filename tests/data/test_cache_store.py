"""The size of the cache: what is counted, what goes first, and what stays."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import numpy as np
import pytest

from helpers_cache import images, start
from localspike.data.cache import Cache, CacheWarning, fetch
from localspike.data.cache_file import Damaged
from localspike.data.cache_store import Full

KEYS = [digit * 40 for digit in "abcdef"]
SIZE = 4096
START = 1_700_000_000_000_000_000


@pytest.fixture
def store(tmp_path: Path) -> Cache:
    """Room for four entries, three of them taken: a, b, c, used in this order."""
    cache = Cache(tmp_path / "cache", limit=4 * SIZE)
    for number, key in enumerate(KEYS[:3]):
        write(cache, key)
        used(cache, key, START + number)
    return cache


def write(cache: Cache, key: str, nbytes: int = SIZE) -> None:
    """An entry of exactly ``nbytes``."""
    arrays = {"x": np.zeros(1024, np.uint8)}
    cache.write(key, {"name": key}, arrays)
    missing = nbytes - cache.path(key).stat().st_size
    cache.write(key, {"name": key}, {"x": np.zeros(1024 + missing, np.uint8)})
    assert cache.path(key).stat().st_size == nbytes


def used(cache: Cache, key: str, ns: int) -> None:
    os.utime(cache.path(key), ns=(START, ns))


def names(cache: Cache) -> str:
    return "".join(sorted(one.path.name[0] for one in cache.kept()))


def test_sizes_are_those_of_the_files(store: Cache) -> None:
    assert store.nbytes() == 3 * SIZE == sum(one.nbytes for one in store.kept())
    assert [one.path.name[0] for one in store.kept()] == list("abc")
    assert [one.used for one in store.kept()] == [START, START + 1, START + 2]


def test_what_was_used_longest_ago_goes_first(store: Cache) -> None:
    write(store, KEYS[3])
    assert names(store) == "abcd"
    write(store, KEYS[4])
    assert names(store) == "bcde"
    write(store, KEYS[5])
    assert names(store) == "cdef"


def test_reading_is_a_use_and_looking_is_none(store: Cache) -> None:
    assert store.read(KEYS[0]).about == {"name": KEYS[0]}
    assert store.kept()[0].about() == {"name": KEYS[1]}
    store.path(KEYS[1]).read_bytes()
    write(store, KEYS[3])
    write(store, KEYS[4])
    assert names(store) == "acde"


def test_access_times_play_no_part(store: Cache) -> None:
    path = store.path(KEYS[2])
    os.utime(path, ns=(1, path.stat().st_mtime_ns))
    write(store, KEYS[3])
    write(store, KEYS[4])
    assert names(store) == "bcde"


def test_only_as_much_goes_as_must(store: Cache) -> None:
    write(store, KEYS[3], 2 * SIZE)
    assert names(store) == "bcd"
    assert store.nbytes() == store.limit


def test_an_entry_is_replaced_in_its_own_room(store: Cache) -> None:
    write(store, KEYS[3])
    write(store, KEYS[0])
    assert names(store) == "abcd"


def test_an_entry_above_the_limit_removes_nothing(store: Cache) -> None:
    with pytest.raises(Full, match=r"an entry of 17\.\d kB with a limit of 16\.4 kB"):
        store.write(KEYS[3], {}, {"x": np.zeros(17_000, np.uint8)})
    assert names(store) == "abc"


def test_entries_in_use_stay(store: Cache) -> None:
    held = store.read(KEYS[0])
    used(store, KEYS[0], START - 1)
    write(store, KEYS[3])
    write(store, KEYS[4])
    assert names(store) == "acde"
    assert int(held.arrays["x"].sum()) == 0
    one_array = held.arrays["x"][5:]
    del held
    gc.collect()
    write(store, KEYS[5])
    assert names(store) == "adef"
    used(store, KEYS[0], START - 1)
    del one_array
    gc.collect()
    write(store, KEYS[1])
    assert names(store) == "bdef"


def test_no_room_when_all_is_in_use(store: Cache) -> None:
    held = [store.read(key) for key in KEYS[:3]]
    write(store, KEYS[3])
    with pytest.raises(Full, match=r"12\.3 kB of 16\.4 kB are in use"):
        store.write(KEYS[4], {}, {"x": np.zeros(5_000, np.uint8)})
    assert len(held) == 3
    assert names(store) == "abc"


# What `read_entry` does, without the seconds that importing torch takes.
HOLDER = """
import fcntl, mmap, sys
with open(sys.argv[1], "rb") as stream:
    fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    held = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
print("held", flush=True)
sys.stdin.read()
"""


def test_what_another_process_uses_stays_until_it_ends(store: Cache) -> None:
    with start(HOLDER, str(store.path(KEYS[0]))) as holder:
        assert holder.stdout.readline() == "held\n"
        assert len(store.clear()) == 2
        assert names(store) == "a"
        holder.kill()
        holder.wait()
    assert store.clear() == [store.path(KEYS[0])]
    assert store.nbytes() == 0


def test_leftovers_count_and_go_first(store: Cache) -> None:
    left = store.folder / f"{KEYS[5]}.lscache.{'0' * 16}.part"
    left.write_bytes(bytes(SIZE))
    assert store.nbytes() == 4 * SIZE
    assert [one.complete for one in store.kept()].count(False) == 1
    write(store, KEYS[3])
    assert not left.exists()
    assert names(store) == "abcd"


def test_no_other_file_is_counted_or_removed(store: Cache) -> None:
    others = ["letter.txt", "a.lscache", f"{KEYS[0]}.npz", f"x{KEYS[4]}.lscache", f"{KEYS[0]}.part"]
    for name in others:
        (store.folder / name).write_bytes(bytes(10 * SIZE))
    (store.folder / "folder").mkdir()
    assert store.nbytes() == 3 * SIZE
    store.make_room(store.limit)
    assert sorted(path.name for path in store.folder.iterdir()) == sorted([*others, "folder"])


def test_a_cache_that_is_not_there(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "none")
    assert (cache.kept(), cache.nbytes(), cache.clear(), cache.read(KEYS[0])) == ([], 0, [], None)
    assert not cache.folder.exists()


def test_a_damaged_entry_says_nothing_of_itself(store: Cache) -> None:
    store.path(KEYS[0]).write_bytes(b"x" * SIZE)
    assert store.kept()[-1].about() is None
    with pytest.raises(Damaged):
        store.read(KEYS[0])


def test_no_room_is_told_and_no_obstacle(tmp_path: Path) -> None:
    with pytest.warns(CacheWarning, match="an entry of .* with a limit of 100 bytes; going on"):
        data, note = fetch(images, {}, cache=Cache(tmp_path, limit=100))
    assert note.outcome == "uncached"
    assert len(data) == 9
