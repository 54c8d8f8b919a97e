"""What single NIR nodes are as parts of a network: constants, weights, windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import DataError
from ..nn import LIF, AvgPool, Conv2d, CubaLIF, Flatten, Integrator, Linear, Synapse
from ..nn.tail import Tail
from .nir_flat import kind_of
from .nir_graph import DT

RESETS = ("soft", "hard", "none")
_NEAR = 1e-6  # of a decay: what float32 time constants are worth
Factor = NDArray[np.float64] | float
"""One number, or one a neuron, that weights are multiplied by."""


@dataclass(frozen=True)
class Reading:
    """How to read what NIR leaves open; None is what a node's metadata say, or NIR's own meaning.

    ``dt`` are seconds a step, ``reset`` what a spike does to the membrane.
    """

    dt: float | None = None
    reset: str | None = None
    dtype: torch.dtype = torch.float32


MOST_RESET = 1e30
"""Nothing in float32 comes back from a reset by more."""


def neuron(name: str, node: Any, how: Reading) -> tuple[LIF, Factor]:
    """A neuron, and what its input is multiplied by before it charges the membrane."""
    if kind_of(node) == "IF":
        decay, gain = 1.0, _perfect(node, how)
    else:
        tau = node.tau_mem if kind_of(node) == "CubaLIF" else node.tau
        decay, gain = _leak(name, node, tau, how, "decay")
    threshold = _same(name, "v_threshold", node.v_threshold)
    reset, amount = _reset(name, node, how)
    if kind_of(node) != "CubaLIF":
        return LIF(decay, threshold, reset, amount), gain  # type: ignore[arg-type]
    dt = _dt(node, how)
    syn = _decay(name, node.tau_syn, dt, _said(node, "synaptic_decay"))
    gain = gain * (_array(node.w_in) * dt / _array(node.tau_syn))
    return CubaLIF(decay, threshold, reset, amount, synaptic_decay=syn), gain  # type: ignore[arg-type]


def integrator(name: str, node: Any, how: Reading) -> tuple[Integrator, Factor]:
    """A readout's neurons, and what their input is multiplied by."""
    if kind_of(node) == "I":
        return Integrator(1.0), _perfect(node, how)
    decay, gain = _leak(name, node, node.tau, how, "decay")
    return Integrator(decay), gain


def _leak(name: str, node: Any, tau: Any, how: Reading, key: str) -> tuple[float, Factor]:
    """γ = 1 − dt/τ and R dt/τ; NIR's rest potential must be 0, ours is."""
    dt = _dt(node, how)
    if np.any(_array(node.v_leak) != 0.0):
        raise DataError(
            f"NIR node {name!r} rests elsewhere than at 0", got=f"v_leak {node.v_leak}", expected=0
        )
    decay = _decay(name, tau, dt, _said(node, key))
    return decay, _array(node.r) * dt / _array(tau)


def _perfect(node: Any, how: Reading) -> Factor:
    """The gain of a membrane that does not leak: R dt; R = 1 is written for 1 where dt is left out.

    Norse, sinabs and snnTorch do the latter; at 1e-4 seconds a step such a neuron would be deaf.
    """
    r = _array(node.r)
    return 1.0 if bool(np.all(r == 1.0)) else r * _dt(node, how)


def _decay(name: str, tau: Any, dt: float, said: float | None) -> float:
    held = _same(name, "tau", tau)
    decay = 1.0 - dt / held if held > 0.0 else -1.0
    if not -_NEAR <= decay <= 1.0:
        raise DataError(
            f"NIR node {name!r} is faster than a time step",
            got=f"tau {held:g} s at dt {dt:g} s",
            expected="tau of at least dt",
            fix="Give the step it was written for: read_nir(path, dt=...)",
        )
    # The decay itself, where it is noted and is this one: a time constant is off by its rounding.
    near = said is not None and abs(said - decay) <= _NEAR
    return float(said) if near and said is not None else max(decay, 0.0)


def _reset(name: str, node: Any, how: Reading) -> tuple[str, float | None]:
    """The kind of reset, and what a soft one subtracts (None: the threshold)."""
    noted = _said(node, "reset")
    reset = how.reset or (noted.decode() if isinstance(noted, bytes) else noted) or "hard"
    if reset not in RESETS:
        raise DataError(f"NIR node {name!r} has an unknown reset", got=reset, expected=RESETS)
    if reset == "hard" and np.any(_array(node.v_reset) != 0.0):
        raise DataError(
            f"NIR node {name!r} resets elsewhere than to 0",
            got=f"v_reset {node.v_reset}",
            expected=0,
        )
    amount = _said(node, "reset_by") if reset == "soft" and noted == "soft" else None
    if amount is not None and not abs(float(amount)) < MOST_RESET:
        raise DataError(f"NIR node {name!r} resets by no usable amount", got=amount)
    return reset, None if amount is None else float(amount)


