"""`localspike bench train`: one training step of every method, in turns, and the ratios."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from . import figures, record
from .entrants import NO_NAIVE, Setting, own, peer, peer_name
from .environment import settings
from .exchange import prepare
from .figures import Blocks
from .places import benchmarks
from .process import Worker, WorkerError
from .rounds import Entrant, Say, alternate, started
from .vectors import verified
from .workload import Workload, require_positive

NAIVE, FLOOR = "naive float32", "floor"
OURS = {"float32": "tess float32", "bf16": "tess bf16"}
SPIKINGJELLY = peer_name("spikingjelly", "bptt")
WHAT = (
    "one full training step with Adam, every method in a process of its own, blocks of steps in "
    "turns; ratio = median over rounds of the other / median over rounds of ours"
)


@dataclass(frozen=True)
class Request:
    """What to measure, and how often."""

    workload: Workload
    rounds: int = 7
    threads: int = 2
    device: str = "cpu"
    benchmarks: Path | None = None
    out: Path | None = None

    def __post_init__(self) -> None:
        require_positive(rounds=self.rounds, threads=self.threads)


class Ratio(NamedTuple):
    """A figure: which method's time is divided by which, or why that cannot be."""

    above: str
    below: str


def run(request: Request, say: Say) -> dict[str, Any]:
    """Measure, and give the record; it is written where `record.folder_for` says."""
    checkout = benchmarks(request.benchmarks)
    where = record.folder_for(request.out, request.rounds, checkout)
    variables = settings(request.threads, keep_memory=True)
    record.warn_of_load(say)
    head = {**record.about(WHAT, "train", variables), "verified": verified()}
    with tempfile.TemporaryDirectory() as folder:
        say(f"{request.workload.name}: making the net and its input")
        files = prepare(request.workload, Path(folder))
        setting = Setting(
            request.workload, files, variables, request.threads, request.device, checkout
        )
        entrants, missing = methods(setting)
        with started(entrants, say) as field:
            blocks = alternate(field, request.rounds, say)
            missing |= field.missing
            told = {name: described(worker) for name, worker in field.workers.items()}
    found = {**head, **case(request), **summary(blocks, missing)}
    found["methods"] = {n: {**told[n], **found["methods"][n]} for n in found["methods"]}
    for method in found["methods"].values():
        method["samples_per_s"] = request.workload.batch / method["step_s"]["median"]
    path = record.write(found, where, name_of(request))
    say(f"recorded in {path}" if path else f"not recorded: fewer than {record.ENOUGH} rounds")
    return found


def name_of(request: Request) -> str:
    """The name of a request's record.

    >>> name_of(Request(Workload("mlp", 32, 100), device="cuda"))
    'train-mlp-b32-t100-cuda'
    """
    device = "" if request.device == "cpu" else f"-{request.device.partition(':')[0]}"
    return f"train-{request.workload.name}{device}"


def methods(setting: Setting) -> tuple[list[Entrant], dict[str, str]]:
    """Everything a record of training holds, and why what is left out is."""
    found, missing = [], {}
    for method in ("tess", "bptt", "floor"):
        found += [own(setting, method, "float32"), own(setting, method, "bf16")]
    if setting.device != "cpu":
        missing[NAIVE] = "the naive baseline is measured on the CPU only"
        found.append(own(setting, "tess", "bf16", repeatable=False))
    elif setting.benchmarks is None:
        missing[NAIVE] = NO_NAIVE
    else:
        found.append(own(setting, "naive", "float32"))
    other = peer(setting, "spikingjelly", "bptt")
    if isinstance(other, str):
        missing[SPIKINGJELLY] = other
    else:
        found.append(other)
    return found, missing


def case(request: Request) -> dict[str, Any]:
    """What was asked for, as it stands in a record."""
    work = request.workload
    return {
        "net": work.net,
        "title": work.kind.title,
        "batch": work.batch,
        "steps": work.steps,
        "static": work.static,
        "threads": request.threads,
        "device": request.device,
        "rounds": request.rounds,
    }


def described(worker: Worker) -> dict[str, Any]:
    """What a worker said of itself when it was ready."""
    keys = ("check", "about", "versions", "threads", "first_step_s", "compile_s")
    return {key: worker.ready[key] for key in keys if key in worker.ready}


def summary(blocks: Mapping[str, Blocks], missing: Mapping[str, str]) -> dict[str, Any]:
    """Step times, the six ratios, their spread, and reasons for those that are null.

    Raises
    ------
    WorkerError
        If neither of our own methods was measured.

    >>> one = {"tess float32": [[2.0]], "bptt float32": [[4.0]]}
    >>> summary(one, {"naive float32": "not here"})["ratios"]["vs_bptt"]
    2.0
    """
    times = {name: figures.per_round(part) for name, part in blocks.items()}
    here = {precision: name for precision, name in OURS.items() if name in times}
    if not here:
        why = "; ".join(f"{name}: {missing.get(name, 'not measured')}" for name in OURS.values())
        raise WorkerError("none of our own methods could be measured", got=why)
    best = min(here, key=lambda precision: statistics.median(times[here[precision]]))
    asked: dict[str, list[Ratio]] = {
        "vs_naive_bf16": [Ratio(NAIVE, OURS["bf16"])],
        "vs_naive_f32": [Ratio(NAIVE, OURS["float32"])],
        "vs_bptt": [Ratio("bptt float32", OURS[best])],
        "vs_bptt_same_precision": [Ratio(f"bptt {p}", name) for p, name in OURS.items()],
        "vs_spikingjelly": [Ratio(SPIKINGJELLY, OURS[best])],
        "of_floor": [Ratio(f"{FLOOR} {best}", OURS[best])],
    }
    found: dict[str, Any] = {
        "best_precision": best,
        "methods": {
            name: {"step_s": figures.spread(values), "rounds_s": values}
            for name, values in times.items()
        },
        "ratios": {},
        "spread": {},
        "missing": {},
    }
    for key, pairs in asked.items():
        _put(found, key, pairs, blocks, missing)
    return found


def _put(
    found: dict[str, Any],
    key: str,
    pairs: list[Ratio],
    blocks: Mapping[str, Blocks],
    missing: Mapping[str, str],
) -> None:
    """The smallest of the ratios that a key stands for, or why there is none."""
    wanted = [name for pair in pairs for name in pair if name not in blocks]
    if wanted:
        found["ratios"][key] = None
        found["missing"][key] = missing.get(wanted[0], f"{wanted[0]} was not measured")
        return
    made = {
        f"{p.above} / {p.below}": figures.ratio(blocks[p.above], blocks[p.below]) for p in pairs
    }
    found["ratios"][key] = min(one["ratio"] for one in made.values())
    found["spread"][key] = made
