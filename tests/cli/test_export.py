"""`localspike export c`: a run's folder to C that passes its own check, and every refusal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers_cli import SMALL
from helpers_export import make, needs_compiler
from localspike.cli import main


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "run"
    assert main(["train", "keywords-tess", *SMALL, "--out", str(folder)]) == 0
    return folder


def test_a_run_becomes_c_that_passes_its_check(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needs_compiler()
    out = tmp_path / "out"
    assert main(["export", "c", str(trained), str(out)]) == 0
    said = capsys.readouterr().out
    assert "80 inputs, 10 classes" in said and "Learns: hidden1, hidden2, readout; weights f32." in said
    ran = make(out, "test")
    assert ran.returncode == 0 and "selfcheck: passed" in ran.stdout
    assert "ls_learn" in (out / "README.md").read_text()
    # Again over itself, with the readout alone learning.
    assert main(["export", "c", str(trained), str(out), "--learn", "last-1", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["numbers"]["learns"] == ["readout"]
    assert make(out, "-B", "test").returncode == 0


def test_a_budget_that_does_not_fit_is_refused_with_what_would(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["export", "c", str(trained), str(out), "--budget", "2KB"]) == 2
    said = capsys.readouterr()
    assert "does not fit the budget" in said.err and "What fits: --learn last-2 (" in said.err
    assert all(name in said.out for name in ("hidden1", "hidden2", "readout", "arena"))
    assert not out.exists()
    assert main(["export", "c", str(trained), str(out), "--budget", "20"]) == 2
    assert "Nothing of it fits" in capsys.readouterr().err
    assert main(["export", "c", str(trained), str(out), "--budget", "1MB"]) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--learn", "last-9"], "last-1 … last-3"),
        (["--learn", "some"], "all, none, or last-1"),
        (["--budget", "big"], "--budget is no size"),
        (["--budget", "0KB"], "--budget is no size"),
        (["--budget", "9" * 400], "--budget is no size"),
    ],
)
def test_settings_that_mean_nothing_are_refused(
    trained: Path,
    tmp_path: Path,
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["export", "c", str(trained), str(tmp_path / "out"), *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_folders_that_hold_something_else_are_left_alone(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    assert main(["export", "c", str(trained), str(tmp_path)]) == 2
    assert "mine.txt" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    (tmp_path / "ls_model.h").write_text("vendored")  # in a project of someone's own
    assert main(["export", "c", str(trained), str(tmp_path)]) == 2
    capsys.readouterr()
    assert main(["export", "c", str(tmp_path / "none"), str(tmp_path / "out")]) == 2
    assert "no run" in capsys.readouterr().err


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