def _dt(node: Any, how: Reading) -> float:
    noted = _said(node, "dt")
    return how.dt or (DT if noted is None else float(noted))


def _said(node: Any, key: str) -> Any:
    found = getattr(node, "metadata", None) or {}
    value = found.get(key)
    return value.item() if isinstance(value, np.generic | np.ndarray) else value


def _array(value: Any) -> NDArray[np.float64]:
    return np.asarray(value, dtype=np.float64)


def _same(name: str, what: str, value: Any) -> float:
    """A constant that all neurons of a layer share, as ours do."""
    held = _array(value)
    low, high = (float(held.min()), float(held.max())) if held.size else (0.0, np.nan)
    if not high - low <= 1e-6 * abs(high):
        raise DataError(
            f"the neurons of NIR node {name!r} differ in {what}",
            got=f"{low:g} to {high:g}",
            expected="one value for all neurons of a layer",
        )
    return float(held.flat[0])


def synapse(
    name: str, node: Any, gain: Factor, bias: Any, dtype: torch.dtype, factor: float = 1.0
) -> Synapse:
    """A synapse with ``gain`` (a number, or one a neuron) in its weights and its bias.

    ``bias`` [O] is the layer's, or None; ``factor`` is on the weights only.
    """
    weight, conv = _array(node.weight), kind_of(node) == "Conv2d"
    if weight.ndim != (4 if conv else 2):
        raise DataError(f"NIR node {name!r} has weights of another shape", got=list(weight.shape))
    unit = _by_unit(name, gain, conv, len(weight))
    if conv and bias is not None and not bias.any():
        bias = None  # NIR's convolution always has one
    has = bias is not None
    made = _conv(name, node, weight, has) if conv else Linear(*weight.shape[::-1], bias=has)
    made = made.to(dtype)
    with torch.no_grad():
        _fill(name, made.weight, weight * factor * unit.reshape(-1, *(1,) * (weight.ndim - 1)))
        if made.bias is not None:
            _fill(name, made.bias, bias * unit if bias.shape == unit.shape else bias)
    return made


def _by_unit(name: str, gain: Factor, conv: bool, units: int) -> NDArray[np.float64]:
    """The gain of every row of weights; all positions of a feature map must have the same."""
    held = _array(gain)
    if conv and held.ndim == 3:
        flat = held.reshape(len(held), -1)
        held = flat[:, 0] if bool(np.all(flat == flat[:, :1])) else held
    if held.ndim > 1 or held.size not in (1, units):
        held = _array(_same(name, "r", held))
    return np.broadcast_to(held, units)


def _fill(name: str, parameter: Tensor, values: NDArray[np.float64]) -> None:
    if values.shape != tuple(parameter.shape) or not np.isfinite(values).all():
        got = list(values.shape) if np.isfinite(values).all() else "NaN or infinity"
        raise DataError(
            f"NIR node {name!r} has weights that cannot be",
            got=got,
            expected=f"finite numbers {list(parameter.shape)}",
        )
    parameter.copy_(torch.from_numpy(values))


def _conv(name: str, node: Any, weight: NDArray[np.float64], bias: bool) -> Synapse:
    if int(np.max(node.groups)) != 1 or np.any(np.asarray(node.dilation) != 1):
        raise _odd(name, f"groups {node.groups}, dilation {node.dilation}", "1 and 1")
    side = _square(name, "a kernel", weight.shape[2:])
    stride = _square(name, "a stride", node.stride)
    padding = node.padding
    if isinstance(padding, str):
        if padding == "same" and (side % 2 == 0 or stride != 1):
            raise _odd(name, f"padding 'same' of a kernel of {side}", "an odd kernel, stride 1")
        pad = side // 2 if padding == "same" else 0
    else:
        pad = _square(name, "padding", padding)
    return Conv2d(weight.shape[1], weight.shape[0], side, stride=stride, padding=pad, bias=bias)


def tail(name: str, node: Any) -> tuple[Tail, float]:
    """A part of a tail, and what its output is multiplied by: a sum is a mean times its window."""
    if kind_of(node) == "Flatten":
        return Flatten(), 1.0
    side = _square(name, "a window", node.kernel_size)
    stride, padding = _square(name, "a stride", node.stride), np.asarray(node.padding)
    if stride != side or np.any(padding != 0):
        raise _odd(name, f"stride {node.stride}, padding {node.padding}", "windows side by side")
    return AvgPool(side), float(side**2) if kind_of(node) == "SumPool2d" else 1.0


def _square(name: str, what: str, sides: Any) -> int:
    held = np.unique(np.asarray(sides))
    if held.size != 1:
        raise _odd(name, f"{what} of {tuple(np.asarray(sides).tolist())}", "equal sides")
    return int(held[0])


def _odd(name: str, got: str, expected: str) -> DataError:
    return DataError(f"NIR node {name!r} has no layer here", got=got, expected=expected)
