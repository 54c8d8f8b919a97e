"""Products of a step on a device: what the C multiplies, counted while it runs."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers_export import SOURCES, conv, needs_compiler, written
from localspike import describe, models, rules
from localspike.cost import Setting, activations, operations, products
from localspike.errors import ConfigError
from localspike.export import Plan, plan_of
from localspike.nn import Network, fold
from localspike.recipes.device_work import Rates, through_time, work
from localspike.rules import Rule

COUNTING = """
#include <stdio.h>
#include "ls_model.h"
extern unsigned long multiplied;
static uint32_t arena[LS_ARENA_LEARN / 4], seed = 1;
static ls_net net; static ls_slot slots[LS_LAYERS];
static uint8_t x[LS_INPUTS];
int main(void) {
    unsigned long forward = 0, change = 0;
    ls_init(&net, &ls_model, slots, arena, sizeof arena, LS_LEARN);
    for (unsigned t = 0; t < STEPS; t++) {
        for (unsigned i = 0; i < LS_INPUTS; i++) {
            seed = seed * 1664525u + 1013904223u;
            x[i] = (seed >> 16) % 1000u < PERMILLE;
        }
        multiplied = 0;
        ls_step(&net, x);
        if (t >= FROM) forward += multiplied;
        multiplied = 0;
        ls_learn(&net, 1);
        if (t >= FROM) change += multiplied;
    }
    printf("%lu %lu", forward, change);
    return 0;
}
"""
HEAD = "void ls_add_row(float *to, const float *from, float factor, unsigned n)\n{\n"


def firing(plan: Plan, threshold: float) -> Plan:
    """Every neuron at every step, or none, and Ψ the same everywhere."""
    always = {"threshold": threshold, "reset": 0.0, "psi_height": 1.0, "psi_slope": 0.0}
    return replace(plan, layers=tuple(replace(x, **always) for x in plan.layers))


def counted(plan: Plan, folder: Path, *, permille: int, begin: int, end: int) -> tuple[float, ...]:
    """Multiply-accumulates of a step: currents, change of weights."""
    written(plan, folder, np.zeros((12, plan.inputs), np.uint8))
    source = (folder / "ls.c").read_text()
    assert HEAD in source
    (folder / "ls.c").write_text(
        source.replace(HEAD, f"unsigned long multiplied;\n{HEAD}    multiplied += n;\n")
    )
    (folder / "main.c").write_text(COUNTING)
    knobs = [f"-DSTEPS={end}u", f"-DFROM={begin}u", f"-DPERMILLE={permille}u"]
    command = ["cc", "-std=c99", "-O1", "-ffp-contract=off", *knobs, *SOURCES, "main.c"]
    ran = subprocess.run(
        [*command, "-o", "count"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    said = subprocess.run([folder / "count"], capture_output=True, text=True, check=True).stdout
    return tuple(int(n) / (end - begin) for n in re.findall(r"\d+", said))


def biases(plan: Plan) -> int:
    """Constants added in a step of linear layers."""
    return sum(layer.shape.out_c for layer in plan.layers if layer.bias is not None)


def plain(net: Network, rule: Rule) -> Plan:
    torch.manual_seed(0)
    return plan_of(fold(net), rule)


@pytest.mark.parametrize(
    ("net", "rule"),
    [
        (lambda: models.mlp(40, (32, 24), 10, rate=None), rules.tess(post_gain=0.0)),
        (lambda: models.mlp(40, (32, 24), 10, rate=None), rules.tess(post_gain=1.0)),
        (lambda: models.mlp(40, (32,), 10, rate=None), rules.drtp()),
        (lambda: models.recurrent(40, (32,), 6, rate=None), rules.tess(post_gain=1.0)),
    ],
)
def test_the_c_multiplies_what_the_table_says_at_most(
    net: Callable[[], Network], rule: Rule, tmp_path: Path
) -> None:
    """Where every input has an event and every neuron fires, to the product; biases are added."""
    needs_compiler()
    made = fold(net())
    noise = {b.name: torch.randn(10, b.neurons) for b in describe.describe_network(made)}
    plan = firing(plan_of(made, rule, noise), -1e30)
    found = work(plan).values()
    forward, change = counted(plan, tmp_path, permille=1000, begin=2, end=4)
    assert forward - biases(plan) == sum(each.forward for each in found)
    assert change - biases(plan) == sum(each.change for each in found)


def test_a_convolution_multiplies_no_padding_and_one_neuron_a_window(tmp_path: Path) -> None:
    needs_compiler()
    plan = firing(plain(conv(rate=None), rules.tess(post_gain=0.0)), -1e30)
    found = work(plan).values()
    forward, change = counted(plan, tmp_path, permille=1000, begin=2, end=4)
    assert 0.7 < forward / sum(each.forward for each in found) < 1.0
    assert 0.15 < change / sum(each.change for each in found) < 0.5


@pytest.mark.parametrize(("permille", "gain"), [(10, 0.0), (30, 0.0), (30, 1.0), (200, 1.0)])
def test_products_at_a_rate_are_those_of_random_events(
    permille: int, gain: float, tmp_path: Path
) -> None:
    needs_compiler()
    rule = rules.tess(pre_decay=0.5, post_gain=gain)
    plan = firing(plain(models.mlp(500, (8,), 3, rate=None), rule), 1e30)
    forward, change = counted(plan, tmp_path, permille=permille, begin=50, end=450)
    said = work(plan, Rates({"hidden1": 0.0}, permille / 1000)).values()
    biased = biases(plan)
    assert forward - biased == pytest.approx(sum(each.forward for each in said), rel=0.05)
    assert change - biased == pytest.approx(sum(each.change for each in said), rel=0.03)


@pytest.mark.parametrize("gain", [0.0, 1.0])
def test_the_device_multiplies_as_a_stream_of_one_sample(gain: float) -> None:
    """But for λ_pre = 0 with a post trace, where a stream meets both in one contraction."""
    net, rule = fold(models.recurrent(20, (12,), 4, rate=None)), rules.tess(post_gain=gain)
    about = describe.describe(net, rule)
    for name, each in work(plan_of(net, rule)).items():
        streamed = products(about, Setting())[name]
        assert (each.forward, each.signal) == (streamed.forward, streamed.signal)
        assert each.change == streamed.contraction


def test_operations_are_the_cost_model_s_where_nothing_is_pooled() -> None:
    net, rule = fold(models.mlp(20, (12, 9), 4, rate=None)), rules.tess()
    rates = {"hidden1": 0.1, "hidden2": 0.3}
    model = operations(describe.describe(net, rule), rates, 0.2)
    for name, each in work(plan_of(net, rule), Rates(rates, 0.2)).items():
        assert each.forward == pytest.approx(model[name].accumulates, abs=1e-3)


def test_a_window_has_an_event_if_any_of_its_neurons_fires() -> None:
    plan = plain(conv(rate=None), rules.tess())
    rates = Rates({layer.name: 0.1 for layer in plan.layers if layer.spikes}, 0.5)
    first, second = plan.layers[:2]
    found, most = work(plan, rates), work(plan)
    side = first.pooled
    assert side > 1
    share = 1 - 0.9 ** (side * side)
    assert found[second.name].forward == pytest.approx(share * most[second.name].forward, abs=1e-3)
    assert found[first.name].forward == 0.5 * most[first.name].forward


def test_bptt_keeps_what_the_cost_model_says_in_a_device_s_coding() -> None:
    """Membranes byte for byte; inputs as bits or counts in bytes in place of float32."""
    net, steps = fold(models.recurrent(40, (32,), 6, rate=None)), 7
    plan = plan_of(net, rules.tess())
    found = through_time(plan, steps, [layer.name for layer in plan.layers])
    about = describe.describe(net, rules.bptt())
    model = activations(about, Setting(steps, schedule="bptt"))
    for name, kept in model.items():
        assert found[name]["membrane"] == 4 * kept["membrane"]
    assert found[""]["input"] == model["hidden1"]["input"]  # a byte each
    assert found["hidden1"]["spikes"] * 8 == model["readout"]["input"]  # a bit each


@pytest.mark.parametrize("learns", [["conv1", "conv2", "readout"], ["conv2", "readout"], []])
def test_bptt_keeps_time_from_the_first_layer_that_learns(learns: list[str]) -> None:
    plan = plain(models.convnet(2, 5, image=8, channels=(4, 6), rate=None), rules.tess())
    idle, once, twice = plan.buffers("infer"), *(through_time(plan, t, learns) for t in (6, 12))
    grown = {
        (name, buffer)
        for name, held in once.items()
        for buffer, n in held.items()
        if twice[name][buffer] == 2 * n
    }
    assert all(twice[x][y] == once[x][y] for x in once for y in once[x] if (x, y) not in grown)
    kept = {(n, b) for n in learns for b in ("membrane", "spikes") if b in idle[n]}
    reads = {"conv1": ("", "input"), "conv2": ("conv1", "output")}
    assert grown == kept | ({reads[learns[0]]} if learns else set())
    if not learns:
        assert once == idle
    with pytest.raises(ConfigError, match="steps"):
        through_time(plan, 0, learns)
