"""What a method has to show before it is timed: the reference's answer, and the right gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from .. import rules
from ..errors import NumericalError
from ..kernels import winograd
from ..kernels.compiling import compiled
from ..learn.learner import Learner
from ..learn.outcome import Result
from ..nn import Conv2d, Network, models
from ..nn.currents import is_static
from ..nn.layer import Activity, Spiking, Weights
from .exchange import deviation
from .floor import Floor
from .job import Precision

FIRST_CLOSE, GRADIENT_CLOSE = {"float32": 1e-3, "bf16": 0.02}, 0.3
"""Largest deviation from the streaming schedule's gradient in the same precision: of the first
block, and of the whole.

A membrane within rounding of the threshold fires in one order of summation and not in the other,
and in a deep net every layer further on multiplies that; only the first block is free of it. The
tests compare nets without such neurons.
"""

PRODUCTS_CLOSE, ROUNDED, LONG = 0.01, 1.1, 0.1
"""Where convolutions run over windows (`kernels.winograd`), which round otherwise than the library,
three things are asked: the bounds above of the same schedule with the library's products; every
product by windows close to the library's on the same input; and the gradient by windows no farther
from float32's than streaming's in bf16 is, as a whole or in a tensor's length. Of an untrained
VGG-9, T = 6, both are 0.72 from it, and 0.67 from one another.
"""

LONGEST = 100
"""Time steps over which gradients are compared. A recurrent net is chaotic: one spike that rounding
moves changes all that follow, and after 800 steps float32 tells orders of summation apart by 5 %
where float64 finds 1e-15."""

RATES_CLOSE, LOGITS_CLOSE = {"float32": 0.01, "bf16": 0.05}, {"float32": 0.1, "bf16": 0.5}
"""Largest deviation of all blocks' firing rates, and of the logits, from the reference file.

One neuron of VGG-9's first block that fires in float64 and not in float32 changes two thousand
spikes of the last one, so that logits of a random net tell another net, but not rounding.
"""

NAIVE_CLOSE = 1e-4
Found = dict[str, Any]


def require(what: str, found: float, limit: float) -> float:
    """A deviation, if it is within its limit.

    Raises
    ------
    NumericalError
        If it is not: a wrong result is not timed.

    >>> require("logits", 0.1, 0.2)
    0.1
    """
    if not found <= limit:
        raise NumericalError(f"{what} differ from the reference", got=found, expected=f"<= {limit}")
    return found


def against_reference(result: Result, expected: dict[str, Tensor], precision: str) -> Found:
    """Firing rates and logits beside those of the file that peers are checked by."""
    rates = torch.tensor(list(result.rates.values()))
    whole = torch.tensor([float(expected[f"rate.{name}"]) for name in result.rates])
    logits = deviation(result.logits.float().cpu(), expected["logits"])
    return {
        "logits": require("logits", logits, LOGITS_CLOSE[precision]),
        "rates": require("firing rates", deviation(rates, whole), RATES_CLOSE[precision]),
    }


def gradient_of(net: Network) -> dict[str, Tensor]:
    """The gradient in ``.grad``, taken away."""
    found = {k: p.grad.cpu() for k, p in net.named_parameters() if p.grad is not None}
    for p in net.parameters():
        p.grad = None
    return found


def against_streaming(learner: Learner, frames: Tensor, labels: Tensor) -> tuple[Result, Found]:
    """A learner's result, and its gradient beside that of the streaming schedule, uncompiled."""
    result = learner.gradient(frames, labels)
    if len(frames) > LONGEST:
        gradient_of(learner.net)
        learner.gradient(frames[:LONGEST], labels)
    fast = gradient_of(learner.net)
    if learner.schedule in ("bptt", "streaming"):
        return result, {"gradient": None}
    precision: Precision = "float32" if learner.dtype is None else "bf16"
    slow = _streamed(learner, frames, labels, precision)
    found, products = Found(), windows_apart(learner, frames[:LONGEST])
    if products is not None:
        found["windows"] = require("products by windows", products, PRODUCTS_CLOSE)
        found |= as_rounding_has_it(fast, slow, _streamed(learner, frames, labels, "float32"))
        with winograd.off():
            learner.gradient(frames[:LONGEST], labels)
        fast = gradient_of(learner.net)
    first = [name for name in slow if f".{next(iter(learner.net.blocks))}." in name]
    of_first, of_all = (_apart(fast, slow, names) for names in (first, list(slow)))
    return result, {
        "first_gradient": require("gradients", of_first, FIRST_CLOSE[precision]),
        "gradient": require("gradients", of_all, GRADIENT_CLOSE),
        **found,
    }


