"""The demo: TESS on embedded keywords beside BPTT and frozen hidden layers, same net and budget.

For every rule the step size is chosen from one grid by validation accuracy, the smallest of those
that one run cannot tell apart; then every seed is trained in a process of its own and judged once
on speakers never heard in training.
"""

from __future__ import annotations

import math
import os
import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError, LocalspikeError
from ..learn.lock import LOCK, locked
from .demo_jobs import Done, Job, config_of, final, search
from .demo_report import Report, Row, print_report, write_report
from .folder import prepare
from .registry import recipe
from .workers import Failure, Workers

RULES = ("tess", "bptt", "frozen")
GRID = (3e-3, 1e-2, 3e-2)  # 1e-3 and 1e-1 were tried and chosen by no rule
QUICK_EPOCHS, QUICK_GRID = 2, (3e-3, 1e-2)


@dataclass(frozen=True)
class Plan:
    """What a demo trains: rules × step sizes once, then rules × seeds at the chosen step size."""

    folder: Path
    family: str
    epochs: int
    grid: tuple[float, ...]
    seeds: int

    def search_jobs(self) -> list[Job]:
        """Every rule at every step size, seed 0."""
        return [
            self._job(rule, lr, 0, f"search/{rule}-{lr:g}") for lr in self.grid for rule in RULES
        ]

    def final_jobs(self, chosen: dict[str, float]) -> list[Job]:
        """Every rule from every seed, rules in turn so that drift of the machine hits all alike."""
        return [
            self._job(rule, chosen[rule], seed, f"{rule}-{seed}")
            for seed in range(self.seeds)
            for rule in RULES
        ]

    def _job(self, rule: str, lr: float, seed: int, name: str) -> Job:
        return Job(rule, lr, seed, self.epochs, str(self.folder / name), f"{self.family}-{rule}")


def run(
    out: str | os.PathLike[str] = "runs/demo",
    seeds: int = 3,
    quick: bool = False,
    json: bool = False,
    family: str = "keywords",
) -> int:
    """Run the demo in folder ``out`` and print its table; finished runs there are kept.

    ``family`` names the recipes compared: "keywords" or "keywords-leaky". Returns the exit code:
    0, or 130 when interrupted (the same command then goes on).
    """
    if seeds < 1:
        raise ConfigError("the demo needs seeds", got=seeds, expected="1 or more")
    epochs = QUICK_EPOCHS if quick else recipe(f"{family}-tess").training.epochs
    plan = Plan(Path(out), family, epochs, QUICK_GRID if quick else GRID, seeds)
    require_own(plan)
    with locked(plan.folder):
        report = _carry_out(plan)
        write_report(plan.folder, report)
    print_report(plan.folder, report, json)
    return 0


def require_own(plan: Plan) -> None:
    """Refuse a folder that holds anything but this demo; nothing is written.

    Raises
    ------
    ConfigError
        The message names what is in the way, or the settings that are another demo's.
    """
    folder = plan.folder
    if not folder.exists():
        return
    pattern = re.compile(rf"search|({'|'.join(RULES)})-[0-9]+|\.?demo\..*|{re.escape(LOCK)}")
    found = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else ["a file"]
    foreign = [name for name in found if not pattern.fullmatch(name)]
    if foreign:
        raise ConfigError(
            f"{folder} is no folder of a demo",
            got=", ".join(foreign[:3]) + (", …" if foreign[3:] else ""),
            expected="a new or empty folder, or that of an earlier demo",
            fix="Choose another folder with --out",
        )
    for job in plan.search_jobs():
        if (Path(job.folder) / "config.json").exists():
            prepare(Path(job.folder), config_of(job), resume=True)


def _carry_out(plan: Plan) -> Report:
    started = time.perf_counter()
    jobs = len(plan.search_jobs()) + len(RULES) * plan.seeds
    with Workers(jobs * plan.epochs) as workers:
        tried = _all(workers, search, plan.search_jobs(), "choosing step sizes", fresh=False)
        # A fresh process per final run, so that each one's peak memory is its own.
        done = _all(workers, final, plan.final_jobs(choose(tried)), "training", fresh=True)
    return summarise(plan, done, time.perf_counter() - started)


def choose(tried: Sequence[Done]) -> dict[str, float]:
    """For every rule the smallest step size within one standard error of the best accuracy.

    On n clips the best accuracy p has the standard error √(p (1 − p) / n); what lies closer than
    that is not told apart, and rounding alone would decide. Without clips counted, the best.

    >>> job = Job("tess", 0.01, 0, 1, "")
    >>> better = Done(job._replace(lr=0.03), 0.6, val_samples=100)
    >>> choose([Done(job, 0.5), better]), choose([Done(job, 0.58), better])
    ({'tess': 0.03}, {'tess': 0.01})
    """
    chosen: dict[str, float] = {}
    for rule in dict.fromkeys(done.job.rule for done in tried):
        runs = sorted((d for d in tried if d.job.rule == rule), key=lambda d: d.job.lr)
        best = max(runs, key=lambda d: d.val_accuracy)
        p, n = best.val_accuracy, best.val_samples
        least = p - math.sqrt(p * (1 - p) / n) if n else p
        chosen[rule] = next(d.job.lr for d in runs if d.val_accuracy >= least)
    return chosen


def summarise(plan: Plan, done: Sequence[Done], seconds: float) -> Report:
    """One row per rule: mean and sd of test accuracy, median peak memory, time against BPTT."""
    by_rule = {rule: [d for d in done if d.job.rule == rule] for rule in RULES}
    clock = {rule: statistics.median(d.seconds for d in by_rule[rule]) for rule in RULES}
    rows = [_row(rule, by_rule[rule], clock[rule] / clock["bptt"]) for rule in RULES]
    return Report(rows, done[0].test_samples, plan.epochs, plan.grid, seconds)


def _row(rule: str, done: Sequence[Done], time_ratio: float) -> Row:
    accuracies = [d.test_accuracy for d in done if d.test_accuracy is not None]
    return Row(
        rule=rule,
        accuracy_mean=statistics.mean(accuracies),
        accuracy_sd=statistics.stdev(accuracies) if len(accuracies) > 1 else None,
        accuracies=accuracies,
        peak_memory_mib=statistics.median(d.peak_memory_mib for d in done),
        time_ratio=time_ratio,
        lr=done[0].job.lr,
        val_accuracy_mean=statistics.mean(d.val_accuracy for d in done),
    )


def _all(
    workers: Workers, work: Callable[[Job], Done], jobs: Sequence[Job], what: str, fresh: bool
) -> list[Done]:
    """All jobs' results in the order of the jobs; the first failure ends the demo."""
    results: dict[Job, Done] = {}
    for job, done in workers.run(work, jobs, what, fresh):
        if isinstance(done, Failure):
            if done.interrupted:
                raise KeyboardInterrupt
            raise LocalspikeError(done.reason.rstrip("."))
        results[job] = done
    return [results[job] for job in jobs]
