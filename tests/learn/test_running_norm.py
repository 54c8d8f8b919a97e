"""Normalised blocks: one meaning in all schedules, batch normalisation where that is known."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from localspike import Learner, models, rules
from localspike.errors import ConfigError, IllegalError, NumericalError
from localspike.kernels import compiling
from localspike.kernels.surrogate import Triangle, spike_function
from localspike.learn.loss import SquaredError
from localspike.nn import LIF, Conv2d, Linear, Network, Readout, Spiking
from localspike.nn.currents import merged_currents
from localspike.nn.running import EPSILON
from localspike.rules import Rule

STEPS, BATCH, CLASSES = 12, 3, 4
MOMENTUM = 0.3
NETS: dict[str, Callable[[], Network]] = {
    "mlp": lambda: models.mlp(20, (30, 25), CLASSES, norm_momentum=MOMENTUM, rate=0.2),
    "recurrent": lambda: models.recurrent(20, (30,), CLASSES, norm_momentum=MOMENTUM, rate=0.2),
    "conv": lambda: models.convnet(
        2, CLASSES, image=10, channels=(4, 6), norm_momentum=MOMENTUM, rate=0.2
    ),
}
RULES: dict[str, Callable[[], Rule]] = {
    "tess": lambda: rules.tess(post_gain=0.7),
    "tess_plus": rules.tess_plus,
    "ottt": rules.ottt,
    "s_tllr-dfa": lambda: rules.s_tllr("dfa"),
}
SEQUENCE = {"tess": "layerwise", "tess_plus": "layerwise"}


def made(net: str) -> Network:
    torch.manual_seed(1)
    return NETS[net]().double()


def frames_of(net: Network, seed: int = 0, steps: int = STEPS) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (steps, BATCH, *net.sample_shape)
    frames = (torch.rand(shape, generator=generator) < 0.3).double() * 1.3
    return frames, torch.randint(CLASSES, (BATCH,), generator=generator)


def trained(
    net: Network, rule: Rule, lengths: Tensor | None = None, rounds: int = 3, **options: object
) -> tuple[Learner, Network]:
    net = copy.deepcopy(net)
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.2)
    learner = Learner(net, rule, optimizer, **options)  # type: ignore[arg-type]
    for i in range(rounds):
        learner.fit(*frames_of(net, i), lengths)
    return learner, net


def statistics(net: Network) -> dict[str, Tensor]:
    return {k: p.detach().clone() for k, p in net.named_parameters() if ".norm." in k}


def apart(one: Network, other: Network) -> float:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max(float((a.detach() - b.detach()).abs().max()) for a, b in pairs)


@pytest.mark.parametrize("lengths", [None, torch.tensor([12, 7, 9])], ids=["whole", "padded"])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", NETS)
def test_schedules_agree_on_weights_and_statistics(
    name: str, rule: str, lengths: Tensor | None
) -> None:
    net = made(name)
    whole = trained(net, RULES[rule](), lengths, schedule=SEQUENCE.get(rule, "two_sweep"))[1]
    streamed = trained(net, RULES[rule](), lengths, schedule="streaming")[1]
    assert apart(whole, streamed) < 1e-12
    moved = {k: float((v - statistics(net)[k]).abs().max()) for k, v in statistics(whole).items()}
    assert min(moved.values()) > 1e-4, moved
    rates = [float(r) for r in whole.run(frames_of(whole)[0]).rates.values()]
    assert min(rates) > 0.05 and max(rates) < 0.6


@pytest.mark.skipif(
    compiling.obstacle(torch.device("cpu")) is not None, reason="no C++ compiler for kernels"
)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_compiled_it_is_the_same() -> None:
    net = made("conv")
    (lean, compiled), (_, eager) = (
        trained(net, rules.tess(post_gain=0.7), compile=choice) for choice in ("on", "off")
    )
    assert lean.lean and apart(compiled, eager) < 1e-9


def test_a_long_sequence_stays_in_one_piece() -> None:
    """Parts would miss what reaches across their starts; streaming has no parts."""
    net = made("mlp")
    found = []
    for schedule in ("layerwise", "streaming"):
        learner, after = trained(net, rules.tess(), rounds=0, schedule=schedule)
        learner.fit(*frames_of(after, steps=300))
        found.append(after)
    assert apart(*found) < 1e-12


@pytest.mark.parametrize("name", ["mlp", "conv"])
def test_a_batch_of_one_updated_at_every_step(name: str) -> None:
    net = made(name)
    before = statistics(net)
    learner, after = trained(net, rules.tess(), rounds=0, schedule="streaming", update="step")
    frames, labels = frames_of(net)
    for x in frames[:, :1]:
        learner.stream(x, labels[:1])
    moved = statistics(after)
    assert all(bool(torch.isfinite(v).all()) for v in moved.values())
    assert all(float((v - before[k]).abs().max()) > 1e-4 for k, v in moved.items())
    assert learner.capture_reason == "eager: its blocks keep running statistics"


# -- against batch normalisation by autograd ---------------------------------------------------


def _layer(conv: bool) -> Network:
    torch.manual_seed(3)
    options = {"standardised": True, "norm_momentum": 1.0}
    if conv:
        synapse, shape, out = Conv2d(2, 5, 3, padding=1, **options), (2, 6, 6), 5 * 36  # type: ignore[arg-type]
    else:
        synapse, shape, out = Linear(12, 9, **options), (12,), 9  # type: ignore[arg-type, assignment]
    blocks = {"a": Spiking(synapse, LIF(0.5, 0.6)), "out": Readout(Linear(out, CLASSES))}
    return Network(blocks, shape).double()


def _by_autograd(net: Network, frames: Tensor, labels: Tensor) -> Tensor:
    """∂L/∂W through batch normalisation over T·B and positions, membranes detached."""
    block = net.blocks["a"]
    synapse, gain = block.synapse, block.synapse.gain
    assert gain is not None
    w = synapse.weight.detach().clone().requires_grad_()
    flat = w.flatten(1)
    centred = flat - flat.mean(1, keepdim=True)
    var = flat.var(1, keepdim=True)
    unit = (centred * torch.rsqrt(var * flat.shape[1] + 1e-4)).view_as(w)
    c = merged_currents(synapse, frames, unit, None)
    axes = tuple(i for i in range(c.ndim) if i != 2)
    mean = c.mean(axes, keepdim=True)
    sd = ((c - mean).square().mean(axes, keepdim=True) + EPSILON).sqrt()
    shape = [1, 1, -1, *[1] * (c.ndim - 3)]
    currents = gain.detach().view(shape) * (c - mean) / sd
    spike, v, loss = spike_function(Triangle()), torch.zeros_like(currents[0]), torch.zeros(())
    for current in currents:
        u = 0.5 * v.detach() + current
        o = spike(u - 0.6)
        v = (u - 0.6 * o).detach()
        logits = net.readout.synapse(o.flatten(1), net.readout.synapse.weight.detach())  # type: ignore[union-attr]
        loss = loss + torch.nn.functional.cross_entropy(logits, labels)
    return torch.autograd.grad(loss, w)[0]


@pytest.mark.parametrize("conv", [False, True], ids=["linear", "conv"])
def test_settled_on_a_batch_it_is_batch_normalisation(conv: bool) -> None:
    """Momentum 1 and no change of weights: the statistics are those of the batch itself."""
    net = _layer(conv)
    frames, labels = frames_of(net)
    learner = Learner(net, rules.sltt(surrogate="triangle"), schedule="two_sweep")
    first = learner.gradient(frames, labels)
    unsettled = net.blocks["a"].synapse.weight.grad
    assert unsettled is not None and first.loss > 0
    unsettled = unsettled.clone()
    learner = Learner(net, rules.sltt(surrogate="triangle"), torch.optim.SGD(net.parameters(), 0.0))
    for _ in range(3):  # moments, then post factors under them, then the gradient
        learner.fit(frames, labels)
    found, wanted = net.blocks["a"].synapse.weight.grad, _by_autograd(net, frames, labels)
    assert found is not None
    rate = float(net.run(frames).rates["a"])
    assert 0.05 < rate < 0.6
    assert float((found - wanted).norm()) < 1e-4 * float(wanted.norm())  # ε counts twice
    assert float((unsettled - wanted).norm()) > 0.05 * float(wanted.norm())


# -- what may change statistics, and what may not ------------------------------------------------


def test_judging_and_looking_leave_statistics_alone() -> None:
    learner, net = trained(made("mlp"), rules.tess())
    before = statistics(net)
    frames, labels = frames_of(net, 7)
    learner.evaluate(frames, labels)
    learner.gradient(frames, labels)
    net.predict(frames)
    assert all(bool((v == before[k]).all()) for k, v in statistics(net).items())


def test_a_refused_batch_leaves_statistics_alone() -> None:
    learner, net = trained(made("mlp"), rules.tess(), rounds=1)
    before = statistics(net)
    with torch.no_grad():
        net.blocks["hidden1"].synapse.weight[0] = float("inf")
    with pytest.raises(NumericalError):
        learner.fit(*frames_of(net, 1))
    with torch.no_grad():
        net.blocks["hidden1"].synapse.weight[0] = 1.0
    assert all(bool((v == before[k]).all()) for k, v in statistics(net).items())
    learner.fit(*frames_of(net, 2))
    assert all(bool(torch.isfinite(v).all()) for v in statistics(net).values())


def test_a_group_of_batches_goes_on_from_a_checkpoint() -> None:
    nets = []
    for stop in (False, True):
        learner, net = trained(made("mlp"), rules.tess(), rounds=0, accumulate=2)
        learner.fit(*frames_of(net, 0))
        if stop:
            state, weights = learner.state_dict(), net.state_dict()
            learner, net = trained(made("mlp"), rules.tess(), rounds=0, accumulate=2)
            net.load_state_dict(weights)
            learner.load_state_dict(state)
        learner.fit(*frames_of(net, 1))
        nets.append(net)
    assert apart(*nets) == 0.0


def test_statistics_follow_the_current() -> None:
    """After many batches at a step size of 0 they are the moments of what comes in."""
    net = made("mlp")
    learner, net = trained(net, rules.tess(), rounds=0)
    learner.optimizer.param_groups[0]["lr"] = 0.0  # type: ignore[union-attr]
    frames, labels = frames_of(net)
    for _ in range(60):
        learner.fit(frames, labels)
    synapse = net.blocks["hidden1"].synapse
    factor = synapse.gain * synapse.norm.inverse()[:, None]  # type: ignore[operator, union-attr]
    c = merged_currents(synapse, frames, synapse.effective_weight() / factor, None)
    torch.testing.assert_close(synapse.norm.mean.data, c.mean((0, 1)).detach())  # type: ignore[union-attr]
    torch.testing.assert_close(synapse.norm.square.data, c.square().mean((0, 1)).detach())  # type: ignore[union-attr]


def test_a_calibrated_net_begins_centred() -> None:
    net = made("conv")
    for name, block in net.blocks.items():
        norm = block.synapse.norm
        assert norm is not None, name
        assert float((norm.square - norm.mean.square()).min()) > 0
        assert float(norm.mean.abs().max()) > 1e-3


def test_silence_says_nothing() -> None:
    """A still unit's spread is not shrunk until noise fires it."""
    learner, net = trained(made("mlp"), rules.tess(), rounds=1)
    before = statistics(net)
    frames, labels = frames_of(net)
    for _ in range(30):
        learner.fit(torch.zeros_like(frames), labels)
    norm = net.blocks["hidden1"].synapse.norm
    assert norm is not None
    for name in ("mean", "square"):
        assert bool(
            (getattr(norm, name) == before[f"modules_by_name.hidden1.synapse.norm.{name}"]).all()
        )


