"""`localspike bench train`, `memory`, `stream`, `scale`, `passes`, `data` and `peers`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import tyro

from ..bench import feeding, memory, passes, peers, scale, stream, train
from ..bench.report import (
    memory_text,
    passes_text,
    peers_text,
    scale_text,
    stream_text,
    train_text,
)
from ..bench.workload import KINDS, Workload, refuse_unknown
from ..config import pick_device
from ..errors import ConfigError
from .arguments import Json
from .output import print_json, say, whisper

Net = Literal["vgg9", "mlp", "recurrent", "nmnist-conv"]
Benchmarks = Annotated[
    Path | None,
    tyro.conf.arg(help="A checkout's benchmarks folder; found by itself in a checkout."),
]
Out = Annotated[
    Path | None,
    tyro.conf.arg(
        help="Folder for the record; benchmarks/records in a checkout, from 7 rounds on."
    ),
]


@dataclass(frozen=True)
class BenchTrain:
    """Time one training step of every method in turns: ours, BPTT, the plain way, the floor."""

    net: Net = "vgg9"
    """The net."""
    batch: int | None = None
    """Samples per step, where not the net's usual."""
    steps: int | None = None
    """Time steps, where not the net's usual."""
    rounds: int = 7
    """How often every method takes its turn."""
    threads: int = 2
    """Threads of every worker."""
    device: str = "cpu"
    """cpu or cuda."""
    benchmarks: Benchmarks = None
    out: Out = None
    json: Json = False

    def __call__(self) -> int:
        work = Workload.of(self.net, self.batch, self.steps)
        device = str(pick_device(self.device))
        asked = train.Request(work, self.rounds, self.threads, device, self.benchmarks, self.out)
        return _show(train.run(asked, whisper), self.json, train_text)


@dataclass(frozen=True)
class BenchMemory:
    """Measure the rise of peak memory against T: BPTT, layerwise, streaming."""

    nets: str = "mlp,recurrent"
    """Names of nets with commas between."""
    steps: str = "100,200,400,800"
    """Numbers of time steps with commas between."""
    batch: int = 32
    """Samples per step."""
    repeats: int = 3
    """Fresh processes per figure."""
    threads: int = 1
    """Threads of every process."""
    out: Out = None
    json: Json = False

    def __call__(self) -> int:
        nets, steps = split(self.nets), whole_numbers("--steps", self.steps)
        refuse_unknown("net", nets, KINDS)
        asked = memory.Request(nets, steps, self.batch, self.repeats, self.threads, self.out)
        return _show(memory.run(asked, whisper), self.json, memory_text)


@dataclass(frozen=True)
class BenchStream:
    """Time an endless stream that learns at every step, and the part of it that is Python."""

    net: Net = "nmnist-conv"
    """The net."""
    rule: str = "tess"
    """The rule."""
    rounds: int = 9
    """How often."""
    steps: int = 200
    """Steps per round."""
    threads: int = 1
    """Threads."""
    out: Out = None
    json: Json = False

    def __call__(self) -> int:
        asked = stream.Request(
            self.net, self.rule, 1, self.rounds, self.steps, self.threads, self.out
        )
        return _show(stream.run(asked, whisper), self.json, stream_text)


@dataclass(frozen=True)
class BenchScale:
    """Measure time and memory against T, width, depth, classes and batch; fit the exponents."""

    axes: str = ",".join(scale.AXES)
    """Which of them, with commas between."""
    repeats: int = 3
    """Fresh processes per figure."""
    threads: int = 1
    """Threads of every process."""
    out: Out = None
    json: Json = False

    def __call__(self) -> int:
        asked = scale.Request(split(self.axes), self.repeats, self.threads, self.out)
        return _show(scale.run(asked, whisper), self.json, scale_text)


@dataclass(frozen=True)
class BenchPasses:
    """Time the fused passes over memory, each by itself, beside a copy of as many bytes."""

    batch: int = 32
    """Samples."""
    rounds: int = 9
    """How often every pass takes its turn."""
    threads: int = 1
    """Threads."""
    out: Out = None
    json: Json = False

    def __call__(self) -> int:
        asked = passes.Request(self.batch, self.rounds, self.threads, self.out)
        return _show(passes.run(asked, whisper), self.json, passes_text)


@dataclass(frozen=True)
class BenchData:
    """Time feeding a network, with and without localspike's loaders (benchmarks/data.py)."""

    quick: bool = False
    """Few samples and repeats, nothing recorded."""
    benchmarks: Benchmarks = None

    def __call__(self) -> int:
        return feeding.run(self.quick, self.benchmarks)


@dataclass(frozen=True)
class BenchPeers:
    """Time our rules and other libraries' training in turns, and measure their memory."""

    cases: str = ",".join(peers.CASES)
    """Which nets, with commas between."""
    rounds: int = 7
    """How often every method takes its turn."""
    threads: int = 2
    """Threads of every worker."""
    benchmarks: Benchmarks = None
    out: Out = None
    json: Json = False

    def __call__(self) -> int:
        asked = peers.Request(
            split(self.cases),
            self.rounds,
            self.threads,
            benchmarks=self.benchmarks,
            out=self.out,
        )
        return _show(peers.run(asked, whisper), self.json, peers_text)


def _show(record: dict[str, Any], as_json: bool, text: Callable[[dict[str, Any]], str]) -> int:
    if as_json:
        print_json(record)
    else:
        say(text(record))
    return 0


def split(text: str) -> tuple[str, ...]:
    """Names with commas between.

    >>> split("mlp, vgg9")
    ('mlp', 'vgg9')
    """
    return tuple(part.strip() for part in text.split(",") if part.strip())


def whole_numbers(option: str, text: str) -> tuple[int, ...]:
    """Numbers with commas between.

    Raises
    ------
    ConfigError
        If one is not a whole number of at least 1, or there is none.

    >>> whole_numbers("--steps", "100,800")
    (100, 800)
    """
    parts = split(text)
    if not parts or not all(part.isdecimal() and int(part) for part in parts):
        raise ConfigError(option, got=repr(text), expected="whole numbers >= 1, commas between")
    return tuple(map(int, parts))


Part = (
    Annotated[BenchTrain, tyro.conf.subcommand("train")]
    | Annotated[BenchMemory, tyro.conf.subcommand("memory")]
    | Annotated[BenchStream, tyro.conf.subcommand("stream")]
    | Annotated[BenchScale, tyro.conf.subcommand("scale")]
    | Annotated[BenchPasses, tyro.conf.subcommand("passes")]
    | Annotated[BenchData, tyro.conf.subcommand("data")]
    | Annotated[BenchPeers, tyro.conf.subcommand("peers")]
)


@dataclass(frozen=True)
class Bench:
    """Time training, memory, streams, scaling, passes, data and other libraries; keep records."""

    PARTS: ClassVar[Any] = Part
    part: tyro.conf.OmitSubcommandPrefixes[tyro.conf.OmitArgPrefixes[Part]]

    def __call__(self) -> int:
        return self.part()
