"""Every knob moves the gradient; at T = 1 the trace knobs do not. Nets must spike to see it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from helpers import assert_same, batch, gradient, hidden, make
from localspike import CrossEntropy, SquaredError, rules
from localspike.nn import LIF, Integrator, Network
from localspike.rules import Rule

LEAST = 0.02
"""Smallest relative change of a hidden block's weight gradient that counts as seen."""

TRACE_KNOBS: dict[str, Callable[[], Rule]] = {
    "pre_decay": lambda: rules.tess(pre_decay=0.6),
    "post_decay": lambda: rules.tess(post_decay=0.5),
    "post_gain": lambda: rules.tess(post_gain=0.5),
    "latent_decay": lambda: rules.tess(latent_decay=0.5),
}
KNOBS: dict[str, Callable[[], Rule]] = {
    **TRACE_KNOBS,
    "pre_gain": lambda: rules.tess(pre_gain=0.8),
    "scale-mean": lambda: rules.tess(scale="mean"),
    "scale-sqrt": lambda: rules.tess(scale="sqrt"),
    "scale-full": lambda: rules.tess(scale="l2_full"),
    "scale-number": lambda: rules.tess(scale=0.2),
    "pool": lambda: rules.tess(pool=3),
    "surrogate": lambda: rules.tess(surrogate="sigmoid"),
    "published": lambda: rules.tess(published_code=True),
}
STLLR_KNOBS: dict[str, Callable[[], Rule]] = {
    "pre_decay": lambda: rules.s_tllr(pre_decay=0.5),
    "post_decay": lambda: rules.s_tllr(post_decay=0.6),
    "post_gain": lambda: rules.s_tllr(post_gain=0.3),
    "surrogate": lambda: rules.s_tllr(surrogate="sigmoid"),
    "signal": lambda: rules.s_tllr("dfa"),
}


def moved(a: dict[str, Tensor], b: dict[str, Tensor], name: str) -> float:
    return float((a[name] - b[name]).norm() / a[name].norm())


@pytest.mark.parametrize("net", ["linear", "conv", "recurrent"])
@pytest.mark.parametrize("knob", KNOBS)
def test_every_knob_of_tess_moves_the_gradient(knob: str, net: str) -> None:
    made = make(net)
    first = next(iter(made.blocks))
    base, result = gradient(made, rules.tess(), *batch(made))
    assert all(0.05 <= r <= 0.6 for r in result.rates.values())
    found, _ = gradient(made, KNOBS[knob](), *batch(made))
    assert moved(base, found, f"{first}.synapse.weight") > LEAST
    readout = {k: g for k, g in found.items() if k.startswith("readout")}
    assert_same(readout, {k: base[k] for k in readout}, 1e-12)


@pytest.mark.parametrize("net", ["linear", "conv", "recurrent"])
def test_the_basis_moves_the_gradient_where_latent_0_counts(net: str) -> None:
    """At small n the two bases differ in latent 0 alone, whose row of ones cross-entropy cannot
    see (its shift of every logit cancels); a squared error sees it."""
    made = make(net)
    frames, labels = batch(made)
    sine = rules.tess(basis="sine_square")
    base, _ = gradient(made, rules.tess(), frames, labels)
    assert_same(gradient(made, sine, frames, labels)[0], base, 1e-12)
    values = torch.eye(5, dtype=torch.float64)[labels]
    base, _ = gradient(made, rules.tess(), frames, values, loss=SquaredError())
    found, _ = gradient(made, sine, frames, values, loss=SquaredError())
    assert moved(base, found, f"{next(iter(made.blocks))}.synapse.weight") > LEAST


@pytest.mark.parametrize("net", ["linear", "conv", "recurrent"])
@pytest.mark.parametrize("knob", STLLR_KNOBS)
def test_every_knob_of_s_tllr_moves_the_gradient(knob: str, net: str) -> None:
    made = make(net)
    first = next(iter(made.blocks))
    base, _ = gradient(made, rules.s_tllr(), *batch(made))
    found, _ = gradient(made, STLLR_KNOBS[knob](), *batch(made))
    assert moved(base, found, f"{first}.synapse.weight") > LEAST


