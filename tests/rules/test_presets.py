"""Presets: the published constants of the specification, written down again by hand."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from helpers_reference import two_trace
from localspike import rules
from localspike.rules import (
    PRESETS,
    Backprop,
    ClassBasis,
    Projection,
    Silent,
    ThroughTime,
    TwoTrace,
)

E = TwoTrace


@pytest.mark.parametrize(
    ("rule", "eligibility", "signal", "psi"),
    [
        (
            rules.tess(),
            E(0.5, 0.2, 1.0, 1.0),
            ClassBasis("integer_square", "l2"),
            rules.Triangle(0.3, 1.0),
        ),
        (
            rules.tess(published_code=True),
            E(0.5, 0.2, 1.0, 1.0),
            ClassBasis("sine_square", "mean"),
            rules.Triangle(0.3, 1.0),
        ),
        (rules.s_tllr(), E(0.75, 0.2, 1.0, -1.0), Backprop(), rules.Triangle(0.3, 1.0)),
        (
            rules.s_tllr("dfa", seed=3),
            E(0.75, 0.2, 1.0, -1.0),
            Projection("dfa", 3),
            rules.Triangle(),
        ),
        (
            rules.s_tllr(surrogate="fast_sigmoid"),
            E(0.75, 0.2, 1.0, -1.0),
            Backprop(),
            rules.FastSigmoid(100.0),
        ),
        (
            rules.ottt(),
            E(None, 0.0, 1.0, 0.0, trace_bias=True),
            Backprop(),
            rules.SigmoidDerivative(4.0),
        ),
        (
            rules.ottt(0.7, published_code=True),
            E(0.7, trace_input=False, readout_decay=0.7),
            Backprop(),
            rules.SigmoidDerivative(4.0),
        ),
        (rules.sltt(), E(0.0), Backprop(), rules.SigmoidDerivative(4.0)),
        (rules.bptt(), ThroughTime(True), Backprop(), rules.Triangle(0.3, 1.0)),
        (rules.frozen(), E(0.0), Silent(), rules.Triangle()),
    ],
)
def test_presets_are_the_published_constants(rule, eligibility, signal, psi) -> None:
    assert rule.eligibility == eligibility
    assert rule.signal == signal
    assert rule.surrogate == psi


def test_presets_are_frozen_named_values() -> None:
    for name, build in PRESETS.items():
        rule = build()
        assert rule.name == name
        assert rule == build()
        hash(rule.eligibility)
        with pytest.raises(dataclasses.FrozenInstanceError):
            rule.name = "other"


def test_locality_of_every_preset() -> None:
    space = {
        "tess": True,
        "s_tllr": False,
        "ottt": False,
        "sltt": False,
        "bptt": False,
        "frozen": True,
    }
    for name, local in space.items():
        assert PRESETS[name]().local_in_space is local
        assert PRESETS[name]().local_in_time is (name != "bptt")
    assert rules.s_tllr("drtp").local_in_space
    assert not rules.s_tllr("dfa").local_in_space


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize(
    "rule",
    [
        E(0.5, 0.2, 1.0, 1.0),
        E(0.9, 0.7, 0.6, -0.4),
        E(0.0, 0.4, 1.0, 2.0),
        E(1.0, 1.0, 1.0, 0.5),
        E(0.3),
    ],
)
def test_factors_and_collapse_are_the_double_loop(rule: TwoTrace, recurrent: bool) -> None:
    """Random signals, spikes and Ψ: step factors and the collapsed sequence by the equations."""
    from helpers_reference import Layer

    torch.manual_seed(5)
    steps, batch, o, i = 12, 3, 4, 6
    m, psi = (
        torch.randn(steps, batch, o, dtype=torch.float64),
        torch.rand(steps, batch, o, dtype=torch.float64),
    )
    x = (torch.rand(steps, batch, i) < 0.4).double()
    before = (torch.rand(steps, batch, o) < 0.4).double()
    params = {
        "weight": torch.zeros(o, i, dtype=torch.float64, requires_grad=True),
        "bias": torch.zeros(o, dtype=torch.float64, requires_grad=True),
    }
    if recurrent:
        params["rec"] = torch.zeros(o, o, dtype=torch.float64, requires_grad=True)
    # RULES: the bias takes Σ m⊙Ψ, so its α_pre is 1 in the reference; compare weights for others.
    want = two_trace(
        Layer("a", params),
        x.unbind(),
        psi.unbind(),
        m.unbind(),
        before=before.unbind(),
        pre_decay=rule.pre_decay,
        post_decay=rule.post_decay,
        pre_gain=rule.pre_gain,
        post_gain=rule.post_gain,
    )
    afferents = {"input": x} | ({"recurrent": before} if recurrent else {})
    names = {"input": "weight", "recurrent": "rec"}
    state = rule.init({k: a[0] for k, a in afferents.items()}, m[0])
    stepped = {k: 0.0 for k in afferents}
    for t in range(steps):
        factors, state = rule.step(state, {k: a[t] for k, a in afferents.items()}, psi[t])
        for term in factors.terms:
            for k, pre in term.pre.items():
                stepped[k] = stepped[k] + (m[t] * term.post).T @ pre
    collapsed = rule.collapse(m, psi, afferents)
    for k, a in afferents.items():
        whole = torch.einsum("tbo,tbi->oi", collapsed.post[k], a)
        assert torch.allclose(stepped[k], want[names[k]], atol=1e-11)
        assert torch.allclose(whole, want[names[k]], atol=1e-11)
    if rule.pre_gain == 1.0:
        assert torch.allclose(collapsed.bias_post.sum((0, 1)), want["bias"], atol=1e-11)
