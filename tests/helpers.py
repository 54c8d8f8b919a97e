"""Rules, small networks and batches that the whole suite shares, and their plain-data twins."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from helpers_family import (
    FAMILY,
    FAMILY_ERROR_SENT,
    FAMILY_LOCAL,
    MAIN_NETS,
    SENTINELS,
    defined,
)
from helpers_reference import Layer, Out
from localspike import Learner, models, rules
from localspike.nn import (
    ALIF,
    LIF,
    AvgPool,
    Conv2d,
    CubaLIF,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Integrator,
    Linear,
    MaxPool,
    Network,
    Readout,
    Spiking,
)
from localspike.nn.init import calibrate
from localspike.rules import Rule

STEPS, BATCH, CLASSES = 12, 3, 5

RULES: dict[str, Callable[[], Rule]] = {
    "tess": rules.tess,
    "tess-no-post": lambda: rules.tess(post_gain=0.0),
    "tess-mean": lambda: rules.tess(scale="mean", post_gain=-1.0),
    "tess-sqrt": lambda: rules.tess(scale="sqrt"),
    "tess-l2-full": lambda: rules.tess(scale="l2_full"),
    "tess-number": lambda: rules.tess(scale=0.3, pre_gain=0.7),
    "tess-latent": lambda: rules.tess(latent_decay=0.8),
    "tess-published": lambda: rules.tess(published_code=True),
    "tess-plus": lambda: rules.tess_plus(post_gain=-0.5),
    "tess-whole": lambda: rules.tess(pool=0, surrogate="sigmoid"),
    "s_tllr-bp": rules.s_tllr,
    "s_tllr-dfa": lambda: rules.s_tllr("dfa"),
    "s_tllr-sdfa": lambda: rules.s_tllr("sdfa"),
    "s_tllr-drtp": lambda: rules.s_tllr("drtp"),
    "s_tllr-shd": lambda: rules.s_tllr(
        "bp", pre_decay=1.0, post_decay=0.5, post_gain=1.0, readout_decay=0.99
    ),
    "ottt": rules.ottt,
    "ottt-published": lambda: rules.ottt(published_code=True),
    "sltt": rules.sltt,
    "frozen": rules.frozen,
    "bptt": rules.bptt,
}
LOCAL = (*(n for n in RULES if n.startswith("tess")), "s_tllr-drtp", "frozen")
"""Rules whose block gradients need nothing of other blocks: layerwise and streaming."""
ERROR_SENT = tuple(n for n in RULES if n not in LOCAL and n != "bptt")
"""Rules that need the readout's error of the step: streaming, and all steps in two sweeps."""
TRACED = LOCAL + ERROR_SENT
EVERY_RULE: dict[str, Callable[[], Rule]] = {**RULES, **FAMILY}
EVERY_LOCAL = LOCAL + FAMILY_LOCAL
EVERY_ERROR_SENT = ERROR_SENT + FAMILY_ERROR_SENT


def legal(rule: str) -> tuple[str, ...]:
    """The schedules a rule may run on, written down by hand."""
    if rule == "bptt":
        return ("bptt",)
    return ("layerwise", "streaming") if rule in EVERY_LOCAL else ("streaming", "two_sweep")


def linear_net(readout_decay: float = 0.0) -> Network:
    return models.mlp(14, (12, 10), CLASSES, bias=True, readout_decay=readout_decay, rate=0.25)


def plain_linear_net() -> Network:
    return models.mlp(14, (12, 10), CLASSES, standardised=False, readout_decay=0.7, rate=0.25)


def recurrent_net() -> Network:
    return models.recurrent(14, (12, 9), CLASSES, bias=True, readout_decay=0.8, rate=0.25)


def neuron_net(neuron: LIF, hidden: tuple[int, ...] = (12, 9)) -> Network:
    return models.recurrent(
        14, hidden, CLASSES, bias=True, neuron=neuron, readout_decay=0.8, rate=0.25
    )


def conv_net(neuron: LIF | None = None, readout_decay: float = 0.0) -> Network:
    """Max pool, groups with stride, average pool with an uneven rest, global pool."""
    first = Conv2d(2, 4, 3, padding=1, standardised=True)
    grouped = Conv2d(4, 6, 3, padding=2, stride=2, groups=2, bias=True, standardised=True)
    blocks: dict[str, Spiking | Readout] = {
        "a": Spiking(first, neuron, tail=(MaxPool(2),), latent=2),
        "b": Spiking(grouped, neuron, tail=(AvgPool(2),), latent=1),
        "c": Spiking(Conv2d(6, 4, 2, padding=1), neuron, tail=(GlobalAvgPool(2), Flatten())),
        "readout": Readout(Linear(16, CLASSES, bias=True), Integrator(readout_decay)),
    }
    return Network(blocks, (2, 9, 9))


