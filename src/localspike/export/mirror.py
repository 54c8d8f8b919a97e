"""The runtime in NumPy, operation by operation in the order of the C code: equal bit for bit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from .arithmetic import Arithmetic, FixedArithmetic, FloatArithmetic, Kind, Lesson, Numbers, Slot
from .mirror_signals import SIGNALS, latents, pooled, takes
from .plan import Floats, Layer, Plan, Shape

F = np.float32
ONE = F(1.0)
Bytes = NDArray[np.uint8]


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

    def __init__(self, plan: Plan, rate: float = 0.0, gather: bool = False, seed: int = 1) -> None:
        self.plan, self.rate, self.gather = plan, F(rate), gather
        self.by: Arithmetic = FloatArithmetic() if plan.dtype == "f32" else FixedArithmetic(seed)
        self.trainable = [layer.signal != "none" for layer in plan.layers]
        self.slots = [_slot(layer, self.by.state) for layer in plan.layers]
        if gather:
            for layer, slot in zip(plan.layers, self.slots, strict=True):
                slot.gathered = _like(layer, slot)
        self.margin = float("inf")  # least |u - threshold| so far: how sure the spikes are
        self.reset()

    def reset(self) -> None:
        """Begin a sequence."""
        for slot in self.slots:
            carried = (slot.v, slot.spikes, slot.out, slot.pre, slot.loop_pre, slot.post)
            for held in (*carried, slot.latent):
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
        self.by.begin(self.steps)
        for layer, slot in zip(self.plan.layers, self.slots, strict=True):
            self.inputs.append(x)
            self._advance(layer, slot, x)
            x = slot.out.ravel()
        self.logits += self.slots[-1].v.ravel()
        self.steps += 1

    def _advance(self, layer: Layer, slot: Slot, x: Floats) -> None:
        if slot.post is not None and self.steps:
            self.by.trace_post(layer, slot.post, self._psi(layer, slot))
        slot.past = slot.spikes.copy()
        slot.bias_pre = F(layer.bias_decay) * slot.bias_pre + ONE
        self.by.leak(layer, slot.v)
        if slot.bias is not None:
            self.by.send(layer, "bias", slot.v, slot.bias, 1.0)
        self._receive(layer, layer.shape, "weight", slot.weight, x, slot.pre, slot.v)
        if layer.loop and slot.recurrent is not None and slot.loop_pre is not None:
            before = slot.past.ravel()
            self._receive(
                layer, layer.loop, "recurrent", slot.recurrent, before, slot.loop_pre, slot.v
            )
        if layer.spikes:
            self._fire(layer, slot)

    def _fire(self, layer: Layer, slot: Slot) -> None:
        threshold, reset = self.by.membranes(layer)
        fired = slot.v > threshold
        self.margin = min(self.margin, float(np.abs(slot.v - threshold).min()))
        slot.spikes[...] = fired
        slot.v[fired] -= reset
        slot.out[...] = pooled(layer, slot.spikes)
        if slot.latent is not None:
            slot.latent[...] = F(layer.latent_decay) * slot.latent + latents(layer, slot)

    def _receive(
        self, layer: Layer, shape: Shape, kind: Kind, weight: Numbers, x: Floats, pre: Numbers,
        v: Numbers,
    ) -> None:  # fmt: skip
        """Traces and currents of all inputs, input by input."""
        self.by.trace(layer, kind, pre, x)
        for i in np.flatnonzero(x):
            at, channel = divmod(int(i), shape.in_c)
            y, x_at = divmod(at, shape.in_w)
            for ky, kx in np.ndindex(shape.kernel, shape.kernel):
                oy, over_y = divmod(y + shape.pad - ky, shape.stride)
                ox, over_x = divmod(x_at + shape.pad - kx, shape.stride)
                if over_y or over_x or not (0 <= oy < shape.out_h and 0 <= ox < shape.out_w):
                    continue
                self.by.send(layer, kind, v[oy, ox], weight[ky, kx, channel], x[i])

    def _psi(self, layer: Layer, slot: Slot) -> Floats:
        """The secondary activation of the distance to threshold."""
        d = np.abs(self.by.above(layer, slot.v, slot.spikes))
        if layer.psi == "Triangle":
            return np.maximum(F(layer.psi_height) - F(layer.psi_slope) * d, F(0.0))
        d = F(layer.psi_slope) * d + ONE
        found: Floats = (ONE / (d * d)).astype(F)
        return found

    # -- learning ----------------------------------------------------------------------------

    def learn(self, label: int) -> None:
        """Learn from the step just made."""
        for i, (layer, slot) in enumerate(zip(self.plan.layers, self.slots, strict=True)):
            if self.trainable[i] and layer.signal != "none":
                self._learn(layer, slot, self.inputs[i], SIGNALS[layer.signal](layer, slot, label))

    def _learn(self, layer: Layer, slot: Slot, x: Floats, m: Floats) -> None:
        causal = m * self._psi(layer, slot) if layer.spikes else m
        for at, row in _rows(layer, slot, causal):
            if row.any() or layer.by_vector:
                self._learn_row(layer, slot, at, row)
        if not (layer.loop or slot.post is not None):
            return
        traced = None if slot.post is None else m * self.by.post_values(layer, slot.post)
        for at, row in _rows(layer, slot, causal):
            if layer.loop and row.any():
                self._change(layer, slot, "recurrent", at, row, slot.loop_pre)
            if traced is not None:
                self._learn_traced(layer, slot, x, at, _row(layer, slot, traced, at))

    def _learn_row(self, layer: Layer, slot: Slot, at: tuple[int, int], row: Floats) -> None:
        """Biases and weights of the input."""
        if slot.bias is not None:
            self.by.teach_bias(layer, self._lesson(layer, slot, "bias", row), slot.bias_pre)
        self._change(layer, slot, "weight", at, row, slot.pre)

    def _learn_traced(
        self, layer: Layer, slot: Slot, x: Floats, at: tuple[int, int], row: Floats
    ) -> None:
        """What events of this step bring, by the post trace."""
        if not row.any():
            return
        self._change(layer, slot, "weight", at, row, None, x)
        if layer.loop and slot.past is not None:
            self._change(layer, slot, "recurrent", at, row, None, slot.past.ravel())

    def _lesson(self, layer: Layer, slot: Slot, kind: Kind, row: Floats) -> Lesson:
        into = slot.gathered if self.gather else slot.learnt()
        factor = ONE if self.gather else -(self.rate * F(layer.rate))
        return Lesson(kind, row, into[kind], factor, self.gather)

    def _change(
        self, layer: Layer, slot: Slot, kind: Kind, at: tuple[int, int], row: Floats,
        pre: Numbers | None, counts: Floats | None = None,
    ) -> None:  # fmt: skip
        """What a row of post factors does to the weights behind one position."""
        shape, lesson = layer.shape, self._lesson(layer, slot, kind, row)
        gain = F(layer.pre_gain) if pre is not None else F(layer.post_gain)
        if kind == "recurrent":
            assert layer.loop is not None
            shape = layer.loop
        elif pre is None:
            gain = gain * self.by.events_gain(layer)
        if pre is None:
            assert counts is not None
            pre = self.by.events(layer, kind, counts)
        self.by.by_gain(layer, lesson, gain)
        seen = pre.reshape(shape.in_h, shape.in_w, shape.in_c)
        for ky, kx in np.ndindex(shape.kernel, shape.kernel):
            y, x = at[0] * shape.stride + ky - shape.pad, at[1] * shape.stride + kx - shape.pad
            if 0 <= y < shape.in_h and 0 <= x < shape.in_w:
                self.by.teach(lesson, (ky, kx), seen[y, x])

    def update(self, momentum: float = 0.0) -> None:
        """Change the weights by what was gathered, keep ``momentum`` of it."""
        for layer, slot, learns in zip(self.plan.layers, self.slots, self.trainable, strict=True):
            if learns and slot.gathered:
                self.by.settle(layer, slot, self.rate * F(layer.rate))
                for held in slot.gathered.values():
                    held[...] = F(momentum) * held if momentum else F(0.0)

    def predict(self) -> int:
        """The class with the largest logits so far."""
        return int(self.logits.argmax())

    # -- hashes ------------------------------------------------------------------------------

    def spike_hash(self, seed: int = 0) -> int:
        """CRC32 of all spikes of this step, going on from ``seed``."""
        for layer, slot in zip(self.plan.layers, self.slots, strict=True):
            if layer.spikes:
                bits = np.packbits(slot.spikes.ravel() > 0, bitorder="little")
                seed = crc32(bits.tobytes(), seed)
        return seed

    def weight_hash(self, seed: int = 0) -> int:
        """CRC32 of all weights that learn, going on from ``seed``."""
        for layer, slot in zip(self.plan.layers, self.slots, strict=True):
            if layer.signal != "none":
                for held in slot.learnt().values():
                    seed = crc32(np.ascontiguousarray(held).tobytes(), seed)
        return seed


def _slot(layer: Layer, state: type[Any]) -> Slot:
    shape, learns = layer.shape, layer.signal != "none"
    map_of = (shape.out_h, shape.out_w, shape.out_c)
    side = layer.pooled if layer.pool != "none" else 1
    loop = layer.recurrent_weight
    return Slot(
        v=np.zeros(map_of, state if layer.spikes else F),
        weight=layer.weight.copy(),
        recurrent=None if loop is None else loop.copy(),
        bias=None if layer.bias is None else layer.bias.copy(),
        spikes=np.zeros(map_of, F),
        out=np.zeros((shape.out_h // side, shape.out_w // side, shape.out_c), F),
        pre=np.zeros(shape.inputs, state),
        loop_pre=np.zeros(shape.neurons, state) if layer.loop else None,
        post=np.zeros(map_of, state) if learns and layer.post_gain else None,
        latent=np.zeros(layer.latents, F) if layer.latent_decay else None,
    )


def _like(layer: Layer, slot: Slot) -> dict[str, Floats]:
    """Room to gather in."""
    learns = layer.signal != "none"
    return {name: np.zeros(x.shape, F) for name, x in slot.learnt().items() if learns}


def _row(layer: Layer, slot: Slot, factors: Floats, at: tuple[int, int]) -> Floats:
    """Post factors at one position, of the neurons that take their window's signal."""
    found: Floats = np.where(takes(layer, slot.spikes)[at], factors[at], F(0.0))
    return found


def _rows(layer: Layer, slot: Slot, factors: Floats) -> Iterator[tuple[tuple[int, int], Floats]]:
    """Post factors position by position."""
    taking = takes(layer, slot.spikes)
    for at in np.ndindex(layer.shape.out_h, layer.shape.out_w):
        yield (at[0], at[1]), np.where(taking[at], factors[at], F(0.0))
