"""The lean layerwise schedule against the plain one: same spikes, same gradient, fewer passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from helpers_lean import CLASSES, NETS, RULES, batch, conv, firing, fitted, lean_from_plain
from localspike import Learner, models, rules
from localspike.errors import ConfigError
from localspike.kernels import compiling, unfold
from localspike.learn import lean
from localspike.learn.learner import LeanLayerwise
from localspike.learn.regulariser import FiringRate
from localspike.nn import ALIF, Conv2d, Linear, MaxPool, Network, Readout, Spiking
from localspike.nn.init import calibrate
from localspike.rules import Rule
from localspike.rules.eligibility import TwoTrace


@pytest.mark.parametrize("lengths", [None, torch.tensor([13, 4, 9, 1])], ids=["whole", "padded"])
@pytest.mark.parametrize("static", [False, True], ids=["moving", "static"])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("net", NETS)
def test_the_lean_gradient_is_the_plain_one(
    net: str, rule: str, static: bool, lengths: Tensor | None
) -> None:
    torch.manual_seed(0)
    network = NETS[net]()
    for dtype, tolerance in ((torch.float32, 2e-5), (torch.float64, 1e-12)):
        learner = Learner(network.to(dtype), RULES[rule]())
        assert lean_from_plain(network, learner, LeanLayerwise, static, lengths) <= tolerance


def test_dropout_is_that_of_the_plain_schedule() -> None:
    torch.manual_seed(0)
    net = models.convnet(2, CLASSES, image=16, channels=(4, 6), dropout=0.4)
    start = {k: v.clone() for k, v in net.state_dict().items()}
    found = []
    for runs_lean, seed in ((True, 1), (False, 1), (True, 2)):
        net.load_state_dict(start)
        learner = Learner(net, rules.tess(), torch.optim.SGD(net.parameters(), lr=0.1), seed=seed)
        learner.lean = runs_lean
        learner.fit(*batch(net, False, torch.float32))
        found.append(torch.cat([(p - start[k]).flatten() for k, p in net.named_parameters()]))
    assert float((found[0] - found[1]).norm()) <= 1e-4 * float(found[1].norm())
    assert float((found[0] - found[2]).norm()) > 1e-2 * float(found[1].norm())  # masks matter


def untraced() -> Rule:
    rule = rules.tess()
    assert isinstance(rule.eligibility, TwoTrace)
    return replace(rule, eligibility=replace(rule.eligibility, trace_input=False))


class Doubled(TwoTrace):
    """Another rule under the name of a known one."""


class Silent(Spiking):
    """Another block under the name of a known one."""


def test_subclasses_are_not_taken_for_what_they_derive_from() -> None:
    eligibility = Doubled(0.5)
    rule = replace(rules.tess(), eligibility=eligibility)
    learner = Learner(models.mlp(20, (15,), CLASSES), rule)
    assert lean.block_obstacle(learner.credit, "hidden1") == "its traces are Doubled"
    blocks = {"one": Silent(Linear(20, 15)), "readout": Readout(Linear(15, CLASSES))}
    learner = Learner(Network(blocks, (20,)), rules.tess())
    assert "it is a Silent" in (lean.block_obstacle(learner.credit, "one") or "")
    odd = replace(rules.tess(), surrogate=lambda d: (d.abs() < 1).to(d.dtype))
    learner = Learner(models.mlp(20, (15,), CLASSES), odd)
    assert "not one of the package's" in (lean.block_obstacle(learner.credit, "hidden1") or "")


class Doubling(Linear):
    """A user's recurrent synapse."""

    def forward(self, x, weight, dtype=None, narrow=False):  # type: ignore[no-untyped-def, override]
        return 2.0 * super().forward(x, weight, dtype, narrow)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("own", ["class", "hook", "before", "old"])
