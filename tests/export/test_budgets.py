"""Code size and instructions on an emulated Cortex-M4F, within the budgets they were built to."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from helpers_export import written
from localspike import models, rules
from localspike.export import Plan, plan_of
from localspike.nn import fold

GCC, QEMU = "arm-none-eabi-gcc", "qemu-system-arm"
SPECS = "/usr/lib/picolibc/arm-none-eabi/picolibc.specs"
TARGET = [
    f"--specs={SPECS}", "-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16",
    "-std=c99", "-ffp-contract=off", "-ffunction-sections", "-fdata-sections",
    "-Wl,--gc-sections", "--oslib=semihost", "--crt0=hosted", "-T", "picolibc.ld",
    "-Wl,--defsym=__flash=0,--defsym=__flash_size=0x400000,--defsym=__ram=0x20000000",
    "-Wl,--defsym=__stack_size=0x800",
]  # fmt: skip
SOURCES = ["ls.c", "ls_map.c", "ls_learn.c", "ls_extra.c", "ls_fixed.c", "ls_model.c"]
ONCE = """
#include "ls_model.h"
static uint32_t arena[LS_ARENA_LEARN / 4];
static ls_net net; static ls_slot slots[LS_LAYERS];
static uint8_t x[LS_INPUTS];
int main(void) {
    ls_init(&net, &ls_model, slots, arena, sizeof arena, LS_LEARN);
    ls_set_rate(&net, 0.01f);
    ls_step(&net, x);
    ls_learn(&net, 1);
    return ls_predict(&net);
}
"""
# The system timer ticks once in 40 instructions under -icount shift=0.
COUNTED = """
#include <stdio.h>
#include "ls_model.h"
#define TIMER ((volatile uint32_t *)0xE000E010)
static uint32_t arena[LS_ARENA_LEARN / 4], seed = 1;
static ls_net net; static ls_slot slots[LS_LAYERS];
static uint8_t x[LS_INPUTS];
int main(void) {
    uint32_t ticks = 0;
    TIMER[1] = 0xffffff; TIMER[2] = 0; TIMER[0] = 5;
    ls_init(&net, &ls_model, slots, arena, sizeof arena, LS_LEARN);
    ls_set_rate(&net, RATE);
    for (unsigned t = 0; t < STEPS; t++) {
        if (t % LENGTH == 0) ls_reset(&net);
        for (unsigned i = 0; i < LS_INPUTS; i++) {
            seed = seed * 1664525u + 1013904223u;
            x[i] = (seed >> 16) % 100u < PERCENT;
        }
        uint32_t before = TIMER[2];
        ls_step(&net, x);
        ls_learn(&net, (int)(t / LENGTH % LS_CLASSES));
        if (t >= FROM) ticks += (before - TIMER[2]) & 0xffffff;
    }
    printf("instructions %lu\\n", (unsigned long)(ticks * 40u / (STEPS - FROM)));
    return 0;
}
"""


def needs(*tools: str) -> None:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing or not Path(SPECS).exists():
        pytest.skip(f"{', '.join(missing) or 'picolibc'} not installed (make emulators)")


def mlp(inputs: int, hidden: tuple[int, ...], classes: int) -> Plan:
    torch.manual_seed(0)
    return plan_of(fold(models.mlp(inputs, hidden, classes)), rules.tess(post_gain=0.0))


def conv() -> Plan:
    net = models.convnet(2, 11, image=16, channels=(16, 32, 64))
    return plan_of(fold(net), rules.tess(post_gain=0.0))


def built(folder: Path, main: str, *options: str) -> Path:
    """An ELF file of an export and a main program."""
    (folder / "main.c").write_text(main)
    command = [GCC, *TARGET, *options, "-Wl,-Map=map", *SOURCES, "main.c", "-o", "elf"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return folder / "elf"


def text_of(folder: Path) -> int:
    """Bytes of code of the runtime in the link map."""
    linked = (folder / "map").read_text().partition("Linker script and memory map")[2]
    pattern = r"^ \.text\.(\S+)\s+0x[0-9a-f]*[1-9a-f][0-9a-f]*\s+0x([0-9a-f]+)\s+(\S+)$"
    found = re.findall(pattern, linked, re.MULTILINE)
    own = [int(size, 16) for name, size, file in found if "/cc" in file and "main" not in name]
    assert len(own) > 10
    return sum(own)


@pytest.mark.parametrize(
    ("plan", "most"), [(lambda: mlp(64, (48, 32), 10), 2560), (conv, 4608)], ids=["linear", "conv"]
)
def test_code_is_small(plan: object, most: int, tmp_path: Path) -> None:
    """.text at -Os after unused sections are dropped, without saving and loading."""
    needs(GCC)
    built(written(plan(), tmp_path), ONCE, "-Os", "-Wl,--defsym=__ram_size=0x80000")  # type: ignore[operator]
    assert text_of(tmp_path) <= most


def instructions(
    plan: Plan, folder: Path, percent: int, *, length: int, begin: int, end: int, rate: float
) -> int:
    """Instructions of a learning step, the mean over steps begin … end of random events."""
    knobs = {
        "PERCENT": percent, "LENGTH": length, "FROM": f"{begin}u", "STEPS": f"{end}u", "RATE": rate,
    }  # fmt: skip
    options = [f"-D{name}={value}" for name, value in knobs.items()]
    elf = built(written(plan, folder), COUNTED, "-O2", "-Wl,--defsym=__ram_size=0x100000", *options)
    command = [
        QEMU, "-M", "mps2-an386", "-nographic", "-monitor", "none", "-serial", "none",
        "-semihosting-config", "enable=on,target=native", "-icount", "shift=0",
        "-kernel", str(elf),
    ]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    found = re.search(r"instructions (\d+)", ran.stdout + ran.stderr)
    assert found is not None, ran.stderr
    return int(found[1])


@pytest.mark.parametrize(
    ("plan", "percent", "most"),
    [
        (lambda: mlp(64, (48, 32), 10), 20, 58_000),
        (lambda: mlp(700, (128,), 20), 3, 255_000),
    ],
    ids=["64-48-32-10", "700-128-20"],
)
def test_a_learning_step_takes_few_instructions(
    plan: object, percent: int, most: int, tmp_path: Path
) -> None:
    """Sequences of 20 steps at -O2, events at a fifth or 3 % of the inputs."""
    needs(GCC, QEMU)
    made = plan()  # type: ignore[operator]
    assert instructions(made, tmp_path, percent, length=20, begin=0, end=200, rate=0.01) <= most


def test_instructions_do_not_grow_with_time(tmp_path: Path) -> None:
    """Once all traces are alive, early steps of a sequence take what late ones take."""
    needs(GCC, QEMU)
    plan = mlp(64, (48, 32), 10)
    early, late = (
        instructions(plan, tmp_path, 20, length=1000, begin=end - 80, end=end, rate=0.0)
        for end in (120, 920)
    )
    assert abs(late / early - 1.0) < 0.01


def test_memory_is_within_its_budget() -> None:
    assert mlp(64, (48, 32), 10).arena("learn") <= int(21.6 * 1024)
    assert conv().arena("learn") <= 150 * 1024
    assert mlp(700, (128,), 20).arena("learn") <= 380 * 1024
