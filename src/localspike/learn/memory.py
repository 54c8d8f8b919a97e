"""Peak memory: the rise of a high-water mark over its value once net and data are built.

And what becomes of memory that is freed.
"""

from __future__ import annotations

import ctypes
import gc
import os
import re
import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch

MIB = 2**20

# glibc's numbers for mallopt (malloc.h), and what they are set to: no block is mapped by itself,
# nothing at the heap's end is given back, the heap grows in large pieces, and threads started from
# now on share it (a heap of their own would map large blocks all the same). `bench.environment` has
# the same as variables, for processes of any library.
_KEPT = {-4: 0, -1: -1, -2: 64 * MIB, -8: 1}


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


def release_heap() -> None:
    """Give freed memory back to the system, where the C library can.

    What building has freed would serve training unseen, and its rise would come out too small.
    """
    gc.collect()
    with suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def keep_heap() -> bool:
    """From now on let this process keep what it frees; says whether it will.

    glibc maps a large tensor's memory anew at every step, and the system clears it page by page.
    Where the user has settings of his own (``MALLOC_…``, ``GLIBC_TUNABLES``), or memory comes from
    another library, all stays as it is.
    """
    if any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return False
    with suppress(AttributeError, OSError, TypeError):
        process, library = ctypes.CDLL(None), ctypes.CDLL("libc.so.6")
        if _address(process.malloc) == _address(library.malloc):
            return all([library.mallopt(number, to) for number, to in _KEPT.items()])
    return False


def _address(function: object) -> int | None:
    return ctypes.cast(function, ctypes.c_void_p).value  # type: ignore[arg-type]
