"""The `localspike` command as tests see it: a small run's settings, what was said, a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

SMALL = ["limit=40", "hidden=12,8", "batch_size=8", "epochs=2", "steps=12", "log_every=2"]


class Said(NamedTuple):
    """What a command printed and its exit code."""

    code: int
    out: str
    err: str


def start(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    """`localspike` as a process of its own, with one thread."""
    return subprocess.Popen(
        [sys.executable, "-m", "localspike", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
