"""A slice of the fuzzer that scripts/fuzz_formats.py runs for longer."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from localspike.data import formats
from localspike.errors import DataError

SCRIPTS = Path(__file__).parents[3] / "scripts"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for package in ("h5py", "lz4.frame", "zstandard", "soundfile"):
        pytest.importorskip(package)
    monkeypatch.syspath_prepend(str(SCRIPTS))
    for name in ("fuzz_files", "fuzz_formats"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("fuzz_formats")


def test_half_a_minute_of_damaged_files(script: ModuleType) -> None:
    report = script.fuzz(4000, 30.0, seed=1 << 20)
    assert report.failures == []
    assert report.files >= 400
    accepted = sum(kind.accepted for kind in report.kinds.values())
    assert 0 < accepted < report.files
    # Every refusal says where, but for files that are of no format at all.
    assert sum(kind.placed for kind in report.kinds.values()) > 0.99 * (report.files - accepted)


def test_the_fuzzer_sees_a_wrong_error(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(path: Path, **_: object) -> formats.Recording:
        raise ValueError("broken")

    monkeypatch.setitem(script.READERS, "dat", broken)
    report = script.fuzz(24, seed=1, keep=tmp_path)
    assert [line.partition(": ")[0] for line in report.failures] == [
        "seed 1, file 5, dat",
        "seed 1, file 17, dat",
    ]
    assert all("ValueError: broken" in line for line in report.failures)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("said", "expected"),
    [("not the path", "3"), ("{path}: wrong", None), ("{path}: two\nlines", "3")],
)
def test_the_fuzzer_sees_a_refusal_that_says_too_little(
    said: str, expected: str | None, script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def curt(path: Path, **_: object) -> formats.Recording:
        error = DataError(said.format(path=path), expected=expected)
        error.args = (said.format(path=path),)
        raise error

    monkeypatch.setitem(script.READERS, "dat", curt)
    report = script.fuzz(6, seed=1)
    assert len(report.failures) == 1
    assert "not a whole refusal" in report.failures[0]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="no high-water mark")
def test_the_fuzzer_sees_memory(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(path: Path, **_: object) -> formats.Recording:
        np.ones(100 << 20, np.uint8)
        return formats.read_evt2(path)

    monkeypatch.setitem(script.READERS, "evt2", greedy)
    report = script.fuzz(10, seed=1)
    assert [line.partition(": ")[0] for line in report.failures] == ["seed 1, file 6, evt2"]
    assert "memory rose by 1" in report.failures[0]


def test_the_record_goes_on_where_it_stopped(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(script, "PART", 12)
    record = tmp_path / "record.json"
    for count in (12, 36):
        arguments = ["fuzz_formats.py", "--count", str(count), "--record", str(record)]
        monkeypatch.setattr(sys, "argv", arguments)
        assert script.main() == 0
    held = json.loads(record.read_text())
    assert (held["parts"], held["files"], held["failures"]) == (3, 36, [])
    assert {name: one["files"] for name, one in held["kinds"].items()} == dict.fromkeys(
        script.fuzz_files.CHEAP, 3
    )
    once = script.fuzz(12, seed=2)
    assert sum(one["refused"] for one in held["kinds"].values()) >= sum(
        one.refused for one in once.kinds.values()
    )


def test_the_fuzzer_sees_a_slow_reader(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "SLOW", -1.0)
    report = script.fuzz(3, seed=1)
    assert len(report.failures) == 3
    assert "s of processor time" in report.failures[0]
