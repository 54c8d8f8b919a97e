"""The peers' worker without any peer: what it refuses, its check, its replies."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

PEERS = Path(__file__).resolve().parents[2] / "benchmarks" / "peers"
MODULES = ("case", "plan", "peer", "agreement", "session", "worker")


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The worker's modules, which are scripts beside each other and no package."""
    monkeypatch.syspath_prepend(str(PEERS))
    yield SimpleNamespace(**{name: import_module(name) for name in MODULES})
    for name in MODULES:
        del sys.modules[name]


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    """A case with files for a network of one hidden layer of 3, 4 steps and 2 samples."""
    paths = {key: str(tmp_path / f"{key}.npz") for key in ("weights", "reference")}
    np.savez(paths["weights"], hidden1=np.ones((3, 5)), readout=np.ones((2, 3)))
    np.savez(
        paths["reference"],
        frames=np.ones((4, 2, 5), np.float32),
        labels=np.array([0, 1]),
        logits=np.ones((2, 2)),
        decay=0.5,
        threshold=0.6,
        **{"spikes.hidden1": 24.0},
    )
    sizes = {"batch": 2, "steps": 4, "threads": 1}
    return {"package": "norse", "method": "bptt", "net": "mlp", **sizes, **paths}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"package": "nengo"}, "unknown package 'nengo'"),
        ({"net": "vgg19"}, "unknown net 'vgg19'"),
        ({"method": "ottt"}, "unknown method of norse"),
        ({"package": "spikingjelly", "method": "ottt", "net": "recurrent"}, "OTTT"),
        ({"batch": 0}, "batch is 0"),
        ({"threads": True}, "threads is True"),
        ({"warmup": 1}, "unknown keys ['warmup']"),
        ({"weights": "/nowhere.npz"}, "no weights file at /nowhere.npz"),
        ({"steps": None}, "steps is None"),
        ({"package": "spikingjelly", "method": "sltt", "compile": True}, "not compiled"),
    ],
)
def test_a_case_that_cannot_be_run_is_refused_by_name(
    parts: Any, given: dict[str, Any], change: dict[str, Any], word: str
) -> None:
    with pytest.raises(parts.case.Refusal) as refused:
        parts.case.parse([json.dumps(given | change)])
    assert word in str(refused.value)
    assert refused.value.status == 2


@pytest.mark.parametrize("argument", ["{", "[]", "{}"])
def test_what_is_no_case_is_refused(parts: Any, argument: str) -> None:
    with pytest.raises(parts.case.Refusal):
        parts.case.parse([argument])


def test_files_that_do_not_fit_the_case_are_refused(parts: Any, given: dict[str, Any]) -> None:
    def load(**change: Any) -> Any:
        return parts.plan.load(parts.case.parse([json.dumps(given | change)]))

    plan, batch = load()
    assert [stage.name for stage in plan.stages] == ["hidden1"]
    assert (plan.decay, plan.threshold, plan.readout_decay, plan.bias) == (0.5, 0.6, 0.0, None)
    assert batch.spikes == {"hidden1": 24.0}
    assert batch.frames.stride(0) == 0, "all steps are alike: one frame"
    for change, word in (
        ({"steps": 5}, "expected 5 steps"),
        ({"net": "recurrent"}, "no array 'hidden1.loop'"),
        ({"net": "vgg9"}, "no array 'conv1'"),
        ({"reference": given["weights"]}, "no array 'decay'"),
        ({"weights": __file__}, "not a readable .npz file"),
    ):
        with pytest.raises(parts.case.Refusal, match=word):
            load(**change)


