"""The process in which ``child.py`` runs a decoder: limits first, then the file.

Run as a script: ``python child_main.py SCRIPT FILE CPU_SECONDS MEMORY_BYTES``. SCRIPT is loaded,
with what it imports, before the limits hold; it has ``send(path, out)``, which writes what it
decodes to a binary stream, here stdout, and an exception ``Refusal``. Exit status 3 means that the
file was refused, the reason on stderr. Nothing of the package is imported, to start fast.
"""

from __future__ import annotations

import resource
import runpy
import signal
import sys
from pathlib import Path

REFUSED = 3


def limit(cpu_seconds: float, memory: int) -> None:
    """From now on: so much processor time, and so much memory more than is in use."""
    status = Path("/proc/self/statm")
    used = int(status.read_text().split()[0]) * resource.getpagesize() if status.exists() else 0
    if used:
        resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds)


def main(script: str, path: str, cpu_seconds: str, memory: str) -> int:
    """Exit status 0, or ``REFUSED`` with the reason on stderr."""
    decoder = runpy.run_path(script)
    limit(float(cpu_seconds), int(memory))
    try:
        decoder["send"](path, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except decoder["Refusal"] as error:
        print(error, file=sys.stderr)
        return REFUSED
    except Exception as error:  # a C library turns what it finds into many kinds of exception
        print(f"{type(error).__name__}: {error}"[:300], file=sys.stderr)
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
