"""Learning with slow traces in fixed point, and what a device keeps of what it has gathered."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from helpers_export import (
    SANITIZED,
    STRICT,
    make,
    needs_compiler,
    planned,
    self_check,
    written,
)
from localspike import models, rules
from localspike.errors import ConfigError, IllegalError
from localspike.export import Plan, plan_of
from localspike.export.arithmetic import FixedArithmetic
from localspike.export.fixed import PARTS, Dtype, in_fixed_point, one_event, trace_unit
from localspike.export.mirror import Mirror
from localspike.nn import LIF, fold

DECAYS = (0.0, 0.5, 0.9, 0.97, 0.99, 1.0)


def step_of_the_readout(plan: Plan, rate: float, seed: int) -> np.ndarray:
    """How far one step moves the label's weights, in real numbers."""
    net = Mirror(plan, rate, seed=seed)
    before = net.slots[-1].weight.astype(np.float64)
    net.trainable = [False, True]
    for _ in range(2):
        net.step(np.arange(plan.inputs, dtype=np.uint8) % 3)
    net.learn(3)
    fixed = plan.layers[-1].fixed
    return (net.slots[-1].weight - before) * 2.0 ** -(fixed.weight if fixed else 0)


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("dtype", ["int16", "int8"])
@pytest.mark.parametrize("rate", [0.005, 0.05])
def test_an_event_moves_weights_as_far_as_in_floats(
    dtype: Dtype, decay: float, rate: float
) -> None:
    """However slow the trace: its units are then coarse, but no weight's change is cut short."""
    net = models.mlp(40, (32,), 10, readout_decay=decay)
    plan = plan_of(fold(net), rules.tess(post_gain=0.0))
    real = step_of_the_readout(plan, rate, 1)
    assert np.abs(real).sum() > 5 * rate
    made = in_fixed_point(plan, dtype)
    found = np.mean([step_of_the_readout(made, rate, seed) for seed in range(1, 41)], axis=0)
    assert float((found * np.sign(real)).sum() / np.abs(real).sum()) == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize("decay", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("window", [2, 3, 5, 8])
def test_an_event_behind_a_mean_is_a_whole_number_worth_what_it_is(
    decay: float, window: int
) -> None:
    net = models.convnet(2, 4, image=16, channels=(3,), pooling="avg")
    made = in_fixed_point(plan_of(fold(net), rules.tess(pre_decay=decay, post_gain=0.0)), "int16")
    layer = made.layers[-1]
    object.__setattr__(layer, "unit", 1.0 / window**2)
    one, loop = one_event(layer)
    assert one >= 1
    assert one * trace_unit(layer) == pytest.approx(layer.unit, rel=1e-12)
    assert loop * trace_unit(layer) == pytest.approx(1.0, rel=0.02)
    assert Fraction(one, loop) == pytest.approx(layer.unit, rel=0.02)


@pytest.mark.parametrize(
    ("decay", "least", "mean", "most"),
    [
        (0.5, 0.999, 0.999, 1.001),
        (0.9, 0.99, 0.998, 1.005),
        (0.95, 0.98, 0.995, 1.01),
        (0.97, 0.97, 0.99, 1.015),
        (0.99, 0.93, 0.98, 1.03),
        (0.999, 0.75, 0.93, 1.13),
    ],
)
def test_of_an_event_a_trace_keeps_in_the_end_what_floats_do(
    decay: float, least: float, mean: float, most: float
) -> None:
    """Summed over time it is 1 / (1 - λ), whichever of the 32,768 places of rounding comes first.

    Rounded to one side, half would be left at 0.99 and less beyond.
    """
    rule = rules.tess(pre_decay=decay, post_gain=0.0)
    layer = in_fixed_point(plan_of(fold(models.mlp(4, (3,), 2)), rule), "int16").layers[0]
    by, step, events = FixedArithmetic(), np.arange(PARTS), np.zeros(PARTS, np.float32)
    trace = np.full(PARTS, one_event(layer)[0], np.int32)
    total = trace.astype(np.float64)
    for later in range(1, 5000):
        by.begin(step + later)  # type: ignore[arg-type]  # one beginning beside the other
        by.trace(layer, "weight", trace, events)
        total += trace
        if not trace.any():
            break
    assert not trace.any()
    kept = total * trace_unit(layer) * (1.0 - decay)
    assert least < kept.min() and kept.max() < most and mean < kept.mean() < 1.001


def fired(decay: float, over: float, dtype: Dtype, steps: int = 2000) -> int:
    """How often a neuron fires that a constant input holds ``over`` times its threshold."""
    net = models.mlp(1, (2,), 2, standardised=False, rate=None, neuron=LIF(decay, 1.0))
    plan = plan_of(fold(net), rules.tess(post_gain=0.0))
    first = plan.layers[0]
    weight = np.full_like(first.weight, over * (1.0 - decay) * first.threshold / first.unit)
    made = in_fixed_point(
        replace(plan, layers=(replace(first, weight=weight), *plan.layers[1:])), dtype
    )
    mirror, count = Mirror(made), 0
    for _ in range(steps):
        mirror.step(np.ones(1, np.uint8))
        count += int(mirror.slots[0].spikes.ravel()[0])
    return count


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.95, 0.98, 0.99])
@pytest.mark.parametrize("dtype", ["int16", "int8"])
def test_slow_membranes_fire_as_often_as_in_floats(dtype: Dtype, decay: float) -> None:
    for over in (1.05, 1.2, 1.5):
        wanted = fired(decay, over, "f32")
        assert abs(fired(decay, over, dtype) - wanted) <= 2 + 0.02 * wanted, over
    assert fired(decay, 0.95, dtype) == 0


