"""What a timing depends on beside the code: settings of the processes, and the machine."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from ..recipes.folder import accelerators, processor

KEEP_MEMORY = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**40),
    "MALLOC_TOP_PAD_": str(2**26),
}
"""glibc keeps what a step frees for the next one: big tensors then cost no page faults."""

_TOLD = (
    "OMP_",
    "GOMP_",
    "KMP_",
    "MKL_",
    "MALLOC_",
    "GLIBC_TUNABLES",
    "TORCHINDUCTOR_",
    "LD_PRELOAD",
)


def settings(threads: int, keep_memory: bool) -> dict[str, str]:
    """Environment variables that every worker of a run gets alike.

    >>> settings(2, keep_memory=False)
    {'OMP_NUM_THREADS': '2', 'MKL_NUM_THREADS': '2'}
    """
    counts = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    return counts | (KEEP_MEMORY if keep_memory else {})


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """A worker's whole environment."""
    return {**os.environ, **own, "TQDM_DISABLE": "1"}


def told(own: Mapping[str, str]) -> dict[str, str]:
    """The variables among a worker's that may change a timing."""
    every = {**os.environ, **own}
    return {name: every[name] for name in sorted(every) if name.startswith(_TOLD)}


def hardware() -> dict[str, Any]:
    """Processor, cores, memory and accelerators.

    >>> sorted(hardware())
    ['accelerators', 'cores', 'flags', 'memory_gib', 'platform', 'processor']
    """
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "flags": _flags(),
        "memory_gib": _memory_gib(),
        "accelerators": accelerators(),
        "platform": platform.platform(),
    }


def load() -> tuple[float, float, float] | None:
    """The machine's load averages, where the system tells them."""
    with suppress(OSError, AttributeError):
        return os.getloadavg()
    return None


def _flags() -> list[str]:
    """Which of the units that products are fast on there are."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    found = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    have = set(found.group(1).split()) if found else set()
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile")
    return [flag for flag in wanted if flag in have] + [torch.backends.cpu.get_cpu_capability()]


def _memory_gib() -> float | None:
    with suppress(OSError, ValueError, AttributeError):
        pages: int = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return round(pages / 2**30, 1)
    return None
