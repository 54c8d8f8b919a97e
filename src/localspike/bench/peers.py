"""`localspike bench peers`: our rules and other libraries' training, in turns on equal nets."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from . import figures, record, train
from .entrants import NO_PEERS, PEERS, Setting, own, peer, peer_name
from .environment import environment, settings
from .exchange import prepare
from .figures import Blocks
from .job import Precision
from .places import benchmarks, peers_python
from .process import Worker, WorkerError
from .rounds import Entrant, Say, alternate, started
from .workload import Workload, refuse_unknown, require_positive

WHAT = (
    "one full training step with Adam of the same net on the same input, ours and other "
    "libraries', blocks of steps in turns; memory is the rise over net and data in a fresh process"
)
CASES = {
    "mlp-100": Workload("mlp", 32, 100),
    "mlp-800": Workload("mlp", 32, 800),
    "recurrent-100": Workload("recurrent", 32, 100),
    "recurrent-800": Workload("recurrent", 32, 800),
    "vgg9": Workload("vgg9", 16, 6),
}
OURS: tuple[tuple[str, Precision, str], ...] = (
    ("tess", "float32", "auto"),
    ("tess", "bf16", "auto"),
    ("tess", "float32", "streaming"),
    ("ottt", "float32", "two_sweep"),
    ("ottt", "float32", "streaming"),
    ("s_tllr", "float32", "two_sweep"),
    ("bptt", "float32", "auto"),
)
"""Ours: rule, precision, schedule. The first one is what all others are divided by."""

_TRAINED = 2


@dataclass(frozen=True)
class Request:
    """Which cases, how often."""

    cases: Sequence[str] = tuple(CASES)
    rounds: int = 7
    threads: int = 2
    memory: bool = True
    benchmarks: Path | None = None
    out: Path | None = None

    def __post_init__(self) -> None:
        require_positive(rounds=self.rounds, threads=self.threads)
        refuse_unknown("case", self.cases, CASES)


def run(request: Request, say: Say) -> dict[str, Any]:
    """Measure every case, and give the record.

    Raises
    ------
    ConfigError
        If the peers' environment is not there.
    """
    checkout = benchmarks(request.benchmarks)
    if peers_python(checkout) is None:
        raise ConfigError("there is nothing to compare with", got=NO_PEERS)
    where = record.folder_for(request.out, request.rounds, checkout)
    own_settings = settings(request.threads, keep_memory=True)
    record.warn_of_load(say)
    head = record.about(WHAT, "peers", own_settings)
    rows = []
    for name in request.cases:
        rows.append(_case(name, request, checkout, say))
        found = {**head, "threads": request.threads, "rounds": request.rounds, "cases": rows}
        path = record.write(found, where, "peers")  # after every case: the whole takes long
    say(f"recorded in {path}" if path else f"not recorded: fewer than {record.ENOUGH} rounds")
    return found


def _case(name: str, request: Request, checkout: Path | None, say: Say) -> dict[str, Any]:
    work = CASES[name]
    say(f"{work.kind.title}, B={work.batch}, T={work.steps}")
    with tempfile.TemporaryDirectory() as folder:
        files = prepare(work, Path(folder))
        timed = settings(request.threads, keep_memory=True)
        setting = Setting(work, files, timed, request.threads, benchmarks=checkout)
        entrants, missing = methods(setting)
        with started(entrants, say) as field:
            blocks = alternate(field, request.rounds, say)
            missing |= field.missing
            told = {key: train.described(worker) for key, worker in field.workers.items()}
        kept = [one for one in entrants if one.name in blocks]
        rises = _rises(kept, request, say) if request.memory else {}
    return {
        "case": name,
        "net": work.net,
        "title": work.kind.title,
        "batch": work.batch,
        "steps": work.steps,
        **compared(blocks, rises),
        "about": told,
        "missing": missing,
    }


def methods(setting: Setting) -> tuple[list[Entrant], dict[str, str]]:
    """Ours, and all the peers have; why what is missing is."""
    found = [own(setting, *one) for one in OURS]
    missing: dict[str, str] = {}
    for library, offered in PEERS.items():
        for method in offered:
            one = peer(setting, library, method)
            if isinstance(one, str):
                missing[peer_name(library, method)] = one
            else:
                found.append(one)
    return found, missing


def compared(blocks: Mapping[str, Blocks], rises: Mapping[str, float]) -> dict[str, Any]:
    """A row per method: its step time, that over float32 TESS's, the rise of its memory."""
    first = next(iter(blocks))
    return {
        "divided_by": first,
        "methods": {
            name: {
                "step_s": figures.spread(figures.per_round(part)),
                "over_ours": figures.ratio(part, blocks[first]),
                "rise_mib": rises.get(name),
            }
            for name, part in blocks.items()
        },
    }


def _rises(entrants: Sequence[Entrant], request: Request, say: Say) -> dict[str, float]:
    """The rise of every method's memory in a fresh process with the allocator as it comes."""
    found = {}
    variables = environment(settings(request.threads, keep_memory=False))
    for entrant in entrants:
        with Worker(entrant.name, entrant.command, variables) as it:
            try:
                it.wait_until_ready()
                it.steps(_TRAINED)
                mark = it.peak()
            except WorkerError as error:
                say(f"{entrant.name}: no figure of memory. {error}")
                continue
        found[entrant.name] = mark["peak_mib"] - mark["baseline_mib"]
        say(f"{entrant.name}: +{found[entrant.name]:.0f} MiB")
    return found
