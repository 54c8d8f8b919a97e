"""`localspike export c`: a run's folder to C that passes its own check, and every refusal."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers_cli import SMALL, Said
from helpers_export import make, needs_compiler
from localspike.cli import main
from localspike.errors import IllegalError
from localspike.export import Plan


def test_a_run_becomes_c_that_passes_its_check(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needs_compiler()
    out = tmp_path / "out"
    assert main(["export", "c", str(finished), str(out)]) == 0
    said = capsys.readouterr().out
    assert (
        "80 inputs, 10 classes" in said
        and "Learns: hidden1, hidden2, readout; weights f32." in said
    )
    ran = make(out, "test")
    assert ran.returncode == 0 and "selfcheck: passed" in ran.stdout
    assert "ls_learn" in (out / "README.md").read_text()
    # Again over itself, with the readout alone learning.
    assert main(["export", "c", str(finished), str(out), "--learn", "last-1", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["numbers"]["learns"] == ["readout"]
    assert make(out, "-B", "test").returncode == 0


def test_a_budget_that_does_not_fit_is_refused_with_what_would(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["export", "c", str(finished), str(out), "--budget", "2KB"]) == 2
    said = capsys.readouterr()
    assert "does not fit the budget" in said.err and "--learn last-2" in said.err
    assert all(name in said.out for name in ("hidden1", "hidden2", "readout", "arena"))
    assert not out.exists()
    assert main(["export", "c", str(finished), str(out), "--budget", "20"]) == 2
    assert "Nothing of it fits" in capsys.readouterr().err
    assert main(["export", "c", str(finished), str(out), "--budget", "1MB"]) == 0


def test_a_run_becomes_c_in_fixed_point(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needs_compiler()
    out, four = tmp_path / "out", ["--dtype", "int8", "--headroom", "4"]
    assert main(["export", "c", str(finished), str(out), *four]) == 0
    assert "weights int8." in capsys.readouterr().out
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["dtype"] == "int8"
    assert "#define LS_BITS 8" in (out / "ls_dtype.h").read_text()
    ran = make(out, "test")
    assert ran.returncode == 0 and "selfcheck: passed" in ran.stdout
    # Twice the headroom is another model, whose saved weights mean something else.
    assert main(["export", "c", str(finished), str(out), "--dtype", "int8"]) == 0
    again = json.loads((out / "manifest.json").read_text())
    assert again["model_hash"] != manifest["model_hash"]
    assert again["arena_bytes"] == manifest["arena_bytes"]


def test_a_budget_that_smaller_weights_fit_names_them(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    out = tmp_path / "out"
    assert main(["export", "c", str(finished), str(out), "--dtype", "int8", "--json"]) == 0
    need = json.loads(capsys.readouterr().out)["numbers"]["arena_bytes"]["learn"]
    budget = ["--budget", str(need)]
    assert main(["export", "c", str(finished), str(tmp_path / "no"), *budget]) == 2
    assert f"--learn all --dtype int8 ({need:,} bytes)" in capsys.readouterr().err
    assert main(["export", "c", str(finished), str(out), "--dtype", "int8", *budget]) == 0
    capsys.readouterr()

    def refuses(plan: Plan, dtype: str, headroom: float = 2.0) -> Plan:
        if dtype != "f32":
            raise IllegalError("cannot be exported in fixed point")
        return plan

    # Weights that no fixed point holds are no advice, and no other refusal.
    monkeypatch.setattr("localspike.recipes.exporting.in_fixed_point", refuses)
    assert main(["export", "c", str(finished), str(tmp_path / "no"), *budget]) == 2
    said = capsys.readouterr().err
    assert "does not fit the budget" in said and "--dtype int" not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--dtype", "int4"], "int4"),
        (["--dtype", ""], "--dtype"),
        (["--dtype", "int8", "--headroom", "0.5"], "headroom: got 0.5; expected 1"),
        (["--dtype", "int8", "--headroom", "nan"], "headroom: got nan; expected 1"),
        (["--dtype", "int8", "--headroom", "inf"], "headroom: got inf; expected 1"),
        (["--dtype", "int8", "--headroom", "-2"], "headroom: got -2.0; expected 1"),
        (["--headroom", "4"], "--headroom is of fixed point"),
        (["--learn", "last-9"], "last-1 … last-3"),
        (["--learn", "some"], "all, none, or last-1"),
        (["--learn", "last-"], "last-1 … last-3"),
        (["--learn", "last-0"], "last-1 … last-3"),
        (["--learn", "last-01"], "last-1 … last-3"),
        (["--learn", "last-99999999999"], "last-1 … last-3"),
        (["--learn", "last-" + "9" * 5000], "last-1 … last-3"),
        (["--learn", "last--1"], "last-1 … last-3"),
        (["--learn", ""], "the value of --learn is empty"),
        (["--budget", "0.5"], "--budget is no size"),
        (["--budget", "0.0001K"], "--budget is no size"),
        (["--budget", "1e3"], "--budget is no size"),
        (["--budget", "-1"], "--budget is no size"),
        (["--budget=-1"], "--budget is no size"),
        (["--budget", "nan"], "--budget is no size"),
        (["--budget", ""], "the value of --budget is empty"),
        (["--budget", "big"], "--budget is no size"),
        (["--budget", "0KB"], "--budget is no size"),
        (["--budget", "9" * 400], "--budget is no size"),
    ],
)
def test_settings_that_mean_nothing_are_refused(
    finished: Path,
    tmp_path: Path,
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["export", "c", str(finished), str(tmp_path / "out"), *arguments]) == 2
    told = capsys.readouterr()
    assert said in told.err and told.err.count("\n") == 1 and told.out == ""
    assert not (tmp_path / "out").exists()


def test_folders_that_hold_something_else_are_left_alone(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    assert main(["export", "c", str(finished), str(tmp_path)]) == 2
    assert "mine.txt" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    (tmp_path / "ls_model.h").write_text("vendored")  # in a project of someone's own
    assert main(["export", "c", str(finished), str(tmp_path)]) == 2
    capsys.readouterr()
    assert main(["export", "c", str(tmp_path / "none"), str(tmp_path / "out")]) == 2
    assert "no run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("file", "file is a file. Name a folder"),
        ("file/below", "got Not a directory"),
        ("file/far/below", "got Not a directory"),
        ("nowhere", "got File exists"),
        ("/proc/localspike", "cannot write /proc/localspike"),
        ("/dev/null", "/dev/null is a file"),
        ("made/" + "n" * 300, "got File name too long. Shorten the name"),
        ("RUN", "is not empty and no export: got checkpoints"),
        ("RUN/checkpoints", "is not empty and no export"),
        ("", "empty argument"),
        (None, "Missing from localspike export: OUT"),
    ],
)
def test_folders_that_cannot_be(
    finished: Path, tmp_path: Path, out: str | None, said: str, command: Callable[..., Said]
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone" / "for ever")
    places = [] if out is None else [out and tmp_path / out.replace("RUN", str(finished))]
    before = sorted(path for top in (tmp_path, finished) for path in top.rglob("*"))
    told = command("export", "c", finished, *places)
    assert told.code == 2 and told.err.count("\n") == 1 and told.out == ""
    assert said in told.err and "--out" not in told.err, told.err
    assert sorted(path for top in (tmp_path, finished) for path in top.rglob("*")) == before


@pytest.mark.parametrize("run", ["file", "file/below", "missing", "empty", "RUN/config.json"])
@pytest.mark.parametrize("what", ["export", "cost"])
def test_what_is_no_run(
    finished: Path, tmp_path: Path, run: str, what: str, command: Callable[..., Said]
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    place = tmp_path / run.replace("RUN", str(finished))
    asked = ["export", "c", place, tmp_path / "out"] if what == "export" else ["cost", place]
    told = command(*asked)
    assert told.code == 2 and told.err.count("\n") == 1 and told.out == ""
    assert "no run in" in told.err or "is no recipe and no run folder" in told.err
    assert not (tmp_path / "out").exists()


def test_an_export_that_cannot_be_replaced_stays_as_it_was(
    finished: Path, tmp_path: Path, command: Callable[..., Said]
) -> None:
    """A file where a folder must be, or a disk that is full halfway: nothing is mixed up."""
    assert command("export", "c", finished, tmp_path, "--learn", "none").code == 0
    shutil.rmtree(tmp_path / "test")
    (tmp_path / "test").write_text("mine")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    told = command("export", "c", finished, tmp_path)
    assert told.code == 2 and "test is a file" in told.err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("there", [True, False])
def test_a_full_disk_leaves_nothing_behind(
    there: bool,
    finished: Path,
    tmp_path: Path,
    command: Callable[..., Said],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "new" / "out"
    if there:
        assert command("export", "c", finished, out, "--learn", "none").code == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    written: list[int] = []

    def full(handle: int) -> None:
        written.append(handle)
        if len(written) == 5:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    told = command("export", "c", finished, out)
    assert told.code == 2 and "No space left on device. Free some space there" in told.err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert (tmp_path / "new").exists() == there


def test_a_rule_that_sends_errors_down_can_only_infer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(["train", "keywords-bptt", *SMALL, "--out", str(run)]) == 0
    assert main(["export", "c", str(run), str(tmp_path / "out")]) == 2
    assert "rule 'bptt' cannot be exported" in capsys.readouterr().err
    assert main(["export", "c", str(run), str(tmp_path / "out"), "--learn", "none"]) == 0
    assert "Learns: nothing" in capsys.readouterr().out
    assert "LS_INFER" in (tmp_path / "out" / "README.md").read_text()
    assert (
        main(["export", "c", str(run), str(tmp_path / "no"), "--learn", "none", "--budget", "9"])
        == 2
    )
    assert "Nothing of it fits" in capsys.readouterr().err
