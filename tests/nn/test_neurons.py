"""Every neuron in blocks, networks and models: sequence, steps, drive, gradients, calibration."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from helpers import assert_same, batch, close, grads, make
from localspike import Learner, models, rules
from localspike.errors import ConfigError, NumericalError
from localspike.kernels import surrogate
from localspike.nn import ALIF, LIF, CubaLIF, Linear, Network, Spiking
from localspike.nn.currents import driven
from localspike.nn.init import RATE_BAND, calibrate, probe
from localspike.nn.layer import Activity
from localspike.nn.neuron import NEURONS

KINDS: dict[str, LIF] = {
    "lif": LIF(0.8, 0.5),
    "alif": ALIF(0.8, 0.5, adaptation=0.15, adaptation_decay=0.9),
    "alif-hard": ALIF(0.9, 0.5, reset="hard", fires_at_threshold=True, adaptation=0.1),
    "cuba": CubaLIF(0.8, 0.5, synaptic_decay=0.6),
}
OTHERS = [kind for kind in KINDS if kind != "lif"]
PSI = surrogate.Triangle(height=0.5)


def made(name: str, neuron: LIF) -> Network:
    """A network of the shared ones with other neurons, firing."""
    net = make(name)
    for block in net.blocks.values():
        block.neuron = neuron
    calibrate(net, batch(net)[0], rate=0.25)
    return net


def both_ways(
    net: Network, frames: Tensor, drive: Tensor | None, spike: Any
) -> tuple[Activity, list[Activity]]:
    """The first block's sequence, and its steps one by one."""
    name, block = next(iter(net.blocks.items()))
    weights, at = block.weights(), frames.shape[1]
    state = net.init_state(at)[name]
    whole, last = block.sequence(frames, state, weights, spike=spike, drive=drive)
    steps = []
    for t, x in enumerate(frames):
        now = drive[t] if drive is not None and drive.ndim == whole.u.ndim else drive
        activity, state = block.step(x, state, weights, spike=spike, drive=now)
        steps.append(activity)
    for got, want in zip(last.tensors(), state.tensors(), strict=True):
        assert close(got.detach(), want.detach(), 1e-12)
    return whole, steps


