"""The accuracy study: every trial can be built, says what it is beside, and is written down."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from helpers_study import grid_of_tess, write_record
from localspike.config.build import build_rule
from localspike.config.stored import flat
from localspike.nn.init import RATE_BAND
from localspike.recipes.compare_plan import settle


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
            write_record(tmp_path / "grid/nmnist-fc", f"{name}-{lr:g}", 0, val_accuracy=rated)
        for seed in (1, 2):
            write_record(
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
    assert "several machines" not in text
    write_record(
        tmp_path / "final/nmnist-fc", "tess", 2, local=True, test_samples=1000, test_accuracy=0.82,
        resumed=False, peak_memory_mib=22.0, schedule="layerwise", hardware={"processor": "B"},
    )  # fmt: skip
    elsewhere = "\n".join(study["tables"].accuracy("nmnist-fc"))
    both = "A: BPTT; tess_plus, all layers vote; TESS, local only. B: TESS, local only."
    assert f"Made on several machines. {both}" in elsewhere
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
def test_the_ablation_turns_one_knob_at_a_time(
    study: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ablation, protocol = study["ablation"], study["protocol"]
    grid_of_tess(study["contest"], monkeypatch, tmp_path)
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


def test_what_compares_samples_has_a_batchs_share_of_its_cost(
    study: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traces Propagation refuses one sample alone; other rules cost the same either way."""
    tables, contest, protocol = study["tables"], study["contest"], study["protocol"]
    monkeypatch.setattr(study["records"], "RECORDS", tmp_path)
    write_record(
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
        write_record(tmp_path / "knobs/keywords-fc", "usual", seed, val_accuracy=usual)
        write_record(tmp_path / "knobs/keywords-fc", "pre-0", seed, val_accuracy=other)
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
        write_record(tmp_path / "layers/nmnist-conv", "tess_plus", seed, alone=alone)
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
