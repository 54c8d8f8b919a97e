"""The accuracy study: every trial can be built, says what it is beside, and is written down."""

from __future__ import annotations

import argparse
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from localspike.config.build import build_rule
from localspike.config.stored import flat
from localspike.nn import models
from localspike.nn.init import RATE_BAND
from localspike.recipes.compare_plan import settle
from localspike.recipes.plugin import forget, load_plugins

STUDY = Path(__file__).parents[2] / "benchmarks" / "study"
MODULES = (
    "jobs", "records", "stats", "trials", "protocol", "contest", "ablation", "parts", "layers",
    "knobs", "tables", "pictures", "summary", "report", "run", "trial",
)  # fmt: skip


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    monkeypatch.syspath_prepend(str(STUDY))
    yield {name: importlib.import_module(name) for name in MODULES}
    for name in (*MODULES, "batchnorm"):
        sys.modules.pop(name, None)
    models.MODELS.pop("vgg9_batchnorm", None)  # a model of theirs, registered as it is imported


@pytest.fixture
def ideas(study: dict[str, ModuleType]) -> Iterator[None]:
    """Rules of `ideas.py`, gone after the test."""
    plugin = load_plugins([STUDY / "ideas.py"])[0]
    yield
    forget(plugin)


@pytest.mark.usefixtures("ideas")
def test_every_trial_changes_one_run_of_the_protocol(study: dict[str, ModuleType]) -> None:
    trials = study["trials"].TRIALS
    built = {
        name: flat(study["protocol"].config_of(trial.recipe, trial.settings, 3))
        for name, trial in trials.items()
    }
    assert len({json.dumps(config, sort_keys=True) for config in built.values()}) == len(trials)
    for name, config in built.items():
        assert trials[name].beside in trials, name
        assert config["training.seed"] == 3 and config["data.limit"] == 10_000, name
        assert config["model.width"] == 0.25 and config["data.steps"] == 4, name
        assert config["training.epochs"] == 12, name


