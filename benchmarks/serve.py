"""The loop of a process that reads event files on request and times itself inside.

A line of JSON with the names of its readers says that it is ready. A request is [name, path]; the
answer {"seconds", "processor", "events", "sums"}: the
time by the clock on the wall and of this process, how many events there were, and the sums of t, x,
y and p, so that readers that disagree are noticed. Needs nothing but NumPy.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Reader = Callable[[str], Any]
"""Gives what has len() and columns t, x, y, p."""


def answer(read: Reader, path: str) -> dict[str, Any]:
    """One timed reading; the sums are not timed."""
    gc.collect()
    worked, start = time.process_time(), time.perf_counter()
    events = read(path)
    seconds, processor = time.perf_counter() - start, time.process_time() - worked
    sums = [int(np.asarray(events[name]).astype(np.int64).sum()) for name in "txyp"]
    return {"seconds": seconds, "processor": processor, "events": len(events), "sums": sums}


def serve(readers: dict[str, Reader]) -> None:
    """Answer requests until the input ends; an exception is an answer too."""
    print(json.dumps(list(readers)), flush=True)
    for line in sys.stdin:
        name, path = json.loads(line)
        try:
            found = answer(readers[name], path)
        except Exception as error:  # whatever a library raises: its reader has no figure then
            found = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(found), flush=True)
