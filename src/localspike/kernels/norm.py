"""Weight standardisation with a learnable gain, and its pullback."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from .compiling import Kernel

EPSILON = 1e-4


def standardise(
    weight: Tensor, gain: Tensor, epsilon: float = EPSILON, dtype: torch.dtype | None = None
) -> Tensor:
    """Ŵ = g (W − mean) / sqrt(var · fan_in + ε), per output unit, unbiased variance.

    Parameters
    ----------
    weight:
        [O, ...]; everything after the first axis is the fan-in.
    gain:
        [O, 1, ...], broadcast over the fan-in.
    dtype:
        What Ŵ is rounded to; that of the weight by default.

    Source: TESS and S-TLLR released layers, ε = 1e-4.

    >>> w = standardise(torch.tensor([[1.0, 3.0]]), torch.ones(1, 1))
    >>> w.round(decimals=3)
    tensor([[-0.5000,  0.5000]])
    """
    dtype = dtype or weight.dtype
    rows, gains = weight.flatten(1), gain.flatten(1)
    made: Tensor = _forward(epsilon, dtype)(rows, gains, key=(weight.dtype, weight.device))
    return made.view(weight.shape)


@cache
def _forward(epsilon: float, dtype: torch.dtype) -> Kernel:
    def run(weight: Tensor, gain: Tensor) -> Tensor:
        centred, inverse = _parts(weight, epsilon)
        return (gain * centred * inverse).to(dtype)

    return Kernel(run)


def _parts(weight: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """W − mean and 1/sqrt(var · fan_in + ε) of rows [O, F]."""
    fan_in = weight.shape[1]
    centred = weight - weight.mean(1, keepdim=True)
    # Two passes by hand: torch.var_mean takes ten times as long on wide rows.
    var = centred.square().sum(1, keepdim=True) / (fan_in - 1)
    return centred, torch.rsqrt(var * fan_in + epsilon)


def standardise_pullback(
    grad: Tensor, weight: Tensor, gain: Tensor, epsilon: float = EPSILON
) -> tuple[Tensor, Tensor]:
    """Carry a gradient with respect to Ŵ back to W and g, in the dtype of W.

    With ĉ = W − mean, k = 1/sqrt(var·n + ε), n = fan-in, ḡ = grad − mean(grad):

        ∂W = g k (ḡ − ĉ k² n/(n−1) Σ(grad ⊙ ĉ)),      ∂g = k Σ(grad ⊙ ĉ)

    >>> w, g = torch.randn(2, 5, dtype=torch.float64), torch.ones(2, 1, dtype=torch.float64)
    >>> grad_w, grad_g = standardise_pullback(torch.ones_like(w), w, g)
    >>> bool(grad_w.abs().max() < 1e-12)  # a constant gradient is removed by the centring
    True
    """
    rows = (grad.flatten(1), weight.flatten(1), gain.flatten(1))
    made = _pullback(epsilon)(*rows, key=(grad.dtype, weight.dtype, weight.device))
    return made[0].view(weight.shape), made[1].view(gain.shape)


@cache
def _pullback(epsilon: float) -> Kernel:
    def run(grad: Tensor, weight: Tensor, gain: Tensor) -> tuple[Tensor, Tensor]:
        n = weight.shape[1]
        wide = grad.to(weight.dtype)
        centred, k = _parts(weight, epsilon)
        along = (wide * centred).sum(1, keepdim=True)
        flat = wide - wide.mean(1, keepdim=True)
        grad_weight = gain * k * (flat - centred * (k.square() * (n / (n - 1)) * along))
        return grad_weight, k * along

    return Kernel(run)


def moments(currents: Tensor, valid: Tensor | None = None) -> Tensor:
    """How many, Σ I and Σ I² of every output unit over currents I [..., B, O, *positions]: [3, O].

    ``valid`` [..., B] leaves samples out; sums are float32, or the currents' dtype above it. The
    leading axes are those of ``valid``: [B], or [T, B] where currents have one axis more than a
    batch has.

    >>> moments(torch.tensor([[1.0, 2.0], [3.0, 2.0]])).tolist()
    [[2.0, 2.0], [4.0, 4.0], [10.0, 8.0]]
    """
    made: Tensor = _MOMENTS(currents, valid, key=(currents.dtype, valid is None, currents.device))
    return made


def _moments(currents: Tensor, valid: Tensor | None) -> Tensor:
    # Vectors [.., B, O] or maps [.., B, O, H, W]: a batch of either has an even number of axes.
    unit = currents.ndim - 1 if currents.ndim < 4 else currents.ndim - 3
    others = tuple(axis for axis in range(currents.ndim) if axis != unit)
    wide = currents.to(torch.promote_types(currents.dtype, torch.float32))
    count = wide.new_full((currents.shape[unit],), currents.numel() // currents.shape[unit])
    if valid is not None:
        mask = valid.to(wide).view(*valid.shape, *(1,) * (currents.ndim - valid.ndim))
        wide, count = wide * mask, count * mask.mean()
    return torch.stack((count, wide.sum(others), wide.square().sum(others)))


_MOMENTS = Kernel(_moments)
