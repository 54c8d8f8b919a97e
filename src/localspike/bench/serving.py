"""The worker's end of the protocol: one line in, one line of JSON out.

"steps N" → {"seconds": [...]}, "peak" → {"baseline_mib", "peak_mib"}, "quit" or the end of the
input ends it. The first line out is {"ready": true, ...} or {"ready": false, "reason": ...}.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import Any, TextIO


def serve(
    requests: Iterable[str],
    answers: TextIO,
    step: Callable[[], None],
    wait: Callable[[], None],
    peak: Callable[[], dict[str, float]],
) -> None:
    """Answer requests until there are no more; ``wait`` returns when the device is idle.

    >>> import io
    >>> out = io.StringIO()
    >>> serve(["peak", "quit"], out, print, print, lambda: {"peak_mib": 1.0})
    >>> out.getvalue()
    '{"peak_mib": 1.0}\\n'
    """
    for line in requests:
        command, _, count = line.strip().partition(" ")
        if command == "quit":
            return
        if command == "peak":
            say(answers, peak())
        elif command == "steps" and count.isdigit():
            say(answers, {"seconds": [timed(step, wait) for _ in range(int(count))]})
        else:
            say(answers, {"error": f"unknown request {line.strip()!r}"})


def timed(step: Callable[[], None], wait: Callable[[], None]) -> float:
    """Seconds of one step.

    >>> timed(lambda: None, lambda: None) >= 0
    True
    """
    started = time.perf_counter()
    step()
    wait()
    return time.perf_counter() - started


def say(answers: TextIO, tree: dict[str, Any]) -> None:
    """One line of JSON, at once."""
    answers.write(json.dumps(tree) + "\n")
    answers.flush()
