"""The exported C learns from scratch at batch 1, in floats and in 8 bits, and only if it may."""

from __future__ import annotations

import subprocess
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from helpers_export import CASES, RATES, make, needs_compiler, planned, written
from localspike import models, rules
from localspike.errors import ConfigError, IllegalError
from localspike.export import Plan, emit, plan_of
from localspike.export.fixed import in_fixed_point
from localspike.export.write import RUNTIME
from localspike.learn import online
from localspike.nn import fold

SIDE, STEPS, CLASSES, LEARNT, JUDGED = 8, 8, 4, 240, 80
CHANCE = 0.45
TAUGHT = {False: (0.02, 0.95), True: (0.01, 0.8)}
"""Step size and accuracy, learning at every step or gathering: the latter wants more sequences."""
MAIN = """
#include <stdio.h>
#include "ls_model.h"
static uint32_t arena[(LS_ARENA_GATHER + 3u) / 4u];
static ls_net net;
static ls_slot slots[LS_LAYERS];
static int one(int learns) {
    uint8_t x[LS_INPUTS];
    int label = getchar();
    ls_reset(&net);
    for (unsigned t = 0; t < STEPS; t++) {
        if (fread(x, 1, LS_INPUTS, stdin) != LS_INPUTS || ls_step(&net, x) != LS_OK) return -1;
        if (learns && ls_learn(&net, label) != LS_OK) return -1;
    }
    if (learns && (FLAGS & LS_GATHER) && ls_update(&net, 0.0f) != LS_OK) return -1;
    return ls_predict(&net) == label;
}
int main(void) {
    int right = 0, found;
    if (ls_init(&net, &ls_model, slots, arena, sizeof arena, FLAGS) != LS_OK) return 1;
    for (unsigned i = 0; i < LEARNT; i++) {
        ls_set_rate(&net, RATE * (float)(LEARNT - i) / (float)LEARNT);
        if (one(1) < 0) return 1;
    }
    for (unsigned i = 0; i < JUDGED; i++) {
        if ((found = one(0)) < 0) return 1;
        right += found;
    }
    printf("%d", right);
    return 0;
}
"""


def bars(n: int, draw: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Events [n, steps, inputs] of bars in four directions anywhere in the image, and labels."""
    labels = draw.integers(CLASSES, size=n).astype(np.uint8)
    y, x = np.mgrid[:SIDE, :SIDE]
    across = np.stack([y, x, y + x, y - x])[labels]  # [n, side, side]
    phase = draw.integers(4, size=(n, 1, 1))
    likely = np.where((across + phase) % 4 < 2, 0.8, 0.05)[:, None]
    events = draw.random((n, STEPS, SIDE, SIDE)) < likely
    return events.reshape(n, STEPS, -1).astype(np.uint8), labels


def net_of(seed: int) -> Plan:
    torch.manual_seed(seed)
    net = models.convnet(1, CLASSES, image=SIDE, channels=(8, 16))
    return plan_of(fold(net), rules.tess(post_gain=0.0), rates={"conv1": 0.5})


def accuracy(plan: Plan, folder: Path, rate: float, gather: bool) -> float:
    """Learnt from 240 sequences in the compiled C, judged by 80 others with learning off."""
    runtime = resources.files("localspike.export") / "runtime"
    files = {name: (runtime / name).read_text() for name in RUNTIME}
    files |= {"ls_dtype.h": emit.dtype_header(plan), "ls_model.h": emit.header(plan)}
    files |= {"ls_model.c": emit.source(plan), "main.c": MAIN}  # vectors take seconds to make
    for name, text in files.items():
        (folder / name).write_text(text)
    flags = "LS_LEARN" + ("|LS_GATHER" if gather else "")
    knobs = {"STEPS": f"{STEPS}u", "LEARNT": f"{LEARNT}u", "JUDGED": f"{JUDGED}u"}
    options = [f"-D{k}={v}" for k, v in {**knobs, "RATE": f"{rate}f", "FLAGS": flags}.items()]
    sources = [name for name in files if name.endswith(".c")]
    command = ["cc", "-std=c99", "-O2", "-ffp-contract=off", *options, *sources, "-o", "main"]
    subprocess.run(command, cwd=folder, check=True)
    events, labels = bars(LEARNT + JUDGED, np.random.default_rng(5))
    fed = b"".join(bytes([y]) + x.tobytes() for x, y in zip(events, labels, strict=True))
    ran = subprocess.run([str(folder / "main")], input=fed, stdout=subprocess.PIPE, check=True)
    return int(ran.stdout) / JUDGED


@pytest.mark.parametrize("dtype", ["f32", "int8"])
@pytest.mark.parametrize("gather", [False, True], ids=["step", "gathered"])
def test_a_conv_net_learns_from_scratch(dtype: str, gather: bool, tmp_path: Path) -> None:
    """Directions of bars wherever they are, one image after the other, once."""
    needs_compiler()
    plan = in_fixed_point(net_of(0), dtype)  # type: ignore[arg-type]
    rate, least = TAUGHT[gather]
    assert accuracy(plan, tmp_path, rate, gather) >= least


@pytest.mark.parametrize("dtype", ["f32", "int8"])
def test_without_a_step_size_it_stays_at_chance(dtype: str, tmp_path: Path) -> None:
    needs_compiler()
    plan = in_fixed_point(net_of(0), dtype)  # type: ignore[arg-type]
    assert accuracy(plan, tmp_path, 0.0, False) <= CHANCE


@pytest.mark.parametrize("dtype", ["int16", "int8"])
@pytest.mark.parametrize("case", RATES)
def test_rates_by_layer_are_the_mirrors_in_fixed_point(
    case: str, dtype: str, tmp_path: Path
) -> None:
    """The self-check's hashes are of the mirror; they change with the rates."""
    needs_compiler()
    plan = in_fixed_point(planned(case)[0], dtype)  # type: ignore[arg-type]
    ran = make(written(plan, tmp_path), "test")
    assert ran.returncode == 0 and "selfcheck: passed" in ran.stdout, ran.stdout + ran.stderr


def test_a_layer_at_rate_zero_stays_and_the_others_learn() -> None:
    net, rule = CASES["linear"]()
    learner = online(net, rule, rate=0.1, rates={"hidden1": 0.0})
    before = {name: p.clone() for name, p in learner.net.named_parameters()}
    draw = torch.Generator().manual_seed(0)
    learner.fit((torch.rand((12, 1, 40), generator=draw) < 0.3).float(), torch.tensor([1]))
    moved = {n for n, p in learner.net.named_parameters() if (p != before[n]).any()}
    assert not any("hidden1" in name for name in moved) and len(moved) > 1, moved


@pytest.mark.parametrize("rates", [{"hidden9": 1.0}, {"hidden1": -1.0}, {"hidden1": float("nan")}])
def test_rates_of_nothing_are_refused(rates: dict[str, float]) -> None:
    net, rule = CASES["linear"]()
    with pytest.raises(ConfigError):
        online(net, rule, rate=0.1, rates=rates)
    with pytest.raises(IllegalError):
        plan_of(fold(net), rule, rates=rates)
