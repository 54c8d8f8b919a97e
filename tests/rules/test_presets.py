"""Presets: the published constants of the specification, written down again by hand."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import pytest
import torch

from helpers_reference import Layer, two_trace
from localspike import rules
from localspike.errors import ConfigError
from localspike.rules import (
    PRESETS,
    Backprop,
    ClassBasis,
    Contrast,
    MembraneBand,
    Projection,
    RankOne,
    Rule,
    Silent,
    SynapseTrace,
    ThroughTime,
    TwoTrace,
)
from localspike.rules.factors import Cell, Local

E = TwoTrace
OWN = E(None, trace_bias=True, synaptic_decay=None)
NAMED = E(0.9, trace_bias=True, synaptic_decay=None)
SIGMOID = rules.SigmoidDerivative(4.0)


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
            E(None, 0.0, 1.0, 0.0, trace_bias=True, synaptic_decay=None),
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
        (rules.tp(), E(0.0), Contrast(0.98, "batch", 1.0, 0), rules.ArcTangent(1.0)),
        (
            rules.tp(0.19, "classes", 2.0, 3),
            E(0.0),
            Contrast(0.19, "classes", 2.0, 3),
            rules.ArcTangent(),
        ),
        (rules.lls(), E(0.0), ClassBasis("integer_square", "l2_full"), rules.Triangle()),
        (
            rules.lls("cosine", mixing="matrix", pre_decay=0.5, pool=2),
            E(0.5),
            ClassBasis("cosine", "l2_full", 2, mixing="matrix"),
            rules.Triangle(),
        ),
        (rules.decolle(seed=2), OWN, ClassBasis("random", "sqrt", 0, seed=2), SIGMOID),
        (rules.local_loss(), OWN, ClassBasis("trained", 1.0), rules.Triangle()),
        (
            rules.tess_plus(),
            E(0.5, 0.2, 1.0, 0.0),
            ClassBasis("adapted", "l2", votes="auto"),
            rules.Triangle(),
        ),
        (rules.etlp(), SynapseTrace(0.0), Projection("drtp"), rules.Triangle()),
        (rules.etlp(4, 0.9), NAMED, Projection("drtp", label_period=4), rules.Triangle()),
        (rules.e_prop(), SynapseTrace("readout"), Projection("dfa"), rules.Triangle()),
        (
            rules.e_prop("symmetric", 0.5),
            SynapseTrace(0.5),
            Projection("symmetric"),
            rules.Triangle(),
        ),
        (
            rules.e_prop("adaptive", seed=1),
            SynapseTrace("readout"),
            Projection("adaptive", 1),
            rules.Triangle(),
        ),
        (rules.ostl(), SynapseTrace(0.0, True, False), Backprop(), rules.Triangle()),
        (rules.ostl(True, False), SynapseTrace(0.0, False, True), Backprop(), rules.Triangle()),
        (rules.osttp(True), SynapseTrace(0.0, True, True), Projection("drtp"), rules.Triangle()),
        (rules.es_d_rtrl(), RankOne(None), Backprop(), rules.Triangle()),
        (rules.es_d_rtrl(0.9, "sdfa"), RankOne(0.9), Projection("sdfa"), rules.Triangle()),
        (rules.dfa(), OWN, Projection("dfa"), rules.Triangle()),
        (rules.sdfa(0.9), NAMED, Projection("sdfa"), rules.Triangle()),
        (rules.drtp(seed=5), OWN, Projection("drtp", 5), rules.Triangle()),
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
    local = {
        "tess",
        "tess_plus",
        "frozen",
        "tp",
        "lls",
        "decolle",
        "local_loss",
        "etlp",
        "osttp",
        "drtp",
    }
    sent = {"s_tllr", "ottt", "sltt", "bptt", "e_prop", "ostl", "es_d_rtrl", "dfa", "sdfa"}
    assert local | sent == set(PRESETS)
    for name in PRESETS:
        assert PRESETS[name]().local_in_space is (name in local)
        assert PRESETS[name]().local_in_time is (name != "bptt")
    assert rules.s_tllr("drtp").local_in_space
    assert not rules.s_tllr("dfa").local_in_space


def test_the_membrane_band_belongs_to_the_rule_only_where_asked_for() -> None:
    assert rules.decolle().band is None
    assert rules.decolle(upper=0.1, lower=0.02).band == MembraneBand(0.1, 0.02)
    assert rules.decolle(lower=0.02).band == MembraneBand(0.0, 0.02)


def test_a_rule_of_ones_own_is_registered_under_its_functions_name() -> None:
    def mine(scale: float = 1.0) -> Rule:
        return rules.tess(scale=scale)

    try:
        assert rules.register(mine) is mine
        assert rules.PRESETS["mine"] is mine
        assert rules.register(mine) is mine  # again, as a reloaded module does
        other = type(mine)(mine.__code__, {}, "mine")
        with pytest.raises(
            ConfigError, match=r"^a rule named 'mine' exists already\. Give yours another name\.$"
        ):
            rules.register(other)
    finally:
        PRESETS.pop("mine", None)


@pytest.mark.parametrize("name", ["tess", "tp", "bptt"])
def test_a_name_of_the_package_cannot_be_taken(name: str) -> None:
    before = PRESETS[name]

    def theirs() -> Rule:
        return rules.tess()

    theirs.__name__ = name
    with pytest.raises(ConfigError, match=rf"^a rule named '{name}' exists already\. Give yours"):
        rules.register(theirs)
    assert PRESETS[name] is before


def test_a_trace_per_synapse_is_kept_only_where_two_factors_do_not_suffice() -> None:
    plain, adaptive = Cell(0.9, 0.4), Cell(0.9, adaptation=0.2, adaptation_decay=0.97)
    two = TwoTrace(0.9, trace_bias=True, synaptic_decay=0.4)
    assert SynapseTrace().for_block(plain) == two
    assert SynapseTrace(0.0).for_block(plain) == two
    unreset = Cell(0.9, 0.4, reset="none")
    assert SynapseTrace(through_reset=True).for_block(unreset) == two
    assert SynapseTrace(recurrent=True).for_block(plain) == two  # nothing recurs there
    for spec, cell in (
        (SynapseTrace(0.3), plain),
        (SynapseTrace(), Cell(0.9, readout_decay=0.8)),
        (SynapseTrace(), adaptive),
        (SynapseTrace(through_reset=True), plain),
        (SynapseTrace(recurrent=True), replace(plain, recurrent=True)),
        (SynapseTrace(), Cell(0.9, reset="hard")),
    ):
        assert spec.for_block(cell).per_synapse


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize(
    "rule",
    [
        E(0.5, 0.2, 1.0, 1.0),
        E(0.9, 0.7, 0.6, -0.4),
        E(0.0, 0.4, 1.0, 2.0),
        E(1.0, 1.0, 1.0, 0.5),
        E(0.3),
        E(0.7, 0.5, 1.0, -0.3, synaptic_decay=0.6),
        E(0.0, synaptic_decay=0.8),
        E(0.8, trace_bias=True, synaptic_decay=0.5),
    ],
)
def test_factors_and_collapse_are_the_double_loop(rule: TwoTrace, recurrent: bool) -> None:
    """Random signals, spikes and Ψ: step factors and the collapsed sequence by the equations,
    a signal at u and one at the spikes beside m."""
    torch.manual_seed(5)
    steps, batch, o, i = 12, 3, 4, 6
    m, direct, extra = torch.randn(3, steps, batch, o, dtype=torch.float64)
    psi = torch.rand(steps, batch, o, dtype=torch.float64)
    x = (torch.rand(steps, batch, i) < 0.4).double()
    before = (torch.rand(steps, batch, o) < 0.4).double()
    afferents = {"input": x} | ({"recurrent": before} if recurrent else {})
    want = _double_loop(rule, afferents, m + extra, psi)
    at_u = _double_loop(TwoTrace(**_traces_of(rule)), afferents, direct, torch.ones_like(psi))
    state = rule.init({k: a[0] for k, a in afferents.items()}, m[0])
    stepped = dict.fromkeys((*afferents, "bias"), 0.0)
    for t in range(steps):
        now = {k: a[t] for k, a in afferents.items()}
        factors, state = rule.step(state, now, Local(psi[t], psi[t], psi[t]))
        for term in factors.terms:
            for k, pre in term.pre.items():
                stepped[k] = stepped[k] + ((m + extra)[t] * term.post).T @ pre
        for k, pre in factors.direct.items():
            stepped[k] = stepped[k] + direct[t].T @ pre
        both = (m + extra)[t] * factors.bias_post + direct[t]
        stepped["bias"] = stepped["bias"] + (both * factors.bias_pre).sum(0)
    local = Local(psi, psi, psi)
    collapsed = rule.collapse(m, local, afferents, direct=direct, at_spikes=extra)
    for k, a in afferents.items():
        whole = torch.einsum("tbo,tbi->oi", collapsed.post[k], a)
        assert torch.allclose(stepped[k], want[k] + at_u[k], atol=1e-11)
        assert torch.allclose(whole, want[k] + at_u[k], atol=1e-11)
    assert torch.allclose(stepped["bias"], want["bias"] + at_u["bias"], atol=1e-11)
    assert torch.allclose(collapsed.bias_post.sum((0, 1)), stepped["bias"], atol=1e-11)
    assert rule.collapse(m, local, afferents, bias=False).bias_post is None


def _traces_of(rule: TwoTrace) -> dict:
    """∂u/∂w alone: what a signal at u meets."""
    return {
        "pre_decay": rule.pre_decay,
        "synaptic_decay": rule.synaptic_decay,
        "trace_bias": rule.trace_bias,
    }


def _double_loop(rule: TwoTrace, afferents: dict, m, psi) -> dict:
    """The reference's two traces on afferents that have passed the synapse's exponential."""
    o, i = m.shape[-1], afferents["input"].shape[-1]
    params = {
        "weight": torch.zeros(o, i, dtype=torch.float64, requires_grad=True),
        "bias": torch.zeros(o, dtype=torch.float64, requires_grad=True),
    }
    if "recurrent" in afferents:
        params["rec"] = torch.zeros(o, o, dtype=torch.float64, requires_grad=True)
    charged = {k: _charged(a, rule.synaptic_decay) for k, a in afferents.items()}
    kwargs = {"pre_decay": rule.pre_decay, "before": charged.get("recurrent")}
    found = two_trace(
        Layer("a", params),
        charged["input"],
        psi.unbind(),
        m.unbind(),
        pre_gain=rule.pre_gain,
        bias_decay=rule.pre_decay if rule.trace_bias else None,
        **kwargs,
    )
    if rule.trace_bias and rule.synaptic_decay:  # a constant input, through both exponentials
        ones = _charged(torch.ones(len(m), 1, 1, dtype=torch.float64), rule.synaptic_decay)
        total = torch.zeros(o, dtype=torch.float64)
        for t in range(len(m)):
            past = sum(rule.pre_decay ** (t - s) * float(ones[s]) for s in range(t + 1))
            total += past * (m[t] * psi[t]).sum(0)
        found["bias"] = total
    if not rule.trace_bias:  # untraced, and without α_pre
        found["bias"] = (m * psi).sum((0, 1))
    if rule.post_gain:
        post = two_trace(
            Layer("a", params),
            [a for a in afferents["input"]],
            psi.unbind(),
            m.unbind(),
            pre_decay=0.0,
            pre_gain=0.0,
            post_decay=rule.post_decay,
            post_gain=rule.post_gain,
            before=list(afferents["recurrent"]) if "recurrent" in afferents else None,
        )
        for k in ("weight", "rec"):
            if k in found:
                found[k] = found[k] + post[k]
    names = {"input": "weight", "recurrent": "rec", "bias": "bias"}
    return {k: found[n] for k, n in names.items() if n in found}


def _charged(x, decay: float) -> list:
    out: list = []
    for step in x:
        out.append(step if not out else step + decay * out[-1])
    return out
