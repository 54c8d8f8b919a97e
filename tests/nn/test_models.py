"""Every model: alive at birth, wired as said, deterministic, and without hidden state."""

from __future__ import annotations

import pytest
import torch

from helpers import CLASSES, batch, close, make
from localspike import Learner, models, rules
from localspike.errors import ConfigError
from localspike.kernels.surrogate import spike_function
from localspike.nn import LIF, Dropout, Linear, Network, Readout, Spiking
from localspike.nn.init import RATE_BAND, calibrate, probe

SIZES = {
    "mlp-narrow": lambda: models.mlp(20, (30,), 4),
    "mlp-deep": lambda: models.mlp(80, (60, 50, 40, 30), 10, bias=True),
    "mlp-wide-plain": lambda: models.mlp(300, (400, 200), 10, standardised=False),
    "mlp-dropout": lambda: models.mlp(40, (50, 50), 4, dropout=0.5),
    "mlp-slow": lambda: models.mlp(40, (50, 50), 4, neuron=LIF(0.95, 1.0, reset="hard")),
    "recurrent": lambda: models.recurrent(40, (50,), 6),
    "recurrent-two": lambda: models.recurrent(30, (40, 20), 6, standardised=False),
    "vgg9-cifar": lambda: models.vgg9(3, 10, width=0.125),
    "vgg9-odd": lambda: models.vgg9(2, 11, image=18, width=0.07, pooling="avg"),
    "vgg9-plain": lambda: models.vgg9(1, 3, image=8, width=0.05, standardised=False),
    "convnet": lambda: models.convnet(2, 10, image=34, channels=(8, 16)),
    "convnet-avg": lambda: models.convnet(1, 4, image=9, channels=(4, 6, 8), pooling="avg"),
    "resnet": lambda: models.resnet(3, 10, image=16, channels=(8, 16)),
    "resnet-one": lambda: models.resnet(2, 4, image=12, channels=(6,), standardised=False),
    "resnet-silent-rate": lambda: models.resnet(2, 4, image=12, channels=(6, 8), rate=0.05),
}


@pytest.mark.parametrize("seed", [0, 11])
@pytest.mark.parametrize("name", SIZES)
def test_every_block_fires_in_the_band_at_birth(name: str, seed: int) -> None:
    torch.manual_seed(seed)
    net = SIZES[name]()
    rates = net.run(probe(net)).rates
    assert set(rates) == set(net.blocks)
    outside = {
        k: float(r) for k, r in rates.items() if not RATE_BAND[0] <= float(r) <= RATE_BAND[1]
    }
    assert not outside
    fresh = net.run(probe(net, seed=5)).rates  # other spikes of the same rate
    outside = {k: float(r) for k, r in fresh.items() if not 0.5 * RATE_BAND[0] <= float(r) <= 0.6}
    assert not outside


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.45])
def test_calibration_reaches_the_rate_asked_for(rate: float) -> None:
    torch.manual_seed(0)
    net = models.mlp(50, (80, 60), 5)
    rates = calibrate(net, batch(net)[0], rate)
    seen = net.run(batch(net)[0]).rates
    for name, value in rates.items():
        assert value == pytest.approx(rate, abs=0.02)
        assert float(seen[name]) == pytest.approx(value, abs=1e-6)


def test_calibration_scales_and_changes_nothing_else() -> None:
    torch.manual_seed(0)
    net = models.mlp(50, (80,), 5, bias=True)
    before = {k: p.detach().clone() for k, p in net.named_parameters()}
    calibrate(net, batch(net)[0], 0.3)
    after = dict(net.named_parameters())
    changed = {k for k in before if not torch.equal(before[k], after[k])}
    assert changed == {"modules_by_name.hidden1.synapse.gain"}
    gain = "modules_by_name.hidden1.synapse.gain"
    factors = after[gain].detach() / before[gain]
    assert float((factors - factors[0]).abs().max()) < 1e-5
    plain = models.mlp(50, (80,), 5, standardised=False)
    weight = plain.blocks["hidden1"].synapse.weight.detach().clone()
    calibrate(plain, batch(plain)[0], 0.3)
    ratio = plain.blocks["hidden1"].synapse.weight.detach() / weight
    assert float((ratio - ratio[0, 0]).abs().max()) < 1e-3


