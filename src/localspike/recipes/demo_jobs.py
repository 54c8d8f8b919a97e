"""The demo's single jobs, each run in a worker process: try a step size, or train and test once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ..config import RunConfig
from ..learn.metrics import read_journal
from .begin import begun
from .folder import prepare, read_json, write_json
from .registry import recipe
from .run import train
from .workers import tick


class Job(NamedTuple):
    """One training of ``rule`` with step size ``lr`` from ``seed``, kept in ``folder``."""

    rule: str
    lr: float
    seed: int
    epochs: int
    folder: str
    recipe: str = "keywords-tess"


class Done(NamedTuple):
    """What came of a job: validation accuracy, and for final runs the test's and the costs."""

    job: Job
    val_accuracy: float
    test_accuracy: float | None = None
    test_samples: int = 0
    peak_memory_mib: float = 0.0
    seconds: float = 0.0
    val_samples: int = 0


def config_of(job: Job) -> RunConfig:
    """The job's recipe with the job's step size, seed and epochs.

    >>> config_of(Job("tess", 0.01, 2, 5, "x")).training.seed
    2
    """
    base = recipe(job.recipe)
    return replace(
        base,
        optimizer=replace(base.optimizer, options={**base.optimizer.options, "lr": job.lr}),
        training=replace(base.training, seed=job.seed, epochs=job.epochs, threads=1, device="cpu"),
    )


def search(job: Job) -> Done:
    """Train for validation accuracy only: the test split is not read."""
    folder, config = Path(job.folder), config_of(job)
    found = folder / "validation.json"
    if found.exists():
        prepare(folder, config, resume=True)  # it may be that of a quick demo, or of another net
    else:
        started = (folder / "config.json").exists()
        with begun(config, folder, resume=started, say=tick, bar=False) as (session, trainer):
            trainer.run()
            last = [line for line in read_journal(folder) if line["kind"] == "epoch"][-1]
            judged = {
                "val_accuracy": last["val_accuracy"],
                "samples": len(session.validation.dataset),
            }
            write_json(found, judged)
    judged = read_json(found)
    return Done(job, judged["val_accuracy"], val_samples=judged.get("samples", 0))


def final(job: Job) -> Done:
    """Train, then judge the test split once."""
    started = (Path(job.folder) / "config.json").exists()
    result = train(config_of(job), job.folder, resume=started, say=tick, bar=False)
    return Done(
        job,
        result.val_accuracy,
        result.test_accuracy,
        result.test_samples,
        result.peak_memory_mib,
        result.seconds,
    )
