"""The runtime in NumPy, operation by operation in the order of the C code: equal bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from .plan import Floats, Layer, Plan, Shape

F = np.float32
ONE, HALF, SPREAD = F(1.0), F(0.5), F(1.5)
FADED = F(2.0**-14)
"""Traces below it end: `LS_FADED`."""
Bytes = NDArray[np.uint8]


@dataclass
class Slot:
    """What one layer carries: the arena's buffers, spikes and outputs one number each."""

    v: Floats
    weight: Floats
    recurrent: Floats | None
    bias: Floats | None
    spikes: Floats
    out: Floats
    pre: Floats
    loop_pre: Floats | None
    post: Floats | None
    latent: Floats | None
    past: Floats | None = None
    bias_pre: Any = field(default_factory=lambda: F(0.0))
    gathered: dict[str, Floats] = field(default_factory=dict)


class Mirror:
    """A network of a plan that infers and learns as the C runtime does.

    >>> from localspike.export import plan_of
    >>> from localspike.nn import fold
    >>> from localspike.nn import models
    >>> from localspike.rules import tess
    >>> net = Mirror(plan_of(fold(models.mlp(64, (48, 32), 10)), tess()), rate=0.01)
    >>> net.step(np.ones(64, np.uint8))
    >>> net.learn(3)
    >>> net.logits.shape
    (10,)
    """

    def __init__(self, plan: Plan, rate: float = 0.0, gather: bool = False) -> None:
        self.plan, self.rate, self.gather = plan, F(rate), gather
        self.trainable = [layer.signal != "none" for layer in plan.layers]
        self.slots = [_slot(layer) for layer in plan.layers]
        if gather:
            for layer, slot in zip(plan.layers, self.slots, strict=True):
                slot.gathered = _like(layer)
        self.margin = float("inf")  # least |u - threshold| so far: how sure the spikes are
        self.reset()

    def reset(self) -> None:
        """Begin a sequence."""
        for slot in self.slots:
            for held in (
                slot.v,
                slot.spikes,
                slot.out,
                slot.pre,
                slot.loop_pre,
                slot.post,
                slot.latent,
            ):
                if held is not None:
                    held[...] = 0
            slot.bias_pre = F(0.0)
        self.logits = np.zeros(self.plan.classes, F)
        self.steps = 0

    # -- a step ------------------------------------------------------------------------------

    def step(self, counts: Bytes | Sequence[int]) -> None:
        """One time step of counts [inputs], channels innermost."""
        x = np.asarray(counts, F).ravel()
        if len(x) != self.plan.inputs:
            raise ConfigError("inputs", got=len(x), expected=f"{self.plan.inputs} counts")
        self.inputs = []
        for layer, slot in zip(self.plan.layers, self.slots, strict=True):
            self.inputs.append(x)
            self._advance(layer, slot, x)
            x = slot.out.ravel()
        self.logits += self.slots[-1].v.ravel()
        self.steps += 1

    def _advance(self, layer: Layer, slot: Slot, x: Floats) -> None:
        if slot.post is not None and self.steps:
            slot.post[...] = F(layer.post_decay) * slot.post + _psi(layer, _u(layer, slot))
        slot.past = slot.spikes.copy()
        slot.bias_pre = F(layer.bias_decay) * slot.bias_pre + ONE
        slot.v *= F(layer.decay)
        if slot.bias is not None:
            slot.v += slot.bias
        _receive(layer.shape, slot.weight, F(layer.unit) * x, slot.pre, layer.pre_decay, slot.v)
        if layer.loop and slot.recurrent is not None:
            before = slot.past.ravel()
            _receive(layer.loop, slot.recurrent, before, slot.loop_pre, layer.pre_decay, slot.v)
        if not layer.spikes:
            return
        fired = slot.v > F(layer.threshold)
        self.margin = min(self.margin, float(np.abs(slot.v - F(layer.threshold)).min()))
        slot.spikes[...] = fired
        slot.v[fired] -= F(layer.reset)
        slot.out[...] = _pooled(layer, slot.spikes)
        if slot.latent is not None:
            slot.latent[...] = F(layer.latent_decay) * slot.latent + _latents(layer, slot)

    # -- learning ----------------------------------------------------------------------------

    def learn(self, label: int) -> None:
        """Learn from the step just made."""
        for i, (layer, slot) in enumerate(zip(self.plan.layers, self.slots, strict=True)):
            if self.trainable[i] and layer.signal != "none":
                self._learn(layer, slot, self.inputs[i], _SIGNALS[layer.signal](layer, slot, label))

    def _learn(self, layer: Layer, slot: Slot, x: Floats, m: Floats) -> None:
        rate = ONE if self.gather else -self.rate
        into = slot.gathered if self.gather else _learnt(slot)
        causal = m if not layer.spikes else m * _psi(layer, _u(layer, slot))
        takes = _takes(layer, slot.spikes)
        places = list(np.ndindex(layer.shape.out_h, layer.shape.out_w))
        for at in places:
            row = np.where(takes[at], causal[at], F(0.0))
            _change(layer.shape, into["weight"], row, at, slot.pre, rate * F(layer.pre_gain))
            if slot.bias is not None and row.any():
                into["bias"] += rate * slot.bias_pre * row
        for at in places:
            if layer.loop and slot.loop_pre is not None:
                row = np.where(takes[at], causal[at], F(0.0))
                by = rate * F(layer.pre_gain)
                _change(layer.loop, into["recurrent"], row, at, slot.loop_pre, by)
            if slot.post is None:
                continue
            row = np.where(takes[at], m[at] * slot.post[at], F(0.0))
            by = rate * F(layer.post_gain)
            _change(layer.shape, into["weight"], row, at, x, by * F(layer.unit))
            if layer.loop and slot.past is not None:
                _change(layer.loop, into["recurrent"], row, at, slot.past.ravel(), by)

    def update(self, momentum: float = 0.0) -> None:
        """Change the weights by what was gathered, keep ``momentum`` of it."""
        for slot, learns in zip(self.slots, self.trainable, strict=True):
            for name, held in _learnt(slot).items():
                if learns and name in slot.gathered:
                    held -= self.rate * slot.gathered[name]
                    slot.gathered[name] *= F(momentum)

    def predict(self) -> int:
        """The class with the largest logits so far."""
        return int(self.logits.argmax())

    # -- hashes ------------------------------------------------------------------------------

    def spike_hash(self, seed: int = 0) -> int:
        """CRC32 of all spikes of this step, going on from ``seed``."""
        for layer, slot in zip(self.plan.layers, self.slots, strict=True):
            if layer.spikes:
                seed = crc32(
                    np.packbits(slot.spikes.ravel() > 0, bitorder="little").tobytes(), seed
                )
        return seed

    def weight_hash(self, seed: int = 0) -> int:
        """CRC32 of all weights that learn, going on from ``seed``."""
        for layer, slot in zip(self.plan.layers, self.slots, strict=True):
            if layer.signal != "none":
                for held in _learnt(slot).values():
                    seed = crc32(np.ascontiguousarray(held, F).tobytes(), seed)
        return seed


