"""What a run leaves behind, and what it does when values, disks or folders fail it."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from localspike.config import RunConfig, build_session, from_json
from localspike.errors import CheckpointError, ConfigError, LocalspikeError, NumericalError
from localspike.learn.checkpoint import CheckpointStore
from localspike.learn.evaluation import evaluate
from localspike.learn.interrupt import StopRequest
from localspike.learn.learner import Learner
from localspike.learn.metrics import Journal, Meter, confusion, read_journal
from localspike.recipes import load_run, recipe, train

Small = Callable[..., RunConfig]


def test_a_run_folder_is_complete(small: Small, tmp_path: Path) -> None:
    said: list[str] = []
    result = train(small(), tmp_path / "run", say=said.append, bar=False)
    folder = tmp_path / "run"
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names >= {"config.json", "versions.json", "revision", "command", "metrics.jsonl"}
    assert names >= {f"figures/{name}.png" for name in ("learning_curves", "firing_rates")}
    assert names >= {f"figures/{name}.png" for name in ("confusion", "raster")}
    assert from_json(json.loads((folder / "config.json").read_text())) == small()
    stored = json.loads((folder / "result.json").read_text())
    assert stored["test_accuracy"] == result.test_accuracy
    assert sum(map(sum, stored["confusion"])) == stored["test_samples"] == 10
    assert [line.split(":")[0] for line in said] == ["epoch 1/2", "epoch 2/2"]


def test_without_optional_packages_a_run_says_what_to_install(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("matplotlib", "matplotlib.figure", "tensorboardX"):
        monkeypatch.setitem(sys.modules, name, None)
    said: list[str] = []
    train(small("epochs=1"), tmp_path / "run", say=said.append, bar=False)
    assert "Figures are skipped: drawing figures needs the package 'matplotlib'" in said[-1]
    assert "pip install 'localspike[plot]'" in said[-1]
    assert not (tmp_path / "run" / "figures").exists()
    assert not (tmp_path / "run" / "tensorboard").exists()
    assert (tmp_path / "run" / "result.json").exists()


def test_metrics_hold_what_they_should(
    small: Small, quietly: Callable[..., object], tmp_path: Path
) -> None:
    quietly(small(), tmp_path)
    lines = read_journal(tmp_path)
    train_lines = [line for line in lines if line["kind"] == "train"]
    epochs = [line for line in lines if line["kind"] == "epoch"]
    assert [line["step"] for line in train_lines] == [2, 4, 6, 8, 10]
    assert [(line["step"], line["epoch"]) for line in epochs] == [(5, 1), (10, 2)]
    for line in train_lines:
        assert set(line) >= {"loss", "accuracy", "lr", "rates", "grad_norm"}
        assert set(line["rates"]) == {"hidden1", "hidden2"}
        assert set(line["grad_norm"]) == {"hidden1", "hidden2", "readout"}
        assert all(norm > 0 for norm in line["grad_norm"].values())
    assert epochs[0]["lr"] > epochs[1]["lr"]


@pytest.mark.parametrize("rule", ["keywords-tess", "keywords-bptt"])
def test_gradients_in_the_journal_are_those_before_clipping(
    rule: str, small: Small, quietly: Callable[..., object], tmp_path: Path
) -> None:
    def norms(folder: str, *settings: str) -> list[dict[str, float]]:
        config = small("epochs=1", "log_every=1", *settings, name=rule)
        quietly(config, tmp_path / folder)
        lines = read_journal(tmp_path / folder)
        return [line["grad_norm"] for line in lines if line["kind"] == "train"]

    plain, clipped = norms("plain"), norms("clipped", "clip_norm=1e-3")
    assert clipped[0] == plain[0] and min(plain[0].values()) > 1e-3
    pairs = norms("pairs", "accumulate=2")
    assert pairs[0] == {} and pairs[1] == pairs[2]  # none yet; the pair's; still the pair's
    both = norms("both", "batch_size=16")
    assert pairs[1] == pytest.approx(both[0], rel=1e-4)  # a mean over the pair, not a sum


def test_training_learns_and_the_test_is_read_once_with_the_final_weights(
    small: Small, quietly: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits: list[str] = []
    original = Learner.evaluate

    def counted(self: Learner, frames: torch.Tensor, *rest: object) -> object:
        splits.append(str(frames.shape[1]))
        return original(self, frames, *rest)

    monkeypatch.setattr(Learner, "evaluate", counted)
    config = small("epochs=15", "batch_size=20", "hidden=50,50", "lr=0.02")
    result = quietly(config, tmp_path)
    # Validation and test hold ten samples each: one batch per epoch and one at the end.
    assert splits == ["10"] * 16
    curve = [line["accuracy"] for line in read_journal(tmp_path) if line["kind"] == "epoch"]
    assert curve[-1] > curve[0] + 0.3
    monkeypatch.undo()
    session = build_session(config)
    run = load_run(tmp_path)
    session.net.load_state_dict(run.net.state_dict())
    assert evaluate(session.learner, session.validation).accuracy == result.val_accuracy


def test_a_non_finite_value_stops_the_run_and_keeps_the_good_checkpoint(
    small: Small, quietly: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = Learner.fit, [0]

    def poisoned(self: Learner, *arguments: torch.Tensor) -> object:
        calls[0] += 1
        if calls[0] == 4:
            with torch.no_grad():
                self.net.blocks["hidden2"].synapse.weight.fill_(float("nan"))
        return original(self, *arguments)

    monkeypatch.setattr(Learner, "fit", poisoned)
    with pytest.raises(NumericalError, match=r"hidden2.* in training step 4 \(epoch 1\)") as caught:
        quietly(small("checkpoint_every=2"), tmp_path)
    (name,) = CheckpointStore(tmp_path / "checkpoints").names()
    assert f"The last good checkpoint is {name}" in str(caught.value)
    weights = CheckpointStore(tmp_path / "checkpoints").load(name).state["net"]
    assert all(bool(torch.isfinite(weight).all()) for weight in weights.values())


def test_weights_that_are_not_finite_are_never_saved(
    small: Small, quietly: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Learner.fit

    def ruined(self: Learner, *arguments: torch.Tensor) -> object:
        result = original(self, *arguments)
        with torch.no_grad():
            self.net.blocks["hidden1"].synapse.weight[0, 0] = float("inf")
        return result

    monkeypatch.setattr(Learner, "fit", ruined)
    with pytest.raises(NumericalError, match=r"hidden1\.synapse\.weight is not finite"):
        quietly(small("checkpoint_every=1"), tmp_path)
    assert CheckpointStore(tmp_path / "checkpoints").names() == []


def test_weights_that_are_senseless_are_never_saved(
    small: Small, quietly: Callable[..., object], tmp_path: Path
) -> None:
    message = r"hidden1\.synapse\.weight has grown without bound.*got 1e\+30; expected at most 1e"
    with pytest.raises(NumericalError, match=message):
        quietly(small("lr=1e30", "batch_size=40", "epochs=1"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_full_disk_is_one_line_and_leaves_the_checkpoints(
    small: Small, quietly: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = os.fsync, [0]

    def full(handle: int) -> None:
        calls[0] += 1
        if calls[0] > 14:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match=r"cannot write .*No space left on device") as caught:
        quietly(small("checkpoint_every=1"), tmp_path)
    assert "\n" not in str(caught.value)
    store = CheckpointStore(tmp_path / "checkpoints")
    assert store.names() and store.newest(lambda line: None)
    assert not list(store.folder.glob(".*"))


def test_a_folder_that_cannot_be_written_to_is_one_line(
    small: Small, quietly: Callable[..., object], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalspikeError, match=r"cannot write .*file/run: got Not a directory"):
        quietly(small(), tmp_path / "file" / "run")
    with pytest.raises(ConfigError, match=r"exists and is no run folder"):
        quietly(small(), tmp_path)


def test_missing_data_leaves_no_folder(
    quietly: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOCALSPIKE_DATA", raising=False)
    with pytest.raises(LocalspikeError, match="no data root is set"):
        quietly(recipe("cifar10-tess"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_meter_weighs_batches_by_size() -> None:
    meter = Meter()
    meter.add(torch.tensor(1.0), torch.eye(2), torch.tensor([0, 1]), {"a": 0.5})
    meter.add(torch.tensor(4.0), torch.eye(2)[:1], torch.tensor([1]), {"a": 0.2})
    means = meter.means()
    assert means["loss"] == pytest.approx(2.0)
    assert means["accuracy"] == pytest.approx(2 / 3)
    assert means["rates"]["a"] == pytest.approx(0.4)


def test_confusion_counts_rows_of_truth() -> None:
    logits = torch.tensor([[1.0, 0, 0], [0, 1, 0], [1, 0, 0]])
    counts = confusion(logits, torch.tensor([0, 1, 2]))
    assert counts.tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 0]]


def test_the_journal_goes_on_where_the_checkpoint_was(tmp_path: Path) -> None:
    with Journal(tmp_path, tensorboard=False) as journal:
        journal.write({"kind": "train", "step": 1, "loss": 1.0})
        size = journal.size
        journal.write({"kind": "train", "step": 2, "loss": 0.5})
    with Journal(tmp_path, size, tensorboard=False) as journal:
        journal.write({"kind": "train", "step": 2, "loss": 0.25})
    assert [line["loss"] for line in read_journal(tmp_path)] == [1.0, 0.25]


def test_tensorboard_gets_the_same_numbers(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    with Journal(tmp_path) as journal:
        journal.write({"kind": "train", "step": 1, "loss": 0.5, "rates": {"hidden1": 0.1}})
    (events,) = (tmp_path / "tensorboard").iterdir()
    content = events.read_bytes()
    assert b"train/loss" in content and b"train/rates/hidden1" in content


def test_a_disk_that_fills_up_under_tensorboard_is_the_caller_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = pytest.importorskip("tensorboardX.record_writer").RecordWriter

    def full(self: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    threads = threading.active_count()
    message = r"cannot write .*tensorboard: got No space left"
    with pytest.raises(CheckpointError, match=message), Journal(tmp_path) as journal:
        assert threading.active_count() == threads  # no thread that could print a traceback
        monkeypatch.setattr(writer, "flush", full)
        journal.write({"kind": "epoch", "step": 1, "loss": 0.5})


def test_a_second_signal_does_not_wait() -> None:
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
