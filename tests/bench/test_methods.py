"""What workers run: our rules, the plain baseline and the floor, checked and then trained."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from localspike.bench import methods, places
from localspike.bench.entrants import NO_PEERS, Setting, own, peer
from localspike.bench.exchange import Files, prepare
from localspike.bench.job import Job
from localspike.bench.process import Worker, WorkerError
from localspike.bench.workload import Workload
from localspike.errors import ConfigError

WORK = Workload("mlp", 4, 5, (("inputs", 30), ("hidden", (20,)), ("classes", 4)))
HERE = places.benchmarks()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return prepare(WORK, tmp_path_factory.mktemp("files"))


def job(files: Files, method: str, **options: object) -> Job:
    return Job(WORK, method, benchmarks=str(HERE), **files._asdict(), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize(
    ("method", "schedule"),
    [("tess", "auto"), ("ottt", "two_sweep"), ("s_tllr", "two_sweep"), ("bptt", "auto")],
)
def test_our_rules_show_the_references_answer_and_train(
    files: Files, method: str, schedule: str, precision: str
) -> None:
    stepper = methods.build(job(files, method, precision=precision, schedule=schedule))
    assert stepper.learner is not None
    before = [p.clone() for p in stepper.learner.net.parameters()]
    found = stepper.check()
    assert {"logits", "rates", "gradient"} <= set(found)
    assert method == "bptt" or found["first_gradient"] < 0.02
    for p, was in zip(stepper.learner.net.parameters(), before, strict=True):
        assert torch.equal(p, was) and p.grad is None, "a check changes nothing"
    stepper.step()
    after = stepper.learner.net.parameters()
    assert not all(torch.equal(p, was) for p, was in zip(after, before, strict=True))


def test_a_net_that_is_not_the_references_is_not_timed(files: Files) -> None:
    other = replace(job(files, "tess"), parameters="")
    stepper = methods.build(other)
    assert stepper.learner is not None
    with torch.no_grad():
        for p in stepper.learner.net.parameters():
            p.mul_(-1)
    with pytest.raises(Exception, match="differ from the reference"):
        stepper.check()


def test_a_stream_fed_by_steps_learns_what_the_sequence_teaches(files: Files) -> None:
    """The pool repeats nothing before its end, so five steps of it are the sequence."""
    whole = methods.build(job(files, "tess", schedule="streaming"))
    fed = methods.build(job(files, "tess", schedule="streaming", feed="steps"))
    for stepper in (whole, fed):
        stepper.step()
    assert whole.learner is not None and fed.learner is not None
    pairs = zip(whole.learner.net.parameters(), fed.learner.net.parameters(), strict=True)
    for a, b in pairs:
        torch.testing.assert_close(a, b)


@pytest.mark.skipif(HERE is None, reason="no checkout")
def test_the_plain_baseline_is_checked_and_trains(files: Files) -> None:
    stepper = methods.build(job(files, "naive"))
    assert stepper.check()["gradient"] < 1e-4
    stepper.step()


def test_what_cannot_be_run_is_refused(files: Files, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown method 'tes'"):
        methods.build(job(files, "tes"))
    with pytest.raises(ConfigError, match="does not train recurrent"):
        methods.build(Job(Workload("recurrent", 2, 2), "naive"))
    with pytest.raises(ConfigError, match="float32 on the CPU only"):
        methods.build(job(files, "naive", precision="bf16"))
    with pytest.raises(ConfigError, match="the naive baseline is not here"):
        places.load_naive(str(tmp_path))
    with pytest.raises(ConfigError, match="no folder"):
        places.benchmarks(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="a worker's job"):
        Job.from_json("[]")


def test_without_a_checkout_there_are_no_peers(files: Files, tmp_path: Path) -> None:
    setting = Setting(WORK, files, {}, benchmarks=None)
    assert peer(setting, "norse", "bptt") == NO_PEERS
    (tmp_path / "peers").mkdir()
    (tmp_path / "peers" / "worker.py").touch()
    assert peer(replace(setting, benchmarks=tmp_path), "norse", "bptt") == NO_PEERS
    assert "make bench-peers" in NO_PEERS


def test_a_peer_is_told_what_its_worker_knows(files: Files, tmp_path: Path) -> None:
    folder = tmp_path / "benchmarks"
    (folder / "peers").mkdir(parents=True)
    (folder / "peers" / "worker.py").touch()
    python = tmp_path / ".venv-peers" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    found = peer(Setting(WORK, files, {}, 2, benchmarks=folder), "spikingjelly", "ottt")
    assert not isinstance(found, str) and found.optional
    assert found.command[:2] == [str(python), str(folder / "peers" / "worker.py")]
    assert json.loads(found.command[2]) == {
        "package": "spikingjelly", "method": "ottt", "net": "mlp", "batch": 4, "steps": 5,
        "threads": 2, "weights": files.weights, "reference": files.reference, "warm_up": 2,
    }  # fmt: skip


def test_a_real_worker_from_start_to_end(tmp_path: Path) -> None:
    # Not WORK: calibration leaves a neuron there so near its threshold that the compiler's rounding
    # of a weight makes it fire.
    work = replace(WORK, steps=12)
    setting = Setting(work, prepare(work, tmp_path), {"OMP_NUM_THREADS": "1"})
    entrant = own(setting, "tess", "float32")
    with Worker(entrant.name, entrant.command, entrant.environment) as worker:
        ready = worker.wait_until_ready()
        assert ready["about"]["schedule"] == "layerwise"
        assert ready["about"]["float32_matmul_precision"] == "highest"
        assert ready["check"]["gradient"] < 1e-4 and ready["threads"] == 1
        assert ready["versions"]["torch"] == torch.__version__
        assert all(s > 0 for s in worker.steps(2)) and len(worker.steps(2)) == 2
        mark = worker.peak()
        assert mark["peak_mib"] >= mark["baseline_mib"] > 1


def test_a_real_worker_that_refuses(files: Files) -> None:
    entrant = own(Setting(WORK, files, {}), "tess", "float32", "bptt")
    with (
        Worker(entrant.name, entrant.command, entrant.environment) as worker,
        pytest.raises(WorkerError, match=r"tess bptt float32 refuses: .*bptt"),
    ):
        worker.wait_until_ready()
