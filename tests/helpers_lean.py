"""Small nets, rules and one look at a gradient, for the tests of the lean schedules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from localspike import Learner, models, rules
from localspike.learn.lean import LeanLayerwise
from localspike.nn import ALIF, Integrator, Linear, Network, Readout, Spiking
from localspike.nn.init import calibrate
from localspike.rules import Rule
from localspike.rules.projection import Projection

STEPS, BATCH, CLASSES = 13, 4, 5


def conv(pooling: str = "max") -> Network:
    return models.convnet(2, CLASSES, image=16, channels=(4, 6), pooling=pooling)


def firing(net: Network) -> Network:
    calibrate(net, torch.rand(12, 3, 20) * 2, 0.2)
    return net


def mixed() -> Network:
    """A block that runs lean, then an adaptive one that does not."""
    blocks = {
        "plain": Spiking(Linear(20, 15, standardised=True)),
        "adaptive": Spiking(Linear(15, 12, standardised=True), ALIF()),
        "readout": Readout(Linear(12, CLASSES), Integrator(0.9)),
    }
    return firing(Network(blocks, (20,)))


NETS: dict[str, Callable[[], Network]] = {
    "mlp": lambda: models.mlp(20, (15, 10), CLASSES),
    "max": conv,
    "avg": lambda: conv("avg"),
    "uneven": lambda: models.convnet(2, CLASSES, image=15, channels=(4, 6)),
    "recurrent": lambda: firing(models.recurrent(20, (15, 12), CLASSES)),
    "residual": lambda: models.resnet(2, CLASSES, image=16, channels=(4, 6)),
    "mixed": lambda: mixed(),
}
RULES: dict[str, Callable[[], Rule]] = {
    "tess": rules.tess,
    "no-post": lambda: rules.tess(post_gain=0.0),
    "lls": lambda: rules.lls(mixing="matrix"),
    "drtp": rules.drtp,
    "filtered": lambda: rules.tess(latent_decay=0.9),
    "late": lambda: replace(rules.drtp(), signal=Projection("drtp", label_period=3)),
    "local_loss": rules.local_loss,
}

SENT: dict[str, Callable[[], Rule]] = {
    "s_tllr": lambda: rules.s_tllr(post_gain=-0.5),
    "ottt": rules.ottt,
    "dfa": rules.dfa,
    "adaptive": lambda: replace(rules.dfa(), signal=Projection("adaptive")),
}
"""Rules whose signal is sent from the readout."""


def batch(net: Network, static: bool, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(3)
    shape = (1 if static else STEPS, BATCH, *net.sample_shape)
    frames = (torch.rand(shape, generator=draw) < 0.3).to(dtype) * 1.5
    labels = torch.randint(CLASSES, (BATCH,), generator=draw)
    return frames.expand(STEPS, *shape[1:]) if static else frames, labels


def apart(one: list[Tensor], other: list[Tensor]) -> float:
    """The largest relative difference of two looks."""
    assert len(one) == len(other) > 4
    pairs = zip(one, other, strict=True)
    return max(float((a - b).norm()) / (float(b.norm()) + 1e-9) for a, b in pairs)


def lean_from_plain(
    network: Network,
    learner: Learner,
    engine: type[LeanLayerwise],
    static: bool,
    lengths: Tensor | None,
) -> float:
    """How far the lean look is from the plain one; all blocks that can run lean."""
    assert learner.lean
    mixed = "adaptive" in network.blocks
    assert engine(learner.credit).lean == ({"plain"} if mixed else set(network.blocks))
    lean = fitted(network, learner, static, lengths)
    learner.lean = False
    return apart(lean, fitted(network, learner, static, lengths))


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
