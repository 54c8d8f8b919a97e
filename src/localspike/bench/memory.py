"""`localspike bench memory`: the rise of peak memory over net and data, against T."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import figures, record
from .entrants import command
from .environment import environment, settings
from .job import Job
from .process import Worker
from .rounds import Say
from .workload import Workload, require_positive

WHAT = (
    "rise of the process's high-water mark over net, optimiser and data, a fresh process per "
    "figure; streaming is fed step by step and never holds a sequence"
)
TRAINED = 2  # steps: in the second one the optimiser has its own state, too
WAYS = {
    "bptt": ("bptt", "auto", "sequence"),
    "tess layerwise": ("tess", "layerwise", "sequence"),
    "tess streaming": ("tess", "streaming", "steps"),
}


@dataclass(frozen=True)
class Request:
    """Which nets at which T, and how many processes per figure."""

    nets: Sequence[str] = ("mlp", "recurrent")
    steps: Sequence[int] = (100, 200, 400, 800)
    batch: int = 32
    repeats: int = 3
    threads: int = 1
    out: Path | None = None

    def __post_init__(self) -> None:
        require_positive(batch=self.batch, repeats=self.repeats, threads=self.threads)


def run(request: Request, say: Say) -> dict[str, Any]:
    """Measure, and give the record."""
    variables = settings(request.threads, keep_memory=False)
    where = record.folder_for(request.out, record.ENOUGH, None)
    record.warn_of_load(say)
    head = record.about(WHAT, "memory", variables)
    rows = []
    for net in request.nets:
        for name in WAYS:
            row = _row(request, net, name, variables)
            rows.append(row)
            say(f"{net}, {name}: {_told(row)}")
    found = {
        **head,
        "batch": request.batch,
        "threads": request.threads,
        "repeats": request.repeats,
        "rows": rows,
        "ratios": ratios(rows),
    }
    path = record.write(found, where, "memory")
    say(f"recorded in {path}" if path else "not recorded")
    return found


def _row(request: Request, net: str, name: str, variables: dict[str, str]) -> dict[str, Any]:
    method, schedule, feed = WAYS[name]
    points = []
    for steps in request.steps:
        for _ in range(request.repeats):
            job = Job(
                Workload(net, request.batch, steps),
                method,
                schedule=schedule,
                threads=request.threads,
                warm_up=0,
                feed="steps" if feed == "steps" else "sequence",
            )
            points.append((steps, rise(job, variables)))
    return {"net": net, "title": job.workload.kind.title, "method": name, **fitted(points)}


def rise(job: Job, variables: dict[str, str]) -> float:
    """MiB by which training raises a fresh process's memory."""
    with Worker(f"{job.method} on {job.workload.name}", command(job), environment(variables)) as it:
        it.wait_until_ready()
        it.steps(TRAINED)
        mark = it.peak()
    return mark["peak_mib"] - mark["baseline_mib"]


def fitted(points: Sequence[tuple[int, float]]) -> dict[str, Any]:
    """Medians by T, and the slope in KiB per step with its standard error.

    >>> fitted([(1, 2.0), (2, 3.0), (3, 4.0)])["kib_per_step"]["slope"]
    1024.0
    """
    by_steps = {
        str(steps): figures.spread([y for x, y in points if x == steps])
        for steps in sorted({x for x, _ in points})
    }
    found: dict[str, Any] = {"rise_mib": by_steps}
    if len(by_steps) > 1:
        slope = figures.line([x for x, _ in points], [1024 * y for _, y in points])
        found["kib_per_step"] = slope.tree()
    return found


def ratios(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """By net and method: the share of BPTT's rise at the largest T.

    >>> a = {"net": "mlp", "method": "bptt", "rise_mib": {"9": {"median": 8.0}}}
    >>> ratios([a, {**a, "method": "x", "rise_mib": {"9": {"median": 1.0}}}])
    {'mlp': {'x': 0.125}}
    """
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        last = max(row["rise_mib"], key=int)
        if row["method"] == "bptt":
            continue
        full = [r for r in rows if r["net"] == row["net"] and r["method"] == "bptt"]
        whole = full[0]["rise_mib"][last]["median"] if full else 0.0
        if whole > 0:
            share = row["rise_mib"][last]["median"] / whole
            found.setdefault(row["net"], {})[row["method"]] = share
    return found


def _told(row: dict[str, Any]) -> str:
    parts = [f"T={steps} {one['median']:.1f} MiB" for steps, one in row["rise_mib"].items()]
    return ", ".join(parts)
