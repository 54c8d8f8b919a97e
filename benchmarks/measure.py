"""One measurement for run.py, in a process of its own: median step time and peak memory rise."""

from __future__ import annotations

import json
import statistics
import sys
import time

import torch

from localspike import Learner, models, rules
from localspike.learn.memory import high_water_mib
from localspike.nn import Network

WARM_UP = 2
# One thread: on a machine shared with others, threads that wait for each other measure the others.
THREADS = 1


def build(name: str) -> tuple[Network, torch.Tensor]:
    """The net of that name and one batch of frames for it."""
    if name.startswith("mlp"):
        return models.mlp(80, (200, 200), 10), spikes(50, 32, 80)
    return models.vgg9(3, 10, width=0.25), spikes(6, 16, 3, 32, 32)


def spikes(*shape: int) -> torch.Tensor:
    """Random spikes at a rate of one in ten."""
    return (torch.rand(shape) < 0.1).float()


def main() -> None:
    """Time ``steps`` calls of fit and print the figures as JSON."""
    name, rule, schedule, steps = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    net, frames = build(name)
    labels = torch.randint(10, (frames.shape[1],))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    learner = Learner(net, rules.PRESETS[rule](), optimizer, schedule=schedule)
    before, times = high_water_mib(), []
    for _ in range(WARM_UP + steps):
        started = time.perf_counter()
        learner.fit(frames, labels)
        times.append(1000 * (time.perf_counter() - started))
    figures = {
        "step_ms": statistics.median(times[WARM_UP:]),
        "peak_memory_mib": high_water_mib() - before,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
