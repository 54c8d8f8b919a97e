"""Peak memory: the rise of a high-water mark over its value once net and data are built."""

from __future__ import annotations

import re
import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch

MIB = 2**20


def high_water_mib(device: torch.device | None = None) -> float:
    """Highest memory use of this process so far, in MiB; on CUDA, of the allocator.

    >>> high_water_mib() > 1
    True
    """
    if device is not None and device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MIB
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE)
        if found:
            return int(found.group(1)) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (MIB if sys.platform == "darwin" else 1024)


def restart_high_water(device: torch.device | None = None) -> float:
    """Set the mark back to what is in use now, where the system can, and return it in MiB.

    Loading data can peak above what training ever needs; without this such a peak would hide it.
    """
    if device is not None and device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with suppress(
        OSError
    ):  # not Linux, or not allowed: the mark stays, and a rise is a lower bound
        Path("/proc/self/clear_refs").write_text("5")
    return high_water_mib(device)
