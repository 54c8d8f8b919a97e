"""Weights of 16 or 8 bits: where the binary points of a layer are, and the plan that has them.

A weight is a whole number of 2^-e; e is chosen by kind of weights so that the largest of them
leaves room to grow. Membranes, pre traces and post traces are int16 with points of their own;
readouts' membranes stay floats. `ls.h` says how the runtime goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import floor, log2
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, IllegalError
from .plan import Layer, Plan

Dtype = Literal["f32", "int16", "int8"]
DTYPES: tuple[Dtype, ...] = ("f32", "int16", "int8")
HEADROOM = 2.0
"""How much larger than the largest trained weight a weight may grow, where nothing else is said."""
MOST = 32767
"""The largest int16 that is used; the least is its negative."""
PARTS = 32768
"""What decays are whole parts of."""
THRESHOLDS = 16
"""How many thresholds a membrane can hold."""
EVENTS = 2.0
"""Events a step, kept up for ever, that a pre trace can hold."""
FINER_POSTS = {"int16": 3, "int8": 8}
"""Fractional bits of a post factor times one event: an event moves a weight by at most 4,096 units
of 16 bits (an eighth of what it can be), or by 128 of 8 (all of it)."""
MOST_STATE, MOST_TRACE, MOST_POST, MOST_WEIGHT = 24, 12, 14, 24
FINER = 8
"""Bits by which weights may be finer than membranes."""
COARSER = 14
"""Bits by which they may be coarser: a gain still fits an int16."""
LEAST_POINT = -64
GAIN_BITS, MOST_SHIFT = 6, 24
"""A gain that is no whole number is worth 64 … 127 of 2^-shift: 255 events of it fit an int16."""


@dataclass(frozen=True)
class Fixed:
    """Binary points of a layer: a number x is stored as x 2^point.

    ``weight``, ``loop`` and ``bias`` are those of its weights, ``state`` of membranes, ``trace`` of
    pre, ``post`` of post traces.
    """

    dtype: Dtype
    weight: int
    loop: int
    bias: int
    state: int
    trace: int
    post: int
    gains: tuple[tuple[int, int], ...] = field(default=((0, 0),) * 3, repr=False)
    """By kind: an event brings gain 2^-shift units of a membrane through a unit of weight."""

    @property
    def points(self) -> tuple[int, int, int]:
        """Of inputs' weights, recurrent weights and biases."""
        return self.weight, self.loop, self.bias

    @property
    def most(self) -> int:
        """The largest unit of weight."""
        return 127 if self.dtype == "int8" else MOST

    @property
    def shift(self) -> int:
        """Fractional bits of a post factor times a pre trace; an event is 2^trace units of it."""
        return self.trace + FINER_POSTS[self.dtype]


def in_fixed_point(plan: Plan, dtype: Dtype, headroom: float = HEADROOM) -> Plan:
    """A plan with weights of 32 (as it was), 16 or 8 bits, rounded to nearest.

    Raises
    ------
    IllegalError
        Naming the block whose threshold, weights or traces do not fit 16 bits.
    ConfigError
        For a headroom outside of 1 … 1024, or a plan that is in fixed point already.

    >>> from localspike.export import plan_of
    >>> from localspike.nn import fold
    >>> from localspike.nn import models
    >>> from localspike.rules import tess
    >>> made = plan_of(fold(models.mlp(64, (48, 32), 10)), tess(post_gain=0.0))
    >>> [in_fixed_point(made, dtype).arena("learn") for dtype in DTYPES]
    [21228, 10904, 5968]
    """
    if plan.dtype != "f32":
        raise ConfigError("plan", got=f"weights in {plan.dtype}", expected="a plan in f32")
    if dtype not in DTYPES:
        raise ConfigError("dtype", got=dtype, expected=", ".join(DTYPES))
    if not 1.0 <= headroom <= 1024.0:
        raise ConfigError("headroom", got=headroom, expected="1 … 1024")
    if dtype == "f32":
        return plan
    return replace(plan, layers=tuple(_layer(x, dtype, headroom) for x in plan.layers))


def _layer(layer: Layer, dtype: Dtype, headroom: float) -> Layer:
    points = _points(layer, dtype, headroom)
    return replace(
        layer,
        fixed=points,
        weight=_whole(layer.weight, points.weight, points),
        recurrent_weight=_whole(layer.recurrent_weight, points.loop, points),
        bias=_whole(layer.bias, points.bias, points),
    )