def _slot(layer: Layer) -> Slot:
    shape, learns = layer.shape, layer.signal != "none"
    map_of = (shape.out_h, shape.out_w, shape.out_c)
    side = layer.pooled if layer.pool != "none" else 1
    loop = layer.recurrent_weight
    return Slot(
        v=np.zeros(map_of, F),
        weight=layer.weight.copy(),
        recurrent=None if loop is None else loop.copy(),
        bias=None if layer.bias is None else layer.bias.copy(),
        spikes=np.zeros(map_of, F),
        out=np.zeros((shape.out_h // side, shape.out_w // side, shape.out_c), F),
        pre=np.zeros(shape.inputs, F),
        loop_pre=np.zeros(shape.neurons, F) if layer.loop else None,
        post=np.zeros(map_of, F) if learns and layer.post_gain else None,
        latent=np.zeros(layer.latents, F) if layer.latent_decay else None,
    )


def _learnt(slot: Slot) -> dict[str, Floats]:
    held = {"weight": slot.weight, "recurrent": slot.recurrent, "bias": slot.bias}
    return {name: x for name, x in held.items() if x is not None}


def _like(layer: Layer) -> dict[str, Floats]:
    held = {"weight": layer.weight, "recurrent": layer.recurrent_weight, "bias": layer.bias}
    if layer.signal == "none":
        return {}
    return {name: np.zeros_like(x) for name, x in held.items() if x is not None}


def _u(layer: Layer, slot: Slot) -> Floats:
    reset = np.where(slot.spikes > 0, F(layer.reset), F(0.0))
    found: Floats = slot.v + reset
    return found


def _psi(layer: Layer, u: Floats) -> Floats:
    d = np.abs(u - F(layer.threshold))
    if layer.psi == "Triangle":
        return np.maximum(F(layer.psi_height) - F(layer.psi_slope) * d, F(0.0))
    d = F(layer.psi_slope) * d + ONE
    return ONE / (d * d)


def _receive(
    shape: Shape, weight: Floats, x: Floats, pre: Floats | None, decay: float, u: Floats
) -> None:
    """Traces and currents of all inputs, input by input."""
    if pre is not None:
        pre[...] = F(decay) * pre + x
        pre[pre < FADED] = 0
    for i in np.flatnonzero(x):
        at, channel = divmod(int(i), shape.in_c)
        y, x_at = divmod(at, shape.in_w)
        for ky, kx in np.ndindex(shape.kernel, shape.kernel):
            oy, over_y = divmod(y + shape.pad - ky, shape.stride)
            ox, over_x = divmod(x_at + shape.pad - kx, shape.stride)
            if over_y or over_x or not (0 <= oy < shape.out_h and 0 <= ox < shape.out_w):
                continue
            u[oy, ox] += x[i] * weight[ky, kx, channel]


def _windows(layer: Layer, spikes: Floats) -> Floats:
    """Spikes by window: [h, w, pooled², C], and what does not fill a window left out."""
    side = layer.pooled
    h, w = layer.shape.out_h // side, layer.shape.out_w // side
    cut = spikes[: h * side, : w * side].reshape(h, side, w, side, -1)
    found: Floats = cut.transpose(0, 2, 1, 3, 4).reshape(h, w, side * side, -1)
    return found


def _pooled(layer: Layer, spikes: Floats) -> Floats:
    if layer.pool == "none":
        return spikes
    windows = _windows(layer, spikes)
    return windows.max(2) if layer.pool == "max" else windows.sum(2)


def _takes(layer: Layer, spikes: Floats) -> NDArray[np.bool_]:
    """Which neurons take their window's signal: [h, w, C]."""
    taking = np.zeros(spikes.shape, bool)
    if layer.pool == "none":
        return ~taking
    side = layer.pooled
    windows = _windows(layer, spikes)
    chosen = np.ones(windows.shape, bool)
    if layer.pool == "max":
        first = windows.argmax(2)  # of a silent window the first neuron
        chosen = np.arange(side * side)[:, None] == first[:, :, None]
    h, w = windows.shape[:2]
    back = chosen.reshape(h, w, side, side, -1).transpose(0, 2, 1, 3, 4)
    taking[: h * side, : w * side] = back.reshape(h * side, w * side, -1)
    return taking


def _latents(layer: Layer, slot: Slot) -> Floats:
    """Mean spikes of this step behind every latent."""
    out = slot.out
    if layer.side:
        windows = out.reshape(layer.side, layer.window, layer.side, layer.window, -1)
        out = windows.sum((1, 3)).transpose(2, 0, 1)
    found: Floats = out.ravel() * F(layer.latent_unit)
    return found


def _in_order(x: Floats) -> Any:
    """The sum of numbers in their order, each addition rounded."""
    return np.add.accumulate(x, dtype=F)[-1]


def _error(z: Floats, label: int) -> Floats:
    z = np.array([_exponential(x) for x in z - z.max()], F)
    z = z / _in_order(z)
    z[label] -= ONE
    return z


def _exponential(x: Any) -> Any:
    """exp of x <= 0 by the runtime's polynomial."""
    if not x >= F(-87.0):
        return F(0.0)
    whole = int(x * F(1.44269504) - HALF)
    x = (x - F(whole) * F(0.693359375)) + F(whole) * F(2.12194440e-4)
    p = ONE / F(720.0)
    for term in (ONE / F(120.0), ONE / F(24.0), ONE / F(6.0), HALF, ONE, ONE):
        p = p * x + term
    return p * np.uint32((whole + 127) << 23).view(F)


def _inverse_root(x: Any) -> Any:
    y = np.uint32(0x5F375A86 - (int(F(x).view(np.uint32)) >> 1)).view(F)
    for _ in range(4):
        y = y * (SPREAD - HALF * x * y * y)
    return y


def _class_signal(layer: Layer, slot: Slot, label: int) -> Floats:
    a = slot.latent if slot.latent is not None else _latents(layer, slot)
    basis = layer.basis if layer.basis is not None else _wave(layer)
    scale = F(layer.scale)
    if layer.scale == 0.0:
        squares = _in_order(a * a)
        scale = _inverse_root(squares) if squares > ONE else ONE
    z = np.array([scale * _in_order(row) for row in basis * a], F)
    z = _error(z, label) * (scale * F(layer.latent_unit))
    m: Floats = np.add.accumulate(basis * z[:, None], axis=0, dtype=F)[-1]
    return _spread(layer, m)


def _wave(layer: Layer) -> Floats:
    at = np.arange(layer.latents, dtype=np.uint64)
    phases = np.array(layer.phases, np.uint64)[:, None] * at & np.uint64(0xFFFFFFFF)
    return np.where(phases >> np.uint64(31), F(-1.0), ONE).astype(F)


def _label_signal(layer: Layer, slot: Slot, label: int) -> Floats:
    assert layer.basis is not None
    return _spread(layer, layer.basis[label])


def _error_signal(layer: Layer, slot: Slot, label: int) -> Floats:
    return _error(slot.v.ravel(), label).reshape(slot.v.shape)


_SIGNALS = {"class": _class_signal, "label": _label_signal, "error": _error_signal}


def _spread(layer: Layer, m: Floats) -> Floats:
    """m of every neuron [H, W, C]; neurons outside of all windows have 0."""
    shape, side = layer.shape, layer.pooled if layer.pool != "none" else 1
    h, w = shape.out_h // side, shape.out_w // side
    if layer.side:
        wide = m.reshape(-1, layer.side, layer.side).transpose(1, 2, 0)
        wide = wide.repeat(layer.window, 0).repeat(layer.window, 1)
    else:
        wide = m.reshape(h, w, -1)
    found = np.zeros((shape.out_h, shape.out_w, shape.out_c), F)
    found[: h * side, : w * side] = wide.repeat(side, 0).repeat(side, 1)
    return found


def _change(
    shape: Shape, weight: Floats, row: Floats, at: tuple[int, int], pre: Floats, by: Any
) -> None:
    """What a row of post factors does to the weights behind one position."""
    if not row.any():
        return
    seen = pre.reshape(shape.in_h, shape.in_w, shape.in_c)
    for ky, kx in np.ndindex(shape.kernel, shape.kernel):
        y, x = at[0] * shape.stride + ky - shape.pad, at[1] * shape.stride + kx - shape.pad
        if not (0 <= y < shape.in_h and 0 <= x < shape.in_w):
            continue
        active = np.flatnonzero(seen[y, x])
        weight[ky, kx, active] += (by * seen[y, x, active])[:, None] * row