SLOW: dict[str, Callable[[], Plan]] = {
    "leaky readout, biases": lambda: plan_of(
        fold(models.mlp(16, (12,), 4, bias=True, readout_decay=0.99)),
        rules.tess(pre_decay=0.97, post_gain=0.0),
    ),
    "behind means": lambda: plan_of(
        fold(models.convnet(2, 4, image=16, channels=(3, 4), pooling="avg")),
        rules.tess(pre_decay=0.98, post_gain=0.0),
    ),
}


@pytest.mark.parametrize("case", SLOW)
@pytest.mark.parametrize("dtype", ["int16", "int8"])
def test_c_is_its_mirror_with_slow_traces(dtype: Dtype, case: str, tmp_path: Path) -> None:
    needs_compiler()
    plan = in_fixed_point(SLOW[case](), dtype)
    assert {layer.fixed.shift for layer in plan.layers if layer.fixed} != {15, 20}
    written(plan, tmp_path)
    ran = self_check(tmp_path, f"-O1 {SANITIZED} {STRICT}")
    assert ran.returncode == 0, ran.stdout + ran.stderr


GATHERED = """
#include <stdio.h>
#include <string.h>
#include "ls_model.h"
static uint32_t arena[LS_ARENA_GATHER / 4];
static uint8_t x[LS_INPUTS], held[1 << 16];
static size_t end;
static ls_net net; static ls_slot slots[LS_LAYERS];
static int put(void *c, const void *d, size_t n) {
    (void)c; memcpy(held + end, d, n); end += n; return 0; }
static int get(void *c, size_t at, void *d, size_t n) {
    (void)c; memcpy(d, held + at, n); return 0; }
static void learn(float rate) {
    ls_set_rate(&net, rate);
    ls_reset(&net);
    for (unsigned t = 0; t < 12; t++) {
        for (unsigned i = 0; i < LS_INPUTS; i++) x[i] = (i * 7u + t) % 3u == 0;
        ls_step(&net, x); ls_learn(&net, 1);
    }
}
static unsigned long weights(void) {
    unsigned long hash = 0;
    for (unsigned l = 0; l < LS_LAYERS; l++) {
        const unsigned char *w = (const unsigned char *)slots[l].weight;
        size_t n = slots[l].gathered ? ls_model.layer[l].learnt * sizeof(ls_weight) : 0;
        for (size_t i = 0; i < n; i++) hash = hash * 31u + w[i];
    }
    return hash & 0xffffffffu;
}
int main(void) {
    ls_init(&net, &ls_model, slots, arena, sizeof arena, LS_LEARN | LS_GATHER);
    printf("%d ", ls_save(&net, put, 0));
    printf("%lu ", weights());
    learn(0.1f);
    printf("%d ", ls_load(&net, get, 0));
    ls_update(&net, 0.5f);
    printf("%lu ", weights());
    slots[0].gathered[0] = 0.0f / (float)(end == 0);
    learn(0.01f);
    ls_update(&net, 0.0f);
    printf("%d %d ", ls_load(&net, get, 0), slots[0].gathered[0] == 0.0f);
    learn(0.01f); ls_update(&net, 0.0f);
    printf("%lu %d\\n", weights(), ls_logits(&net)[0] == ls_logits(&net)[0]);
    return 0;
}
"""


@pytest.mark.parametrize("dtype", ["f32", "int8"])
def test_loaded_weights_are_not_changed_by_what_others_have_learnt(
    dtype: Dtype, tmp_path: Path
) -> None:
    """Nor does a number that is none outlive an update that keeps nothing."""
    needs_compiler()
    written(in_fixed_point(planned("linear")[0], dtype), tmp_path)
    (tmp_path / "main.c").write_text(GATHERED)
    saved, first, loaded, after, again, zero, learnt, finite = make(
        tmp_path, "host", "MAIN=main.c"
    ).stdout.split()
    assert (saved, loaded, again, zero, finite) == ("0", "0", "0", "1", "1")
    assert first == after != learnt


def test_a_c_plus_plus_program_links(tmp_path: Path) -> None:
    """As a sketch of an Arduino does: objects of C, a main of C++."""
    needs_compiler()
    written(planned("linear")[0], tmp_path)
    (tmp_path / "main.cpp").write_text(
        '#include "ls_model.h"\n'
        "static uint32_t arena[LS_ARENA_INFER / 4];\n"
        "int main() { ls_net net; ls_slot slots[LS_LAYERS];\n"
        "return ls_init(&net, &ls_model, slots, arena, sizeof arena, LS_INFER); }\n"
    )
    sources = sorted(p.name for p in tmp_path.glob("ls*.c"))
    for line in (
        ["gcc", "-std=c99", "-ffp-contract=off", "-c", *sources],
        ["g++", "-Wall", "-Wextra", "-Werror", "main.cpp", *(f"{s[:-2]}.o" for s in sources)],
        ["./a.out"],
    ):
        ran = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr


def test_whole_numbers_are_the_same_model() -> None:
    plans = [
        plan_of(fold(models.mlp(5, (4,), 3, neuron=neuron)), rules.tess(post_gain=0.0))
        for neuron in (LIF(1, 1), LIF(1.0, 1.0), LIF(np.float64(1), np.float64(1)))
    ]
    assert len({plan.hash for plan in plans}) == 1


def test_constants_that_float32_does_not_hold_are_refused() -> None:
    net = fold(models.mlp(5, (4,), 3))
    with pytest.raises(IllegalError, match=r"'hidden1' cannot be exported to C: got rate 1e\+39"):
        plan_of(net, rules.tess(post_gain=0.0), rates={"hidden1": 1e39})
    with pytest.raises(ConfigError, match=r"^logit scale: got 0\.0; expected a finite number > 0"):
        rules.ClassBasis(scale=0.0)
