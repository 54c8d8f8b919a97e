"""Every rule against an independent reference: double loops over time, autograd contractions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from helpers import CLASSES, assert_same, batch, gradient, legal, make, named, twin
from helpers_reference import (
    PSI,
    basis,
    class_basis_signal,
    cross_entropy,
    simulate,
    through_tail,
    two_trace,
)
from localspike import rules
from localspike.rules import Projection, Rule, Triangle, TwoTrace

NETS = ("linear", "conv", "recurrent", "residual")
TESS = (0.5, 0.2, 1.0, 1.0)  # λ_pre, λ_post, α_pre, α_post
TLLR = (0.75, 0.2, 1.0, -1.0)

CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "tess": (rules.tess, {"scale": "l2"}),
    "tess-mean": (lambda: rules.tess(scale="mean"), {"scale": "mean"}),
    "tess-sqrt": (lambda: rules.tess(scale="sqrt"), {"scale": "sqrt"}),
    "tess-l2-full": (lambda: rules.tess(scale="l2_full"), {"scale": "l2_full"}),
    "tess-number": (lambda: rules.tess(scale=0.3), {"scale": 0.3}),
    "tess-latent": (lambda: rules.tess(latent_decay=0.8), {"scale": "l2", "latent_decay": 0.8}),
    "tess-published": (
        lambda: rules.tess(published_code=True),
        {"scale": "mean", "sine": True},
    ),
    "tess-pool-3": (lambda: rules.tess(pool=3), {"scale": "l2", "pool": 3}),
    "tess-whole": (lambda: rules.tess(pool=0), {"scale": "l2", "pool": 0}),
    "tess-sharp": (
        lambda: rules.tess(surrogate="fast_sigmoid", pre_decay=0.9, post_decay=0.7, post_gain=-0.5),
        {"scale": "l2", "traces": (0.9, 0.7, 1.0, -0.5), "psi": "fast_sigmoid"},
    ),
    "s_tllr-bp": (rules.s_tllr, {"signal": "bp", "traces": TLLR}),
    "s_tllr-audio": (
        lambda: rules.s_tllr("bp", 1.0, 0.5, 1.0, readout_decay=0.99, surrogate="fast_sigmoid"),
        {"signal": "bp", "traces": (1.0, 0.5, 1.0, 1.0), "psi": "fast_sigmoid", "readout": 0.99},
    ),
    "s_tllr-dfa": (None, {"signal": "dfa", "traces": TLLR}),
    "s_tllr-sdfa": (None, {"signal": "sdfa", "traces": TLLR}),
    "s_tllr-drtp": (None, {"signal": "drtp", "traces": TLLR}),
    "ottt": (
        rules.ottt,
        {"signal": "bp", "traces": (0.5, 0, 1.0, 0), "psi": "sigmoid", "bias_decay": 0.5},
    ),
    "ottt-published": (
        lambda: rules.ottt(published_code=True),
        {"signal": "bp", "traces": (0.5, 0, 1.0, 0), "psi": "sigmoid", "readout": 0.5, "raw": True},
    ),
    "sltt": (rules.sltt, {"signal": "bp", "traces": (0.0, 0, 1.0, 0), "psi": "sigmoid"}),
}


def projected(kind: str, net: Any) -> tuple[Rule, list[Tensor]]:
    g = torch.Generator().manual_seed(4)
    sizes = [torch.Size(net.output_shapes[n]).numel() for n in net.blocks]
    matrices = [torch.randn(CLASSES, n, generator=g, dtype=torch.float64) for n in sizes]
    signal = Projection(kind, matrices=tuple(matrices))  # type: ignore[arg-type]
    return Rule("s_tllr", TwoTrace(0.75, 0.2, 1.0, -1.0), signal, Triangle()), matrices


def expected(
    net: Any,
    frames: Tensor,
    labels: Tensor,
    on: Tensor,
    how: dict[str, Any],
    matrices: list[Tensor],
) -> dict[str, Tensor]:
    """The gradient of every parameter from the equations alone; ``on`` [T, B] gates the signal."""
    layers, readout = twin(net)
    psi = PSI[how.get("psi", "triangle")]
    trial = simulate(layers, readout, frames, psi)
    for z in trial.logits:
        z.retain_grad()
    cross_entropy(trial.logits, labels, on).backward()
    errors = [z.grad for z in trial.logits]
    pre, post, pre_gain, post_gain = how.get("traces", TESS)
    found: dict[str, Tensor] = {}
    for i, layer in enumerate(layers):
        m = _signal(layer, trial, labels, on, how, errors, matrices[i] if matrices else None)
        values = [psi(u - layer.theta).detach() for u in trial.u[layer.name]]
        raw = how.get("raw") and "input" in layer.sources
        grads = two_trace(
            layer,
            trial.x[layer.name],
            values,
            m,
            pre_decay=0.0 if raw else pre,
            post_decay=post,
            pre_gain=pre_gain,
            post_gain=post_gain,
            bias_decay=how.get("bias_decay"),
            before=trial.before[layer.name],
            rec_decay=pre,  # the release leaves only the network's own input untraced
        )
        found |= named(layer.name, grads)
    ones = [torch.ones_like(e) for e in errors]
    decay = how.get("readout", readout.leak)
    traced = None if "readout" in how else readout.leak
    out = two_trace(readout, trial.x["readout"], ones, errors, pre_decay=decay, bias_decay=traced)
    return found | named("readout", out)


def _signal(layer, trial, labels, on, how, errors, matrix):
    kind, outs, spikes = how.get("signal"), trial.out[layer.name], trial.o[layer.name]
    if kind == "bp":
        return [o.grad for o in spikes]
    if kind is None:
        vector = outs[0].ndim == 2
        pool = how.get("pool", None if vector else layer.latent)
        shape = outs[0].shape[1:]
        n = shape.numel() if not pool else (pool if vector else shape[0] * pool * pool)
        m = class_basis_signal(
            outs,
            labels,
            basis(CLASSES, n, how.get("sine", False)),
            scale=how["scale"],
            pool=pool,
            latent_decay=how.get("latent_decay", 0.0),
            weight=on,
        )
    else:
        batch_size = outs[0].shape[0]
        target = torch.eye(CLASSES, dtype=torch.float64)[labels]
        rows = {
            "dfa": errors,
            "sdfa": [torch.sign(e) / batch_size for e in errors],
            "drtp": [-target * w[:, None] / batch_size for w in on],
        }[kind]
        m = [e @ matrix for e in rows]
    return through_tail(spikes, layer.tail, m)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("case", CASES)
def test_rule_is_its_equations(case: str, net: str) -> None:
    made = make(net)
    frames, labels = batch(made)
    build, how = CASES[case]
    rule, matrices = (build(), []) if build else projected(how["signal"], made)
    name = case.split("-")[0] if how.get("signal") in (None, "drtp") else "s_tllr-bp"
    for active in ("all", [2, 3, 9, 11]):
        on = torch.zeros(len(frames), len(labels), dtype=torch.float64)
        on[list(range(len(frames))) if active == "all" else active] = 1.0
        want = expected(made, frames, labels, on, how, matrices)
        for schedule in legal("s_tllr-drtp" if how.get("signal") == "drtp" else name):
            found, _ = gradient(made, rule, frames, labels, schedule=schedule, active_steps=active)
            assert_same(found, want, 1e-10)


def test_the_reference_runs_the_same_forward_pass() -> None:
    for name in NETS:
        made = make(name)
        frames, _ = batch(made)
        layers, readout = twin(made)
        trial = simulate(layers, readout, frames, PSI["triangle"])
        logits = made.run(frames).logits
        assert logits is not None
        assert float((torch.stack(trial.logits) - logits).detach().abs().max()) < 1e-12


@pytest.mark.parametrize("reset", ["soft", "hard", "none"])
@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("schedule", ["layerwise", "streaming"])
def test_every_neuron_constant_reaches_the_gradient(
    reset: str, inclusive: bool, schedule: str
) -> None:
    from localspike.nn import LIF, Integrator, Linear, Network, Readout, Spiking

    torch.manual_seed(2)
    neuron = LIF(0.83, 0.7, reset, reset_by=1.1, fires_at_threshold=inclusive)
    made = Network(
        {
            "a": Spiking(Linear(9, 8, bias=True, standardised=True), neuron, Linear(8, 8)),
            "readout": Readout(Linear(8, CLASSES, bias=True, standardised=True), Integrator(0.6)),
        },
        (9,),
    ).double()
    frames, labels = batch(made)
    on = torch.ones(len(frames), len(labels), dtype=torch.float64)
    want = expected(made, frames, labels, on, {"scale": "l2"}, [])
    found, result = gradient(made, rules.tess(), frames, labels, schedule=schedule)
    assert 0.05 < result.rates["a"] < 0.6
    assert_same(found, want, 1e-10)
