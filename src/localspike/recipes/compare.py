"""Compare rules: train every cell that is not finished yet, and sum all of them up in one table."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..learn.atomic import writing
from .compare_plan import Case, Cell, Plan, keep_plugins
from .compare_report import Facts, Report, Row
from .folder import versions
from .run import Result, read_result, train
from .workers import Failure, Workers, tick

BASELINE = "bptt"
Done = Mapping[Path, Result | Failure]


def carry_out(plan: Plan) -> Report:
    """Train what is missing in worker processes and sum up; finished cells are read.

    An interrupted cell goes on where it was. A cell that fails is reported and the others go on.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, once all workers have saved what they were at.
    """
    started = time.perf_counter()
    with writing(plan.request.folder):
        plan.request.folder.mkdir(parents=True, exist_ok=True)
    keep_plugins(plan.request.folder, plan.plugins)
    done: dict[Path, Result | Failure] = {
        cell.folder: read_result(cell.folder) for cell in plan.cells if finished(cell)
    }
    missing = [cell for cell in plan.cells if cell.folder not in done]
    epochs = sum(cell.config.training.epochs for cell in missing)
    files = [plugin.path for plugin in plan.plugins]
    with Workers(epochs, files) as workers:
        for cell, outcome in workers.run(train_cell, missing, "training"):
            if isinstance(outcome, Failure) and outcome.interrupted:
                raise KeyboardInterrupt
            done[cell.folder] = outcome
    return summarise(plan, done, time.perf_counter() - started)


def finished(cell: Cell) -> bool:
    """Whether the cell has been trained and judged."""
    return (cell.folder / "result.json").exists()


def train_cell(cell: Cell, seconds: float = math.inf) -> Result:
    """Train one cell, or go on with it, and judge it; the work of a worker.

    Raises
    ------
    Paused
        The time is over and epochs are left.
    """
    return train(
        cell.config,
        cell.folder,
        data_root=cell.data_root,
        resume=(cell.folder / "config.json").exists(),
        say=tick,
        bar=False,
        figures=False,
        seconds=seconds,
    )


def summarise(plan: Plan, done: Done, seconds: float) -> Report:
    """One row per case: accuracy over seeds, medians of memory and time, time against BPTT."""
    rows = [_row(plan, case, done) for case in plan.cases]
    baselines = {row.net: row.seconds for row in rows if row.rule == BASELINE}
    for row in rows:
        base = baselines.get(row.net)
        if row.seconds is not None and base:
            row.time_ratio = row.seconds / base
    results = [result for result in done.values() if isinstance(result, Result)]
    return Report(
        data=plan.request.data,
        seeds=plan.request.seeds,
        limit=plan.request.limit,
        rows=rows,
        facts={net: _facts(net, plan, done) for net in plan.nets()},
        failures=_failures(plan, done),
        revisions=sorted({revision_of(result) for result in results}),
        seconds=seconds,
        versions=versions(),
    )


def _row(plan: Plan, case: Case, done: Done) -> Row:
    results = [r for cell in plan.of(case) if isinstance(r := done[cell.folder], Result)]
    accuracies = [result.test_accuracy for result in results]
    return Row(
        net=case.net,
        rule=case.entry.name,
        summary=case.entry.summary,
        local=case.local,
        schedule=case.schedule,
        schedule_reason=case.schedule_reason,
        step_size=case.config.optimizer.options.get("lr"),
        accuracies=accuracies,
        accuracy_mean=statistics.mean(accuracies) if results else None,
        accuracy_sd=statistics.stdev(accuracies) if len(results) > 1 else None,
        val_accuracy_mean=statistics.mean(r.val_accuracy for r in results) if results else None,
        peak_memory_mib=_median([result.peak_memory_mib for result in results]),
        seconds=_median([result.seconds for result in results]),
        macs=results[0].training_macs if results else None,
        refused=case.refused,
        failed=sum(isinstance(done[cell.folder], Failure) for cell in plan.of(case)),
    )


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _facts(net: str, plan: Plan, done: Done) -> Facts | None:
    for cell in plan.cells:
        result = done[cell.folder]
        if cell.net == net and isinstance(result, Result):
            return Facts(
                result.parameters,
                result.train_samples,
                result.test_samples,
                result.time_steps,
                cell.config.training.epochs,
            )
    return None


def _failures(plan: Plan, done: Done) -> dict[str, str]:
    outcomes = {cell.title: done[cell.folder] for cell in plan.cells}
    return {title: out.reason for title, out in outcomes.items() if isinstance(out, Failure)}


def revision_of(result: Result) -> str:
    """The revision a finished run was started with."""
    path = Path(result.folder) / "revision"
    return path.read_text(encoding="utf-8").strip() if path.exists() else "unknown"
