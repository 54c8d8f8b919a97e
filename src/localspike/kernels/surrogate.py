"""Secondary activations Ψ: the surrogate derivatives of the spike function.

Each is a frozen value called on the distance to threshold d = u − θ (any shape, dimensionless).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Surrogate = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Triangle:
    """Ψ(d) = height · max(1 − |d| / width, 0).

    Source: TESS and S-TLLR on vision data, height 0.3 and width 1.

    >>> Triangle()(torch.tensor([0.0, 0.5, 2.0]))
    tensor([0.3000, 0.1500, 0.0000])
    """

    height: float = 0.3
    width: float = 1.0

    def __call__(self, d: Tensor) -> Tensor:
        return d.abs().mul_(-self.height / self.width).add_(self.height).clamp_(min=0.0)


@dataclass(frozen=True)
class FastSigmoid:
    """Ψ(d) = 1 / (slope · |d| + 1)².

    Source: S-TLLR on audio and the linear layers of the TESS release, slope 100.

    >>> FastSigmoid(slope=1.0)(torch.tensor([0.0, 1.0]))
    tensor([1.0000, 0.2500])
    """

    slope: float = 100.0

    def __call__(self, d: Tensor) -> Tensor:
        return (d.abs() * self.slope + 1.0).square().reciprocal()


@dataclass(frozen=True)
class SigmoidDerivative:
    """Ψ(d) = α σ(αd) (1 − σ(αd)).

    Source: OTTT, and S-TLLR on CIFAR10-DVS, α = 4.

    >>> SigmoidDerivative(alpha=4.0)(torch.zeros(1))
    tensor([1.])
    """

    alpha: float = 4.0

    def __call__(self, d: Tensor) -> Tensor:
        sigma = torch.sigmoid(d * self.alpha)
        return self.alpha * sigma * (1.0 - sigma)


@dataclass(frozen=True)
class ArcTangent:
    """Ψ(d) = 1 / (1 + (π · slope · d)²).

    Source: Traces Propagation (slope 1; 10 for its fine-tuning study).

    >>> ArcTangent()(torch.zeros(1))
    tensor([1.])
    """

    slope: float = 1.0

    def __call__(self, d: Tensor) -> Tensor:
        return (1.0 + (torch.pi * self.slope * d).square()).reciprocal()


@dataclass(frozen=True)
class Rectangle:
    """Ψ(d) = height where |d| < width / 2, else 0.

    >>> Rectangle()(torch.tensor([0.0, 0.4, 0.6]))
    tensor([1., 1., 0.])
    """

    height: float = 1.0
    width: float = 1.0

    def __call__(self, d: Tensor) -> Tensor:
        return (d.abs() < self.width / 2).to(d.dtype) * self.height


ELEMENTWISE = (Triangle, FastSigmoid, SigmoidDerivative, ArcTangent, Rectangle)
"""Surrogates known to be hashable values that work on tensors of any shape."""


class _SurrogateSpike(torch.autograd.Function):
    """H(d) forward, Ψ(d) backward: what turns the shared forward code into the BPTT baseline."""

    @staticmethod
    def forward(ctx: Any, d: Tensor, psi: Surrogate, inclusive: bool) -> Tensor:
        ctx.save_for_backward(d)
        ctx.psi = psi
        return heaviside(d, inclusive)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (d,) = ctx.saved_tensors
        return grad * ctx.psi(d), None, None


def heaviside(d: Tensor, inclusive: bool = False) -> Tensor:
    """o = H(d): 1 where d > 0 (strict), or d ≥ 0 if ``inclusive``, in the dtype of ``d``.

    >>> heaviside(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([0., 0., 1.])
    """
    return (d >= 0).to(d.dtype) if inclusive else (d > 0).to(d.dtype)


def surrogate_spike(d: Tensor, psi: Surrogate, inclusive: bool = False) -> Tensor:
    """H(d) whose autograd derivative is Ψ(d).

    >>> d = torch.tensor([0.5], requires_grad=True)
    >>> surrogate_spike(d, Triangle()).backward()
    >>> d.grad
    tensor([0.1500])
    """
    out: Tensor = _SurrogateSpike.apply(d, psi, inclusive)
    return out


def spike_function(psi: Surrogate | None, inclusive: bool = False) -> Callable[[Tensor], Tensor]:
    """The spike o = H(d) as a function of d alone; with Ψ given, differentiable by autograd.

    >>> spike_function(None)(torch.ones(1))
    tensor([1.])
    """
    if psi is None:
        return lambda d: heaviside(d, inclusive)
    return lambda d: surrogate_spike(d, psi, inclusive)
