"""Which methods run, and the commands of their workers."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..kernels.compiling import obstacle
from .environment import environment
from .exchange import Files
from .job import Job, Precision
from .places import peers_python
from .rounds import Entrant
from .workload import Workload

PEERS = {
    "spikingjelly": ("bptt", "ottt", "sltt"),
    "snntorch": ("bptt",),
    "norse": ("bptt",),
    "sinabs": ("bptt",),
}
"""Other libraries and what they train with, all in float32."""

UNORDERED = "in any order"
"""Of a method whose sums a device may add up in any order."""

NO_PEERS = "the peers' environment is not here: run `make bench-peers` in a checkout"
NO_NAIVE = "benchmarks/naive.py is not here: run in a checkout, or give --benchmarks"


@dataclass(frozen=True)
class Setting:
    """What all workers of a run share."""

    workload: Workload
    files: Files
    own: dict[str, str]
    threads: int = 1
    device: str = "cpu"
    benchmarks: Path | None = None

    def job(self, method: str, precision: Precision = "float32", schedule: str = "auto") -> Job:
        """A method's job on the shared net and input."""
        return Job(
            self.workload,
            method,
            precision,
            schedule,
            threads=self.threads,
            device=self.device,
            compile="auto" if obstacle(torch.device(self.device)) else "on",
            benchmarks="" if self.benchmarks is None else str(self.benchmarks),
            **self.files._asdict(),
        )


def own(
    setting: Setting,
    method: str,
    precision: Precision,
    schedule: str = "auto",
    repeatable: bool = True,
) -> Entrant:
    """A method of this package.

    On a device that is there for minutes only, one that fails does not take the others with it.
    """
    label = method if schedule == "auto" else f"{method} {schedule}"
    name = f"{label} {precision}" if repeatable else f"{label} {precision} {UNORDERED}"
    job = replace(setting.job(method, precision, schedule), repeatable=repeatable)
    optional = method == "naive" or setting.device != "cpu"
    return Entrant(name, command(job), environment(setting.own), optional)


def command(job: Job) -> list[str]:
    """The command of this package's own worker."""
    return [sys.executable, "-m", "localspike.bench.worker", job.to_json()]


def peer(setting: Setting, library: str, method: str) -> Entrant | str:
    """A method of another library, or why there is none."""
    python = peers_python(setting.benchmarks)
    if python is None or setting.benchmarks is None:
        return NO_PEERS
    if setting.device != "cpu":
        return "the peers are measured on the CPU only"
    worker = str(setting.benchmarks / "peers" / "worker.py")
    job = setting.job(method).for_peer(library)
    return Entrant(
        peer_name(library, method), [str(python), worker, job], environment(setting.own), True
    )


def peer_name(library: str, method: str) -> str:
    """How a peer's method is called in records.

    >>> peer_name("spikingjelly", "bptt")
    'spikingjelly bptt'
    """
    return f"{library} {method}"