class Threshold(nn.Module):
    """Spikes wherever the input is positive; remembers how often it ran since a reset."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return (x > 0).float()


def toy(parts: Any, forget: bool = True) -> Any:
    """A peer that spikes where its input is positive, and whose logits are twice the input."""
    neuron = Threshold()
    net = nn.Sequential(nn.Linear(5, 2), neuron)

    def logits(frames: Tensor) -> Tensor:
        if forget:
            neuron.calls = 0
        neuron(frames)
        return frames[..., :2] * (2.0 * neuron.calls) + 0.0 * net[0](frames)

    return parts.peer.Peer(net, {"hidden1": neuron}, logits, {"surrogate": "none"})


def batch_of(parts: Any, spikes: float = 40.0, logits: float = 8.0) -> Any:
    return parts.plan.Batch(
        torch.ones(4, 2, 5), torch.tensor([0, 1]), torch.full((2, 2), logits), {"hidden1": spikes}
    )


def test_a_library_is_checked_against_the_reference(parts: Any) -> None:
    check, refusal = parts.agreement.check, parts.case.Refusal
    found = check(toy(parts), batch_of(parts, spikes=40.3))
    assert found["spikes"] == pytest.approx(0.3 / 40.3)
    assert (found["logits"], found["surrogate"]) == (0.0, "none")
    for wrong in ({"spikes": 41.0}, {"spikes": 0.0}, {"logits": 9.0}, {"logits": float("nan")}):
        with pytest.raises(refusal) as refused:
            check(toy(parts), batch_of(parts, **wrong))
        assert refused.value.status == 3
        assert refused.value.more["check"]["spikes_by_block"].keys() == {"hidden1"}


def test_a_training_step_is_checked_against_the_forward_pass(parts: Any) -> None:
    found = parts.agreement.check(toy(parts), batch_of(parts))
    session = parts.session.Session(toy(parts), batch_of(parts))
    session.steps(1)
    parts.agreement.check_training(found, float(session.loss))
    for wrong in (found["first_loss"] + 0.2, float("nan")):
        with pytest.raises(parts.case.Refusal, match="first training step"):
            parts.agreement.check_training(found, wrong)


def test_a_state_that_is_never_reset_is_seen(parts: Any) -> None:
    with pytest.raises(parts.case.Refusal, match="logits differ"):
        parts.agreement.check(toy(parts, forget=False), batch_of(parts))


def test_a_session_answers_every_line(parts: Any) -> None:
    peer = toy(parts)
    session = parts.session.Session(peer, batch_of(parts))
    before = peer.net[0].weight.detach().clone()
    assert len(session.answer("steps 3\n")["seconds"]) == 3
    assert session.optimizer.state[peer.net[0].weight]["step"] == 3
    assert torch.equal(before, peer.net[0].weight)  # the toy's loss does not depend on it
    peak = session.answer("peak\n")
    assert peak["rise_mib"] == peak["peak_mib"] - peak["baseline_mib"] >= 0
    assert "got 'stepz 3'" in session.answer("stepz 3\n")["error"]
    assert "error" in session.answer("steps -1\n")
    assert session.answer("quit\n") is None


def test_the_loss_is_the_mean_over_steps_and_batch(parts: Any) -> None:
    logits, labels = torch.randn(3, 2, 4), torch.tensor([3, 0])
    each = [-z.log_softmax(-1)[b, y] for z in logits for b, y in enumerate(labels)]
    expected = float(torch.stack(each).mean())
    assert float(parts.peer.through_time(logits, labels)) == pytest.approx(expected)


def test_a_check_runs_in_a_process_of_its_own(parts: Any) -> None:
    seen: list[int] = []

    def work() -> dict[str, Any]:
        seen.append(1)
        return {"answer": 42}

    def refuse() -> dict[str, Any]:
        raise parts.case.Refusal("spikes differ", 3, check={"spikes": 0.5})

    def fail() -> dict[str, Any]:
        raise KeyError("conv1")

    assert parts.worker.in_child(work) == {"answer": 42}
    assert seen == []
    with pytest.raises(parts.case.Refusal, match="spikes differ") as refused:
        parts.worker.in_child(refuse)
    assert (refused.value.status, refused.value.more) == (3, {"check": {"spikes": 0.5}})
    with pytest.raises(parts.case.Refusal, match="KeyError: 'conv1'"):
        parts.worker.in_child(fail)


def test_the_process_says_why_in_one_line_and_by_its_status(given: dict[str, Any]) -> None:
    missing = given | {"weights": "/nowhere.npz"}
    command = [sys.executable, str(PEERS / "worker.py"), json.dumps(missing)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 2, done.stderr
    (line,) = done.stdout.splitlines()
    assert json.loads(line) == {"ready": False, "error": "no weights file at /nowhere.npz"}
