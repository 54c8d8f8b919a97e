"""The accuracy study's step sizes: a grid for all rules, whole before one is chosen by it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from helpers_study import grid_of_tess, write_record
from localspike.recipes.compare_plan import settle


@pytest.mark.usefixtures("ideas")
def test_every_rule_of_the_tables_is_legal_at_every_step_size(
    study: dict[str, ModuleType],
) -> None:
    contest, protocol = study["contest"], study["protocol"]
    jobs = list(contest.grid_jobs(contest.names()))
    own = [name for name in contest.names() if name != "cifar10/tess_plus-auto"]
    points = [len(contest.steps(name.partition("/")[0])) for name in own]
    assert len({job.record for job in jobs}) == len(jobs) == sum(points) > 5 * len(points)
    for job in jobs:
        config = protocol.config_of(job.source, job.settings, job.seed)
        assert f"-{config.optimizer.options['lr']:g}" in job.name
        assert "cifar10" not in job.part or config.training.epochs == 4
        settle(config)


def test_a_step_size_is_chosen_by_a_whole_grid(
    study: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contest = study["contest"]
    grid_of_tess(contest, monkeypatch, tmp_path)
    assert contest.chosen("keywords-fc", "tess") == contest.GRID[1]  # the smaller of equals
    write_record(
        tmp_path / "grid/keywords-fc", "tess_plus-0.1", 0, val_accuracy=0.9
    )  # another rule's
    assert contest.chosen("keywords-fc", "tess") == contest.GRID[1]
    write_record(
        tmp_path / "grid/keywords-fc", "tess-0.0001", 0, val_accuracy=0.6
    )  # beyond the grid
    assert contest.chosen("keywords-fc", "tess") == 1e-4


def test_a_shortened_grid_sends_its_best_two_to_full_length(
    study: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contest = study["contest"]
    monkeypatch.setattr(study["records"], "RECORDS", tmp_path)
    assert not list(contest.finalist_jobs(["cifar10/tess"]))
    grid_of_tess(contest, monkeypatch, tmp_path)
    jobs = list(contest.finalist_jobs(["cifar10/tess", "keywords-fc/tess"]))
    assert [job.name for job in jobs] == ["tess-0.001", "tess-0.003"]
    assert not any("epochs" in change for job in jobs for change in job.settings)
    write_record(tmp_path / "finalists/cifar10", "tess-0.001", 0, val_accuracy=0.6)
    assert contest.chosen("cifar10", "tess") is None
    write_record(tmp_path / "finalists/cifar10", "tess-0.003", 0, val_accuracy=0.7)
    assert contest.chosen("cifar10", "tess") == 3e-3


def test_the_test_split_is_for_rules_with_a_whole_grid(
    study: dict[str, ModuleType],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = study["run"]
    ran: list[list[str]] = []
    grid_of_tess(study["contest"], monkeypatch, tmp_path)

    def runs(line: list[str], check: bool) -> subprocess.CompletedProcess[str]:
        ran.append(line)
        return subprocess.CompletedProcess(line, 0)

    monkeypatch.setattr(run.subprocess, "run", runs)
    for lr, accuracy in ((1e-3, 0.6), (3e-3, 0.5)):
        write_record(tmp_path / "finalists/cifar10", f"tess-{lr:g}", 0, val_accuracy=accuracy)
    folders = ["--runs", str(tmp_path), "--records", str(tmp_path)]
    asked = ["final", "cifar10/tess", "cifar10/bptt", "--seeds", "5", *folders]
    assert run.main(asked) == 0
    assert "cifar10/bptt is left out" in capsys.readouterr().err
    assert [("--test" in line, "lr=0.001" in line) for line in ran] == [(True, True)]
    assert run.main(["grid", "cifar10/bptt", *folders]) == 0
    assert len(ran) == 6 and not any("--test" in line for line in ran[1:])
    with pytest.raises(SystemExit):
        run.main(["grid", "tess", *folders])
    assert "there are cifar10/bptt" in capsys.readouterr().err


def test_an_entry_that_is_trained_as_another_has_its_step_size_where_runs_are_long(
    study: dict[str, ModuleType],
) -> None:
    contest, name = study["contest"], "tess_plus-auto"
    for place, own in (("cifar10", False), ("keywords-fc", True)):
        jobs = [*contest.grid_jobs([f"{place}/{name}"])]
        assert bool(jobs) is own
        assert not [*contest.finalist_jobs([f"{place}/{name}"])]
    assert contest.chosen("cifar10", name) == contest.chosen("cifar10", "tess_plus") == 0.01
    jobs = [*contest.final_jobs([f"cifar10/{name}"])]
    assert [job.seed for job in jobs] == [1, 2, 3]
    assert all({"lr=0.01", "rule.votes=auto"} <= set(job.settings) for job in jobs)


def test_two_points_of_a_grid_never_look_like_one(study: dict[str, ModuleType]) -> None:
    found = {1e-3: 0.5720, 3e-3: 0.5724, 1e-2: 0.5}
    shown = [study["tables"]._point(found, lr, 3e-3) for lr in (3e-4, *found)]
    assert shown == ["", "57.20", "**57.24**", "50.0"]
    assert study["tables"]._point({1e-3: 0.572, 3e-3: 0.572}, 1e-3, 1e-3) == "**57.2**"
