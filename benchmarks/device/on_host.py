"""An exported network on this machine: the runtime that goes on devices, fed through a pipe."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from localspike.export import Plan, emit
from localspike.export.write import RUNTIME

DRIVER = Path(__file__).with_name("train.c")
FLAGS = (
    "-std=c99", "-O3", "-march=native", "-ffp-contract=off",
    "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror",
)  # fmt: skip
HEAD = np.dtype(
    [(name, "<u4") for name in ("steps", "judged", "gather", "seed")] + [("momentum", "<f4")]
)
DRAWS = (
    ("return *seed;", "return 0x80000000u;"),
    ("#define STRIDE 0x9e3779b9u", "#define STRIDE 0u"),
)
"""What makes rounding to nearest of stochastic rounding: every draw is a half."""

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Judged:
    """What a network said with learning off: a class per sequence, firing rates by layer."""

    predicted: NDArray[np.int64]
    fired: list[float]


@dataclass(frozen=True)
class Lesson:
    """How sequences are learnt from: ``gather`` updates once a sequence, with momentum."""

    gather: bool
    momentum: float = 0.0
    seed: int = 1


def build(plan: Plan, folder: Path, nearest: bool = False) -> Path:
    """Compile a plan with the driver; ``nearest`` rounds as a naive fixed point would."""
    runtime = resources.files("localspike.export") / "runtime"
    files = {name: (runtime / name).read_text(encoding="utf-8") for name in RUNTIME}
    if nearest:
        for old, new in DRAWS:
            assert files["ls_fixed.c"].count(old) == 1, old
            files["ls_fixed.c"] = files["ls_fixed.c"].replace(old, new)
    files |= {
        "ls_dtype.h": emit.dtype_header(plan),
        "ls_model.h": emit.header(plan),
        "ls_model.c": emit.source(plan),
        "train.c": DRIVER.read_text(encoding="utf-8"),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    sources = [name for name in files if name.endswith(".c")]
    command = ["cc", *FLAGS, *sources, "-o", "train"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "train"


class Script:
    """What is piped in: events to judge by, then events to learn from and when to judge."""

    def __init__(self, lesson: Lesson, judged: Bytes) -> None:
        """``judged`` are events [N, T, inputs]."""
        self.lesson, self.shape = lesson, judged.shape
        head = (judged.shape[1], len(judged), lesson.gather, lesson.seed)
        self.parts = [np.array((*head, lesson.momentum), HEAD).tobytes(), _bits(judged).tobytes()]

    def learn(self, events: Bytes, labels: Iterable[int], rates: Iterable[float]) -> None:
        """Sequences [N, T, inputs], in this order, each with its label and step size."""
        for bits, label, rate in zip(_bits(events), labels, rates, strict=True):
            self.parts += [b"L", np.float32(rate).tobytes(), bytes([int(label)]), bits.tobytes()]

    def judge(self) -> None:
        """Judge here, with learning off."""
        self.parts.append(b"J")

    def run(self, program: Path, weights: Path | None = None) -> list[Judged]:
        """Run it; ``weights`` is where those learnt are written, layer by layer."""
        command = [str(program), *([] if weights is None else [str(weights)])]
        ran = subprocess.run(
            command, input=b"".join(self.parts), stdout=subprocess.PIPE, check=True
        )
        return [_judged(line) for line in ran.stdout.decode().splitlines()]


def _bits(events: Bytes) -> Bytes:
    found: Bytes = np.packbits(events, axis=-1, bitorder="little")
    return found


def _judged(line: str) -> Judged:
    said, *fired = line.split()
    return Judged(np.array([int(c) for c in said]), [float(x) for x in fired])
