"""Timed training steps and the memory they took, on request."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import torch
from peer import Peer
from plan import Batch

RATE = 1e-3
OPTIMISER = "Adam, fused"


class Session:
    """A peer with its optimiser and one batch; every call of `steps` trains on.

    Memory's baseline is the high-water mark once network, batch and optimiser are made.
    """

    def __init__(self, peer: Peer, batch: Batch) -> None:
        self.peer, self.labels = peer, batch.labels
        self.frames = peer.prepare(batch.frames)
        parameters = [p for p in peer.net.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(parameters, lr=RATE, fused=True)
        self.baseline = restart_high_water()
        self.loss = torch.zeros(())

    def steps(self, count: int) -> list[float]:
        """Seconds of each of ``count`` training steps."""
        seconds = []
        for _ in range(count):
            started = time.perf_counter()
            self.loss = self.peer.step(self.frames, self.labels, self.optimizer)
            seconds.append(time.perf_counter() - started)
        return seconds

    def answer(self, line: str) -> dict[str, Any] | None:
        """The reply to one line of the driver; None ends the session."""
        words = line.split()
        if words == ["quit"]:
            return None
        if words == ["peak"]:
            peak = high_water()
            rise = peak - self.baseline
            return {"baseline_mib": self.baseline, "peak_mib": peak, "rise_mib": rise}
        if len(words) == 2 and words[0] == "steps" and words[1].isdecimal():
            return {"seconds": self.steps(int(words[1]))}
        return {"error": f"got {line.strip()!r}; expected 'steps N', 'peak' or 'quit'"}


def restart_high_water() -> float:
    """Set the process's high-water mark to what is in use now; where it cannot be, it stays."""
    mark = Path("/proc/self/clear_refs")
    if mark.exists():
        mark.write_text("5")
    return high_water()


def high_water() -> float:
    """Highest memory use of this process since the mark, in MiB (Linux)."""
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found is None:
        raise OSError("/proc/self/status has no VmHWM")
    return int(found.group(1)) / 1024