@pytest.mark.parametrize("driving", ["none", "constant", "per step"])
@pytest.mark.parametrize("name", ["linear", "conv", "recurrent"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_is_its_steps(kind: str, name: str, driving: str) -> None:
    net = made(name, KINDS[kind])
    frames, _ = batch(net)
    block = next(iter(net.blocks.values()))
    shape = (*frames.shape[:2], *block.neuron_shape(net.sample_shape))
    generator = torch.Generator().manual_seed(0)
    each = 0.5 * torch.randn(shape, generator=generator, dtype=frames.dtype)
    drive = {"none": None, "constant": each[0], "per step": each}[driving]
    whole, steps = both_ways(net, frames, drive, surrogate.spike_function(PSI))
    for what in ("u", "o", "a", "o_prev"):
        series = getattr(whole, what)
        one_by_one = [getattr(s, what) for s in steps]
        assert (series is None) == (one_by_one[0] is None)
        if series is not None:
            assert close(series.detach(), torch.stack(one_by_one).detach(), 1e-12)
    assert (whole.a is not None) == kind.startswith("alif")
    distances = torch.stack([block.distance(s) for s in steps])
    assert close(block.distance(whole).detach(), distances.detach(), 1e-12)
    inclusive = block.neuron.fires_at_threshold
    assert torch.equal(surrogate.heaviside(distances, inclusive), whole.o)
    assert 0.03 < float(whole.o.detach().mean()) < 0.7


@pytest.mark.parametrize("name", ["linear", "recurrent"])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_a_sequence_are_those_of_its_steps(kind: str, name: str) -> None:
    net = made(name, KINDS[kind])
    frames, _ = batch(net)
    spike = surrogate.spike_function(PSI)
    found = []
    for way in (0, 1):
        net.zero_grad(set_to_none=True)
        whole, steps = both_ways(net, frames, None, spike)
        o = whole.o if way == 0 else torch.stack([s.o for s in steps])
        (o * torch.linspace(-1, 1, len(o), dtype=o.dtype).view(-1, 1, 1)).sum().backward()
        found.append(grads(net))
    assert_same(*found, 1e-12)
    assert float(found[0]["hidden1.synapse.weight"].norm()) > 0


@pytest.mark.parametrize("kind", OTHERS)
def test_bptt_sees_adaptation_and_synaptic_current(kind: str) -> None:
    """With the membrane forgetting all, only a or i carries credit from step to step."""
    neuron = replace(KINDS[kind], decay=0.0)
    net = made("linear", neuron)
    frames, labels = batch(net)
    Learner(net, rules.bptt()).gradient(frames, labels)
    through = grads(net)["hidden1.synapse.weight"]
    Learner(net, rules.sltt()).gradient(frames, labels)
    assert all(bool(torch.isfinite(g).all()) for g in grads(net).values())
    within = grads(net)["hidden1.synapse.weight"]
    assert float((through - within).norm()) > 1e-3 * float(within.norm()) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_running_in_pieces_is_running_at_once(kind: str) -> None:
    net = made("recurrent", KINDS[kind])
    frames, _ = batch(net)
    whole, first = net.run(frames), net.run(frames[:5])
    second = net.run(frames[5:], first.state)
    assert whole.logits is not None and first.logits is not None and second.logits is not None
    assert close(torch.cat((first.logits, second.logits)).detach(), whole.logits.detach(), 1e-12)


def test_a_factor_of_zero_is_plain_lif() -> None:
    plain = made("recurrent", LIF(0.8, 0.5))
    frames, _ = batch(plain)
    want = plain.run(frames)
    for neuron in (ALIF(0.8, 0.5, adaptation=0.0), CubaLIF(0.8, 0.5, synaptic_decay=0.0)):
        for block in plain.blocks.values():
            block.neuron = neuron
        assert torch.equal(plain.run(frames).logits, want.logits)


def test_state_is_held_only_where_there_is_dynamics() -> None:
    held = {}
    for kind, neuron in KINDS.items():
        state = Spiking(Linear(3, 2), neuron).init_state((3,), batch=4)
        held[kind] = (state.a is not None, state.i is not None, len(state.tensors()))
        assert all(float(x.abs().max()) == 0 for x in state.tensors())
    assert held == {
        "lif": (False, False, 1),
        "alif": (True, False, 2),
        "alif-hard": (True, False, 2),
        "cuba": (False, True, 2),
    }
    recurrent = Spiking(Linear(3, 2), KINDS["alif"], Linear(2, 2)).init_state((3,), batch=4)
    assert len(recurrent.tensors()) == 3


def test_drive_is_one_more_current() -> None:
    """A constant drive does what a bias does; a static input stays one frame under it."""
    torch.manual_seed(0)
    plain, biased = Spiking(Linear(6, 4), LIF()), Spiking(Linear(6, 4, bias=True), LIF())
    bias = torch.tensor([0.5, -0.2, 0.9, 0.0])
    with torch.no_grad():
        biased.synapse.weight.copy_(plain.synapse.weight)
        assert biased.synapse.bias is not None
        biased.synapse.bias.copy_(bias)
    x, fire = torch.rand(10, 3, 6), surrogate.spike_function(None)
    state = plain.init_state((6,), batch=3)
    got, _ = plain.sequence(x, state, plain.weights(), spike=fire, drive=bias.expand(3, 4))
    want, _ = biased.sequence(x, state, biased.weights(), spike=fire)
    undriven, _ = plain.sequence(x, state, plain.weights(), spike=fire)
    assert close(got.u.detach(), want.u.detach(), 1e-5)
    assert not torch.equal(got.o, undriven.o)
    static, each = torch.rand(3, 4).expand(10, 3, 4), torch.rand(10, 3, 4)
    assert driven(static, each[0]).stride(0) == 0
    assert torch.equal(driven(static, each[0])[7], static[0] + each[0])
    assert torch.equal(driven(static, each), static + each)


MODELS = {
    "mlp": lambda n: models.mlp(40, (50, 40), 5, neuron=n),
    "recurrent": lambda n: models.recurrent(40, (50,), 5, neuron=n),
    "vgg9": lambda n: models.vgg9(2, 5, image=8, width=0.05, neuron=n),
    "convnet": lambda n: models.convnet(2, 5, image=12, channels=(4, 6), neuron=n),
    "resnet": lambda n: models.resnet(2, 5, image=8, channels=(4, 6), neuron=n),
}
BORN = {
    "lif": LIF(),
    "alif": ALIF(),
    "alif-strong": ALIF(0.9, 1.0, adaptation=1.5, adaptation_decay=0.99),
    "cuba": CubaLIF(),
    "cuba-slow": CubaLIF(0.95, 1.0, synaptic_decay=0.9),
}


@pytest.mark.parametrize("kind", BORN)
@pytest.mark.parametrize("model", MODELS)
def test_every_model_is_born_firing_with_every_neuron(model: str, kind: str) -> None:
    torch.manual_seed(2)
    net = MODELS[model](BORN[kind])
    assert {type(block.neuron) for block in net.blocks.values()} == {type(BORN[kind])}
    rates = {k: float(r) for k, r in net.run(probe(net)).rates.items()}
    assert all(RATE_BAND[0] <= rate <= RATE_BAND[1] for rate in rates.values()), rates


@pytest.mark.parametrize(
    ("make_it", "message"),
    [
        (lambda: ALIF(adaptation=-0.1), r"ALIF adaptation: got -0\.1; expected a finite β >= 0"),
        (lambda: ALIF(adaptation=math.inf), r"ALIF adaptation: got inf"),
        (lambda: ALIF(adaptation=math.nan), r"ALIF adaptation: got nan"),
        (lambda: ALIF(adaptation_decay=1.1), r"ALIF adaptation_decay: got 1\.1"),
        (lambda: ALIF(threshold=0.0), r"LIF threshold: got 0\.0"),
        (lambda: CubaLIF(synaptic_decay=-0.1), r"CubaLIF synaptic_decay: got -0\.1"),
        (lambda: CubaLIF(synaptic_decay=math.nan), r"CubaLIF synaptic_decay: got nan"),
        (lambda: CubaLIF(decay=2.0), r"LIF decay out of range: got 2\.0"),
    ],
)
def test_values_out_of_range_are_refused(make_it: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_it()


def test_neurons_are_values() -> None:
    assert ALIF() == ALIF() != ALIF(adaptation=0.3) and len({ALIF(), ALIF(), LIF()}) == 2
    assert ALIF(0.9, 1.0, "soft", 0.7).amount == 0.7 and ALIF(threshold=0.8).amount == 0.8
    for neuron in (ALIF(), CubaLIF()):
        _ = neuron.constants  # what is kept beside the fields is no part of the value
        assert isinstance(neuron, LIF) and replace(neuron, decay=0.9).constants.decay == 0.9
        assert neuron != LIF() and LIF() != neuron
    plain = LIF()
    assert (plain.adaptation, plain.adaptation_decay, plain.synaptic_decay) == (0.0, 0.0, 0.0)
    assert {kind.__name__ for kind in NEURONS.values()} == {"LIF", "ALIF", "CubaLIF"}


@pytest.mark.parametrize(
    ("options", "shapes"),
    [
        ({}, [(4, 17, 17), (6, 8, 8)]),
        ({"kernel": 5}, [(4, 17, 17), (6, 8, 8)]),
        ({"kernel": 5, "stride": 2}, [(4, 8, 8), (6, 4, 4)]),
        ({"kernel": 1, "stride": 3}, [(4, 6, 6), (6, 3, 3)]),
        ({"kernel": 4, "stride": 2}, [(4, 9, 9), (6, 5, 5)]),
    ],
)
def test_convnet_shapes_follow_kernel_and_stride(
    options: dict[str, int], shapes: list[tuple[int, ...]]
) -> None:
    net = models.convnet(2, 10, image=34, channels=(4, 6), rate=None, **options)
    assert [net.output_shapes[name] for name in net.blocks] == shapes
    geometry = [block.synapse.geometry for block in net.blocks.values()]
    kernel = options.get("kernel", 3)
    assert [g.stride for g in geometry] == [options.get("stride", 1), 1]
    assert {g.padding for g in geometry} == {kernel // 2}
    assert net.readout is not None and net.readout.synapse.inputs == math.prod(shapes[-1])


@pytest.mark.parametrize("option", ["kernel", "stride"])
def test_convnet_refuses_geometry_that_cannot_be(option: str) -> None:
    with pytest.raises(ConfigError, match=rf"{option} of the convolutions: got 0"):
        models.convnet(2, 10, image=34, channels=(4, 6), **{option: 0})


@pytest.mark.parametrize("kind", KINDS)
def test_a_wild_membrane_is_named_with_block_and_step(kind: str) -> None:
    net = made("linear", KINDS[kind])
    frames, labels = batch(net)
    gain = net.blocks["hidden1"].synapse.gain
    assert gain is not None
    with torch.no_grad():
        gain.fill_(1e300)
    frames[4, 1] *= 1e10
    learner = Learner(net, rules.tess(), torch.optim.SGD(net.parameters(), lr=0.0))
    with pytest.raises(NumericalError, match=r"membrane appeared in block 'hidden1' at step 4"):
        learner.fit(frames, labels)
