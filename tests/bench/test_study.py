"""The accuracy study: every trial can be built, says what it is beside, and is written down."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from localspike.config.stored import flat
from localspike.recipes.plugin import forget, load_plugins

STUDY = Path(__file__).parents[2] / "benchmarks" / "study"
MODULES = ("trials", "protocol", "report", "run", "trial")


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    monkeypatch.syspath_prepend(str(STUDY))
    yield {name: importlib.import_module(name) for name in MODULES}
    for name in MODULES:
        sys.modules.pop(name, None)


def test_every_trial_changes_one_run_of_the_protocol(study: dict[str, ModuleType]) -> None:
    trials = study["trials"].TRIALS
    plugin = load_plugins([STUDY / "ideas.py"])[0]
    try:
        built = {
            name: flat(study["protocol"].config_of(trial.recipe, trial.settings, 3))
            for name, trial in trials.items()
        }
    finally:
        forget(plugin)
    assert len({json.dumps(config, sort_keys=True) for config in built.values()}) == len(trials)
    for name, config in built.items():
        assert trials[name].beside in trials, name
        assert config["training.seed"] == 3 and config["data.limit"] == 10_000, name
        assert config["model.width"] == 0.25 and config["data.steps"] == 4, name
        assert config["training.epochs"] == 12, name


def test_the_page_has_means_and_paired_differences(study: dict[str, ModuleType]) -> None:
    report = study["report"]
    found = {
        "bptt": {0: {"val_accuracy": 0.6}, 1: {"val_accuracy": 0.62}},
        "tess": {0: {"val_accuracy": 0.5}, 2: {"val_accuracy": 0.56}},
    }
    rows = {line.split(" | ")[0].strip("| "): line for line in report.rows(found)}
    assert "61.0 ± 1.4 (2)" in rows["bptt"]
    assert "53.0 ± 4.2 (2) | -10.0 | bptt" in rows["tess"]  # of seed 0 alone
    assert "not run" in rows["frozen"]


def test_what_has_a_record_is_not_run_again(
    study: dict[str, ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = study["run"]
    for seed in (0, 1):
        (tmp_path / f"tess-{seed}.json").write_text("{}")
    options = ["--runs", str(tmp_path), "--records", str(tmp_path)]
    assert run.main(["tess", "--seeds", "0,1", *options]) == 0
    with pytest.raises(SystemExit):
        run.main(["tes", *options])
    assert "no trial tes" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run.main(["tess", "--jobs", "0", *options])
    assert "at least 1" in capsys.readouterr().err