@torch.no_grad()
def windows_apart(learner: Learner, frames: Tensor) -> float | None:
    """Largest deviation of a product by windows from the library's, each on its own block's input.

    None where no block has one.
    """
    found = list[float]()

    def visit(name: str, block: Spiking, activity: Activity, weights: Weights) -> None:
        synapse, x = block.synapse, activity.x.flatten(0, 1)
        if not isinstance(synapse, Conv2d) or learner.dtype is None or is_static(activity.x):
            return
        x, weight, geometry = x.to(learner.dtype), weights.input.to(learner.dtype), synapse.geometry
        if not winograd.pays(x, weight, geometry, learner.dtype):
            return
        table, y = winograd.make_table(x, weight, geometry), synapse(x, weight)
        post = torch.randn_like(y)
        found.append(deviation(winograd.forward(table, x, weight, geometry), y))
        contracted = synapse.contract(post, x)
        found.append(deviation(winograd.contract(post, table, weight), contracted))

    with compiled(learner.compiles):
        learner.net.run(frames, dtype=learner.dtype, visit=visit)
    return max(found, default=None)


def as_rounding_has_it(
    fast: dict[str, Tensor], slow: dict[str, Tensor], exact: dict[str, Tensor]
) -> Found:
    """Two gradients in bf16 that rounding alone may have taken apart, beside float32's.

    Raises
    ------
    NumericalError
        If the fast one is farther from it than the slow one, as a whole or in a tensor's length.
    """
    names = list(slow)
    rounding, ours = _apart(slow, exact, names), _apart(fast, exact, names)
    limit = max(LONG, _stretched(slow, exact))
    return {
        "rounding": rounding,
        "from_float32": require("gradients", ours, ROUNDED * rounding),
        "length": require("lengths of gradients", _stretched(fast, exact), limit),
    }


def _stretched(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """How far the ratio of two tensors' lengths is from 1, at most."""
    return max(abs(float(one[k].norm() / other[k].norm()) - 1) for k in other)


def _streamed(
    learner: Learner, frames: Tensor, labels: Tensor, precision: Precision
) -> dict[str, Tensor]:
    plain = Learner(
        learner.net, learner.rule, schedule="streaming", precision=precision, compile="off"
    )
    plain.gradient(frames[:LONGEST], labels)
    return gradient_of(learner.net)


def _apart(one: dict[str, Tensor], other: dict[str, Tensor], names: list[str]) -> float:
    return deviation(*(torch.cat([g[k].flatten() for k in names]) for g in (one, other)))


def of_naive(naive: Any, conv: bool) -> Found:
    """The naive baseline's gradient on a small net of the same kind, beside this package's."""
    torch.manual_seed(1)
    small = models.vgg9(3, 10, image=16, width=0.125) if conv else models.mlp(40, (30, 20), 10)
    frames = torch.rand((12, 3, *small.sample_shape)) * 2
    labels, plain = torch.tensor([1, 7, 3]), naive.Naive(small)
    plain.gradient(frames, labels)
    Learner(small, rules.tess(), compile="off").gradient(frames, labels)
    ours = gradient_of(small)
    theirs = [p.grad for layer in plain.layers for p in (layer.weight, layer.gain)]
    names = [
        f"modules_by_name.{name}.synapse.{part}"
        for name in small.blocks
        for part in ("weight", "gain")
    ]
    worst = max(deviation(t, ours[name]) for t, name in zip(theirs, names, strict=True))
    return {"gradient": require("the naive baseline's gradients", worst, NAIVE_CLOSE)}


def of_floor(floor: Floor) -> Found:
    """The multiply-accumulates that run, which are those of the cost model."""
    with FlopCounterMode(display=False) as counter:
        floor()
    counted = counter.get_total_flops() // 2
    if counted != floor.macs:
        raise NumericalError("the floor's products", got=counted, expected=floor.macs)
    return {"macs": counted}
