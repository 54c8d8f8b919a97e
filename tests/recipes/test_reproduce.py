"""Reproduced tables: what is planned, kept, resumed, missing, and what stands beside the paper."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from helpers_reproduce import QUICK, Inline, cifar10_root, finish
from localspike.errors import ConfigError, DataError
from localspike.learn.metrics import read_journal
from localspike.recipes import reproduce
from localspike.recipes.published import TABLES
from localspike.recipes.reproduce import carry_out, net_of, summarise
from localspike.recipes.reproduce_plan import Plan, Request, lacking, make_plan, run_of
from localspike.recipes.reproduce_report import Reproduced, text, tree
from localspike.recipes.workers import Failure

KEYWORDS = Request("s-tllr-2", "small", seeds=2, only="keywords/s_tllr", settings=QUICK)


@pytest.fixture(autouse=True)
def inline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("LOCALSPIKE_DATA", raising=False)
    monkeypatch.setattr(reproduce, "Workers", Inline)
    monkeypatch.setattr(Inline, "fate", None)
    yield


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return cifar10_root(tmp_path / "data")


def keywords(out: Path, **changes: object) -> Plan:
    return make_plan(replace(KEYWORDS, out=out, device="cpu", **changes))


def cifar(out: Path, root: Path, **changes: object) -> Plan:
    asked = Request("tess-1", "full", seeds=2, out=out, data_root=root, device="cpu")
    return make_plan(replace(asked, **changes))


def rows(plan: Plan, failures: dict[Path, str] | None = None) -> dict[str, Reproduced]:
    made = summarise(plan, failures or {})
    return {f"{row.place}/{row.name}": row for row in made.rows}


def test_a_table_is_trained_kept_and_read_again(tmp_path: Path) -> None:
    plan = keywords(tmp_path)
    assert carry_out(plan) == {}
    marks = {f: f.stat().st_mtime_ns for f in tmp_path.rglob("result.json")}
    assert len(marks) == 2
    for cell in plan.cells:  # ordinary run folders
        assert [line["kind"] for line in read_journal(cell.folder)][-1] == "epoch"
    (row,) = summarise(plan, {}).rows
    assert (row.state, len(row.seeds), row.difference) == ("done", 2, None)
    assert row.mean == pytest.approx(sum(row.seeds.values()) / 2)
    carry_out(keywords(tmp_path, seeds=3))
    assert len(list(tmp_path.rglob("result.json"))) == 3
    assert marks == {f: f.stat().st_mtime_ns for f in marks}


def test_a_sitting_that_is_over_goes_on_where_it_was(tmp_path: Path) -> None:
    settings = (*QUICK, "epochs=2")
    plan = keywords(tmp_path, settings=settings, seeds=1)
    assert carry_out(plan, seconds=1e-9) == {}
    (row,) = summarise(plan, {}).rows
    assert (row.state, row.mean, row.epochs) == ("unfinished", None, {0: 1})
    assert "not finished: 0 of 1 seeds done, seed 0 at epoch 1 of 2" in row.note
    carry_out(keywords(tmp_path, settings=settings, seeds=1))
    (row,) = summarise(plan, {}).rows
    assert (row.state, row.epochs) == ("done", {})
    (cell,) = plan.cells
    epochs = [x["epoch"] for x in read_journal(cell.folder) if x["kind"] == "epoch"]
    assert epochs == [1, 2]


def test_trainings_that_wait_do_not_begin_when_the_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reproduce, "cores", lambda: 1)
    carry_out(keywords(tmp_path), seconds=1e-9)
    assert len(list(tmp_path.rglob("config.json"))) == 1


def test_ctrl_c_leaves_the_rest_for_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Failure("Interrupted", "stopped, everything is saved")
    monkeypatch.setattr(Inline, "fate", lambda job: stop if job.cell.seed else None)
    plan = keywords(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        carry_out(plan)
    (row,) = summarise(plan, {}).rows
    assert (row.state, list(row.seeds), row.sd) == ("unfinished", [0], None)
    monkeypatch.setattr(Inline, "fate", None)
    carry_out(keywords(tmp_path))
    assert [row.state for row in summarise(plan, {}).rows] == ["done"]


def test_a_training_that_fails_is_told_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    luck = Failure("Error", "out of luck.")
    monkeypatch.setattr(Inline, "fate", lambda job: None if job.cell.seed else luck)
    plan = keywords(tmp_path)
    failures = carry_out(plan)
    made = summarise(plan, failures)
    assert made.failures == {"keywords-rec/s_tllr seed 0": "out of luck."}
    (row,) = made.rows
    assert (row.state, list(row.seeds)) == ("failed", [1])
    assert row.note.startswith("1 of 2 failed")


def test_a_damaged_result_is_a_failure_of_its_own(tmp_path: Path) -> None:
    plan = keywords(tmp_path)
    for cell in plan.cells:
        finish(cell, 0.5)
    (plan.cells[0].folder / "result.json").write_text("{}")
    (row,) = summarise(plan, {}).rows
    assert (row.state, row.seeds) == ("failed", {1: 50.0})
    assert "result.json is damaged" in row.failed[0]


def test_the_difference_is_ours_less_the_paper_s(tmp_path: Path, root: Path) -> None:
    plan = cifar(tmp_path / "out", root)
    ours = {("tess", 0): 0.90, ("tess", 1): 0.92, ("bptt", 0): 0.9355, ("bptt", 1): 0.9355}
    for cell in plan.cells:
        if (cell.name, cell.seed) in ours:
            finish(cell, ours[cell.name, cell.seed])
    found = rows(plan)
    tess, bptt, waiting = (found[f"cifar10/{name}"] for name in ("tess", "bptt", "s_tllr"))
    assert (tess.mean, tess.sd) == (pytest.approx(91.0), pytest.approx(2**0.5))
    assert tess.difference == pytest.approx(91.0 - 92.55)
    assert bptt.difference == pytest.approx(1.0)
    assert waiting.difference is None and waiting.state == "unfinished"
    lines = text(summarise(plan, {})).splitlines()
    cells = next([c.strip() for c in x.split("|")] for x in lines if "| tess " in x and "10 " in x)
    assert cells[1:8] == ["cifar10", "VGG-9", "tess", "92.55 ± 0.16", "91.00 ± 1.41", "2", "-1.55"]


def test_authors_logs_have_a_difference_of_their_own(tmp_path: Path) -> None:
    plan = make_plan(Request("tp-1", "small", 1, tmp_path, only="keywords-fc/tp"))
    row = summarise(plan, {}).rows[0]
    assert row.logs is None
    (published,) = (r for r in TABLES["tp-1"].rows if (r.place, r.name) == ("shd-ff", "tp"))
    row = replace(row, paper=published.paper, logs=published.logs, mean=70.0)
    assert "authors' logs, all seeds at the final epoch: 61.62, ours +8.38" in row.note


def test_missing_data_are_named_row_by_row(tmp_path: Path, root: Path) -> None:
    found = rows(cifar(tmp_path / "out", root))
    states = {name: row.state for name, row in found.items()}
    assert {name for name in states if states[name] != "missing"} == {
        "cifar10/bptt", "cifar10/s_tllr", "cifar10/tess",
    }  # fmt: skip
    assert found["cifar100/tess"].note == (
        "data not on disk (what to put where: localspike data get cifar100)"
    )
    assert not [c for c in cifar(tmp_path / "out", root).cells if c.net != "cifar10"]


def test_full_scale_asks_for_all_of_a_data_set(tmp_path: Path) -> None:
    (tmp_path / "nmnist").mkdir()
    (tmp_path / "nmnist" / "nmnist_1ms.npz").write_bytes(b"x")
    assert lacking("nmnist", tmp_path, "small") == ""
    assert lacking("nmnist", tmp_path, "full").startswith("only a part is on disk")
    (tmp_path / "nmnist" / "Train" / "0").mkdir(parents=True)
    (tmp_path / "nmnist" / "Test" / "0").mkdir(parents=True)
    assert lacking("nmnist", tmp_path, "full") == ""
    assert lacking("keywords", None, "full") == ""
    row = TABLES["tp-1"].rows[0]
    assert run_of("tp", row, "full").data.options["form"] == "official"
    assert "form" not in run_of("tp", row, "small").data.options


def test_what_is_not_here_at_all_is_refused_in_its_row(tmp_path: Path) -> None:
    found = rows(make_plan(Request("s-tllr-2", "full", 1, tmp_path)))
    row = found["mvsec/s_tllr"]
    assert (row.state, row.net, row.config) == ("refused", "", None)
    assert "neither this data set nor its task" in row.note and "lower is better" in row.note


def test_the_record_is_json_and_holds_what_a_reader_needs(tmp_path: Path, root: Path) -> None:
    plan = cifar(tmp_path / "out", root, settings=("epochs=3",))
    finish(plan.cells[0], 0.5)
    record = json.loads(json.dumps(tree(summarise(plan, {}), {"revision": "abc"})))
    assert (record["revision"], record["name"], record["settings"]) == (
        "abc", "tess-1", ["epochs=3"],
    )  # fmt: skip
    row = next(r for r in record["rows"] if r["seeds"])
    assert row["paper"] == {"mean": 92.55, "sd": 0.06} and row["seeds"] == {"0": 50.0}
    assert (row["n"], row["state"], row["config"]["training"]["epochs"]) == (1, "unfinished", 3)
    assert row["runs"]["0"]["versions"]["torch"] and row["runs"]["0"]["schedule"] == "layerwise"
    assert "Settings changed in every run: epochs=3." in record["notes"]
    assert any("never evaluate the local loss" in note for note in record["notes"])


def test_tables_that_ask_for_the_same_run_share_it(tmp_path: Path, root: Path) -> None:
    one = cifar(tmp_path / "out", root, only="cifar10/tess")
    other = cifar(tmp_path / "out", root, table="tess-3", only="cifar10/tess")
    assert {cell.folder for cell in one.cells} < {cell.folder for cell in other.cells}
    assert len(other.cells) == 6
    same = cifar(tmp_path / "out", root, table="tess-3", only="cifar10/tess",
                 settings=("rule.post_gain=0.5",))  # fmt: skip
    assert len(same.cells) == 2


def test_scale_settings_and_device(tmp_path: Path, root: Path) -> None:
    full, small = (
        cifar(tmp_path / "out", root, scale=scale, only="cifar10/tess").cells[0].folder
        for scale in ("full", "small")
    )
    assert full != small
    plan = cifar(tmp_path / "out", root, scale="small", seeds=None)
    assert {line.row.place for line in plan.lines} >= {"nmnist-conv"}
    assert plan.seeds == 1 and cifar(tmp_path / "out", root, seeds=None).seeds == 3
    assert {cell.config.training.device for cell in plan.cells} == {"cpu"}
    assert net_of(plan.cells[0].config) == "VGG-9 x 0.25"


@pytest.mark.parametrize(
    ("only", "names"),
    [
        ("shd/", {"shd-rec/bptt", "shd-rec/s_tllr", "shd-rec/s_tllr-dfa"}),
        ("shd-rec/s_tllr", {"shd-rec/s_tllr"}),
        ("/s_tllr:last-5", {"cifar10dvs/s_tllr:last-5"}),
        ("shd,mvsec/bptt", {"shd-rec/bptt", "mvsec/bptt"}),
    ],
)
def test_only_takes_rows_by_data_and_rule(tmp_path: Path, only: str, names: set[str]) -> None:
    plan = make_plan(Request("s-tllr-2", "full", 1, tmp_path, only=only))
    assert {name for name, row in rows(plan).items() if row.asked} == names
    printed = [line for line in text(summarise(plan, {})).splitlines() if line.startswith("| ")]
    assert len(printed) == len(names) + 2


def test_rows_that_are_not_asked_for_stay_in_the_record(tmp_path: Path, root: Path) -> None:
    (cell,) = cifar(tmp_path / "out", root, only="cifar10/bptt", seeds=1).cells
    finish(cell, 0.5)
    plan = cifar(tmp_path / "out", root, only="cifar10/tess", seeds=1)
    assert [cell.name for cell in plan.cells] == ["tess"]
    found = rows(plan)["cifar10/bptt"]
    assert (found.asked, found.state, found.mean) == (False, "done", 50.0)
    assert "| bptt " in text(summarise(plan, {}), every=True)
    changed = cifar(tmp_path / "out", root, only="cifar10/tess", settings=("rule.pool=1",))
    assert list(rows(changed)) == ["cifar10/tess"]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"table": "tes-1"}, ConfigError, r"unknown table 'tes-1'\. Nearest names: tess-1"),
        ({"seeds": 0}, ConfigError, r"a table needs seeds: got 0; expected 1 or more"),
        ({"only": "keyword/"}, ConfigError, r"unknown data set 'keyword'.*Nearest names: keyw"),
        ({"only": "/stllr"}, ConfigError, r"unknown rule 'stllr' in --only\. Nearest names: s_tl"),
        ({"only": "keywords/s_tllr:last-5"}, ConfigError, r"no row of s-tllr-2 is both"),
        ({"settings": ("epocs=1",)}, ConfigError, r"unknown key 'epocs'\. Nearest names: epochs"),
        ({"device": "gpu"}, ConfigError, r"the device is not there: got gpu"),
        ({"data_root": Path("absent")}, DataError, r"no such folder: absent"),
    ],
)
def test_bad_requests_are_refused_before_anything_is_written(
    tmp_path: Path, changes: dict, error: type, message: str
) -> None:
    with pytest.raises(error, match=message):
        make_plan(replace(KEYWORDS, out=tmp_path / "out", **changes))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"is no folder of reproduced tables: got a file"):
        keywords(tmp_path / "file")
    with pytest.raises(ConfigError, match=r"is no folder of reproduced tables: got file"):
        keywords(tmp_path)


def test_on_a_device_one_training_runs_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(Inline, "__init__", lambda self, total, most: asked.append((total, most)))
    monkeypatch.setattr(Inline, "fate", lambda job: Failure("Error", "not here."))
    monkeypatch.setattr(reproduce, "cores", lambda: 7)
    plan = keywords(tmp_path)
    carry_out(plan)
    carry_out(replace(plan, device="cuda"))
    assert asked == [(2, 7), (2, 1)]


def test_a_row_of_real_data_at_small_scale(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.undo()
    given = os.environ.get("LOCALSPIKE_DATA")
    if not given or lacking("nmnist", Path(given), "small"):
        pytest.skip("real data: LOCALSPIKE_DATA has no N-MNIST")
    monkeypatch.setattr(reproduce, "Workers", Inline)
    plan = make_plan(
        Request("tp-1", "small", 1, tmp_path, only="nmnist/bptt", settings=QUICK, device="cpu")
    )
    assert carry_out(plan) == {}
    (row,) = summarise(plan, {}).rows
    assert row.net == "2312-200-10"
    assert row.difference == pytest.approx(row.mean - 98.45)
