"""A run in sittings that end by themselves is the run in one piece, bit for bit."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from localspike.config import RunConfig
from localspike.errors import ConfigError
from localspike.learn import trainer
from localspike.learn.checkpoint import CheckpointStore
from localspike.learn.interrupt import Paused
from localspike.recipes.folder import read_json

Small = Callable[..., RunConfig]
SETTINGS = ["dropout=0.3", "epochs=3", "scheduler=ReduceLROnPlateau", "patience=0"]


def outcome(folder: Path) -> tuple[bytes, str, list[list[int]]]:
    store = CheckpointStore(folder / "checkpoints")
    confusion = read_json(folder / "result.json")["confusion"]
    digest = store.load(store.names()[-1]).record["sha256"]
    return (folder / "metrics.jsonl").read_bytes(), digest, confusion


@pytest.mark.parametrize("recipe", ["keywords-tess", "keywords-bptt"])
def test_a_sitting_without_time_does_one_epoch_and_the_sum_is_the_whole_run(
    small: Small, quietly: Callable[..., object], tmp_path: Path, recipe: str
) -> None:
    config = small(*SETTINGS, name=recipe)
    quietly(config, tmp_path / "whole", seconds=1e9)
    for epoch in (1, 2):
        with pytest.raises(Paused, match=f"after epoch {epoch} of 3, everything is saved") as found:
            quietly(config, tmp_path / "parts", seconds=1e-9, resume=epoch > 1)
        assert (found.value.epoch, found.value.epochs) == (epoch, 3)
        assert not (tmp_path / "parts" / "result.json").exists()
    quietly(config, tmp_path / "parts", seconds=1e-9, resume=True)  # the last epoch is not cut off
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")


def test_checkpoints_in_every_third_epoch_change_nothing_but_what_is_written(
    small: Small, quietly: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rare = [*SETTINGS, "epochs=5", "checkpoint_every=0", "checkpoint_epochs=3"]
    saved = []
    save = trainer.Trainer.save

    def watched(self: trainer.Trainer) -> str:
        saved.append(self.position.epoch)
        return save(self)

    monkeypatch.setattr(trainer.Trainer, "save", watched)
    quietly(small(*rare), tmp_path / "rare")
    assert saved == [3, 5]
    for resume in (False, True):
        with pytest.raises(Paused):
            quietly(small(*rare), tmp_path / "parts", seconds=1e-9, resume=resume)
    assert saved == [3, 5, 1, 2]
    quietly(small(*rare[:-1]), tmp_path / "parts", resume=True)  # how often is no part of the run
    assert saved == [3, 5, 1, 2, 3, 4, 5]
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "rare")


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_sitting_of_no_time_is_refused(
    small: Small, quietly: Callable[..., object], tmp_path: Path, seconds: float
) -> None:
    with pytest.raises(ConfigError, match="seconds"):
        quietly(small("epochs=2"), tmp_path / "run", seconds=seconds)
    assert not (tmp_path / "run").exists()


def test_the_rest_of_an_epoch_is_not_taken_for_a_whole_one(
    small: Small,
    quietly: Callable[..., object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A second per batch; stopped before an epoch's last one, it goes on for 2 s of 10."""
    now = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    step, batches = trainer.Trainer._step, []

    def slowly(self: trainer.Trainer, batch: object) -> None:
        step(self, batch)  # type: ignore[arg-type]
        now[0] += 1.0
        batches.append(len(self.train))
        if len(batches) == len(self.train) - 1:
            self.stop.asked = True

    monkeypatch.setattr(trainer.Trainer, "_step", slowly)
    config = small("epochs=9", "batch_size=8")
    with pytest.raises(KeyboardInterrupt):
        quietly(config, tmp_path / "run")
    assert batches[0] > 2
    with pytest.raises(Paused) as found:
        quietly(config, tmp_path / "run", resume=True, seconds=batches[0] - 0.5)
    assert found.value.epoch == 1


@pytest.mark.parametrize(("limit", "done"), [(29.0, 2), (31.0, 3)])
def test_an_epoch_that_would_end_too_late_is_not_begun(
    small: Small,
    quietly: Callable[..., object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: float,
    done: int,
) -> None:
    """Epochs of ten seconds by a clock that stands still in between."""
    now = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    end = trainer.Trainer._close_epoch

    def slowly(self: trainer.Trainer) -> None:
        end(self)
        now[0] += 10.0

    monkeypatch.setattr(trainer.Trainer, "_close_epoch", slowly)
    with pytest.raises(Paused) as found:
        quietly(small("epochs=9"), tmp_path / "run", seconds=limit)
    assert found.value.epoch == done
