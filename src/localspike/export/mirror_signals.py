"""Pooling and learning signals of the runtime in NumPy, in the order of the C code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .plan import Floats, Layer

F = np.float32
ONE, HALF, SPREAD = F(1.0), F(0.5), F(1.5)


class Carried(Protocol):
    """What a signal reads of a layer: outputs, low-passed latents, membranes."""

    out: Floats
    latent: Floats | None
    v: NDArray[Any]


def _windows(layer: Layer, spikes: Floats) -> Floats:
    """Spikes by window: [h, w, pooled², C], and what does not fill a window left out."""
    side = layer.pooled
    h, w = layer.shape.out_h // side, layer.shape.out_w // side
    cut = spikes[: h * side, : w * side].reshape(h, side, w, side, -1)
    found: Floats = cut.transpose(0, 2, 1, 3, 4).reshape(h, w, side * side, -1)
    return found


def pooled(layer: Layer, spikes: Floats) -> Floats:
    """Spikes to outputs: whether there is one in a window, or how many."""
    if layer.pool == "none":
        return spikes
    windows = _windows(layer, spikes)
    return windows.max(2) if layer.pool == "max" else windows.sum(2)


def takes(layer: Layer, spikes: Floats) -> NDArray[np.bool_]:
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


def latents(layer: Layer, slot: Carried) -> Floats:
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


def _class_signal(layer: Layer, slot: Carried, label: int) -> Floats:
    a = slot.latent if slot.latent is not None else latents(layer, slot)
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


def _label_signal(layer: Layer, slot: Carried, label: int) -> Floats:
    assert layer.basis is not None
    return _spread(layer, layer.basis[label])


def _error_signal(layer: Layer, slot: Carried, label: int) -> Floats:
    return _error(slot.v.ravel(), label).reshape(slot.v.shape)


SIGNALS: dict[str, Callable[[Layer, Carried, int], Floats]] = {
    "class": _class_signal,
    "label": _label_signal,
    "error": _error_signal,
}


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
