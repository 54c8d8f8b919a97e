"""The plain-data view says what the blocks compute."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from helpers import CLASSES, EVERY_RULE, cells, make
from localspike import Learner, rules
from localspike.describe import describe, describe_network, describe_neuron, describe_rule
from localspike.kernels.geometry import ConvGeometry
from localspike.nn import ALIF, LIF, CubaLIF, Integrator, models


def test_neurons_of_every_kind() -> None:
    lif = describe_neuron(LIF(0.8, 1.0, reset_by=0.7, fires_at_threshold=True))
    assert (lif.kind, lif.decay, lif.threshold, lif.reset, lif.reset_by) == (
        "LIF", 0.8, 1.0, "soft", 0.7,
    )  # fmt: skip
    assert lif.fires_at_threshold and (lif.adaptation, lif.synaptic_decay) == (0.0, 0.0)
    alif = describe_neuron(ALIF(adaptation=0.3, adaptation_decay=0.9))
    assert (alif.kind, alif.adaptation, alif.adaptation_decay) == ("ALIF", 0.3, 0.9)
    assert alif.reset_by == 0.6
    cuba = describe_neuron(CubaLIF(synaptic_decay=0.4))
    assert (cuba.kind, cuba.synaptic_decay, cuba.adaptation) == ("CubaLIF", 0.4, 0.0)
    out = describe_neuron(Integrator(0.9))
    assert (out.kind, out.decay, out.threshold, out.reset) == ("Integrator", 0.9, None, "none")


@pytest.mark.parametrize("reset", ["hard", "none"])
def test_only_a_soft_reset_has_an_amount(reset: str) -> None:
    assert describe_neuron(LIF(reset=reset)).reset_by is None  # type: ignore[arg-type]


def test_convolutions_with_their_geometry() -> None:
    a, b, c, readout = describe_network(make("conv"))
    assert (a.synapse.kind, a.synapse.kernel) == ("Conv2d", 3)
    assert a.synapse.geometry == ConvGeometry(1, 1, 1)
    assert b.synapse.geometry == ConvGeometry(2, 2, 2)
    assert (a.synapse.standardised, b.synapse.bias, c.synapse.standardised) == (True, True, False)
    assert b.synapse.weight_shape == (6, 2, 3, 3) and b.synapse.fan_in == 18
    assert (a.latent, b.latent, c.latent) == (2, 1, None)
    assert c.synapse.kernel == 2
    assert (readout.synapse.kind, readout.synapse.geometry, readout.synapse.kernel) == (
        "Linear", None, None,
    )  # fmt: skip
    assert readout.neuron.kind == "Integrator"


def test_a_description_is_plain_data() -> None:
    block = describe_network(models.recurrent(20, (30,), 4, neuron=ALIF()))[0]
    plain = asdict(block)
    assert plain["neuron"]["adaptation"] == 0.2 and plain["synapse"]["fan_in"] == 20
    assert block.recurrent and block.macs == 20 * 30 + 30 * 30 and block.neurons == 30


@pytest.mark.parametrize(
    ("rule", "net"),
    [
        (r, n)
        for r, n in cells([r for r in EVERY_RULE if r != "bptt"])
        if n in ("alif", "cuba", "conv")
    ],
)
def test_traces_are_those_a_learner_binds(rule: str, net: str) -> None:
    made, built = make(net), EVERY_RULE[rule]()
    found, bound = describe(made, built), Learner(made, built).credit.eligibilities
    assert found.classes == CLASSES and found.traces.keys() == bound.keys()
    for name, trace in found.traces.items():
        eligibility = bound[name]
        assert type(eligibility).__name__.removeprefix("Bound") == trace.kind
        assert eligibility.per_synapse == (trace.kind == "SynapseTrace")
        if isinstance(eligibility, rules.TwoTrace):
            assert trace.pre == {k: eligibility.decay_of(k) for k in trace.pre}
            assert trace.fast == {k: eligibility.fast_decay_of(k) for k in trace.fast}
            assert (trace.post_gain, trace.post_decay, trace.pre_gain, trace.trace_bias) == (
                eligibility.post_gain, eligibility.post_decay, eligibility.pre_gain,
                eligibility.trace_bias,
            )  # fmt: skip
        elif trace.kind == "SynapseTrace":
            assert trace.filter == eligibility.kappa  # type: ignore[attr-defined]


def test_a_block_that_does_not_learn_and_a_band_are_told() -> None:
    made = make("linear")
    for p in made.blocks["hidden1"].parameters():
        p.requires_grad_(False)
    assert [block.learns for block in describe_network(made)] == [False, True, True]
    assert describe_rule(rules.tess())["band"] is None
    assert describe_rule(rules.decolle(upper=0.1))["band"]["upper"] == 0.1
