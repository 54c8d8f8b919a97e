"""A signal over time as events of its changes: ON for up, OFF for down.

Both encoders return signed counts [T', …] like the signal, n for n ON events and −n for n OFF
events; ``on_off`` makes two channels of them, OFF then ON, as event cameras have p = 0 and 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...errors import ShapeError
from .check import check_floating, check_positive, check_range

MOST = 2.0**52
"""Levels that double precision counts exactly."""


def delta(signal: Tensor, threshold: float) -> Tensor:
    """Changes from step to step: c[t] = trunc((s[t] − s[t−1]) / θ), c[0] = 0.

    Forgetful: what a step leaves over is lost, so a slow signal gives nothing; ``level_crossing``
    remembers. Raises ShapeError for integers or no time axis, DataError for a signal that is not
    finite, ConfigError for θ ≤ 0.

    >>> delta(torch.tensor([0.0, 1.0, 3.5, 3.0, 1.0]), 1.0).tolist()
    [0.0, 1.0, 2.0, 0.0, -2.0]
    """
    value = _checked("delta", signal, threshold)
    change = torch.diff(value, dim=0, prepend=value[:1])
    return (torch.trunc(change / threshold) + 0.0).to(signal.dtype)  # no -0


def level_crossing(signal: Tensor, threshold: float, reference: Tensor | None = None) -> Tensor:
    """Levels θ apart that the signal crosses, with hysteresis: signed counts c [T', …].

        w[t] = (s[t] − r) / θ
        n[t] = min(max(n[t−1], ⌊w[t]⌋), ⌈w[t]⌉),  n[−1] = 0        c[t] = n[t] − n[t−1]

    r is ``reference``, by default s[0]. n follows the signal only when it is a whole level off, so
    noise below θ around a level gives no events, and what the events add up to stays close:
    |s[t] − (r + θ n[t])| < θ (``reconstruct``). To go on where a part of a signal ended, pass
    r + θ Σ c as the next reference. Each step clamps n between two numbers, and clamps compose to
    clamps, so all T' steps are found in log₂ T' passes. Send on delta: Miskowicz, Sensors 6, 2006.
    Raises ShapeError for integers, no time axis, or a reference of another shape; DataError for a
    signal that is not finite; ConfigError for θ ≤ 0.

    >>> level_crossing(torch.tensor([0.0, 0.9, 1.1, 0.9, 0.1, 0.0, -2.5]), 1.0).tolist()
    [0.0, 0.0, 1.0, 0.0, 0.0, -1.0, -2.0]
    """
    value = _checked("level_crossing", signal, threshold)
    start = value[:1] if reference is None else _start(reference, value)
    place = (value - start) / threshold
    check_range("level_crossing: levels", place, -MOST, MOST)
    low, high = torch.floor(place), torch.ceil(place)
    shift = 1
    while shift < len(place):
        earlier = low[:-shift], high[:-shift]
        folded = [torch.clamp(bound, low[shift:], high[shift:]) for bound in earlier]
        low = torch.cat([low[:shift], folded[0]])
        high = torch.cat([high[:shift], folded[1]])
        shift *= 2
    level = torch.clamp(torch.zeros_like(low), low, high)
    return torch.diff(level, dim=0, prepend=torch.zeros_like(level[:1])).to(signal.dtype)


def reconstruct(start: Tensor, crossings: Tensor, threshold: float) -> Tensor:
    """What the events add up to: r + θ Σ_{k ≤ t} c[k], for ``start`` = r without the time axis.

    >>> events = torch.tensor([0.0, 1.0, 0.0, -2.0])
    >>> reconstruct(torch.tensor(0.5), events, 0.25).tolist()
    [0.5, 0.75, 0.75, 0.25]
    """
    return start + threshold * crossings.cumsum(0)


def on_off(crossings: Tensor, dim: int = -1) -> Tensor:
    """Signed counts as two blocks of channels along ``dim``, OFF then ON, none negative.

    >>> on_off(torch.tensor([[2.0, -1.0, 0.0]])).tolist()
    [[0.0, 1.0, 0.0, 2.0, 0.0, 0.0]]
    """
    return torch.cat([(0 - crossings).clamp(min=0), crossings.clamp(min=0)], dim=dim)


def _checked(name: str, signal: Tensor, threshold: float) -> Tensor:
    """The signal in double precision, without its graph."""
    check_floating(name, signal)
    check_positive(name, "threshold", threshold)
    if signal.dim() == 0 or len(signal) == 0:
        raise ShapeError(f"{name}: no time axis", got=list(signal.shape), expected="[T', …]")
    check_range(name, signal, -math.inf, math.inf)
    return signal.detach().double()


def _start(reference: Tensor, value: Tensor) -> Tensor:
    if reference.shape != value.shape[1:]:
        raise ShapeError(
            "level_crossing: reference of another shape",
            got=list(reference.shape),
            expected=f"{list(value.shape[1:])}, a signal without its time axis",
        )
    return reference.detach().to(value)[None]
