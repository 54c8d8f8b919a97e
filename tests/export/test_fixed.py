"""Weights in fixed point: C equals its mirror, rounding is unbiased, binary points, refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers_export import (
    SANITIZED,
    STRICT,
    emulators,
    events,
    make,
    mlp,
    needs_compiler,
    on_device,
    planned,
    self_check,
    written,
)  # fmt: skip
from localspike import models, rules
from localspike.errors import ConfigError, IllegalError
from localspike.export import Plan, plan_of
from localspike.export.fixed import DTYPES, Dtype, in_fixed_point
from localspike.export.mirror import Mirror
from localspike.nn import fold

# Every kernel that fixed point has of its own, and both widths of every kind of layer.
SAME = [
    ("linear, post trace", "int8"),
    ("linear, filtered latents", "int16"),
    ("linear, leaky readout", "int8"),
    ("recurrent", "int8"),
    ("recurrent", "int16"),
    ("conv", "int16"),
    ("conv, mean pooling", "int8"),
    ("conv, running statistics", "int8"),
    ("conv, label, mean pooling", "int16"),
]
LEVELS = (f"-O0 {SANITIZED}", "-O3")


def fixed(case: str, dtype: Dtype, headroom: float = 2.0) -> Plan:
    return in_fixed_point(planned(case)[0], dtype, headroom)


def passes(
    plan: Plan, folder: Path, objects: Path, counts: NDArray[np.uint8] | None = None
) -> None:
    """The self-check passes, and says the same at every level."""
    needs_compiler()
    written(plan, folder, counts)
    said = set()
    for level in LEVELS:
        ran = self_check(folder, f"{level} {STRICT}", objects)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert "selfcheck: passed" in ran.stdout and "misuse: all refused" in ran.stdout
        said.add(ran.stdout)
    assert len(said) == 1


@pytest.mark.parametrize(("case", "dtype"), SAME)
def test_c_is_its_mirror_to_the_bit(
    case: str, dtype: Dtype, tmp_path: Path, runtime_objects: Path
) -> None:
    passes(fixed(case, dtype), tmp_path, runtime_objects)


@pytest.mark.parametrize("case", ["recurrent", "conv, mean pooling"])
def test_c_is_its_mirror_on_emulated_machines(case: str, tmp_path: Path) -> None:
    """A float unit, none at all, and another instruction set."""
    if not emulators():
        pytest.skip("no emulators (make emulators)")
    folder = written(fixed(case, "int8"), tmp_path)
    for machine in emulators():
        said = make(folder, machine)
        assert said.returncode == 0 and "selfcheck: passed" in said.stdout + said.stderr


def railed(x: np.ndarray | None) -> np.ndarray | None:
    """Numbers as large as they can be; one channel in three is negative."""
    if x is None:
        return None
    most = np.iinfo(x.dtype).max
    signs = np.where(np.arange(x.shape[-1]) % 3 > 0, most, -most)
    return np.broadcast_to(signs, x.shape).astype(x.dtype)


def at_the_rails(plan: Plan) -> Plan:
    layers = (
        replace(
            x,
            weight=railed(x.weight),
            recurrent_weight=railed(x.recurrent_weight),
            bias=railed(x.bias),
        )
        for x in plan.layers
    )
    return replace(plan, layers=tuple(layers))


@pytest.mark.parametrize(
    ("case", "dtype"),
    [("recurrent", "int16"), ("linear, filtered latents", "int8"), ("conv, mean pooling", "int16")],
)
def test_what_saturates_everywhere_is_the_same(
    case: str, dtype: Dtype, tmp_path: Path, runtime_objects: Path
) -> None:
    plan = at_the_rails(fixed(case, dtype))
    draw = np.random.default_rng(1)
    counts = draw.choice([0, 1, 17, 255], (36, plan.inputs), p=[0.2, 0.2, 0.2, 0.4])
    net = Mirror(plan, 0.05)
    net.step(counts[0])
    assert np.abs(net.slots[0].v).max() > 30_000  # a rail, or a reset below it
    passes(plan, tmp_path, runtime_objects, counts.astype(np.uint8))


# -- stochastic rounding -------------------------------------------------------------------------


def change(plan: Plan, layer: int, rate: float, gather: bool, seed: int) -> np.ndarray:
    """Change of a layer's weights by one learning step."""
    net = Mirror(plan, rate, gather=gather, seed=seed)
    draw = np.random.default_rng(3)
    for _ in range(3):
        net.step((draw.random(plan.inputs) < 0.4).astype(np.uint8))
    net.trainable = [i == layer for i in range(len(plan.layers))]
    net.learn(1)
    if gather:
        net.update()
    found: np.ndarray = net.slots[layer].weight.astype(np.float64) - plan.layers[layer].weight
    return found


