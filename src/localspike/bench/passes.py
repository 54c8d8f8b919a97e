"""`localspike bench passes`: what fused passes over memory move, and how fast, beside a copy.

A pass that computes little takes as long as its bytes do. Each is timed by itself on one layer's
sequence, [T, B, C, H, W] channels last, too large for caches, in turns with copying a tensor of the
layer's size, which moves 2 b bytes a number of b bytes each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..kernels import fused, pooled, winograd
from ..kernels import windows as signals
from ..kernels.compiling import compiled, obstacle
from ..kernels.geometry import ConvGeometry
from ..kernels.neuron import Constants
from ..kernels.slopes import Dynamics
from ..kernels.surrogate import Triangle
from ..learn.memory import keep_heap
from . import figures, record
from .rounds import Say
from .workload import require_positive

WHAT = (
    "time of each fused pass on one layer's sequence, the bytes it has to move a neuron and step, "
    "and what that is of a copy's bytes per second, measured in turns"
)
STEPS, CHANNELS, SIDE, POOL, LATENTS = 6, 128, 32, 2, 4
DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16}


class Pass(NamedTuple):
    """A pass, and the bytes it reads and writes a neuron and step."""

    name: str
    bytes: float
    run: Callable[[], object]


@dataclass(frozen=True)
class Request:
    """How large, how often, on how many threads."""

    batch: int = 32
    rounds: int = 9
    threads: int = 1
    out: Path | None = None

    def __post_init__(self) -> None:
        require_positive(batch=self.batch, rounds=self.rounds, threads=self.threads)


def run(request: Request, say: Say) -> dict[str, Any]:
    """Measure in this process, and give the record."""
    torch.set_num_threads(request.threads)
    keep_heap()
    where = record.folder_for(request.out, request.rounds, None)
    record.warn_of_load(say)
    on = obstacle(torch.device("cpu")) is None
    head = record.about(WHAT, "passes", {})
    rows = []
    with torch.no_grad(), compiled(on):
        for name, dtype in DTYPES.items():
            say(f"{name}: {request.rounds} rounds")
            rows += _rows(name, dtype, request)
    found = {
        **head,
        "title": f"{CHANNELS} channels, {SIDE}x{SIDE}",
        "batch": request.batch,
        "steps": STEPS,
        "threads": request.threads,
        "rounds": request.rounds,
        "compiled": on,
        "rows": rows,
    }
    path = record.write(found, where, "passes")
    say(f"recorded in {path}" if path else f"not recorded: fewer than {record.ENOUGH} rounds")
    return found


def _rows(precision: str, dtype: torch.dtype, request: Request) -> list[dict[str, Any]]:
    neurons = STEPS * request.batch * CHANNELS * SIDE * SIDE
    made = list(passes(request.batch, dtype))
    for one in made:
        one.run()  # compiles
    seconds = {one.name: list[float]() for one in made}
    for _ in range(request.rounds):
        for one in made:
            started = time.perf_counter()
            one.run()
            seconds[one.name].append(time.perf_counter() - started)
    took = {one.name: figures.spread(seconds[one.name]) for one in made}
    speeds = {one.name: one.bytes * neurons / took[one.name]["median"] for one in made}
    copy = speeds[made[0].name]
    return [
        {
            "precision": precision,
            "name": one.name,
            "bytes": one.bytes,
            "seconds": took[one.name],
            "bytes_per_second": speeds[one.name],
            "of_copy": speeds[one.name] / copy,
        }
        for one in made
    ]


def passes(batch: int, dtype: torch.dtype) -> Iterator[Pass]:
    """The passes over a sequence [T, B, C, H, W] of ``dtype``; the first is the copy.

    >>> [one.name for one in passes(1, torch.float32)][:3]
    ['copy', 'neurons', 'neurons and max pooling']
    """
    draw = torch.Generator().manual_seed(1)
    shape = (STEPS, batch, SIDE, SIDE, CHANNELS)
    currents = torch.rand(shape, generator=draw).mul_(0.4).to(dtype)
    spikes = (currents > 0.3).to(dtype)
    maps, o = (x.permute(0, 1, 4, 2, 3) for x in (currents, spikes))
    dynamics = Dynamics(Constants(0.5, 0.6), Triangle())
    b, flat, target = float(dtype.itemsize), fused.flat(maps), torch.empty_like(currents)
    yield Pass("copy", 2 * b, lambda: target.copy_(currents))
    yield Pass("neurons", 2 * b, lambda: fused.scan(flat, None, dynamics.constants, dynamics.psi))
    q = SIDE // POOL
    rows = currents.view(STEPS, batch * q, POOL, q, POOL, CHANNELS)
    yield Pass(
        "neurons and max pooling",
        b + (b + 2) / POOL**2,
        lambda: pooled.scan(rows, None, dynamics),
    )
    yield from _learning(maps, dynamics, draw)
    yield from _windows(o.flatten(0, 1), maps.flatten(0, 1))


def _learning(maps: Tensor, dynamics: Dynamics, draw: torch.Generator) -> Iterator[Pass]:
    """Post factors from a signal on latents, of the layer and through its pooling."""
    b, traces = float(maps.dtype.itemsize), fused.TwoTraceConstants(0.5, 1.0, 0.2, 1.0)
    _, slopes, _ = fused.scan(fused.flat(maps), None, dynamics.constants, dynamics.psi)
    slopes = slopes._replace(source=fused.unflat(slopes.source, maps))
    for name, grid, size in (("", LATENTS, 0), (" through max pooling", SIDE // POOL, POOL)):
        m = torch.randn((*maps.shape[:3], grid, grid), generator=draw).to(maps.dtype)
        chosen = torch.zeros((m.shape[0] * m.shape[1], grid, grid, m.shape[2]), dtype=torch.uint8)
        at = signals.Windows(m, chosen if size else None)
        moved = 2 * b + (b + bool(size)) * (grid / SIDE) ** 2
        yield Pass(
            f"post factors{name}",
            moved,
            partial(signals.collapse, at, slopes, traces),
        )


def _windows(o: Tensor, maps: Tensor) -> Iterator[Pass]:
    """What `kernels.winograd` does beside its products: of input, sums and post factors."""
    b, geometry, weight = float(o.dtype.itemsize), ConvGeometry(1, 1), torch.empty(1, 1, 3, 3)
    padded = torch.nn.functional.pad(o.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
    sums = winograd.make_table(o, weight, geometry)
    half = SIDE // 2
    sums = sums.view(16, -1, half, half, CHANNELS)
    post = maps.permute(0, 2, 3, 1)
    yield Pass("windows of input", 5 * b, lambda: winograd.OF_INPUT(padded))
    yield Pass("currents from windows", 5 * b, lambda: winograd.OF_SUMS(sums))
    yield Pass("windows of post factors", 5 * b, lambda: winograd.OF_POST(post))