def _whole(x: NDArray[Any] | None, point: int, to: Fixed) -> Any:
    if x is None:
        return None
    units = np.rint(np.ldexp(x.astype(np.float64), point))
    return np.clip(units, -to.most, to.most).astype(to.dtype)


def _points(layer: Layer, dtype: Dtype, headroom: float) -> Fixed:
    state = 0
    if layer.spikes:
        if layer.threshold <= 0.0:
            _refuse(layer, f"threshold {layer.threshold:g}", "a threshold above 0")
        most_state = floor(log2(MOST / (THRESHOLDS * max(layer.threshold, layer.reset))))
        state = min(most_state, MOST_STATE)
    kinds = (layer.weight, layer.recurrent_weight, layer.bias)
    most = 127 if dtype == "int8" else MOST
    ceiling = state + FINER if layer.spikes else MOST_WEIGHT
    weight, loop, bias = (_point(x, most, headroom, ceiling) for x in kinds)
    found = Fixed(dtype, weight, loop, bias, state, _trace_point(layer), _post_point(layer))
    _check(layer, found)
    return replace(found, gains=_gains(layer, found)) if layer.spikes else found


def _check(layer: Layer, at: Fixed) -> None:
    """Refuse what the points cannot hold."""
    if min(at.points) < (at.state - COARSER if layer.spikes else LEAST_POINT):
        kinds = (layer.weight, layer.recurrent_weight, layer.bias)
        largest = max(float(np.abs(x).max()) for x in kinds if x is not None and x.size)
        beside = f" beside a threshold of {layer.threshold:g}" if layer.spikes else ""
        _refuse(layer, f"weights of {largest:.3g}{beside}", "smaller weights")
    if layer.spikes and round(layer.threshold * 2.0**at.state) < 1:
        _refuse(layer, f"threshold {layer.threshold:g}, reset {layer.reset:g}",
                "a threshold that a membrane of 16 bits can tell from 0")  # fmt: skip
    if round(layer.unit * 2.0**at.trace) < 1:
        _refuse(layer, f"pre_decay {layer.pre_decay:g} of means over {1 / layer.unit:.0f} spikes",
                "a faster pre trace or smaller windows")  # fmt: skip


def _refuse(layer: Layer, got: str, expected: str) -> None:
    raise IllegalError(
        f"block {layer.name!r} cannot be exported in fixed point",
        got=got,
        expected=expected,
        fix="Export with --dtype f32",
    )


def _point(x: NDArray[Any] | None, most: int, headroom: float, ceiling: int) -> int:
    """The finest point that leaves room; weights that are all zero may grow to 1."""
    largest = 0.0 if x is None or not x.size else float(np.abs(x).max())
    return min(floor(log2(most / (headroom * largest or 1.0))), ceiling)


def _trace_point(layer: Layer) -> int:
    lasting = EVENTS / max(1.0 - layer.pre_decay, 1e-3)
    return max(0, min(floor(log2(MOST / lasting)), MOST_TRACE))


def _post_point(layer: Layer) -> int:
    most = max(layer.psi_height, 1.0) / max(1.0 - layer.post_decay, 1e-3)
    return max(0, min(floor(log2(MOST / most)), MOST_POST))


def _gains(layer: Layer, at: Fixed) -> tuple[tuple[int, int], ...]:
    units = (layer.unit, 1.0, 1.0)
    return tuple(_gain(u * 2.0 ** (at.state - p)) for u, p in zip(units, at.points, strict=True))


def _gain(x: float) -> tuple[int, int]:
    """The number as gain 2^-shift: exactly, or to seven bits.

    >>> _gain(16.0), _gain(0.25), _gain(1 / 9)
    ((16, 0), (1, 2), (114, 10))
    """
    shift = 0
    while shift < MOST_SHIFT and not (x.is_integer() or x >= 2.0**GAIN_BITS):
        x, shift = 2.0 * x, shift + 1
    return min(round(x), 2 * 2**GAIN_BITS - 1) if shift else round(x), shift


def one_event(layer: Layer) -> tuple[int, int]:
    """What an event adds to a pre trace: of an input, of a recurrent one."""
    return round(layer.unit / trace_unit(layer)), round(1.0 / trace_unit(layer))


def trace_unit(layer: Layer) -> float:
    """What a unit of a pre trace is worth: about 2^-trace, so that an input's event is whole."""
    assert layer.fixed is not None
    return layer.unit / round(layer.unit * 2.0**layer.fixed.trace)


def parts_of(decay: float) -> int:
    """A decay in parts of `PARTS`.

    >>> parts_of(0.5), parts_of(1.0)
    (16384, 32768)
    """
    return round(decay * PARTS)
