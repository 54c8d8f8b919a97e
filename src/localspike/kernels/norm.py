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

    ``valid`` [..., B] leaves samples out; sums are float32, or the currents' dtype above it.

    >>> moments(torch.tensor([[1.0, 2.0], [3.0, 2.0]])).tolist()
    [[2.0, 2.0], [4.0, 4.0], [10.0, 8.0]]
    """
    made: Tensor = _MOMENTS(currents, valid, key=(currents.dtype, valid is None, currents.device))
    return made


def recentre(
    post: Tensor, currents: Tensor, shift: Tensor, slope: Tensor, told: Tensor
) -> tuple[Tensor, Tensor]:
    """Post factors c − n (shift + slope I), and what they were before: [3, O] of n, c and c I.

    Parameters
    ----------
    post, currents:
        c and I [..., B, O, *positions], alike.
    shift, slope:
        [O].
    told:
        n [..., B], 1 where the sample is told something and 0 where not; of a sum over time, the
        number of such steps.

    >>> c, i, one = torch.ones(2, 1), torch.tensor([[0.0], [2.0]]), torch.ones(1)
    >>> after, sums = recentre(c, i, one, one, torch.ones(2))
    >>> after.tolist(), sums.flatten().tolist()
    ([[0.0], [-2.0]], [2.0, 2.0, 2.0])
    """
    key = (post.dtype, currents.dtype, post.device)
    made: tuple[Tensor, Tensor] = _RECENTRE(post, currents, shift, slope, told, key=key)
    return made


def _axes(x: Tensor) -> tuple[int, tuple[int, ...]]:
    """The axis of the units, and all others; of vectors [.., B, O] or maps [.., B, O, H, W]."""
    unit = x.ndim - 1 if x.ndim < 4 else x.ndim - 3
    return unit, tuple(axis for axis in range(x.ndim) if axis != unit)


def _over(mask: Tensor, x: Tensor) -> Tensor:
    """A mask of the leading axes as a factor of x."""
    return mask.to(x.dtype).view(*mask.shape, *(1,) * (x.ndim - mask.ndim))


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _moments(currents: Tensor, valid: Tensor | None) -> Tensor:
    unit, others = _axes(currents)
    wide = _wide(currents)
    count = wide.new_full((currents.shape[unit],), currents.numel() // currents.shape[unit])
    if valid is not None:
        mask = _over(valid, wide)
        wide, count = wide * mask, count * mask.mean()
    return torch.stack((count, wide.sum(others), wide.square().sum(others)))


def _recentre(
    post: Tensor, currents: Tensor, shift: Tensor, slope: Tensor, told: Tensor
) -> tuple[Tensor, Tensor]:
    unit, others = _axes(post)
    c, i = _wide(post), _wide(currents)
    shape = (-1, *(1,) * (post.ndim - unit - 1))
    n = _over(told, c)
    places = post.numel() // post.shape[unit]
    count = c.new_full((post.shape[unit],), places) * n.mean()
    after = c - n * (shift.view(shape) + slope.view(shape) * i)
    sums = torch.stack((count, c.sum(others), (c * i).sum(others)))
    return after.to(post.dtype), sums


_MOMENTS = Kernel(_moments)
_RECENTRE = Kernel(_recentre)