@pytest.mark.parametrize("standardised", [True, False])
def test_silent_input_cannot_be_calibrated_and_leaves_the_weights(standardised: bool) -> None:
    net = models.mlp(20, (10,), 3, standardised=standardised)
    before = {k: p.detach().clone() for k, p in net.named_parameters()}
    with pytest.raises(
        ConfigError,
        match=r"block 'hidden1' cannot be brought to fire: got 0.000 spikes.*not silent",
    ):
        calibrate(net, torch.zeros(6, 2, 20))
    assert all(torch.equal(before[k], p) for k, p in net.named_parameters())


def test_constructing_a_model_repeats_by_seed() -> None:
    made = []
    for _ in range(2):
        torch.manual_seed(7)
        made.append(models.resnet(2, 4, image=8, channels=(4,)))
    assert all(
        torch.equal(a, b) for a, b in zip(made[0].parameters(), made[1].parameters(), strict=True)
    )


def test_vgg9_is_the_papers() -> None:
    assert models.VGG9_WIDTHS == (64, 128, 256, 256, 512, 512, 512, 512)
    net = models.vgg9(3, 10, width=0.125)
    shapes = {k: tuple(b.synapse.weight.shape) for k, b in net.blocks.items()}
    widths = (3, 8, 16, 32, 32, 64, 64, 64, 64)
    assert shapes == {f"conv{i}": (widths[i], widths[i - 1], 3, 3) for i in range(1, 9)}
    assert [b.latent for b in net.blocks.values()] == [4, 2, 2, 2, 2, 2, 2, 1]
    sides = [net.output_shapes[f"conv{i}"][1] for i in range(1, 9)]
    assert sides == [32, 16, 16, 8, 8, 4, 4, 1]
    assert all(b.synapse.bias is None and b.synapse.gain is not None for b in net.blocks.values())
    assert net.readout.synapse.weight.shape == (10, 64)


def test_residual_wiring_is_the_manual_sum() -> None:
    """The sum of spikes feeds every reader: the whole forward pass by hand."""
    net = make("residual")
    frames, _ = batch(net)
    fire = spike_function(None)
    state = net.init_state(3)
    logits = []
    for x in frames:
        out = {}
        for name, sources in (
            ("stem", None),
            ("left", ("stem",)),
            ("right", ("stem",)),
            ("join", ("left", "right", "stem")),
        ):
            given = x if sources is None else torch.stack([out[s] for s in sources]).sum(0)
            block = net.blocks[name]
            activity, state[name] = block.step(given, state[name], block.weights(), spike=fire)
            out[name] = activity.out
        y, state["readout"] = net.readout.step(out["join"], state["readout"], net.readout.weights())
        logits.append(y)
    assert close(torch.stack(logits).sum(0).detach(), net(frames).detach(), 1e-12)


def test_resnet_wires_sum_shortcuts() -> None:
    net = models.resnet(2, 4, image=16, channels=(4, 8))
    assert net.wires == {
        "stem": ("input",),
        "res1a": ("stem",),
        "res1b": ("res1a",),
        "skip2": ("res1b", "stem"),
        "res2a": ("res1b", "stem"),
        "res2b": ("res2a",),
        "pool": ("res2b", "skip2"),
        "readout": ("pool",),
    }
    shapes = {k: tuple(b.synapse.weight.shape) for k, b in net.blocks.items()}
    assert shapes["skip2"] == (8, 4, 1, 1)
    assert net.output_shapes["res2b"] == net.output_shapes["skip2"] == (8, 8, 8)


@pytest.mark.parametrize("name", ["linear", "conv", "recurrent", "residual"])
def test_running_in_pieces_is_running_at_once(name: str) -> None:
    net = make(name)
    frames, _ = batch(net)
    whole = net.run(frames)
    first = net.run(frames[:5])
    second = net.run(frames[5:], first.state)
    assert close(torch.cat((first.logits, second.logits)).detach(), whole.logits.detach(), 1e-12)


def test_predict_is_the_largest_summed_logit() -> None:
    net = make("recurrent")
    frames, _ = batch(net, size=8)
    predicted = net.predict(frames)
    assert predicted.dtype == torch.int64
    assert predicted.tolist() == net.run(frames).logits.sum(0).argmax(1).tolist()
    lengths = torch.tensor([12, 1, 5, 3, 8, 2, 12, 7])
    alone = [int(net.predict(frames[:n, b : b + 1])) for b, n in enumerate(lengths.tolist())]
    assert net.predict(frames, lengths).tolist() == alone
    assert not predicted.requires_grad


