"""`localspike reproduce`: lists, tables, sittings, what is missing, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers_cli import Said
from helpers_reproduce import QUICK, Inline, cifar10_root
from localspike.cli import reproducing
from localspike.recipes import reproduce

Command = Callable[..., Said]
KEYWORDS = (
    "s-tllr-2",
    *QUICK,
    "epochs=2",
    "--scale",
    "small",
    "--only",
    "keywords/s_tllr",
    "--seeds",
    1,
)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOCALSPIKE_DATA", raising=False)


def test_without_a_table_all_are_listed_with_their_data(command: Command, tmp_path: Path) -> None:
    cifar10_root(tmp_path / "data")
    said = command("reproduce", "--data-root", "data")
    assert (said.code, said.err) == (0, "")
    lines = {line.split()[0]: line for line in said.out.splitlines() if line}
    assert {"tess-1", "tess-2", "tess-3", "s-tllr-2", "tp-1", "tp-2", "tp-3"} < set(lines)
    assert "cifar10: yes, cifar100: no" in lines["tess-1"]
    assert "keywords: inside" in lines["tp-1"] and "mvsec: not supported" in lines["s-tllr-2"]
    assert lines["tess-2"].endswith("none needed")
    found = json.loads(command("reproduce", "--json").out)
    assert found["data_root"] is None
    needs = {entry["name"]: entry["data"] for entry in found["tables"]}
    assert needs["tess-1"]["cifar10"] == "no" and needs["tp-3"] == {}


def test_a_row_on_generated_images_and_its_record(command: Command, tmp_path: Path) -> None:
    root = cifar10_root(tmp_path / "data")
    asked = ["tess-1", *QUICK, "model.width=0.03125", "--scale", "small", "--seeds", 1]
    asked += ["--only", "cifar10,cifar100/tess", "--data-root", root, "--device", "cpu"]
    said = command("reproduce", *asked)
    assert said.code == 0
    first, *told = said.err.splitlines()
    assert first == "tess-1, small scale: 1 training to go, 1 epoch on cpu"
    # So narrow a net has few latents; what its training warns of is said here, once.
    assert told and len(set(told)) == len(told)
    assert all(line.startswith("localspike: warning: block '") for line in told)
    lines = [line for line in said.out.splitlines() if line.startswith("| cifar10")]
    assert "VGG-9 x 0.03125 | tess | 92.55 ± 0.16" in lines[0]
    assert "data not on disk (what to put where: localspike data get cifar100)" in lines[1]
    folder = tmp_path / "runs" / "reproduce"
    assert (folder / "tess-1-small-changed.md").read_text() in said.out + "\n"
    record = json.loads((folder / "tess-1-small-changed.json").read_text())
    row = record["rows"][0]
    (accuracy,) = row["seeds"].values()
    assert row["difference"] == pytest.approx(accuracy - 92.55)
    assert record["kind"] == "reproduce" and record["command"].startswith("localspike")
    assert {"revision", "hardware", "versions", "load_average", "scale", "seeds"} <= set(record)
    (run,) = folder.rglob("result.json")
    marked = run.stat().st_mtime_ns
    again = command("reproduce", *asked, "--json")
    assert (again.code, again.err) == (0, "")
    assert json.loads(again.out)["rows"] == record["rows"]
    assert run.stat().st_mtime_ns == marked
    assert command("eval", run.parent, "--data-root", root, "--json").code == 0


def test_a_sitting_ends_in_time_and_the_same_command_goes_on(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reproduce, "Workers", Inline)
    asked = ["reproduce", *KEYWORDS, "--device", "cpu"]
    said = command(*asked, "--minutes", "1e-9")
    assert said.code == 0 and "seed 0 at epoch 1 of 2" in said.out
    assert "stopped in time, 0 of 1 trainings are finished and the rest is saved. Go" in said.err
    said = command(*asked)
    assert said.code == 0 and "Go on" not in said.err
    shown = command(*asked, "--show")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.splitlines()[:8] == said.out.splitlines()[:8]


def test_ctrl_c_keeps_the_table_and_says_how_to_go_on(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(reproducing, "carry_out", interrupted)
    said = command("reproduce", *KEYWORDS)
    assert (said.code, said.out) == (130, "")
    last = said.err.splitlines()[-1]
    assert "interrupted, 0 of 1 trainings are finished and the rest is saved. Go on with: " in last
    record = json.loads((tmp_path / "runs/reproduce/s-tllr-2-small-changed.json").read_text())
    assert [row["state"] for row in record["rows"]] == ["unfinished"]


def test_without_any_of_its_data_a_table_is_shown_and_the_exit_code_says_so(
    command: Command, tmp_path: Path
) -> None:
    said = command("reproduce", "tess-1")
    assert said.code == 2
    assert said.out.count("data not on disk (what to put where: localspike data get") == 12
    assert said.err.startswith("localspike: no row could be trained") and said.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
    assert command("reproduce", "tess-1", "--show").code == 0


def test_damaged_files_fail_their_row_and_the_exit_code_says_so(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reproduce, "Workers", Inline)
    root = cifar10_root(tmp_path / "data")
    (root / "cifar-10-batches-bin" / "data_batch_2.bin").write_bytes(b"\0" * 100)
    asked = ["tess-1", *QUICK, "--only", "cifar10/tess", "--seeds", 1, "--data-root", root]
    said = command("reproduce", *asked)
    assert said.code == 1 and "1 of 1 failed" in said.out
    assert "localspike: cifar10/tess seed 0 failed: " in said.err
    assert "data_batch_2.bin" in said.err and "Traceback" not in said.err


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("tess-2", "signal MACs, TESS (1e6)  5.48     5.35     -0.13       5.48"),
        ("tp-3", "tp    L H B  L H B²   H O        LH "),
    ],
)
def test_tables_that_are_worked_out(command: Command, tmp_path: Path, name: str, line: str) -> None:
    said = command("reproduce", name, "--out", "out")
    assert (said.code, said.err) == (0, "")
    assert line in said.out and f"out/{name}.json" in said.out
    record = json.loads((tmp_path / "out" / f"{name}.json").read_text())
    assert record["rows"] and record["command"].startswith("localspike")
    assert json.loads(command("reproduce", name, "--json").out)["rows"] == record["rows"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tess1"], "unknown table 'tess1'. Nearest names: tess-1"),
        (["tess-1", "--scale", "tiny"], "invalid choice 'tiny'"),
        (["tess-1", "--minutes", "0"], "--minutes: got 0.0; expected a number > 0"),
        (["tess-1", "--seeds", "-1"], "a table needs seeds: got -1"),
        (["tess-1", "--only", "cifar/"], "unknown data set 'cifar' in --only. Nearest names: ci"),
        (["tess-1", "--data-root", "absent"], "no such folder: absent"),
        (["tess-1", "--device", "gpu"], "the device is not there: got gpu"),
        (["tess-1", "epochs"], "an override cannot be read: got 'epochs'"),
        (["tess-1", "--epochs", "1"], "unknown option --epochs of localspike reproduce"),
        (["tess-2", "--only", "cifar10/"], "tess-2 is worked out and not trained"),
        (["s-tllr-2", *QUICK, "--scale", "small", "--out", "/proc/here"], "cannot write /proc/he"),
    ],
)
def test_bad_requests_are_refused_in_one_line(
    command: Command, tmp_path: Path, arguments: list[str], message: str
) -> None:
    said = command("reproduce", *arguments)
    assert (said.code, said.out) == (2, "")
    assert message in said.err.splitlines()[-1]
    assert said.err.splitlines()[-1].startswith("localspike: error: ")
    assert list(tmp_path.iterdir()) == []