def as_float(plan: Plan) -> Plan:
    """The same network in floats: the numbers that the whole ones stand for."""

    def real(x: np.ndarray | None, point: int) -> np.ndarray | None:
        return None if x is None else np.ldexp(x.astype(np.float32), -point)

    layers = []
    for x in plan.layers:
        assert x.fixed is not None
        layers.append(
            replace(
                x,
                fixed=None,
                weight=real(x.weight, x.fixed.weight),
                recurrent_weight=real(x.recurrent_weight, x.fixed.loop),
                bias=real(x.bias, x.fixed.bias),
            )
        )
    return replace(plan, layers=tuple(layers))


@pytest.mark.parametrize("gather", [False, True])
@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_rounding_is_unbiased(dtype: Dtype, layer: int, gather: bool) -> None:
    """Weights change by what they should on average, where to the nearest they never would."""
    plan = in_fixed_point(plan_of(fold(models.mlp(12, (8,), 4)), rules.tess(post_gain=0.0)), dtype)
    at = plan.layers[layer].fixed
    assert at is not None
    rate = 1e-3
    rate *= 0.4 / np.ldexp(np.abs(change(as_float(plan), layer, rate, gather, 1)).max(), at.weight)
    expected = np.ldexp(change(as_float(plan), layer, rate, gather, 1), at.weight)
    assert 0.3 < np.abs(expected).max() < 0.5  # to the nearest: nothing
    got = np.stack([change(plan, layer, rate, gather, seed) for seed in range(1, 801)])
    assert not got[:, expected == 0.0].any()
    seen = np.abs(expected) > 0.02  # drawn some sixteen times or more
    assert seen.sum() > 3
    off = got.mean(0) - expected
    error = np.sqrt(np.maximum(got.var(0), np.abs(expected) * (1 - np.abs(expected))) / len(got))
    assert (np.abs(off) / error)[seen].max() < 4.0
    # And all together, which a small bias would move by many errors.
    assert abs((off * np.sign(expected))[seen].sum()) < 4.0 * np.sqrt((error[seen] ** 2).sum())


def learnt(
    plan: Plan, rate: float, seed: int, sequences: int = 3
) -> tuple[list[np.ndarray], np.ndarray]:
    """Weights and logits after learning from random events; the events are always the same."""
    net = Mirror(plan, rate, seed=seed)
    logits = []
    for sequence in range(sequences):
        net.reset()
        for frame in events((plan.inputs,), 12, sequence % 4):
            net.step(on_device(frame))
            net.learn(sequence % 4)
        logits.append(net.logits.copy())
    return [slot.weight.copy() for slot in net.slots], np.concatenate(logits)


