"""A process that trains keeps what it frees; what it measures of itself is not blurred by that."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from localspike.config import override
from localspike.learn import memory
from localspike.recipes import recipe, run

GLIBC = platform.libc_ver()[0] == "glibc"
needs_glibc = pytest.mark.skipif(not GLIBC, reason="the C library is not glibc")

FAULTS = """
import resource
import threading
import torch
from localspike.learn.memory import keep_heap, release_heap

if ASKED:
    print(keep_heap())
else:
    print(None)

def steps(n):
    for _ in range(n):
        a = torch.ones(1 << 24)  # 64 MiB: glibc maps what is larger than 32 by itself, always
        b = a + 1
        del a, b

def counted():
    steps(3)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    steps(4)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

torch.set_num_threads(1)
if IN_THREAD:
    one = threading.Thread(target=counted)
    one.start()
    one.join()
else:
    counted()

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 2**20

held = resident()
release_heap()
print(held - resident())
"""


def _clean_environment() -> dict[str, str]:
    ours = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def _faults(asked: bool, in_thread: bool = False) -> tuple[str, int, float]:
    source = FAULTS.replace("ASKED", str(asked)).replace("IN_THREAD", str(in_thread))
    done = subprocess.run(
        [sys.executable, "-c", source],
        capture_output=True, text=True, timeout=300, check=False, env=_clean_environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer, faults, released = done.stdout.split()
    return answer, int(faults), float(released)


@needs_glibc
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
@pytest.mark.parametrize("in_thread", [False, True])
def test_big_tensors_cost_no_page_faults_once_the_heap_is_kept(in_thread: bool) -> None:
    pages = 4 * 2 * (1 << 26) // os.sysconf("SC_PAGE_SIZE")  # two tensors, four times
    _, plain, _ = _faults(False, in_thread)
    answer, kept, released = _faults(True, in_thread)
    assert answer == "True"
    if plain < pages / 4:
        pytest.skip("this system's pages are so large that there is little to save")
    assert kept < plain / 4
    assert released > 60, "what is kept can still be given back when a measurement begins"


@needs_glibc
@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_settings_of_the_user_s_own_stand(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "2" if name.startswith("MALLOC") else "glibc.malloc.arena_max=2")
    monkeypatch.setattr(memory.ctypes, "CDLL", _must_not_be_asked)
    assert memory.keep_heap() is False


def _must_not_be_asked(*_: object) -> object:
    raise AssertionError("the C library was asked")


@needs_glibc
def test_memory_of_another_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(os.environ) - set(_clean_environment()):
        monkeypatch.delenv(name)
    real = ctypes.CDLL("libc.so.6")
    preloaded = SimpleNamespace(malloc=real.free)  # any function at another address
    found = {None: preloaded, "libc.so.6": SimpleNamespace(malloc=real.malloc, mallopt=_not_asked)}
    monkeypatch.setattr(memory.ctypes, "CDLL", found.__getitem__)
    assert memory.keep_heap() is False


def _not_asked(*_: object) -> int:
    raise AssertionError("mallopt was called")


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(os.environ) - set(_clean_environment()):
        monkeypatch.delenv(name)

    def none(_: object) -> object:
        raise OSError("no such library")

    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: object())
    assert memory.keep_heap() is False
    memory.release_heap()
    monkeypatch.setattr(memory.ctypes, "CDLL", none)
    assert memory.keep_heap() is False
    memory.release_heap()


def test_a_run_keeps_its_heap_after_giving_back_what_building_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    monkeypatch.setattr(run, "release_heap", lambda: order.append("release"))
    monkeypatch.setattr(run, "keep_heap", lambda: order.append("keep"))
    monkeypatch.setattr(run, "restart_high_water", lambda _: order.append("mark") or 0.0)
    settings = ["data.limit=60", "epochs=1", "hidden=20"]
    run.train(
        override(recipe("keywords-tess"), settings), tmp_path / "run", bar=False, figures=False
    )
    assert order == ["release", "keep", "mark"]
