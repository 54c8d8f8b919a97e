"""Weight standardisation with a learnable gain, and its pullback."""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-4


def standardise(weight: Tensor, gain: Tensor, epsilon: float = EPSILON) -> Tensor:
    """Ŵ = g (W − mean) / sqrt(var · fan_in + ε), per output unit, unbiased variance.

    Parameters
    ----------
    weight:
        [O, ...]; everything after the first axis is the fan-in.
    gain:
        [O, 1, ...], broadcast over the fan-in.

    Source: TESS and S-TLLR released layers, ε = 1e-4.

    >>> w = standardise(torch.tensor([[1.0, 3.0]]), torch.ones(1, 1))
    >>> w.round(decimals=3)
    tensor([[-0.5000,  0.5000]])
    """
    centred, inverse = _parts(weight, epsilon)
    return gain * centred * inverse


def _parts(weight: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """W − mean and 1/sqrt(var · fan_in + ε)."""
    axes = tuple(range(1, weight.ndim))
    fan_in = weight[0].numel()
    centred = weight - weight.mean(axes, keepdim=True)
    # Two passes by hand: torch.var_mean takes ten times as long on wide rows.
    var = centred.square().sum(axes, keepdim=True) / (fan_in - 1)
    return centred, torch.rsqrt(var * fan_in + epsilon)


def standardise_pullback(
    grad: Tensor, weight: Tensor, gain: Tensor, epsilon: float = EPSILON
) -> tuple[Tensor, Tensor]:
    """Carry a gradient with respect to Ŵ back to W and g.

    With ĉ = W − mean, k = 1/sqrt(var·n + ε), n = fan-in, ḡ = grad − mean(grad):

        ∂W = g k (ḡ − ĉ k² n/(n−1) Σ(grad ⊙ ĉ)),      ∂g = k Σ(grad ⊙ ĉ)

    >>> w, g = torch.randn(2, 5, dtype=torch.float64), torch.ones(2, 1, dtype=torch.float64)
    >>> grad_w, grad_g = standardise_pullback(torch.ones_like(w), w, g)
    >>> bool(grad_w.abs().max() < 1e-12)  # a constant gradient is removed by the centring
    True
    """
    axes = tuple(range(1, weight.ndim))
    n = weight[0].numel()
    centred, k = _parts(weight, epsilon)
    along = (grad * centred).sum(axes, keepdim=True)
    flat = grad - grad.mean(axes, keepdim=True)
    grad_weight = gain * k * (flat - centred * (k.square() * (n / (n - 1)) * along))
    return grad_weight, k * along