def test_two_sequences_in_their_own_states_do_not_meet() -> None:
    for rule in (rules.tess(latent_decay=0.5), rules.s_tllr("dfa"), rules.ottt()):
        net = make("recurrent")
        (a, labels_a), (b, labels_b) = batch(net, size=2, seed=1), batch(net, size=3, seed=2)
        learner = Learner(net, rule)
        alone = []
        for frames, labels in ((a, labels_a), (b, labels_b)):
            state = learner.init_stream(len(labels))
            alone.append([learner.stream(x, labels, state).logits for x in frames])
            learner.end_sequence()
        first, second = learner.init_stream(2), learner.init_stream(3)
        for t in range(12):
            one = learner.stream(a[t], labels_a, first)
            two = learner.stream(b[t], labels_b, second)
            assert torch.equal(one.logits, alone[0][t])
            assert torch.equal(two.logits, alone[1][t])
        learner.end_sequence()


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_masks_keep_the_mean_and_repeat_by_seed(p: float) -> None:
    op = Dropout(p)
    like = torch.zeros(1)
    mask = op.draw((50, 400), like, torch.Generator().manual_seed(3))
    assert sorted(mask.unique().tolist()) == pytest.approx([0.0, 1 / (1 - p)])
    assert float(mask.mean()) == pytest.approx(1.0, abs=0.1)
    assert torch.equal(mask, op.draw((50, 400), like, torch.Generator().manual_seed(3)))
    assert not torch.equal(mask, op.draw((50, 400), like, torch.Generator().manual_seed(4)))


def test_dropout_drops_the_same_elements_for_a_whole_sequence() -> None:
    """A neuron that always fires is either always or never seen by the next block."""
    block = Spiking(Linear(1, 64), LIF(0.0), tail=(Dropout(0.5),))
    with torch.no_grad():
        block.synapse.weight.fill_(1.0)
    frames = torch.ones(10, 5, 1)
    generator = torch.Generator().manual_seed(0)
    state = block.init_state((1,), 5, training=True, generator=generator)
    out = block.sequence(frames, state, block.weights(), spike=spike_function(None))[0].out
    assert bool((out == out[0]).all())
    assert not torch.equal(out[:, 0], out[:, 1])
    assert 0.3 < float((out[0] > 0).float().mean()) < 0.7
    steps = []
    for x in frames:
        activity, state = block.step(x, state, block.weights(), spike=spike_function(None))
        steps.append(activity.out)
    assert torch.equal(torch.stack(steps), out)
    quiet = block.init_state((1,), 5)
    plain = block.sequence(frames, quiet, block.weights(), spike=spike_function(None))[0].out
    assert bool((plain == 1).all())


def test_dropout_changes_training_and_nothing_else() -> None:
    net = make("dropout")
    frames, labels = batch(net)
    first, second = (
        Learner(net, rules.tess(), seed=1).fit(frames, labels).logits for _ in range(2)
    )
    other = Learner(net, rules.tess(), seed=2).fit(frames, labels).logits
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    learner = Learner(net, rules.tess(), seed=1)
    one, two = learner.fit(frames, labels).logits, learner.fit(frames, labels).logits
    assert not torch.equal(one, two)
    assert torch.equal(
        learner.evaluate(frames, labels).logits, learner.gradient(frames, labels).logits
    )


def test_state_dict_holds_parameters_only() -> None:
    net = make("conv")
    assert set(net.state_dict()) == {k for k, _ in net.named_parameters()}
    other = make("conv", seed=8)
    other.load_state_dict(net.state_dict())
    frames, _ = batch(net)
    assert torch.equal(other(frames), net(frames))


def test_a_readout_may_read_the_input_itself() -> None:
    net = Network({"readout": Readout(Linear(6, CLASSES, bias=True))}, (6,)).double()
    frames, labels = batch(net)
    result = Learner(net, rules.tess()).fit(frames, labels)
    assert result.rates == {}
    expected = frames.sum(0) @ net.readout.synapse.weight.T + 12 * net.readout.synapse.bias
    assert close(result.logits, expected.detach(), 1e-12)