def residual_net() -> Network:
    """A stem, two blocks and a spiking shortcut whose sum feeds two readers."""
    blocks: dict[str, Spiking | Readout] = {
        "stem": Spiking(Conv2d(2, 4, 3, padding=1, standardised=True), latent=2),
        "left": Spiking(Conv2d(4, 4, 3, padding=1, standardised=True), latent=2),
        "right": Spiking(Conv2d(4, 4, 1, standardised=True), latent=2),
        "join": Spiking(
            Conv2d(4, 4, 3, padding=1, standardised=True), tail=(MaxPool(2),), latent=1
        ),
        "readout": Readout(Linear(16, CLASSES, bias=True), Integrator(0.5)),
    }
    wires = {"right": ("stem",), "join": ("left", "right", "stem")}
    return Network(blocks, (2, 5, 5), wires)


def dropout_net() -> Network:
    return models.mlp(14, (12, 10), CLASSES, dropout=0.3, rate=0.25)


NETS: dict[str, Callable[[], Network]] = {
    "linear": linear_net,
    "conv": conv_net,
    "recurrent": recurrent_net,
    "residual": residual_net,
    "dropout": dropout_net,
}
NEURON_NETS: dict[str, Callable[[], Network]] = {
    "alif": lambda: neuron_net(ALIF(adaptation=0.3)),
    "cuba": lambda: neuron_net(CubaLIF()),
    "hard": lambda: neuron_net(ALIF(adaptation=0.3, reset="hard")),
    "no-reset": lambda: neuron_net(LIF(reset="none")),
    "conv-alif": lambda: conv_net(ALIF(0.7, adaptation=0.2, adaptation_decay=0.9), 0.6),
    "single": lambda: neuron_net(LIF(0.8), (11,)),
    "single-alif": lambda: neuron_net(ALIF(0.8, adaptation=0.3, adaptation_decay=0.9), (11,)),
    "single-cuba": lambda: neuron_net(CubaLIF(0.8, synaptic_decay=0.6), (11,)),
}
"""Other neurons and resets, and nets whose one hidden layer the readout reads."""
EVERY_NET = {**NETS, **NEURON_NETS}


def cells(rules: Iterable[str] = EVERY_RULE, *, some: bool = False) -> list[tuple[str, str]]:
    """(rule, net) where the rule is defined; ``some``: main nets, and all nets for sentinels."""
    return [
        (rule, net)
        for rule in rules
        for net in EVERY_NET
        if defined(rule, net) and (not some or net in _main(rule) or rule in SENTINELS)
    ]


def _main(rule: str) -> tuple[str, ...]:
    """Nets of one layer add nothing but where symmetric feedback needs them."""
    return MAIN_NETS if rule == "e_prop-symmetric" else MAIN_NETS[:3]


def batch(
    net: Network, steps: int = STEPS, size: int = BATCH, seed: int = 1
) -> tuple[Tensor, Tensor]:
    """Random analog spikes [steps, size, ...] and labels [size], in the network's dtype."""
    g = torch.Generator().manual_seed(seed)
    shape = (steps, size, *net.sample_shape)
    frames = (torch.rand(shape, generator=g) < 0.4) * (0.5 + torch.rand(shape, generator=g))
    labels = torch.randint(0, CLASSES, (size,), generator=g)
    return frames.to(next(net.parameters())), labels


def make(name: str, dtype: torch.dtype = torch.float64, seed: int = 3) -> Network:
    """A fresh copy of a network of NETS, calibrated on `batch`, with biases that are not zero."""
    return copy.deepcopy(_made(name, seed)).to(dtype)


@cache
def _made(name: str, seed: int) -> Network:
    torch.manual_seed(seed)
    net = EVERY_NET[name]()
    with torch.no_grad():
        for n, p in net.named_parameters():
            if n.endswith("bias"):
                p.uniform_(-0.05, 0.05)
    net.double()
    calibrate(net, batch(net)[0], rate=0.25)
    return net