def test_a_recurrent_synapse_of_a_users_own_is_called(own: str, precision: str) -> None:
    torch.manual_seed(0)
    made = {"class": Doubling, "old": OldLinear}.get(own, Linear)(15, 15)
    if own == "hook":
        made.register_forward_hook(lambda module, args, out: 2.0 * out)
    elif own == "before":
        made.register_forward_pre_hook(lambda module, args: (0.0 * args[0], *args[1:]))
    blocks = {
        "first": Spiking(Linear(20, 15)),
        "loop": Spiking(Linear(15, 15), recurrent=made),
        "readout": Readout(Linear(15, CLASSES)),
    }
    net = firing(Network(blocks, (20,)))
    learner = Learner(net, rules.tess(), precision=precision)  # type: ignore[arg-type]
    assert LeanLayerwise(learner.credit).lean == {"first"}
    if precision == "bf16":
        learner.gradient(*batch(net, False, torch.float32))  # no more than that it runs
        return
    found = fitted(net, learner, False, None)
    learner.lean = False
    for one, other in zip(found, fitted(net, learner, False, None), strict=True):
        assert float((one - other).norm()) <= 2e-5 * float(other.norm())


def test_blocks_that_cannot_run_lean_run_beside_those_that_can() -> None:
    torch.manual_seed(0)
    blocks = {
        "conv": Spiking(Conv2d(2, 4, 3, padding=1), tail=[MaxPool(2)], latent=2),
        "wide": Spiking(Conv2d(4, 4, 3, padding=1, bias=True), tail=[MaxPool(2)], latent=2),
        "slow": Spiking(Conv2d(4, 4, 3, padding=1), ALIF(), latent=2),
        "readout": Readout(Linear(64, CLASSES)),
    }
    net = Network(blocks, (2, 16, 16))
    learner = Learner(net, rules.tess(), precision="bf16")
    why = {name: lean.block_obstacle(learner.credit, name) for name in net.blocks}
    assert why == {"conv": None, "wide": "it has a bias", "slow": "its neurons are ALIF"}
    narrow = fitted(net, learner, False, None)
    learner.lean = False
    plain = fitted(net, learner, False, None)
    for one, other in zip(narrow, plain, strict=True):
        assert float((one - other).norm()) <= 0.05 * float(other.norm())


def test_bf16_products_lose_no_more_lean_than_plain() -> None:
    torch.manual_seed(0)
    net = models.mlp(20, (15,), CLASSES)
    exact = fitted(net, Learner(net, rules.tess()), False, None)[3:]
    learner = Learner(net, rules.tess(), precision="bf16")
    errors = []
    for lean_now in (True, False):
        learner.lean = lean_now
        found = fitted(net, learner, False, None)[3:]
        errors.append(sum(float((a - b).norm()) for a, b in zip(found, exact, strict=True)))
    assert 0 < errors[0] <= 2.0 * errors[1]


@pytest.mark.parametrize(
    ("learner", "why"),
    [
        (
            lambda: Learner(models.recurrent(20, (15,), 5), untraced()),
            "its afferents have traces of different decay",
        ),
        (
            lambda: Learner(NETS["mlp"](), rules.tess(), firing_rate=FiringRate(0.1, 1.0)),
            "a regulariser reads the membrane",
        ),
        (
            lambda: Learner(models.mlp(20, (15,), 5), rules.es_d_rtrl(), schedule="two_sweep"),
            "its traces are RankOne",
        ),
    ],
)
def test_why_a_network_does_not_run_lean(learner: Callable[[], Learner], why: str) -> None:
    made = learner()
    assert not made.lean
    assert (lean.obstacle(made.credit) or "").endswith(why)


def test_compile_is_refused_where_it_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "_cpp_compiler", lambda: None)
    net = models.mlp(20, (15,), CLASSES)
    assert not Learner(net, rules.tess(), compile="auto").compiles
    with pytest.raises(ConfigError, match=r"cannot be compiled: there is no C\+\+ compiler"):
        Learner(net, rules.tess(), compile="on")
    with pytest.raises(ConfigError, match="unknown compile: got 'yes'"):
        Learner(net, rules.tess(), compile="yes")  # type: ignore[arg-type]


def test_automatic_precision_says_what_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    net = models.mlp(20, (15,), CLASSES)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    learner = Learner(net, rules.tess(), precision="auto")
    assert (learner.dtype, learner.precision_reason) == (torch.bfloat16, "bf16: AMX tiles")
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    learner = Learner(net, rules.tess(), precision="auto")
    assert (learner.dtype, learner.precision_reason) == (
        torch.bfloat16,
        "bf16: AVX-512 instructions",
    )
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    learner = Learner(net, rules.tess(), precision="auto")
    assert learner.dtype is None and "no units" in learner.precision_reason


