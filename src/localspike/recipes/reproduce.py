"""Reproduce a published table: train what is missing, and set ours beside the paper's numbers."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from ..config import RunConfig, to_json
from ..config.build import known_of
from ..errors import CheckpointError, LocalspikeError
from ..learn.atomic import writing
from ..learn.interrupt import Paused
from ..learn.metrics import read_journal
from .compare import finished, revision_of, train_cell
from .compare_plan import Cell
from .folder import read_json
from .reproduce_plan import Line, Plan
from .reproduce_report import Reproduced, Table
from .run import Result, read_result
from .workers import Failure, Workers, cores

LEAST = 1e-3
"""Seconds of a sitting whose time was over before it began: an epoch."""


class Sitting(NamedTuple):
    """A training, the time of the clock when it is to end, and whether it begins in any case."""

    cell: Cell
    until: float
    begins: bool


def carry_out(plan: Plan, seconds: float = math.inf) -> dict[Path, str]:
    """Train what is not finished in worker processes; returns why those failed that did, by folder.

    An interrupted training goes on where it was, a failed one is tried again, and the others go on.
    Beside a device one training runs at a time. After ``seconds`` no training begins, and those
    under way end with the last epoch that fits; the first ones get one epoch at least.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, once all workers have saved what they were at.
    """
    missing = [cell for cell in plan.cells if not finished(cell)]
    if not missing:
        return {}
    with writing(plan.request.out):
        plan.request.out.mkdir(parents=True, exist_ok=True)
    most = cores() if plan.device == "cpu" else 1
    until = time.time() + seconds
    jobs = [Sitting(cell, until, number < most) for number, cell in enumerate(missing)]
    failures: dict[Path, str] = {}
    epochs = sum(cell.config.training.epochs for cell in missing)
    with Workers(epochs, most=most) as workers:
        for job, outcome in workers.run(sit, jobs, "training"):
            if not isinstance(outcome, Failure):
                continue
            if outcome.interrupted:
                raise KeyboardInterrupt
            failures[job.cell.folder] = outcome.reason
    return failures


def sit(job: Sitting) -> bool:
    """Train one cell, if there is time, until it is finished; the work of a worker.

    Returns whether it is.
    """
    left = job.until - time.time()
    if left <= 0 and not job.begins:
        return False
    try:
        train_cell(job.cell, max(left, LEAST))
    except Paused:
        return False
    return True


def epochs_of(cell: Cell) -> int:
    """How many epochs of a cell are trained."""
    if not (cell.folder / "metrics.jsonl").exists():
        return 0
    try:
        return sum(line["kind"] == "epoch" for line in read_journal(cell.folder))
    except CheckpointError:  # a line cut by a crash, which is mended when the run goes on
        return 0


def summarise(plan: Plan, failures: Mapping[Path, str]) -> Table:
    """The table as far as it has come, from what the run folders hold."""
    return Table(
        name=plan.table.name,
        title=plan.table.title,
        source=plan.table.source,
        paper=plan.table.paper,
        scale=plan.request.scale,
        seeds=plan.seeds,
        device=plan.device,
        settings=list(plan.request.settings),
        rows=[_row(line, failures) for line in plan.lines],
    )


def _row(line: Line, failures: Mapping[Path, str]) -> Reproduced:
    row, found = line.row, dict(failures)
    results: dict[int, Result] = {}
    for cell in line.cells:
        if finished(cell):
            try:
                results[cell.seed] = read_result(cell.folder)
            except LocalspikeError as error:
                found[cell.folder] = str(error)
    values = {seed: 100 * result.test_accuracy for seed, result in results.items()}
    mean = statistics.mean(values.values()) if values else None
    return Reproduced(
        place=row.place,
        asked=line.asked,
        name=row.name,
        rule=row.rule,
        stands_for=row.stands_for,
        measure=row.measure,
        paper=row.paper,
        logs=row.logs,
        mean=mean,
        sd=statistics.stdev(values.values()) if len(values) > 1 else None,
        seeds=values,
        difference=None if mean is None or row.paper is None else mean - row.paper.mean,
        missing=line.missing,
        refused=line.refused,
        failed={cell.seed: found[cell.folder] for cell in line.cells if cell.folder in found},
        epochs={cell.seed: epochs_of(cell) for cell in line.cells if cell.seed not in results},
        config=None if line.config is None else to_json(line.config),
        runs={seed: _about(result) for seed, result in results.items()},
        net="" if line.config is None else net_of(line.config),
    )


def _about(result: Result) -> dict[str, Any]:
    """What a finished run depends on and what it cost, beside its settings."""
    kept = Path(result.folder) / "versions.json"
    told: tuple[str, ...] = (
        "folder",
        "device",
        "schedule",
        "seconds",
        "peak_memory_mib",
        "training_macs",
    )
    told += ("val_accuracy", "test_samples", "train_samples", "time_steps", "parameters")
    return {
        "revision": revision_of(result),
        "versions": read_json(kept) if kept.exists() else None,
        **{name: getattr(result, name) for name in told},
    }


def net_of(config: RunConfig) -> str:
    """A run's net in a few letters.

    >>> from .small import cifar10
    >>> net_of(cifar10())
    'VGG-9 x 0.25'
    """
    options = config.model.options
    if config.model.name == "vgg9":
        return "VGG-9" + (f" x {options['width']:g}" if "width" in options else "")
    if config.model.name == "convnet":
        return "conv " + "-".join(map(str, options["channels"]))
    about = known_of(config)
    loop = "R" if config.model.name == "recurrent" else ""
    hidden = [f"{size}{loop}" for size in options["hidden"]]
    return "-".join([str(prod(about.sample_shape)), *hidden, str(len(about.classes))])
