"""`localspike bench data`: the checkout's own benchmark of feeding, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ..errors import ConfigError
from .places import benchmarks


def run(quick: bool, folder: Path | None = None) -> int:
    """Run `benchmarks/data.py`, which prints and records by itself; its exit code.

    Raises
    ------
    ConfigError
        Where there is no checkout.
    """
    home = benchmarks(folder)
    script = None if home is None else home / "data.py"
    if script is None or not script.is_file():
        raise ConfigError(
            "benchmarks/data.py is not here", fix="Run in a checkout, or give --benchmarks"
        )
    command = [sys.executable, str(script), *(["--quick"] if quick else [])]
    return subprocess.run(command, check=False).returncode