def _write(folder: Path, name: str, seed: int, **numbers: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    curve = [{"val_accuracy": 0.1 * k} for k in range(5)]
    record = {"name": name, "seed": seed, "curve": curve, "val_accuracy": 0.4, **numbers}
    (folder / f"{name}-{seed}.json").write_text(json.dumps(record))


def test_trials_have_means_and_paired_differences(study: dict[str, ModuleType]) -> None:
    report = study["report"]
    found = {
        "bptt": {0: {"val_accuracy": 0.6}, 1: {"val_accuracy": 0.62}},
        "tess": {0: {"val_accuracy": 0.5}, 2: {"val_accuracy": 0.56}},
    }
    rows = {line.split(" | ")[0].strip("| "): line for line in report.trial_rows(found)}
    assert "61.0 ± 1.4 (2)" in rows["bptt"]
    assert "53.0 ± 4.2 (2) | -10.0 | bptt" in rows["tess"]  # of seed 0 alone
    assert "not run" in rows["hadamard"]


def test_intervals_are_students(study: dict[str, ModuleType]) -> None:
    """Against the textbook's t: mean 2, sd 1, n = 4 gives 2 ± 3.182 / 2."""
    paired = study["stats"].paired
    found = paired({1: 0.51, 2: 0.53, 3: 0.52, 4: 0.52, 9: 0.1}, dict.fromkeys((1, 2, 3, 4), 0.5))
    assert found.n == 4 and found.mean == pytest.approx(2.0)
    assert found.half == pytest.approx(3.182 * (2 / 3) ** 0.5 / 2)
    assert paired({1: 0.5}, {2: 0.5}) is None and paired({1: 0.5}, {1: 0.4}).half is None


def test_the_page_is_made_of_records(
    study: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accuracy, difference, gap, slope, step size and cost of two seeds on one small net."""
    monkeypatch.setattr(study["records"], "RECORDS", tmp_path)
    rules = {"bptt": (0.9, False), "tess_plus": (0.88, True), "tess": (0.8, True)}
    for name, (accuracy, local) in rules.items():
        for lr in study["contest"].steps("nmnist-fc"):
            rated = 0.7 if lr == 3e-3 else 0.3
            _write(tmp_path / "grid/nmnist-fc", f"{name}-{lr:g}", 0, val_accuracy=rated)
        for seed in (1, 2):
            _write(
                tmp_path / "final/nmnist-fc", name, seed, local=local, test_samples=1000,
                test_accuracy=accuracy + 0.01 * seed, resumed=False, peak_memory_mib=20.0 + seed,
                schedule="bptt" if name == "bptt" else "layerwise",
            )  # fmt: skip
    text = "\n".join(study["report"].page())
    rows = {line.split(" | ")[0]: line for line in text.splitlines() if line.startswith("| ")}
    assert "| 89.5 ± 0.7 (2) | -2.00 [-2.00, -2.00] | space and time | 0.003 |" in text
    assert "tess_plus, all layers vote, closes 80% of the 10.0 points from TESS to BPTT." in text
    assert "rises by 10.00 ± 0.00 points an epoch" in text
    assert "| BPTT | 30.0 | 30.0 | **70.0** | 30.0 | 30.0 |" in text
    assert "| layerwise | " in rows["| tess_plus, all layers vote"]  # of the last table: cost
    assert rows["| BPTT"].endswith("| 22 |")  # 21.5
    made = study["summary"].filled("before <!-- study -->old<!-- /study --> after")
    assert "old" not in made and made.startswith("before ") and made.endswith(" after")
    assert "| 91.5 ± 0.7 (2) | 89.5 ± 0.7 (2) | 81.5 ± 0.7 (2) |" in made


def test_records_name_no_place_of_a_checkout(study: dict[str, ModuleType]) -> None:
    trial, jobs = study["trial"], study["jobs"]
    told = trial.typed(["a", "--records", str(jobs.RECORDS.resolve()), "--runs", "/tmp/runs"])
    assert told == ["a", "--records", "benchmarks/records/study", "--runs", "/tmp/runs"]
    for path in jobs.RECORDS.rglob("*.json"):
        command = json.loads(path.read_text(encoding="utf-8"))["command"]
        assert not re.search(r"(^| )/\S*benchmarks/", command), path


def test_page_and_readme_are_those_of_the_records(study: dict[str, ModuleType]) -> None:
    report = study["report"]
    assert report.PAGE.read_text(encoding="utf-8") == "\n".join(report.page()).rstrip() + "\n"
    readme = report.README.read_text(encoding="utf-8")
    assert study["summary"].filled(readme) == readme and "<!-- study -->" in readme


def test_what_has_a_record_is_not_run_again(
    study: dict[str, ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = study["run"]
    (tmp_path / "trials").mkdir()
    for seed in (0, 1):
        (tmp_path / "trials" / f"tess-{seed}.json").write_text("{}")
    options = ["--runs", str(tmp_path), "--records", str(tmp_path)]
    assert run.main(["trials", "tess", "--seeds", "0,1", *options]) == 0
    with pytest.raises(SystemExit):
        run.main(["trials", "tes", *options])
    assert "no tes in trials" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run.main(["trials", "tess", "--jobs", "0", *options])
    assert "at least 1" in capsys.readouterr().err


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


def _grid(contest: ModuleType, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """A whole grid of TESS on two places."""
    monkeypatch.setattr(sys.modules["records"], "RECORDS", folder)
    for place in ("cifar10", "keywords-fc"):
        for lr, accuracy in zip(contest.steps(place), (0.2, 0.5, 0.5, 0.4, 0.1, 0.1), strict=False):
            assert contest.chosen(place, "tess") is None
            _write(folder / "grid" / place, f"tess-{lr:g}", 0, val_accuracy=accuracy)


def test_a_step_size_is_chosen_by_a_whole_grid(
    study: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contest = study["contest"]
    _grid(contest, monkeypatch, tmp_path)
    assert contest.chosen("keywords-fc", "tess") == contest.GRID[1]  # the smaller of equals
    _write(tmp_path / "grid/keywords-fc", "tess_plus-0.1", 0, val_accuracy=0.9)  # another rule's
    assert contest.chosen("keywords-fc", "tess") == contest.GRID[1]
    _write(tmp_path / "grid/keywords-fc", "tess-0.0001", 0, val_accuracy=0.6)  # beyond the grid
    assert contest.chosen("keywords-fc", "tess") == 1e-4


def test_a_shortened_grid_sends_its_best_two_to_full_length(
    study: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contest = study["contest"]
    monkeypatch.setattr(study["records"], "RECORDS", tmp_path)
    assert not list(contest.finalist_jobs(["cifar10/tess"]))
    _grid(contest, monkeypatch, tmp_path)
    jobs = list(contest.finalist_jobs(["cifar10/tess", "keywords-fc/tess"]))
    assert [job.name for job in jobs] == ["tess-0.001", "tess-0.003"]
    assert not any("epochs" in change for job in jobs for change in job.settings)
    _write(tmp_path / "finalists/cifar10", "tess-0.001", 0, val_accuracy=0.6)
    assert contest.chosen("cifar10", "tess") is None
    _write(tmp_path / "finalists/cifar10", "tess-0.003", 0, val_accuracy=0.7)
    assert contest.chosen("cifar10", "tess") == 3e-3


def test_the_test_split_is_for_rules_with_a_whole_grid(
    study: dict[str, ModuleType],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = study["run"]
    ran: list[list[str]] = []
    _grid(study["contest"], monkeypatch, tmp_path)

    def runs(line: list[str], check: bool) -> subprocess.CompletedProcess[str]:
        ran.append(line)
        return subprocess.CompletedProcess(line, 0)

    monkeypatch.setattr(run.subprocess, "run", runs)
    for lr, accuracy in ((1e-3, 0.6), (3e-3, 0.5)):
        _write(tmp_path / "finalists/cifar10", f"tess-{lr:g}", 0, val_accuracy=accuracy)
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


@pytest.mark.usefixtures("ideas")
def test_the_ablation_turns_one_knob_at_a_time(
    study: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ablation, protocol = study["ablation"], study["protocol"]
    _grid(study["contest"], monkeypatch, tmp_path)
    jobs = list(ablation.jobs())  # of the place with a grid
    assert {job.part for job in jobs} == {"ablation/keywords-fc"}
    assert len({job.record for job in jobs}) == len(jobs) == 3 * 10
    found = [flat(protocol.config_of(job.source, job.settings, job.seed)) for job in jobs[:10]]
    usual = next(c for c, job in zip(found, jobs, strict=False) if job.name == "usual")
    for config, job in zip(found, jobs, strict=False):
        changed = {key for key in {*config, *usual} if config.get(key) != usual.get(key)}
        assert changed - {"optimizer.rule_factor", "rule.post_gain"} <= {
            f"rule.{job.name.partition('=')[0]}"
        }
    assert set(ablation.IMAGES.values()) <= set(study["trials"].TRIALS)


def test_parts_are_taken_away_from_one_run(
    study: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, protocol = study["parts"], study["protocol"]
    monkeypatch.setattr(parts, "chosen", lambda place, entry: 0.01)
    jobs = [job for job in parts.jobs() if job.seed == parts.SEEDS[0]]
    assert [job.name for job in jobs] == list(parts.PARTS)
    built = {job.name: protocol.config_of(job.source, job.settings, job.seed) for job in jobs}
    whole = flat(built["plus"])
    for name, config in built.items():
        settle(config)
        if parts.PARTS[name][1] == "tess_plus":
            changed = {k for k in {*flat(config), *whole} if flat(config).get(k) != whole.get(k)}
            assert len(changed) == len({*parts.PARTS[name][2]} - {*parts.VOTES}), name
    monkeypatch.setattr(parts, "chosen", lambda place, entry: None)
    assert not list(parts.jobs())


def test_two_points_of_a_grid_never_look_like_one(study: dict[str, ModuleType]) -> None:
    found = {1e-3: 0.5720, 3e-3: 0.5724, 1e-2: 0.5}
    shown = [study["tables"]._point(found, lr, 3e-3) for lr in (3e-4, *found)]
    assert shown == ["", "57.20", "**57.24**", "50.0"]
    assert study["tables"]._point({1e-3: 0.572, 3e-3: 0.572}, 1e-3, 1e-3) == "**57.2**"


def test_what_compares_samples_has_a_batchs_share_of_its_cost(
    study: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traces Propagation refuses one sample alone; other rules cost the same either way."""
    tables, contest, protocol = study["tables"], study["contest"], study["protocol"]
    monkeypatch.setattr(study["records"], "RECORDS", tmp_path)
    _write(
        tmp_path / "final/cifar10", "tp", 1, test_accuracy=0.4, schedule="streaming",
        resumed=False, peak_memory_mib=10.0,
    )  # fmt: skip
    (row,) = (line for line in tables.cost("cifar10") if line.startswith("| Traces"))
    assert " | streaming | " in row and row.endswith("| 10 |")
    made = {}
    for rule in ("tp", "tess"):
        ((_, _, source, settings),) = contest.sources([f"cifar10/{rule}"])
        made[rule] = tables._costs(protocol.config_of(source, settings, 0))
    assert (made["tp"][1], made["tess"][1]) == (64, 1)
    alone = made["tess"][0]["layerwise"]["products"]["total"]
    total = made["tp"][0]["streaming"]["products"]["total"] / 64
    assert alone < total < 1.4 * alone  # ten targets beside 64 samples, and their contrast


@pytest.mark.usefixtures("ideas")
def test_a_knob_sets_one_thing_of_tess_otherwise(
    study: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    knobs, protocol = study["knobs"], study["protocol"]
    monkeypatch.setattr(knobs, "chosen", lambda place, rule: 0.01)
    for place, seeds in knobs.PLACES.items():
        jobs = [j for j in knobs.jobs() if (j.part, j.seed) == (f"knobs/{place}", seeds[0])]
        built = {job.name: protocol.config_of(job.source, job.settings, job.seed) for job in jobs}
        usual = flat(built["usual"])
        for name, config in built.items():
            settle(config)
            mine, knob = flat(config), knobs.KNOBS[name]
            changed = {k for k in {*mine, *usual} if mine.get(k) != usual.get(k)}
            free = {"rule.name", "rule.post_gain", "optimizer.lr"}
            assert bool(changed - free) == bool(knob.settings), name
            assert len(changed - free) <= len(knob.settings), (name, changed)
            lr = 0.3 if name == "sgd" else 0.01 / knob.slower
            assert mine["optimizer.lr"] == pytest.approx(lr), name
            rate = config.model.options["rate"]
            assert rate in (None, "none") or RATE_BAND[0] < float(rate) < RATE_BAND[1], name
            if knob.rule:  # another rule in its place has TESS's traces
                rule, tess = (build_rule(c) for c in (config, built["usual"]))
                assert rule.eligibility == tess.eligibility, name
                assert rule.signal.latent_decay == tess.signal.latent_decay, name
                assert rule.signal.scale == tess.signal.scale, name
        count = len([k for k in knobs.KNOBS.values() if k.only in ("", place)])
        assert len(built) == count, place
    monkeypatch.setattr(study["records"], "RECORDS", tmp_path)
    for seed, (usual, other) in {10: (0.5, 0.6), 11: (0.52, 0.63)}.items():
        _write(tmp_path / "knobs/keywords-fc", "usual", seed, val_accuracy=usual)
        _write(tmp_path / "knobs/keywords-fc", "pre-0", seed, val_accuracy=other)
    rows = {row.split(" | ")[0]: row for row in knobs.table({"keywords-fc": "Keywords"})}
    assert "| 51.0 ± 1.4 (2) |  |" in rows["| TESS as it is in the tables"]
    (asked,) = (row for row in rows.values() if "rule.pre_decay=0 |" in row)
    assert "61.5 ± 2.1 (2) | +10.50 [+4.15, +16.85] |" in asked
    assert not any("rule=dense" in row for row in rows.values())  # of a place without records
    assert knobs.compared() == 1
    asked = study["run"].knob_jobs(["nmnist-conv"], (11,))
    assert {(job.part, job.seed) for job in asked} == {("knobs/nmnist-conv", 11)}


@pytest.mark.usefixtures("ideas")
def test_all_rules_of_a_table_train_a_net_of_one_width(study: dict[str, ModuleType]) -> None:
    contest, protocol = study["contest"], study["protocol"]
    wanted = [name for name in contest.names() if name.startswith("cifar10/")]
    for name, _, source, settings in contest.sources(wanted):
        config = flat(protocol.config_of(source, settings, 1))
        shared = ("model.width", "training.epochs", "data.steps", "data.limit", "neuron.decay")
        assert [config[key] for key in shared] == [0.25, 12, 4, 10_000, 0.5], name


def test_what_layers_say_is_shown_for_both_splits(
    study: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mean and deviation of two seeds, layers from the input on, the readout, then all."""
    monkeypatch.setattr(study["records"], "RECORDS", tmp_path)
    for seed in (10, 11):
        alone = {
            split: {
                "layers": {"conv1": by + 0.02 * (seed - 10), "conv2": by + 0.1},
                "readout": by + 0.2,
                "together": by + 0.3,
            }
            for split, by in (("train", 0.5), ("val", 0.4))
        }
        _write(tmp_path / "layers/nmnist-conv", "tess_plus", seed, alone=alone)
    rows = list(study["layers"].table("nmnist-conv", "N-MNIST"))
    assert rows[2] == "| tess_plus, all layers vote (2) | conv1 | 51.0 ± 1.4 | 41.0 ± 1.4 |"
    assert [row.split(" | ")[1] for row in rows[2:-1]] == ["conv1", "conv2", "readout", "together"]
    assert rows[-2] == "|  | together | 80.0 ± 0.0 | 70.0 ± 0.0 |"


def test_a_trial_hears_every_layer(study: dict[str, ModuleType], tmp_path: Path) -> None:
    """One short run on embedded data: numbers of both splits, and the command asked for them."""
    job = study["jobs"].Job(
        "layers/keywords-fc", "plus", 1, "keywords-fc/tess_plus",
        ("epochs=1", "data.limit=40"), layers=True,
    )  # fmt: skip
    asked = argparse.Namespace(runs=tmp_path / "runs", records=tmp_path, data_root=None)
    subprocess.run(job.line(asked), check=True, capture_output=True)
    record = json.loads((tmp_path / job.record).read_text())
    assert "--layers" in record["command"]
    for split in ("train", "val"):
        alone = record["alone"][split]
        assert set(alone["layers"]) == {"hidden1", "hidden2"}
        assert 0.0 <= alone["readout"] <= 1.0 and 0.0 <= alone["together"] <= 1.0
    assert record["alone"]["val"]["together"] == record["val_accuracy"]