@pytest.mark.parametrize("schedule", ["layerwise", "streaming", "two_sweep"])
@pytest.mark.parametrize("standardised", [True, False])
def test_gradients_lie_as_their_parameters(standardised: bool, schedule: str) -> None:
    """Torch's fused optimisers walk both by address and would pair the wrong numbers."""
    torch.manual_seed(0)
    net = models.convnet(2, CLASSES, image=16, channels=(4, 6), standardised=standardised)
    rule = rules.ottt() if schedule == "two_sweep" else rules.tess()
    learner = Learner(net, rule, schedule=schedule)  # type: ignore[arg-type]
    learner.gradient(*batch(net, False, torch.float32))
    for name, p in net.named_parameters():
        assert p.grad is not None and p.grad.stride() == p.stride(), name


@pytest.mark.parametrize("static", [False, True], ids=["moving", "static"])
def test_judging_runs_lean_as_well(static: bool) -> None:
    torch.manual_seed(0)
    net = conv()
    learner = Learner(net, rules.tess())
    frames, labels = batch(net, static, torch.float32)
    found = []
    for runs_lean in (True, False):
        learner.lean = runs_lean
        result = learner.evaluate(frames, labels, torch.tensor([13, 4, 9, 1]))
        found.append([result.loss, result.logits, torch.tensor(list(result.rates.values()))])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("first", ["bias", "alif"])
def test_a_wide_block_before_a_table_of_patches(
    first: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block that does not run lean hands on spikes in float32, whatever the products are."""
    monkeypatch.setattr(unfold, "WIDE_POSITIONS", 64)
    monkeypatch.setattr(unfold, "_quick", lambda device: True)
    torch.manual_seed(0)
    conv1 = Conv2d(2, 128, 3, padding=1, bias=first == "bias")
    blocks = {
        "conv1": Spiking(conv1, ALIF() if first == "alif" else None, latent=2),
        "conv2": Spiking(Conv2d(128, 128, 3, padding=1), latent=2),
        "readout": Readout(Linear(128 * 64, CLASSES)),
    }
    net = Network(blocks, (2, 8, 8))
    # Not the frames below: calibration leaves a neuron right at its threshold.
    calibrate(net, (torch.rand(13, 2, 2, 8, 8) < 0.3).float(), 0.2)
    frames = (torch.rand(13, 2, 2, 8, 8) < 0.3).float()
    found = []
    for runs_lean in (True, False):
        learner = Learner(net, rules.tess(), precision=precision)  # type: ignore[arg-type]
        assert LeanLayerwise(learner.credit).lean == {"conv2"}
        learner.lean = runs_lean
        net.zero_grad()
        learner.gradient(frames, torch.tensor([0, 1]))
        found.append(torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None]))
    limit = 2e-5 if precision == "float32" else 0.2  # narrow currents flip a spike here and there
    assert float((found[0] - found[1]).norm()) <= limit * float(found[1].norm())


class OldLinear(Linear):
    """A user's synapse, written before weights could be asked for in another dtype."""

    def effective_weight(self) -> Tensor:  # type: ignore[override]
        return 0.5 * self.weight


class OldSpiking(Spiking):
    """A user's block, likewise."""

    def init_state(self, shape, batch, *, training=False, generator=None):  # type: ignore[no-untyped-def, override]
        return super().init_state(shape, batch, training=training, generator=generator)

    def weights(self):  # type: ignore[no-untyped-def, override]
        return super().weights()


def test_blocks_and_synapses_of_a_users_own_need_not_know_of_it() -> None:
    torch.manual_seed(0)
    blocks = {
        "own": OldSpiking(OldLinear(20, 15)),
        "plain": Spiking(Linear(15, 12)),
        "readout": Readout(Linear(12, CLASSES)),
    }
    net = Network(blocks, (20,))
    frames = torch.rand(12, 3, 20) * 4
    for schedule in ("auto", "streaming"):
        learner = Learner(net, rules.tess(), schedule=schedule)  # type: ignore[arg-type]
        learner.gradient(frames, torch.tensor([0, 1, 2]))
        learner.evaluate(frames, torch.tensor([0, 1, 2]))
    assert all(p.grad is not None for p in net.parameters())
