"""Networks for devices as tests use them: a table of cases, and how to build and run their C."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from localspike import models, rules
from localspike.export import Plan, plan_of
from localspike.export.write import RUNTIME, files_of
from localspike.kernels.surrogate import Triangle
from localspike.learn import Learner, online
from localspike.nn import Conv2d, Flatten, Linear, MaxPool, Network, Readout, Spiking, fold
from localspike.recipes.exporting import matrices_of
from localspike.rules import Rule, TwoTrace
from localspike.rules.class_basis import ClassBasis

GCC = "arm-none-eabi-gcc"
SPECS = "/usr/lib/picolibc/arm-none-eabi/picolibc.specs"
TARGET = [
    f"--specs={SPECS}", "-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16",
    "-std=c99", "-ffp-contract=off", "-ffunction-sections", "-fdata-sections",
    "-Wl,--gc-sections", "--oslib=semihost", "--crt0=hosted", "-T", "picolibc.ld",
    "-Wl,--defsym=__flash=0,--defsym=__flash_size=0x400000,--defsym=__ram=0x20000000",
    "-Wl,--defsym=__stack_size=0x800",
]  # fmt: skip
SOURCES = ["ls.c", "ls_map.c", "ls_learn.c", "ls_extra.c", "ls_fixed.c", "ls_model.c"]
SANITIZED = "-g -fsanitize=address,undefined -fno-sanitize-recover=all"
STRICT = "-Wall -Wextra -Werror -Wpedantic -Wconversion -Wshadow"
EMULATED = {
    "cortex-m4": ("arm-none-eabi-gcc", "qemu-system-arm"),
    "cortex-m3": ("arm-none-eabi-gcc", "qemu-system-arm"),
    "rv32": ("riscv64-unknown-elf-gcc", "qemu-system-riscv32"),
}
"""By target of an export's Makefile: the tools it needs."""
Case = tuple[Network, Rule]


RANDOM = Rule("random", TwoTrace(0.5, 0.2, 1.0, 1.0), ClassBasis("random"), Triangle())


def mlp(**options: object) -> Network:
    return models.mlp(40, (32, 24), 10, **options)  # type: ignore[arg-type]


def conv(**options: object) -> Network:
    return models.convnet(2, 6, image=8, channels=(4, 6, 6), **options)  # type: ignore[arg-type]


def one_place() -> Network:
    """A 3x3 convolution of a map that is a single position, then a block called "net"."""
    blocks = {
        "one": Spiking(Conv2d(2, 6, 3, padding=1), tail=(MaxPool(4),)),
        "two": Spiking(Conv2d(6, 8, 3, padding=1), tail=(Flatten(),)),
        "net": Spiking(Linear(8, 8)),
        "out": Readout(Linear(8, 3, bias=True)),
    }
    net = Network(blocks, (2, 4, 4))
    with torch.no_grad():
        for block in net.blocks.values():
            block.synapse.weight.mul_(3.0)
    return net


