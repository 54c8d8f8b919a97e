"""The lean layerwise schedule against the plain one: same spikes, same gradient, fewer passes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from localspike import Learner, models, rules
from localspike.errors import ConfigError
from localspike.kernels import compiling
from localspike.learn import lean
from localspike.learn.regulariser import FiringRate
from localspike.nn import ALIF, Conv2d, Linear, MaxPool, Network, Readout, Spiking
from localspike.rules import Rule

STEPS, BATCH, CLASSES = 13, 4, 5


def conv(pooling: str = "max") -> Network:
    return models.convnet(2, CLASSES, image=16, channels=(4, 6), pooling=pooling)


NETS: dict[str, Callable[[], Network]] = {
    "mlp": lambda: models.mlp(20, (15, 10), CLASSES),
    "max": conv,
    "avg": lambda: conv("avg"),
    "uneven": lambda: models.convnet(2, CLASSES, image=15, channels=(4, 6)),
    "residual": lambda: models.resnet(2, CLASSES, image=16, channels=(4, 6)),
    "dropout": lambda: models.mlp(20, (15, 10), CLASSES, dropout=0.4),
    "mixed": lambda: models.recurrent(20, (15,), CLASSES),
}
RULES: dict[str, Callable[[], Rule]] = {
    "tess": rules.tess,
    "no-post": lambda: rules.tess(post_gain=0.0),
    "lls": lambda: rules.lls(mixing="matrix"),
    "drtp": rules.drtp,
    "local_loss": rules.local_loss,
}


def batch(net: Network, static: bool, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(3)
    shape = (1 if static else STEPS, BATCH, *net.sample_shape)
    frames = (torch.rand(shape, generator=draw) < 0.3).to(dtype) * 1.5
    labels = torch.randint(CLASSES, (BATCH,), generator=draw)
    return frames.expand(STEPS, *shape[1:]) if static else frames, labels


def fitted(net: Network, learner: Learner, static: bool, lengths: Tensor | None) -> list[Tensor]:
    """Loss, logits, rates and every gradient of one look."""
    net.zero_grad(set_to_none=True)
    frames, labels = batch(net, static, next(net.parameters()).dtype)
    result = learner.gradient(frames, labels, lengths)
    own = learner.credit.own_parameters().values()
    grads = [p.grad.clone() for p in (*net.parameters(), *own) if p.grad is not None]
    for p in own:
        p.grad = None
    rates = torch.tensor(list(result.rates.values()))
    assert 0.02 < float(rates.max()) < 0.7
    return [result.loss, result.logits, rates, *grads]


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
        assert learner.lean == (net != "mixed")
        lean_one = fitted(network, learner, static, lengths)
        learner.lean = False
        plain = fitted(network, learner, static, lengths)
        assert len(lean_one) == len(plain) > 4
        for one, other in zip(lean_one, plain, strict=True):
            assert float((one - other).norm()) <= tolerance * (float(other.norm()) + 1e-9)


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
        (lambda: Learner(models.recurrent(20, (15,), 5), rules.tess()), "it is recurrent"),
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
    assert not Learner(net, rules.tess(), compile="auto").compiles()
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
    learner = Learner(net, rules.tess(), precision="auto")
    assert learner.dtype is None and "no matrix units" in learner.precision_reason
