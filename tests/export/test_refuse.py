"""What has no code on a device is refused by name, before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from helpers_export import planned
from localspike import models, rules
from localspike.errors import ConfigError, IllegalError
from localspike.export import plan_of
from localspike.export.vectors import make_vectors
from localspike.learn import online
from localspike.nn import ALIF, LIF, Conv2d, Linear, Network, Readout, Spiking, fold


class Half(Linear):
    """A synapse of a user's own."""

    def forward(self, *arguments: Any, **options: Any) -> torch.Tensor:
        return 0.5 * super().forward(*arguments, **options)


def net(**options: Any) -> Network:
    return models.mlp(20, (12,), 4, **options)


def wired() -> Network:
    blocks = {
        "a": Spiking(Linear(6, 6)), "b": Spiking(Linear(6, 6)), "out": Readout(Linear(6, 3)),
    }  # fmt: skip
    return Network(blocks, (6,), {"b": ("a", "input")})


def grouped() -> Network:
    blocks = {"a": Spiking(Conv2d(2, 4, 3, groups=2)), "out": Readout(Linear(16, 3))}
    return Network(blocks, (2, 4, 4))


NOT_FINITE = float("nan")


def broken() -> Network:
    made = fold(net())
    with torch.no_grad():
        made.blocks["hidden1"].synapse.weight[0, 0] = NOT_FINITE
    return made


@pytest.mark.parametrize(
    ("make", "rule", "message"),
    [
        (net, rules.bptt(), "signal|eligibility"),
        (net, rules.s_tllr(), "signal Backprop"),
        (net, rules.lls(mixing="matrix"), "mixing matrix"),
        (net, rules.tess(published_code=True), "basis sine_square"),
        (net, rules.tess(pool=3), "a vector pooled to 3 latents"),
        (net, rules.e_prop(), "cannot be exported"),
        (lambda: net(neuron=ALIF()), rules.tess(), "ALIF"),
        (lambda: net(neuron=LIF(reset="hard")), rules.tess(), "reset hard"),
        (lambda: net(neuron=LIF(fires_at_threshold=True)), rules.tess(), "fires at threshold"),
        (wired, rules.tess(), "sources"),
        (grouped, rules.tess(pool=0), "2 groups"),
        (broken, rules.tess(), "not finite"),
        (lambda: models.mlp(70_000, (3,), 2, rate=None), rules.tess(), "65535"),
        (
            lambda: models.convnet(2, 4, image=12, channels=(4, 4)),
            rules.tess(pool=4),
            "latents 4 x 4 of a map 6 x 6",
        ),
    ],
)
def test_what_the_runtime_has_no_code_for(
    make: Callable[[], Network], rule: rules.Rule, message: str
) -> None:
    with pytest.raises(IllegalError, match=message):
        plan_of(fold(make()), rule)


def test_weights_that_are_not_folded_and_synapses_of_a_users_own() -> None:
    with pytest.raises(IllegalError, match="not folded"):
        plan_of(net(), rules.tess())
    blocks = {"a": Spiking(Half(6, 6)), "out": Readout(Linear(6, 3))}
    with pytest.raises(IllegalError, match="Half"):
        fold(Network(blocks, (6,)))


def test_learnt_weights_fit_only_what_stays_beside_them() -> None:
    """Two nets of one architecture: one hash if all learns, two if a layer that differs stays."""
    plans = []
    for learns in (None, {"readout"}):
        for seed in (0, 1):
            torch.manual_seed(seed)
            plans.append(plan_of(fold(net()), rules.tess(), learns=learns))
    hashes = [plan.hash for plan in plans]
    assert hashes[0] == hashes[1] and len(set(hashes[1:])) == 3


def test_what_a_rule_does_not_teach_does_not_learn() -> None:
    """Asked for by name, or a silent rule under a name of its own."""
    silent = replace(rules.frozen(), name="mine")
    plan = plan_of(fold(net()), silent, learns=["hidden1", "readout"])
    assert [layer.signal for layer in plan.layers] == ["none", "error"]
    with pytest.raises(IllegalError, match="no such block"):
        plan_of(fold(net()), silent, learns=["hidden9"])


def test_dropout_is_left_behind() -> None:
    """So the online mode draws no masks either: two passes of one learner give equal logits."""
    made = net(dropout=0.5)
    with pytest.raises(IllegalError, match="no dropout"):
        plan_of(models.mlp(20, (12,), 4, dropout=0.5, standardised=False), rules.tess())
    plan_of(fold(made), rules.tess())
    learner = online(made, rules.tess(), rate=1e-9)
    frames = torch.ones(12, 1, 20)
    first, second = (learner.fit(frames, torch.tensor([1])).logits for _ in range(2))
    torch.testing.assert_close(first, second, atol=1e-4, rtol=0)


def test_vectors_are_of_whole_sequences() -> None:
    plan, _, _ = planned("linear")
    with pytest.raises(ConfigError, match="13 steps"):
        make_vectors(plan, np.zeros((13, plan.inputs), np.uint8))