@pytest.mark.parametrize("net", ["linear", "conv", "recurrent", "residual"])
@pytest.mark.parametrize("knob", TRACE_KNOBS)
def test_one_step_sees_nothing_of_the_traces(knob: str, net: str) -> None:
    made = make(net)
    data = batch(made, steps=1)
    base, _ = gradient(made, rules.tess(), *data)
    found, _ = gradient(made, TRACE_KNOBS[knob](), *data)
    assert sum(float(g.norm()) for g in hidden(base).values()) > 1e-4
    assert_same(found, base, 0.0)


def test_readout_knobs_move_the_readout() -> None:
    made = make("recurrent")
    base, _ = gradient(made, rules.s_tllr(), *batch(made))
    found, _ = gradient(made, rules.s_tllr(readout_decay=0.3), *batch(made))
    assert moved(base, found, "readout.synapse.weight") > LEAST
    assert moved(base, found, "readout.synapse.bias") > LEAST
    assert_same(hidden(found), hidden(base), 0.0)


def test_published_ottt_differs_where_it_says() -> None:
    made = make("linear")
    base, _ = gradient(made, rules.ottt(), *batch(made))
    found, _ = gradient(made, rules.ottt(published_code=True), *batch(made))
    for name in ("hidden1.synapse.weight", "hidden1.synapse.bias", "readout.synapse.weight"):
        assert moved(base, found, name) > LEAST
    assert moved(base, found, "hidden2.synapse.weight") == 0.0


NEURONS = {
    "decay": LIF(decay=0.6),
    "threshold": LIF(threshold=0.66),
    "reset": LIF(reset="hard"),
    "reset-none": LIF(reset="none"),
    "reset_by": LIF(reset_by=1.0),
}


@pytest.mark.parametrize("rule", ["tess", "ottt", "bptt"])
@pytest.mark.parametrize("knob", NEURONS)
def test_every_constant_of_the_neuron_moves_the_gradient(knob: str, rule: str) -> None:
    made = make("linear")
    base, _ = gradient(made, getattr(rules, rule)(), *batch(made))
    made.blocks["hidden1"].neuron = NEURONS[knob]
    found, result = gradient(made, getattr(rules, rule)(), *batch(made))
    assert 0.05 <= result.rates["hidden1"] <= 0.6
    assert moved(base, found, "hidden1.synapse.weight") > LEAST


def test_firing_at_the_threshold_is_seen_where_membranes_tie() -> None:
    from localspike.nn import Linear, Readout, Spiking

    rates = []
    for inclusive in (False, True):
        block = Spiking(Linear(1, 1), LIF(0.0, 0.5, fires_at_threshold=inclusive))
        net = Network({"a": block, "readout": Readout(Linear(1, 2))}, (1,))
        with torch.no_grad():
            block.synapse.weight.fill_(0.5)
        frames, labels = torch.ones(4, 1, 1), torch.tensor([0])
        for rule, schedule in (
            (rules.tess(), "layerwise"),
            (rules.tess(), "streaming"),
            (rules.bptt(), "bptt"),
        ):
            rates.append(gradient(net, rule, frames, labels, schedule=schedule)[1].rates["a"])
    assert rates == [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("rule", ["tess", "s_tllr", "ottt", "bptt", "frozen"])
def test_active_steps_loss_and_leak_move_the_gradient(rule: str) -> None:
    made = make("linear")
    build = getattr(rules, rule)
    name = "readout.synapse.weight" if rule == "frozen" else "hidden1.synapse.weight"
    base, _ = gradient(made, build(), *batch(made))
    for options in (
        {"active_steps": 11},
        {"active_steps": [0, 1, 2]},
        {"loss": CrossEntropy(label_smoothing=0.3)},
        {"loss": CrossEntropy(class_weights=(0.5, 2.0, 1.0, 3.0, 0.1))},
        {"loss": CrossEntropy(mse=0.4)},
    ):
        found, _ = gradient(made, build(), *batch(made), **options)
        assert moved(base, found, name) > 0.005, options
    made.readout.neuron = Integrator(0.7)
    found, _ = gradient(made, build(), *batch(made))
    assert moved(base, found, "readout.synapse.weight") > LEAST
