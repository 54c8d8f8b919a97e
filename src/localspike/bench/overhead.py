"""How much of a streaming step is Python: time of the step less time inside PyTorch's operations.

The profiler gives the self time of all operations of a step. It costs time of its own, c = step
with it less step without it, part of which falls inside operations and part between them. With a
step of w seconds and operations that seem to last p, the time outside operations is between w − p
(all of c inside) and w − p + c (all of c between); the figure is the middle. What an operation
spends in PyTorch's own C++ (dispatch, allocation) counts as operation. Only operations count: the
optimiser's Python and the interpreter that runs a captured step, which the profiler lists too, are
outside.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

from torch.profiler import ProfilerActivity, profile


def outside(step: float, profiled: float, operations: float) -> dict[str, float]:
    """Shares of a step that are outside operations: lowest, middle, highest.

    >>> outside(step=10.0, profiled=14.0, operations=9.0)
    {'share': 0.3, 'low': 0.1, 'high': 0.5}
    """
    cost = max(profiled - step, 0.0)
    low, high = step - operations, step - operations + cost
    shares = ((low + high) / 2 / step, low / step, high / step)
    return dict(zip(("share", "low", "high"), (min(max(x, 0.0), 1.0) for x in shares), strict=True))


def measure(step: Callable[[], None], count: int, rounds: int) -> dict[str, Any]:
    """Step times without and with the profiler in turns, and the shares outside operations."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # or every profile announces itself
    plain, seen, inside, calls = [], [], [], []
    for _ in range(rounds):
        plain.append(seconds(step, count))
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            seen.append(seconds(step, count))
        events = profiler.key_averages()
        operations = [e for e in events if "::" in e.key]
        inside.append(sum(e.self_cpu_time_total for e in operations) / 1e6 / count)
        calls.append(sum(e.count for e in operations) / count)
    medians = [statistics.median(x) for x in (plain, seen, inside)]
    return {
        **outside(*medians),
        "step_s": medians[0],
        "profiled_step_s": medians[1],
        "operations_s": medians[2],
        "operations_per_step": statistics.median(calls),
        "n": rounds,
        "steps_per_round": count,
    }


def seconds(step: Callable[[], None], count: int) -> float:
    """Seconds per step of ``count`` steps in a row."""
    started = time.perf_counter()
    for _ in range(count):
        step()
    return (time.perf_counter() - started) / count