def gradient(
    net: Network,
    rule: Rule,
    frames: Tensor,
    labels: Tensor,
    lengths: Tensor | None = None,
    *,
    train: bool = False,
    **options: Any,
) -> tuple[dict[str, Tensor], Any]:
    """Gradients by parameter name (zeros where there is none) and the learner's result.

    Those of a signal's own tensors are under "block.own.name".
    """
    net.zero_grad(set_to_none=True)
    learner = Learner(net, rule, **options)
    result = (learner.fit if train else learner.gradient)(frames, labels, lengths)
    return {**grads(net), **own_grads(learner)}, result


def own_grads(learner: Learner) -> dict[str, Tensor]:
    """Gradients of the tensors that the rule's signals bring, zeros where there is none."""
    found = {}
    for name, p in learner.credit.own_parameters().items():
        key = name.replace(".", ".own.")
        found[key] = torch.zeros_like(p).detach() if p.grad is None else p.grad.clone()
    return found


def grads(net: Network) -> dict[str, Tensor]:
    """A copy of every parameter's gradient, zeros where there is none."""
    found = {}
    for name, p in net.named_parameters():
        name = name.removeprefix("modules_by_name.")
        found[name] = torch.zeros_like(p).detach() if p.grad is None else p.grad.clone()
    return found


def close(a: Tensor, b: Tensor, tolerance: float) -> bool:
    """Largest difference within ``tolerance`` of the larger magnitude (absolute below 1e-3)."""
    bound = tolerance * max(float(a.abs().max()), float(b.abs().max()), 1e-3)
    return a.shape == b.shape and bool((a - b).abs().max() <= bound)


def assert_same(a: dict[str, Tensor], b: dict[str, Tensor], tolerance: float) -> None:
    assert a.keys() == b.keys()
    wrong = {k: float((a[k] - b[k]).abs().max()) for k in a if not close(a[k], b[k], tolerance)}
    assert not wrong


def hidden(found: dict[str, Tensor]) -> dict[str, Tensor]:
    """Only the gradients of blocks below the readout."""
    return {k: g for k, g in found.items() if not k.startswith("readout.")}


def norm(found: dict[str, Tensor]) -> float:
    return float(torch.stack([g.norm() for g in found.values()]).norm())


def twin(net: Network) -> tuple[list[Layer], Out]:
    """A network as plain data with its own copies of the parameters, for the reference."""
    layers = [_twin_layer(net, name, block) for name, block in net.blocks.items()]
    readout = net.readout
    assert readout is not None and net.readout_name is not None
    params = _leaves(
        weight=readout.synapse.weight, gain=readout.synapse.gain, bias=readout.synapse.bias
    )
    return layers, Out(params, readout.neuron.decay, net.wires[net.readout_name])


def _leaves(**parameters: Tensor | None) -> dict[str, Tensor]:
    return {
        k: p.detach().clone().requires_grad_(True) for k, p in parameters.items() if p is not None
    }


def _twin_layer(net: Network, name: str, block: Spiking) -> Layer:
    s, rec, neuron = block.synapse, block.recurrent, block.neuron
    params = _leaves(
        weight=s.weight,
        gain=s.gain,
        bias=s.bias,
        rec=None if rec is None else rec.weight,
        rec_gain=None if rec is None else rec.gain,
    )
    return Layer(
        name,
        params,
        tuple(s.geometry) if isinstance(s, Conv2d) else None,
        tuple(_tail(op) for op in block.tail if not isinstance(op, Dropout)),
        net.wires[name],
        neuron.decay,
        neuron.threshold,
        neuron.reset,
        neuron.threshold if neuron.reset_by is None else neuron.reset_by,
        neuron.fires_at_threshold,
        block.latent,
        neuron.adaptation,
        neuron.adaptation_decay,
        neuron.synaptic_decay,
    )


def _tail(op: Any) -> tuple[str, int]:
    kinds = {MaxPool: "max", AvgPool: "avg", GlobalAvgPool: "gap", Flatten: "flatten"}
    return kinds[type(op)], getattr(op, "size", 0)


PARAMETERS = {
    "weight": "synapse.weight",
    "gain": "synapse.gain",
    "bias": "synapse.bias",
    "rec": "recurrent.weight",
    "rec_gain": "recurrent.gain",
}


def named(block: str, found: dict[str, Tensor]) -> dict[str, Tensor]:
    """Reference gradients of one layer under the library's parameter names."""
    return {f"{block}.{PARAMETERS[k]}": g for k, g in found.items()}
