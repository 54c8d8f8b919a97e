"""The demo: choice of step size, table, JSON, and one short demo from end to end."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from localspike.errors import ConfigError
from localspike.recipes import demo, recipe
from localspike.recipes.demo import Plan, choose, summarise
from localspike.recipes.demo_jobs import Done, Job, config_of
from localspike.recipes.demo_report import table
from localspike.recipes.folder import create

KEYS = {"rule", "accuracy_mean", "accuracy_sd", "peak_memory_mib", "time_ratio"}


def done(rule: str, seed: int, test: float, seconds: float = 2.0, memory: float = 10.0) -> Done:
    """A finished final run."""
    return Done(Job(rule, 0.01, seed, 1, ""), 0.5, test, 572, memory, seconds)


def plan(seeds: int = 3) -> Plan:
    """A plan of two step sizes."""
    return Plan(Path("out"), "keywords", 4, (0.01, 0.03), seeds)


def test_the_step_size_is_chosen_per_rule_on_validation_only() -> None:
    job = Job("tess", 0.01, 0, 1, "")
    tried = [
        Done(job, 0.5, test_accuracy=0.9),
        Done(job._replace(lr=0.03), 0.6, test_accuracy=0.1),
        Done(job._replace(rule="bptt"), 0.7),
        Done(job._replace(rule="bptt", lr=0.03), 0.7),
    ]
    assert choose(tried) == {"tess": 0.03, "bptt": 0.01}


def test_step_sizes_within_a_standard_error_are_not_told_apart() -> None:
    """√(0.8 · 0.2 / 237) = 2.6 %: 2.5 % less is as good, 2.7 % less is not."""
    for behind, expected in ((0.025, 0.003), (0.027, 0.01)):
        job = Job("tess", 0.01, 0, 1, "")
        tried = [
            Done(job, 0.79, val_samples=237),
            Done(job._replace(lr=0.03), 0.8, val_samples=237),
            Done(job._replace(lr=0.003), 0.8 - behind, val_samples=237),
        ]
        assert choose(tried) == {"tess": expected}


def test_all_rules_share_net_epochs_grid_and_data() -> None:
    jobs = plan().search_jobs() + plan().final_jobs({"tess": 0.1, "bptt": 0.2, "frozen": 0.3})
    configs = [config_of(job) for job in jobs]
    assert len({repr((c.model, c.neuron, c.data, c.loss, c.scheduler)) for c in configs}) == 1
    assert {c.training.epochs for c in configs} == {4}
    assert {(j.rule, j.lr) for j in plan().search_jobs()} == {
        (rule, lr) for rule in ("tess", "bptt", "frozen") for lr in (0.01, 0.03)
    }


def test_final_runs_have_their_own_folders() -> None:
    folders = {
        Path(j.folder).name for j in plan().final_jobs(dict.fromkeys(("tess", "bptt", "frozen"), 1))
    }
    assert folders == {f"{rule}-{seed}" for rule in ("tess", "bptt", "frozen") for seed in range(3)}


def test_rows_are_mean_and_sample_sd_and_ratios_of_medians() -> None:
    runs = [done("tess", s, a, t) for s, a, t in ((0, 0.7, 1.0), (1, 0.8, 3.0), (2, 0.9, 50.0))]
    runs += [done("bptt", s, 0.9, 6.0) for s in range(3)]
    runs += [done("frozen", s, 0.4) for s in range(3)]
    report = summarise(plan(), runs, 1.0)
    row = report.row("tess")
    assert row.accuracy_mean == pytest.approx(0.8)
    assert row.accuracy_sd == pytest.approx(0.1)
    assert row.time_ratio == pytest.approx(0.5)
    assert report.gap_closed == pytest.approx(0.8)
    assert "closes 80 % of the gap" in table(report)


def test_no_gap_is_not_divided_by() -> None:
    runs = [done(rule, 0, 0.5) for rule in ("tess", "bptt", "frozen")]
    report = summarise(plan(1), runs, 1.0)
    assert report.gap_closed is None
    assert "gap" not in table(report)


def test_no_seeds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the demo needs seeds: got 0; expected 1 or more"):
        demo.run(tmp_path / "demo", seeds=0)
    assert not (tmp_path / "demo").exists()


def test_no_foreign_folder_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    create(tmp_path / "run", recipe("keywords-tess"))
    monkeypatch.chdir(tmp_path)
    for out, held in ((tmp_path, "notes.txt, run"), ("", "notes.txt, run"), ("run", "command, co")):
        with pytest.raises(
            ConfigError, match=rf"is no folder of a demo: got {held}.*Choose another"
        ):
            demo.run(out, seeds=1)
    with pytest.raises(ConfigError, match=r"notes\.txt is no folder of a demo: got a file"):
        demo.run("notes.txt", seeds=1)
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", "run"}


def test_one_seed_has_no_mean() -> None:
    runs = [done(rule, 0, 0.5) for rule in ("tess", "bptt", "frozen")]
    assert "One seed, 4 epochs" in table(summarise(plan(1), runs, 1.0))


def test_a_short_demo_learns_prints_json_and_goes_on_where_it_was(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    assert demo.run(out, seeds=1, quick=True, json=True) == 0
    first = json.loads(capfd.readouterr().out)
    assert [row["rule"] for row in first["rows"]] == ["tess", "bptt", "frozen"]
    assert all(row.keys() >= KEYS for row in first["rows"])
    assert all(math.isfinite(row["peak_memory_mib"]) for row in first["rows"])
    # Two epochs: far above the 10 % of guessing, for every rule.
    assert all(row["accuracy_mean"] > 0.2 for row in first["rows"])
    assert first["test_samples"] >= 500
    for name in ("tess-0", "bptt-0", "frozen-0"):
        assert (out / name / "result.json").exists()
    for folder in (out / "search").iterdir():  # the test split is not read while choosing
        assert not (folder / "result.json").exists()
    marks = {f: f.stat().st_mtime_ns for f in out.glob("*-0/result.json")}
    assert demo.run(out, seeds=1, quick=True, json=True) == 0
    again = json.loads(capfd.readouterr().out)
    assert again["rows"] == first["rows"]
    assert marks == {f: f.stat().st_mtime_ns for f in out.glob("*-0/result.json")}
    for other in ({"quick": False}, {"quick": True, "family": "keywords-leaky"}):
        before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
        with pytest.raises(ConfigError, match=r"tess-0\.003 holds another run.*Choose another"):
            demo.run(out, seeds=1, **other)
        assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*")}
