"""A run that was stopped and taken up again ends bit-identical to one that was not.

The small runs are 40 samples in batches of 8: five steps an epoch, two epochs.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from localspike.config import RunConfig
from localspike.errors import CheckpointError, ConfigError
from localspike.learn.checkpoint import CheckpointStore
from localspike.learn.interrupt import Interrupted
from localspike.learn.learner import Learner
from localspike.recipes.folder import read_json

Small = Callable[..., RunConfig]


def stop_at(monkeypatch: pytest.MonkeyPatch, method: str, call: int, number: int) -> None:
    """Send this process a signal from within the ``call``-th call of a learner's method."""
    original, calls = getattr(Learner, method), [0]

    def watched(self: Learner, *arguments: object) -> object:
        calls[0] += 1
        if calls[0] == call:
            os.kill(os.getpid(), number)
        return original(self, *arguments)

    monkeypatch.setattr(Learner, method, watched)


def outcome(folder: Path) -> tuple[bytes, str, list[list[int]]]:
    """Every metrics line, the digest of every tensor at the end, and the test's confusion."""
    store = CheckpointStore(folder / "checkpoints")
    record = store.load(store.names()[-1]).record
    confusion = read_json(folder / "result.json")["confusion"]
    return (folder / "metrics.jsonl").read_bytes(), record["sha256"], confusion


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("settings", "recipe", "call"),
    [
        (["dropout=0.3"], "keywords-tess", 3),
        (["dropout=0.3"], "keywords-tess", 5),
        (["augment=events", "scheduler=ReduceLROnPlateau", "patience=0"], "keywords-tess", 7),
        (["dropout=0.3", "accumulate=2", "clip_norm=1"], "keywords-bptt", 3),
        (["optimizer=SGD", "momentum=0.9", "every=step"], "keywords-s-tllr", 7),
        (["update=step", "active_steps=4"], "keywords-ottt", 5),
        (["rule=tess_plus", "norm_momentum=0.2", "rule_factor=9"], "keywords-tess", 7),
        (["readout_factor=3", "norm_momentum=0.2", "accumulate=2"], "keywords-tess", 3),
        (["norm_momentum=0.1", "schedule=streaming", "update=step"], "keywords-tess", 4),
    ],
)
def test_stopping_anywhere_and_resuming_changes_nothing(
    small: Small,
    quietly: Callable[..., object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: list[str],
    recipe: str,
    call: int,
) -> None:
    config = small(*settings, name=recipe)
    quietly(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_at(patch, "fit", call, signal.SIGINT)
        with pytest.raises(Interrupted, match=f"stopped after step {call}, everything is saved"):
            quietly(config, tmp_path / "parts")
    assert not (tmp_path / "parts" / "result.json").exists()
    quietly(config, tmp_path / "parts", resume=True)
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")


def test_sigterm_during_validation_saves_and_resumes(
    small: Small,
    quietly: Callable[..., object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = small()
    quietly(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_at(patch, "evaluate", 1, signal.SIGTERM)
        with pytest.raises(Interrupted, match="stopped after step 5"):
            quietly(config, tmp_path / "parts")
    quietly(config, tmp_path / "parts", resume=True)
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")


def test_two_runs_of_one_configuration_are_one_run(
    small: Small, quietly: Callable[..., object], tmp_path: Path
) -> None:
    for name in ("first", "second"):
        quietly(small("dropout=0.2", "augment=events"), tmp_path / name)
    assert outcome(tmp_path / "first") == outcome(tmp_path / "second")


def test_a_run_that_died_between_checkpoints_repeats_only_what_was_lost(
    small: Small,
    quietly: Callable[..., object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config, said = small("checkpoint_every=2", "log_every=1"), []
    quietly(config, tmp_path / "whole")
    original, calls = Learner.fit, [0]

    def die(self: Learner, *arguments: object) -> object:
        calls[0] += 1
        if calls[0] == 8:
            raise RuntimeError("power cut")
        return original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "fit", die)
        with pytest.raises(RuntimeError, match="power cut"):
            quietly(config, tmp_path / "parts")
    lines = (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()
    assert '"step": 7' in lines[-1]
    quietly(config, tmp_path / "parts", resume=True, say=said.append)
    assert f"Resuming {tmp_path / 'parts'} at step 6" in said[0]
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")


def test_a_damaged_last_checkpoint_is_reported_and_the_previous_one_serves(
    small: Small, quietly: Callable[..., object], tmp_path: Path
) -> None:
    config, said = small("checkpoint_every=2"), []
    quietly(config, tmp_path / "whole")
    parts = tmp_path / "parts"
    quietly(config, parts)
    (parts / "result.json").unlink()
    last = sorted((parts / "checkpoints").glob("*.safetensors"))[-1]
    last.write_bytes(last.read_bytes()[:100])
    quietly(config, parts, resume=True, say=said.append)
    assert "is damaged" in said[0] and "Using the previous checkpoint instead" in said[0]
    assert outcome(parts) == outcome(tmp_path / "whole")
    assert last.with_name(last.name + ".damaged").exists()


def test_a_finished_run_is_not_run_again(
    small: Small, quietly: Callable[..., object], tmp_path: Path
) -> None:
    said: list[str] = []
    first = quietly(small(), tmp_path / "run")
    again = quietly(small(), tmp_path / "run", resume=True, say=said.append)
    assert again == first
    assert said == [f"{tmp_path / 'run'} is finished, there is nothing to resume."]


def test_metrics_cut_shorter_than_their_checkpoint_are_refused(
    small: Small, quietly: Callable[..., object], tmp_path: Path
) -> None:
    quietly(small(), tmp_path)
    (tmp_path / "result.json").unlink()
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(CheckpointError, match=r"shorter than when its checkpoint was written"):
        quietly(small(), tmp_path, resume=True)


def test_a_run_folder_takes_no_other_run(
    small: Small, quietly: Callable[..., object], tmp_path: Path
) -> None:
    quietly(small(), tmp_path)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(
        ConfigError, match=r"holds another run.*got training\.seed=1; expected .*seed=0, as"
    ):
        quietly(small("seed=1"), tmp_path)
    with pytest.raises(ConfigError, match=r"already holds this run\. Add --resume"):
        quietly(small(), tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_a_checkpoint_of_another_model_is_refused_naming_the_tensor(
    small: Small, quietly: Callable[..., object], tmp_path: Path
) -> None:
    quietly(small(), tmp_path / "run")
    quietly(small("hidden=14,8"), tmp_path / "other")
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        path.unlink()
    (tmp_path / "run" / "checkpoints").rmdir()
    (tmp_path / "other" / "checkpoints").rename(tmp_path / "run" / "checkpoints")
    (tmp_path / "run" / "result.json").unlink()
    with pytest.raises(CheckpointError, match=r"was written by other settings"):
        quietly(small(), tmp_path / "run", resume=True)


def test_nothing_to_resume_is_said(
    small: Small, quietly: Callable[..., object], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"nothing to resume in"):
        quietly(small(), tmp_path / "none", resume=True)
    assert not (tmp_path / "none").exists()


def test_resuming_with_other_versions_is_said(
    small: Small, quietly: Callable[..., object], tmp_path: Path
) -> None:
    said: list[str] = []
    quietly(small(), tmp_path)
    (tmp_path / "result.json").unlink()
    stored = read_json(tmp_path / "versions.json")
    (tmp_path / "versions.json").write_text(json.dumps({**stored, "torch": "1.0"}))
    quietly(small(), tmp_path, resume=True, say=said.append)
    assert said[0].startswith("Started elsewhere, the end may differ in rounding: torch 1.0 -> ")