def test_a_refused_step_of_a_stream_leaves_no_trace() -> None:
    net = models.mlp(20, (30, 25), 2, norm_momentum=MOMENTUM, rate=0.2)
    learner = Learner(
        net, rules.ottt(), torch.optim.SGD(net.parameters(), 1e-6),
        loss=SquaredError(), schedule="streaming", update="step",
    )  # fmt: skip
    x, good = torch.ones(3, 20), torch.zeros(3, 2)
    learner.stream(x, good)
    before = statistics(net)
    with pytest.raises(NumericalError):
        learner.stream(x, torch.full((3, 2), 3e38))
    assert all(bool((v == before[k]).all()) for k, v in statistics(net).items())
    learner.end_sequence()
    for _ in range(3):
        learner.stream(x, good)
    assert all(bool(torch.isfinite(v).all()) for v in statistics(net).values())


def test_without_an_optimiser_nothing_changes() -> None:
    net = made("conv")
    before = {k: v.clone() for k, v in net.state_dict().items()}
    Learner(net, rules.tess()).fit(*frames_of(net))
    assert all(bool((v == before[k]).all()) for k, v in net.state_dict().items())


def test_autograd_does_not_see_statistics_or_gains() -> None:
    net = made("mlp").requires_grad_(True)
    for rule in (rules.bptt(), rules.tess()):
        net.zero_grad()
        Learner(net, rule).gradient(*frames_of(net))
        given = {k for k, p in net.named_parameters() if p.grad is not None and p.grad.any()}
        assert given and not [k for k in given if ".norm." in k or k.endswith("gain")]