CASES: dict[str, Callable[[], Case]] = {
    "linear": lambda: (mlp(), rules.tess(post_gain=0.0)),
    "linear, post trace": lambda: (mlp(), rules.tess(post_gain=-0.7, scale="sqrt")),
    "linear, filtered latents": lambda: (mlp(bias=True), rules.tess(latent_decay=0.5)),
    "linear, leaky readout": lambda: (mlp(readout_decay=0.9), rules.tess()),
    "linear, balanced wave": lambda: (
        models.mlp(40, (64,), 20), rules.tess(basis="balanced_square"),
    ),
    "linear, label": lambda: (mlp(), rules.drtp()),
    "linear, random readout": lambda: (mlp(), RANDOM),
    "linear, frozen": lambda: (mlp(), rules.frozen()),
    "recurrent": lambda: (models.recurrent(40, (32,), 6), rules.tess(post_gain=1.0)),
    "conv": lambda: (conv(), rules.tess(post_gain=1.0)),
    "conv, mean pooling": lambda: (
        models.convnet(2, 5, image=9, channels=(4, 6), pooling="avg"),
        rules.tess(pool=2, scale="mean"),
    ),
    "conv, balanced wave": lambda: (
        models.convnet(2, 27, image=8, channels=(8,)),
        rules.tess(pool=4, basis="balanced_square"),
    ),
    "conv, strides": lambda: (
        models.convnet(2, 5, image=13, channels=(4, 6), kernel=5, stride=2), rules.tess(pool=1),
    ),
    "conv, running statistics": lambda: (conv(norm_momentum=0.1), rules.tess_plus()),
    "conv, label": lambda: (conv(), rules.drtp()),
    "conv, label, mean pooling": lambda: (
        models.convnet(2, 5, image=8, channels=(4, 6), pooling="avg"), rules.drtp(),
    ),
    "conv on one place": lambda: (one_place(), rules.tess(post_gain=0.0)),
    "linear, rates by layer": lambda: (mlp(bias=True), rules.tess()),
    "conv, rates by layer": lambda: (conv(), rules.tess(post_gain=0.0)),
    "readout of a map": lambda: (
        Network({"out": Readout(Linear(32, 4, bias=True))}, (2, 4, 4)), rules.tess(),
    ),
}  # fmt: skip


RATES: dict[str, dict[str, float]] = {
    "linear, rates by layer": {"hidden1": 0.3, "readout": 2.0},
    "conv, rates by layer": {"conv1": 0.25, "conv2": 0.5},
}
"""By case: parts of the step size by layer."""


def planned(case: str, learns: set[str] | None = None) -> tuple[Plan, Learner, Case]:
    """A case's plan, and a learner whose matrices it has."""
    net, rule = CASES[case]()
    learner = online(net, rule, rate=0.02, rates=RATES.get(case))
    plan = plan_of(fold(net), rule, matrices_of(learner.credit), learns, case, RATES.get(case))
    return plan, learner, (net, rule)


def events(shape: tuple[int, ...], steps: int, seed: int, density: float = 0.25) -> torch.Tensor:
    """Random events [T, 1, ...]."""
    draw = torch.Generator().manual_seed(seed)
    return (torch.rand((steps, 1, *shape), generator=draw) < density).float()


def on_device(frame: torch.Tensor) -> NDArray[np.uint8]:
    """One frame [1, ...] as the device numbers it: channels innermost."""
    x = frame[0]
    found: NDArray[np.uint8] = (x.permute(1, 2, 0) if x.ndim == 3 else x).flatten().byte().numpy()
    return found


def written(plan: Plan, folder: Path, counts: NDArray[np.uint8] | None = None) -> Path:
    """An export's files in a folder; ``counts`` are its self-check's events, if not random."""
    for name, text in files_of(plan, counts).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def needs_compiler() -> None:
    if shutil.which("cc") is None or shutil.which("make") is None:
        pytest.skip("no C compiler")


def needs_cross_compiler(*tools: str) -> None:
    missing = [tool for tool in (GCC, *tools) if shutil.which(tool) is None]
    if missing or not Path(SPECS).exists():
        pytest.skip(f"{', '.join(missing) or 'picolibc'} not installed (make emulators)")


def self_check(
    folder: Path, flags: str, shared: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """`make test` with these flags; objects of the runtime are kept in ``shared`` for other tests.

    That is for exports as they were written, whose runtime is dated to long ago here.
    """
    name = format(crc32(flags.encode()), "08x")
    where = [f"BUILD=build-{name}"]
    if shared is not None:
        for source in RUNTIME:
            os.utime(folder / source, (0, 0))
        dtype = folder / "ls_dtype.h"
        os.utime(dtype, (0, 0))
        where.append(f"OBJECTS={shared / f'{name}-{crc32(dtype.read_bytes()):08x}'}")
    return make(folder, "test", f"CFLAGS={flags}", *where)


def emulators() -> list[str]:
    """Targets of an export's Makefile that this machine has the tools of."""
    return [m for m, tools in EMULATED.items() if all(map(shutil.which, tools))]


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`make` in an export's folder."""
    return subprocess.run(
        ["make", "-s", "-C", str(folder), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"},
    )
