"""Any temporal credit combines with any spatial credit that is defined for the network."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from helpers import assert_same, batch, gradient, hidden, make, norm
from localspike.learn.schedule import obstacles
from localspike.rules import (
    Backprop,
    ClassBasis,
    Contrast,
    MembraneBand,
    Projection,
    RankOne,
    Rule,
    Silent,
    SynapseTrace,
    Triangle,
    TwoTrace,
)
from localspike.rules.base import Eligibility
from localspike.rules.signal import Signal

ELIGIBILITIES: dict[str, Eligibility] = {
    "none": TwoTrace(0.0),
    "two": TwoTrace(0.6, 0.3, 0.8, -0.5),
    "own": TwoTrace(None, trace_bias=True, synaptic_decay=None),
    "double": TwoTrace(0.6, 0.3, 1.0, 0.5, synaptic_decay=0.4),
    "filtered": SynapseTrace(),
    "reset": SynapseTrace(0.0, True),
    "full": SynapseTrace(0.5, True, True),
    "rank-one": RankOne(0.7),
}
SIGNALS: dict[str, Callable[[], Signal]] = {
    "basis": ClassBasis,
    "filtered-basis": lambda: ClassBasis("random", "l2_full", latent_decay=0.7, mixing="gain"),
    "trained": lambda: ClassBasis("trained", 1.0, 0),
    "contrast": Contrast,
    "classes": lambda: Contrast(0.8, "classes"),
    "merged": lambda: Contrast(0.8, "merged"),
    "label": lambda: Projection("drtp"),
    "events": lambda: Projection("drtp", label_period=3),
    "error": Projection,
    "sign": lambda: Projection("sdfa", batch_mean=False),
    "adaptive": lambda: Projection("adaptive"),
    "symmetric": lambda: Projection("symmetric"),
    "backprop": Backprop,
    "silent": Silent,
}


@pytest.mark.parametrize("net", ["recurrent", "conv-alif", "hard"])
@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("eligibility", ELIGIBILITIES)
def test_schedules_agree_on_every_combination(eligibility: str, signal: str, net: str) -> None:
    if signal == "symmetric":
        net = "single-alif" if net == "hard" else "single-cuba"
    made = make(net)
    rule = Rule("r", ELIGIBILITIES[eligibility], SIGNALS[signal](), Triangle())
    frames, labels = batch(made)
    legal = [name for name, why in obstacles(rule, "sequence").items() if why is None]
    assert len(legal) == 2
    options = {"active_steps": [1, 2, 7, 11]}
    a, first = gradient(made, rule, frames, labels, schedule=legal[0], **options)
    b, second = gradient(made, rule, frames, labels, schedule=legal[1], **options)
    assert_same(a, b, 1e-11)
    assert first.rates == pytest.approx(second.rates)
    assert (norm(hidden(a)) > 1e-4) == (signal != "silent")


@pytest.mark.parametrize("net", ["conv", "cuba", "alif"])
@pytest.mark.parametrize("signal", [s for s in SIGNALS if s not in ("symmetric", "silent")])
@pytest.mark.parametrize("eligibility", ["none", "two", "own", "double"])
def test_a_membrane_band_joins_every_rule_of_two_factors(
    eligibility: str, signal: str, net: str
) -> None:
    made = make(net)
    band = MembraneBand(0.3, 0.2)
    rule = Rule("r", ELIGIBILITIES[eligibility], SIGNALS[signal](), Triangle(), band)
    legal = [name for name, why in obstacles(rule, "sequence").items() if why is None]
    options = {"active_steps": [1, 2, 7, 11]}
    a, _ = gradient(made, rule, *batch(made), schedule=legal[0], **options)
    b, _ = gradient(made, rule, *batch(made), schedule=legal[1], **options)
    assert_same(a, b, 1e-11)
    bare = Rule("r", ELIGIBILITIES[eligibility], SIGNALS[signal](), Triangle())
    c, _ = gradient(made, bare, *batch(made), **options)
    assert norm({k: a[k] - c[k] for k in hidden(c)}) > 1e-4 * norm(hidden(c))