def test_a_static_input_counts_at_every_step() -> None:
    net = made("conv")
    frames, labels = frames_of(net)
    still, found = frames[:1].expand(frames.shape), []
    for x in (still, still.contiguous()):
        learner, after = trained(net, rules.tess(), rounds=0, accumulate=2)
        learner.fit(x, labels)
        learner.fit(frames, labels)
        found.append(after)
    assert apart(*found) < 1e-12


def test_sums_of_an_endless_stream_do_not_saturate() -> None:
    block = made("mlp").blocks["hidden1"]
    state = block.init_state((20,), 1, watched=True)
    assert state.seen is not None
    many = torch.stack([2.0**23 * x for x in (torch.ones(30), torch.ones(30), torch.ones(30))])
    state = state._replace(seen=many.double())
    current = torch.full((1, 30), 3.0, dtype=torch.float64)
    _, seen = block.centred(current, state, block.weights(), None)
    assert seen is not None and float(seen[0].max()) <= 2.0**22 + 1
    torch.testing.assert_close(
        seen[1] / seen[0], torch.ones(30, dtype=torch.float64), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: models.mlp(9, (8,), 3, bias=True, norm_momentum=0.1), "a bias"),
        (lambda: Readout(Linear(9, 3, standardised=True, norm_momentum=0.1)), "a readout"),
        (
            lambda: Spiking(
                Linear(9, 8), recurrent=Linear(8, 8, standardised=True, norm_momentum=0.1)
            ),
            "recurrent weights",
        ),
        (lambda: Learner(made("mlp"), rules.tp()), "beside the samples"),
    ],
)
def test_where_statistics_would_mean_nothing_they_are_refused(
    build: Callable[[], object], says: str
) -> None:
    with pytest.raises((ConfigError, IllegalError), match=says):
        build()


@pytest.mark.parametrize("momentum", [0.0, -0.1, 1.5])
def test_a_momentum_out_of_range_is_refused(momentum: float) -> None:
    with pytest.raises(ConfigError, match="momentum"):
        Linear(4, 3, standardised=True, norm_momentum=momentum)


def test_plain_weights_are_refused() -> None:
    with pytest.raises(ConfigError, match="standardised=True"):
        Linear(4, 3, norm_momentum=0.1)
