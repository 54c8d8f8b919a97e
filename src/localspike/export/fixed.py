"""Weights of 16 or 8 bits: where the binary points of a layer are, and the plan that has them.

A weight is a whole number of 2^-e; e is chosen by kind of weights so that the largest of them
leaves room to grow. Membranes, pre traces and post traces are int16 with points of their own;
readouts' membranes stay floats. `ls.h` says how the runtime goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, floor, log2
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
SHIFTS = {"int16": 15, "int8": 20}
"""Fractional bits of a post factor times a pre trace: `LS_SHIFT`."""
MOST_TRACE, MOST_POST, MOST_WEIGHT = 12, 14, 24


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
        """Fractional bits of a post factor times a pre trace."""
        return SHIFTS[self.dtype]


def in_fixed_point(plan: Plan, dtype: Dtype, headroom: float = HEADROOM) -> Plan:
    """A plan with weights of 32 (as it was), 16 or 8 bits, rounded to nearest.

    Raises
    ------
    IllegalError
        For weights too large beside the threshold.
    ConfigError
        For a headroom below 1.

    >>> from localspike.export import plan_of
    >>> from localspike.nn import fold
    >>> from localspike.nn import models
    >>> from localspike.rules import tess
    >>> made = plan_of(fold(models.mlp(64, (48, 32), 10)), tess(post_gain=0.0))
    >>> [in_fixed_point(made, dtype).arena("learn") for dtype in DTYPES]
    [21228, 10904, 5968]
    """
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
        state = min(floor(log2(MOST / (THRESHOLDS * max(layer.threshold, layer.reset)))), 14)
    kinds = (layer.weight, layer.recurrent_weight, layer.bias)
    ceilings = (state - _finer(layer), state, state) if layer.spikes else (MOST_WEIGHT,) * 3
    most = 127 if dtype == "int8" else MOST
    weight, loop, bias = (
        _point(x, most, headroom, top) for x, top in zip(kinds, ceilings, strict=True)
    )
    if layer.spikes and state - min(weight, loop, bias) > 14:
        largest = max(float(np.abs(x).max()) for x in kinds if x is not None)
        _refuse(layer, f"weights of {largest:.3g} beside a threshold of {layer.threshold:g}",
                "weights below 1,000 thresholds")  # fmt: skip
    return Fixed(dtype, weight, loop, bias, state, _trace_point(layer), _post_point(layer))


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


def _finer(layer: Layer) -> int:
    """Bits by which membranes must be finer than weights: an input may be a part of an event."""
    parts = 1.0 / layer.unit
    exact = log2(parts).is_integer()
    return ceil(log2(parts)) + (0 if exact else 4)


def _trace_point(layer: Layer) -> int:
    lasting = EVENTS / max(1.0 - layer.pre_decay, 1e-3)
    return max(0, min(floor(log2(MOST / lasting)), MOST_TRACE))


def _post_point(layer: Layer) -> int:
    most = max(layer.psi_height, 1.0) / max(1.0 - layer.post_decay, 1e-3)
    return max(0, min(floor(log2(MOST / most)), MOST_POST))


def gains(layer: Layer) -> tuple[int, int, int]:
    """Units of a membrane that an event brings through one unit of weight, by kind."""
    at = layer.fixed
    assert at is not None
    if not layer.spikes:
        return 0, 0, 0
    units = (layer.unit, 1.0, 1.0)
    found = [round(u * 2.0 ** (at.state - p)) for u, p in zip(units, at.points, strict=True)]
    return found[0], found[1], found[2]


def one_event(layer: Layer) -> tuple[int, int]:
    """What an event adds to a pre trace: of an input, of a recurrent one."""
    assert layer.fixed is not None
    return round(layer.unit * 2.0**layer.fixed.trace), 2**layer.fixed.trace


def parts_of(decay: float) -> int:
    """A decay in parts of `PARTS`.

    >>> parts_of(0.5), parts_of(1.0)
    (16384, 32768)
    """
    return round(decay * PARTS)
