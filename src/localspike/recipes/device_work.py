"""What a device stores and multiplies: backpropagation in its buffers, products of its steps."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import floor, log
from typing import NamedTuple

from ..errors import ConfigError
from ..export.arithmetic import FADED
from ..export.plan import SHARED, Layer, Plan

Buffers = dict[str, dict[str, int]]


def through_time(plan: Plan, steps: int, learns: Collection[str]) -> Buffers:
    """Bytes that BPTT would take in a device's own buffers, by layer; nothing emits it.

    From the first block that learns on, membranes and spikes of all T steps are kept (u = v + r o
    gives Ψ, a pooled output follows from its spikes), and what that block reads; besides, an error
    a neuron on its way back (as large as a membrane), weights in the arena and their gradient,
    which is whole only after the sequence. What a step needs for itself is not in it.

    >>> from localspike import models, rules
    >>> from localspike.export import plan_of
    >>> from localspike.nn import fold
    >>> plan = plan_of(fold(models.mlp(64, (32,), 10)), rules.tess())
    >>> through_time(plan, 12, ["hidden1"])["hidden1"]["membrane"]
    1536
    """
    if steps < 1:
        raise ConfigError("steps", got=steps, expected="a whole number >= 1")
    idle, names = plan.buffers("infer"), [layer.name for layer in plan.layers]
    first = min((names.index(name) for name in learns), default=len(names))
    found = {name: dict(buffers) for name, buffers in idle.items()}
    if learns:
        _keep_input(found, plan, first, steps)
    for layer in plan.layers[first:]:
        held = found[layer.name]
        held["error"] = held["membrane"]
        for kept in {"membrane", "spikes"} & held.keys():
            held[kept] *= steps
        if layer.name in learns:
            weights = plan.tables()[layer.name]["weight"]
            gathered = plan.buffers("gather")[layer.name].get("gathered", 4 * layer.learnt)
            held |= {"weights": -(-weights // 4) * 4, "gathered": gathered}
    return found


def _keep_input(found: Buffers, plan: Plan, first: int, steps: int) -> None:
    """Of all steps what the first block that learns reads."""
    if first == 0:
        found[SHARED]["input"] *= steps
        return
    before = plan.layers[first - 1]
    found[before.name]["spikes" if before.pool == "none" else "output"] *= steps


class Work(NamedTuple):
    """Multiply-accumulates of one step: currents, learning signal, change of the weights."""

    forward: float
    signal: float
    change: float


@dataclass(frozen=True)
class Rates:
    """Spikes per neuron and step by block, and events per input and step."""

    blocks: Mapping[str, float]
    inputs: float = 1.0


def work(plan: Plan, rates: Rates | None = None) -> dict[str, Work]:
    """Products of a step by layer: all there can be, or those that events of these rates cause.

    A row of weights is visited for every event; for the pre trace also while the trace of an
    earlier event is alive, which is as long as it takes to fade below 2^-14. Events are taken as
    independent, the signal and every neuron's Ψ as never zero, and padding is multiplied.

    >>> from localspike import models, rules
    >>> from localspike.export import plan_of
    >>> from localspike.nn import fold
    >>> plan = plan_of(fold(models.mlp(20, (30,), 4)), rules.tess(post_gain=0.0))
    >>> work(plan)["hidden1"]  # 20·30; 2 · 4·30; 20·30
    Work(forward=600, signal=240, change=600)
    >>> work(plan, Rates({"hidden1": 0.1}, 0.0))["readout"].forward
    12
    """
    found, before = {}, None
    for layer in plan.layers:
        arriving = 1.0 if rates is None else _arriving(before, rates)
        own = 1.0 if rates is None else rates.blocks.get(layer.name, 0.0)
        found[layer.name] = _work(layer, arriving, own)
        before = layer
    return found


def _arriving(before: Layer | None, rates: Rates) -> float:
    """Share of a layer's inputs with an event: of pooled ones, any spike of the window."""
    if before is None:
        return rates.inputs
    return float(1.0 - (1.0 - rates.blocks[before.name]) ** (before.pooled**2))


def _work(layer: Layer, arriving: float, own: float) -> Work:
    below = layer.shape.weights * layer.shape.out_h * layer.shape.out_w
    loop = layer.loop.weights if layer.loop else 0
    forward = _exact(arriving * below + own * loop)
    if layer.signal == "none":
        return Work(forward, 0, 0)
    signal = 2 * layer.classes * layer.latents if layer.signal == "class" else 0
    alive = _alive(arriving, layer.pre_decay, layer.unit)
    change = alive * below + _alive(own, layer.pre_decay, 1.0) * loop
    return Work(forward, signal, _exact(change + (forward if layer.post_gain else 0)))


def _alive(rate: float, decay: float, unit: float) -> float:
    """Share of pre traces that have not faded, long after a sequence began."""
    if decay >= 1.0:  # they never do
        return float(rate > 0.0)
    steps = 1 if decay <= 0.0 else 1 + floor(log(float(FADED) / unit) / log(decay))
    return float(1.0 - (1.0 - rate) ** max(steps, 1))


def _exact(number: float) -> float:
    """Without the dust of rounding."""
    rounded = round(number, 3)
    return int(rounded) if rounded == int(rounded) else rounded
