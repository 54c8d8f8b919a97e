"""Synaptic operations: what spikes of a real run would add up, from their rates."""

from __future__ import annotations

import pytest
import torch

from localspike import models, rules
from localspike.cost import Setting, operations, products
from localspike.describe import describe
from localspike.errors import ConfigError


def test_a_spike_adds_to_every_neuron_it_reaches() -> None:
    torch.manual_seed(0)
    net = models.recurrent(20, (15, 12), 4)
    frames = (torch.rand(10, 3, 20) < 0.3).float()
    fired: dict[str, float] = {}
    adds = 0.0
    outgoing = {"hidden1": 12 + 15, "hidden2": 4 + 12}
    run = net.run(frames, visit=lambda n, b, a, w: fired.update({n: float(a.o.sum())}))
    for name, spikes in fired.items():
        adds += spikes * outgoing[name]
    adds += float(frames.sum()) * 15
    rates = {name: float(rate) for name, rate in run.rates.items()}
    found = operations(describe(net, rules.tess()), rates, float(frames.mean()))
    assert sum(o.accumulates for o in found.values()) * 30 == pytest.approx(adds, rel=1e-5)
    assert not any(o.multiplies for o in found.values())


def test_an_analog_input_multiplies_and_all_rates_at_one_are_dense() -> None:
    about = describe(models.vgg9(3, 10, image=8, width=1 / 16, rate=None), rules.tess())
    dense = {name: p.forward for name, p in products(about, Setting()).items()}
    analog, spikes = operations(about, 1.0), operations(about, 1.0, 1.0)
    assert analog["conv1"] == (0.0, dense["conv1"])
    assert {name: o.accumulates for name, o in spikes.items()} == dense
    half = operations(about, 0.5)["conv2"]
    assert half.accumulates == dense["conv2"] / 2


def test_sources_that_are_added_each_count() -> None:
    about = describe(models.resnet(2, 4, image=8, channels=(4,), rate=None), rules.tess())
    names = [b.name for b in about.blocks if b.kind != "readout"]
    found = operations(about, {**dict.fromkeys(names, 0.0), "stem": 0.1, "res1b": 0.2})
    (pool,) = (b for b in about.blocks if b.name == "pool")
    assert pool.sources == ("res1b", "stem")
    assert found["pool"].accumulates == pytest.approx(0.3 * pool.macs)


@pytest.mark.parametrize(
    "wrong", [{"rates": 1.5}, {"rates": {}}, {"rates": 0.1, "input_rate": -0.1}]
)
def test_rates_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    about = describe(models.mlp(9, (7,), 4, rate=None), rules.tess())
    with pytest.raises(ConfigError, match=r"the rate of '(hidden1|input)'"):
        operations(about, **wrong)  # type: ignore[arg-type]
