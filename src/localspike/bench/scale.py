"""`localspike bench scale`: time and memory against T, width, depth, classes and batch."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ..describe import describe_network
from . import figures, memory, record
from .entrants import command
from .environment import environment, settings
from .job import Job
from .process import Worker
from .rounds import Say, block_of
from .workload import Workload, refuse_unknown, require_positive

WHAT = (
    "seconds of a training step and rise of peak memory of TESS on an MLP, streamed (never holding "
    "a sequence) and layerwise, one size changed at a time, a fresh process per figure; exponents "
    "are slopes of log y against log x over the largest sizes, with standard errors"
)
INPUTS, HIDDEN, CLASSES, BATCH, STEPS = 256, 256, 20, 32, 50
AXES: dict[str, tuple[int, ...]] = {
    "T": (1, 3, 10, 30, 100, 300, 1000),
    "width": (64, 128, 256, 512, 1024, 2048),
    "depth": (1, 2, 4, 8, 16),
    "classes": (2, 10, 50, 200, 1000),
    "batch": (1, 4, 16, 64, 256),
}
SCHEDULES = ("streaming", "layerwise")
FITTED = 4
"""An exponent is fitted over so many of the largest sizes: small ones measure what is constant."""


class Point(NamedTuple):
    """A size on an axis, and the workload that has it."""

    size: int
    workload: Workload


@dataclass(frozen=True)
class Request:
    """How often every point is measured, and on which axes."""

    axes: Sequence[str] = tuple(AXES)
    repeats: int = 3
    threads: int = 1
    out: Path | None = None

    def __post_init__(self) -> None:
        require_positive(repeats=self.repeats, threads=self.threads)
        refuse_unknown("axis", self.axes, AXES)


def run(request: Request, say: Say) -> dict[str, Any]:
    """Measure, and give the record."""
    where = record.folder_for(request.out, record.ENOUGH, None)
    record.warn_of_load(say)
    head = record.about(WHAT, "scale", settings(request.threads, keep_memory=False))
    rows = []
    for axis in request.axes:
        for schedule in SCHEDULES:
            rows.append(_row(axis, schedule, request))
            say(f"{axis}, {schedule}: {told(rows[-1])}")
    found = {**head, "threads": request.threads, "repeats": request.repeats, "rows": rows}
    path = record.write(found, where, "scale")
    say(f"recorded in {path}" if path else "not recorded")
    return found


def points(axis: str) -> list[Point]:
    """The workloads along an axis; everything else stays as it is.

    >>> [p.workload.steps for p in points("T")][:3]
    [1, 3, 10]
    """
    return [Point(size, _at(axis, size)) for size in AXES[axis]]


def _at(axis: str, size: int) -> Workload:
    width = size if axis == "width" else HIDDEN
    sizes = {
        "inputs": INPUTS,
        "hidden": (width,) * (size if axis == "depth" else 1),
        "classes": size if axis == "classes" else CLASSES,
    }
    batch, steps = size if axis == "batch" else BATCH, size if axis == "T" else STEPS
    return Workload("mlp", batch, steps, tuple(sizes.items()))


def synapses(workload: Workload) -> int:
    """Neurons × fan-in of all layers: products per sample and step.

    >>> synapses(points("T")[0].workload)
    70656
    """
    return sum(block.macs for block in describe_network(workload.blank()))


def _row(axis: str, schedule: str, request: Request) -> dict[str, Any]:
    measured = [_measure(point, schedule, request) for point in points(axis)]
    return {"axis": axis, "schedule": schedule, "points": measured, **exponents(measured)}


def _measure(point: Point, schedule: str, request: Request) -> dict[str, Any]:
    feed: Literal["sequence", "steps"] = "steps" if schedule == "streaming" else "sequence"
    job = Job(
        point.workload, "tess", schedule=schedule, threads=request.threads, warm_up=0, feed=feed
    )
    seconds, rises = [], []
    for _ in range(request.repeats):
        own = environment(settings(request.threads, keep_memory=False))
        with Worker(f"{schedule} on {point.workload.name}", command(job), own) as it:
            it.wait_until_ready()
            count = block_of(it.steps(memory.TRAINED)[-1], 0.5)
            mark = it.peak()
            seconds.append(statistics.median(it.steps(count)))
        rises.append(mark["peak_mib"] - mark["baseline_mib"])
    work = synapses(point.workload) * point.workload.batch * point.workload.steps
    return {
        "size": point.size,
        "products": work,
        "step_s": figures.spread(seconds),
        "rise_mib": figures.spread(rises),
    }


def exponents(measured: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Powers of the size, and of neurons × fan-in × B × T, over the largest sizes.

    >>> row = [
    ...     {"size": n, "products": n * n, "step_s": {"median": n * n}, "rise_mib": {"median": 1.0}}
    ...     for n in (1, 2, 4)
    ... ]
    >>> found = exponents(row)
    >>> round(found["time"]["slope"], 6), round(found["time_of_products"]["slope"], 6)
    (2.0, 1.0)
    """
    last = list(measured)[-FITTED:]
    sizes, products = [p["size"] for p in last], [p["products"] for p in last]
    seconds = [p["step_s"]["median"] for p in last]
    rises = [max(p["rise_mib"]["median"], 2**-10) for p in last]
    return {
        "time": figures.exponent(sizes, seconds).tree(),
        "time_of_products": figures.exponent(products, seconds).tree(),
        "memory": figures.exponent(sizes, rises).tree(),
        "fitted_from": sizes[0],
    }


def told(row: dict[str, Any]) -> str:
    """The exponents of a row in words."""
    parts = []
    for key in ("time", "memory"):
        fit = row[key]
        parts.append(f"{key} ~ {row['axis']}^{fit['slope']:.2f} ± {fit['error'] or 0:.2f}")
    return ", ".join(parts)
