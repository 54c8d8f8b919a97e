"""`localspike bench stream`: learning at every step of an endless stream, one sample at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .. import rules
from ..describe import describe_network
from ..learn.capture import PATIENCE
from ..learn.learner import Learner
from . import figures, overhead, record
from .job import LEARNING_RATE
from .rounds import Say
from .workload import Workload, refuse_unknown, require_positive

WHAT = (
    "steps per second of a stream at B=1 that learns at every step (update='step', Adam), and the "
    "share of a step outside PyTorch's operations (the profiler's self times; low and high bound)"
)
_WARM = 2 * PATIENCE  # steps before any is timed: by then a step that can be captured is


@dataclass(frozen=True)
class Request:
    """Which net under which rule, how often, how many steps a round."""

    net: str = "nmnist-conv"
    rule: str = "tess"
    batch: int = 1
    rounds: int = 9
    steps: int = 200
    threads: int = 1
    out: Path | None = None

    def __post_init__(self) -> None:
        require_positive(rounds=self.rounds, steps=self.steps, threads=self.threads)
        refuse_unknown("rule", (self.rule,), rules.PRESETS)


def run(request: Request, say: Say) -> dict[str, Any]:
    """Measure in this process, and give the record."""
    torch.set_num_threads(request.threads)
    where = record.folder_for(request.out, request.rounds, None)
    record.warn_of_load(say)
    head = record.about(WHAT, "stream", {})
    work = Workload(request.net, request.batch, request.steps)
    net = work.network()
    optimizer = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE, fused=True)
    learner = Learner(net, rules.PRESETS[request.rule](), optimizer, update="step")
    pool, labels = work.pool(net), work.labels(net)
    at = iter(range(10**12))

    def step() -> None:
        learner.stream(pool[next(at) % len(pool)], labels)

    for _ in range(_WARM):
        step()
    say(f"{request.net}, {request.rule}: {request.rounds} rounds of {request.steps} steps")
    times = [overhead.seconds(step, request.steps) for _ in range(request.rounds)]
    found = {
        **head,
        "net": request.net,
        "title": work.kind.title,
        "rule": request.rule,
        "batch": request.batch,
        "threads": request.threads,
        "capture": learner.capture_reason,
        "macs_per_step": sum(b.macs for b in describe_network(net)),
        "step_s": figures.spread(times),
        "steps_per_second": 1 / figures.spread(times)["median"],
        "overhead": overhead.measure(step, request.steps // 2 or 1, request.rounds),
    }
    path = record.write(found, where, "stream")
    say(f"recorded in {path}" if path else f"not recorded: fewer than {record.ENOUGH} rounds")
    return found