def test_a_seed_is_a_run() -> None:
    plan = fixed("linear", "int8")
    first, again, other = (learnt(plan, 0.02, seed)[0] for seed in (5, 5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


SEEDED = """
#include <stdio.h>
#include "ls_model.h"
static uint32_t arena[LS_ARENA_LEARN / 4];
static ls_net net; static ls_slot slots[LS_LAYERS];
static uint8_t x[LS_INPUTS];
static void run(uint32_t seed) {
    uint32_t hash = 0;
    ls_init(&net, &ls_model, slots, arena, sizeof arena, LS_LEARN);
    ls_set_rate(&net, 0.02f);
    if (seed != 99u) ls_set_seed(&net, seed);
    for (unsigned t = 0; t < 20; t++) {
        for (unsigned i = 0; i < LS_INPUTS; i++) x[i] = (i * 7u + t) % 5u == 0;
        ls_step(&net, x); ls_learn(&net, 1);
    }
    for (unsigned i = 0; i < ls_model.layer[0].learnt; i++)
        hash = hash * 31u + (uint32_t)(slots[0].weight[i] + 128);
    printf("%lu ", (unsigned long)hash);
}
int main(void) { run(0); run(1); run(99); run(2); run(2); run(3); return 0; }
"""


def test_seeds_in_c(tmp_path: Path) -> None:
    """0 is taken for 1, which is that of `ls_init`."""
    needs_compiler()
    written(fixed("linear", "int8"), tmp_path)
    (tmp_path / "main.c").write_text(SEEDED)
    ran = make(tmp_path, "host", "MAIN=main.c")
    zero, one, none, two, again, three = ran.stdout.split()
    assert zero == one == none and two == again and len({one, two, three}) == 3


# -- binary points and refusals ------------------------------------------------------------------


def test_headroom_moves_the_binary_points() -> None:
    plan, *_ = planned("linear")
    for dtype, most in (("int8", 127), ("int16", 32767)):
        points = []
        for headroom in (1.0, 2.0, 8.0):
            made = in_fixed_point(plan, dtype, headroom)  # type: ignore[arg-type]
            for before, after in zip(plan.layers, made.layers, strict=True):
                assert after.fixed is not None and after.weight.dtype == dtype
                largest = np.abs(before.weight).max()
                assert headroom * largest <= most * 2.0**-after.fixed.weight * (1 + 1e-6)
                real = np.ldexp(after.weight.astype(float), -after.fixed.weight)
                assert np.abs(real - before.weight).max() <= 0.5 * 2.0**-after.fixed.weight
            points.append([x.fixed.weight for x in made.layers if x.fixed])
        assert [np.subtract(points[0], p).tolist() for p in points[1:]] == [[1] * 3, [3] * 3]


def test_weights_that_are_all_zero_may_grow_to_1() -> None:
    plan, *_ = planned("linear")
    empty = tuple(replace(x, weight=np.zeros_like(x.weight)) for x in plan.layers)
    made = in_fixed_point(replace(plan, layers=empty), "int8")
    for layer in made.layers:
        assert layer.fixed is not None and 1.0 <= 127 * 2.0**-layer.fixed.weight < 2.0


@pytest.mark.parametrize("case", ["conv, mean pooling", "conv, label, mean pooling", "linear"])
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_gains_are_exact_to_a_hundredth(case: str, dtype: Dtype) -> None:
    """Also of the means over 3 x 3 spikes, and weights are as fine as their largest allows."""
    for layer in fixed(case, dtype).layers:
        assert layer.fixed is not None
        if not layer.spikes:
            continue
        at = layer.fixed
        kinds = zip(at.gains, (layer.unit, 1.0, 1.0), at.points, strict=True)
        for (gain, shift), unit, point in kinds:
            assert gain * 2.0**-shift == pytest.approx(unit * 2.0 ** (at.state - point), rel=0.01)
            assert 0 <= shift <= 24 and gain >= 1 and (shift == 0 or gain < 128)
        assert 4 * int(np.abs(layer.weight).max()) >= at.most - 4  # headroom 2, and a bit


def test_three_by_three_means_leave_weights_as_fine_as_they_were() -> None:
    net = models.convnet(2, 5, image=9, channels=(4, 6), pooling="avg")
    plan = plan_of(fold(net), rules.tess(pool=2, scale="mean"))
    third = replace(plan.layers[1], unit=1 / 9)
    nine = in_fixed_point(replace(plan, layers=(third,)), "int8").layers[0]
    whole = in_fixed_point(replace(plan, layers=(replace(third, unit=1.0),)), "int8").layers[0]
    assert nine.fixed is not None and whole.fixed is not None
    assert nine.fixed.weight == whole.fixed.weight
    assert np.count_nonzero(nine.weight) > 0.9 * nine.weight.size


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"threshold": 0.0}, "threshold 0"),
        ({"threshold": -1.0}, "threshold -1"),
        ({"threshold": 1e-4, "reset": 1.0}, "can tell from 0"),
        ({"weight": np.full((1, 1, 40, 32), 1e6, np.float32)}, "beside a threshold of"),
        ({"unit": 1 / 225, "pre_decay": 0.9999}, "pre_decay"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(change: dict[str, object], said: str) -> None:
    plan, *_ = planned("linear")
    wrong = replace(plan, layers=(replace(plan.layers[0], **change), *plan.layers[1:]))  # type: ignore[arg-type]
    with pytest.raises(IllegalError, match=said) as told:
        in_fixed_point(wrong, "int8")
    assert "hidden1" in str(told.value) and "--dtype f32" in str(told.value)


def test_a_readout_s_weights_have_an_end_too() -> None:
    plan, *_ = planned("linear")
    last = replace(plan.layers[-1], weight=np.full_like(plan.layers[-1].weight, 1e30))
    with pytest.raises(IllegalError, match="readout"):
        in_fixed_point(replace(plan, layers=(*plan.layers[:-1], last)), "int8")


@pytest.mark.parametrize("headroom", [0.99, 0.0, -2.0, float("nan"), float("inf"), 1025.0])
def test_a_headroom_that_is_none(headroom: float) -> None:
    with pytest.raises(ConfigError, match="headroom"):
        in_fixed_point(planned("linear")[0], "int8", headroom)


def test_a_dtype_that_is_none_and_a_plan_that_has_one() -> None:
    plan = planned("linear")[0]
    with pytest.raises(ConfigError, match="f32, int16, int8"):
        in_fixed_point(plan, "int4")  # type: ignore[arg-type]
    assert in_fixed_point(plan, "f32") is plan
    for dtype in DTYPES:
        with pytest.raises(ConfigError, match="a plan in f32"):
            in_fixed_point(in_fixed_point(plan, "int8"), dtype)


def test_weights_of_other_binary_points_are_another_model_s() -> None:
    """What was saved in other units is refused by `ls_load`."""
    hashes = {fixed("linear", d, h).hash for d in ("int8", "int16") for h in (2.0, 4.0)}  # type: ignore[arg-type]
    assert len(hashes | {planned("linear")[0].hash}) == 5


# -- it learns what floats learn -----------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "least"), [("int8", 0.9), ("int16", 0.99)])
def test_it_learns_what_floats_learn(dtype: Dtype, least: float) -> None:
    """Correlation of logits and of learnt changes with the float mirror's, means over seeds."""
    plan = plan_of(fold(mlp()), rules.tess(post_gain=0.0))
    made = in_fixed_point(plan, dtype)
    real, real_logits = learnt(plan, 0.02, 1, 8)
    changes, logits = [], []
    for seed in range(1, 6):
        weights, said = learnt(made, 0.02, seed, 8)
        logits.append(float(np.corrcoef(said, real_logits)[0, 1]))
        for i, layer in enumerate(made.layers):
            ours = weights[i].astype(np.float64) - layer.weight
            theirs = real[i] - plan.layers[i].weight
            changes.append(float(np.corrcoef(ours.ravel(), theirs.ravel())[0, 1]))
    assert np.mean(logits) > least, logits
    assert np.mean(changes) > least - 0.2, changes


# -- bytes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "most"),
    [
        (lambda: plan_of(fold(models.convnet(2, 11, image=16, channels=(16, 32, 64))),
                         rules.tess(post_gain=0.0)), 48 * 1024),
        (lambda: plan_of(fold(models.mlp(64, (48, 32), 10)), rules.tess(post_gain=0.0)), 6 * 1024),
        (lambda: plan_of(fold(models.mlp(700, (128,), 20)), rules.tess(post_gain=0.0)), 96 * 1024),
    ],
    ids=["conv 16-32-64", "64-48-32-10", "700-128-20"],
)  # fmt: skip
def test_eight_bits_fit_small_devices(plan: object, most: int) -> None:
    """The arena that learns at every step."""
    assert in_fixed_point(plan(), "int8").arena("learn") <= most  # type: ignore[operator]
