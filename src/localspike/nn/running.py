"""Normalisation by running statistics: constant within a sequence, so that every schedule has it.

Batch normalisation looks at a whole batch, and at all of its time steps, before the first neuron
may fire; that is not online, not possible for a batch of one, and not local in time. Here a unit
keeps the mean and the mean square of its own current over past sequences and is normalised by them
as they were when the sequence began. Between updates they fold into the effective weight and a
constant current, so a device that only infers has nothing to compute.

The other half of batch normalisation is in its gradient: what would move all currents of a unit
alike, or stretch them, is taken out, since the normalisation would undo it. Here two more running
means say how much that is, and it is taken out of the post factors of two-trace rules on the spot.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..errors import ConfigError, is_finite

EPSILON = 1e-3
"""Variances are about the firing rate of the layer below: a nearly still unit is not blown up."""
MOMENTUM = 0.1


class Pull(NamedTuple):
    """What is taken out of a post factor at current I: shift + slope I, both [O]."""

    shift: Tensor
    slope: Tensor


class RunningNorm(nn.Module):
    """Statistics of c = ŵ·x per output unit, kept over updates; Î = (c − E[c]) / sd(c).

        I = g Î,    post ← post − (E[post] + Î E[post Î])

    ``momentum`` is the weight of what one update has seen; at batch 1 a smaller one than the
    default is right. The statistics are parameters without gradient: they are saved, moved and
    watched as weights are, and no optimiser changes them. ``push`` and ``along`` are E[post] and
    E[post Î] for a batch of one. Statistics follow the data where weights are frozen, too.

    Source: batch normalisation (arXiv 1502.03167) with expectations in place of a batch's means;
    the idea of normalising spiking layers online is of OSR (ICLR 2024).

    >>> norm = RunningNorm(2)
    >>> norm.settle(torch.tensor([[4.0, 4.0], [4.0, 8.0], [8.0, 20.0]]), torch.ones(2), 1.0)
    >>> norm.mean.tolist(), norm.square.tolist()
    ([1.0, 2.0], [2.0, 5.0])
    """

    def __init__(self, units: int, momentum: float = MOMENTUM) -> None:
        super().__init__()
        if not (is_finite(momentum) and 0.0 < momentum <= 1.0):
            raise ConfigError("momentum of running statistics", got=momentum, expected="in (0, 1]")
        self.momentum = momentum
        self.mean = _kept(torch.zeros(units))
        self.square = _kept(torch.ones(units))
        self.push = _kept(torch.zeros(units))
        self.along = _kept(torch.zeros(units))

    def inverse(self) -> Tensor:
        """1 / sqrt(variance + ε) of every unit [O]."""
        mean, square = self.mean.detach(), self.square.detach()
        return torch.rsqrt((square - mean.square()).clamp_min(0.0) + EPSILON)

    def pull(self, gain: Tensor, batch: int) -> Pull:
        """What is taken out of the post factors of a batch, whose currents are g Î."""
        return Pull(self.push.detach() / batch, self.along.detach() / (batch * _nonzero(gain)))

    @torch.no_grad()
    def settle(self, seen: Tensor, factor: Tensor, momentum: float | None = None) -> None:
        """Take in what has been ``seen`` (`kernels.norm.moments` [3, O]) of currents factor · c.

        Units that were silent or not finite, or have a factor of 0, stay as they were: silence says
        nothing of a current's spread.
        """
        weight = self.momentum if momentum is None else momentum
        count, total, squares = seen.to(self.mean)
        known = (squares > 0) & (factor != 0) & torch.isfinite(squares)
        share = _share(weight, known, self.mean)
        factor = _nonzero(factor)
        count = _nonzero(count)
        self.mean.lerp_(_known(total / count / factor, known), share)
        self.square.lerp_(_known(squares / count / factor.square(), known), share)

    @torch.no_grad()
    def settle_credit(self, told: Tensor, gain: Tensor) -> None:
        """Take in the sums [3, O] of `kernels.norm.recentre`, post factors times their batch."""
        count, posts, along = told.to(self.mean)
        known = (count > 0) & torch.isfinite(posts) & torch.isfinite(along)
        share, count = _share(self.momentum, known, self.push), _nonzero(count)
        self.push.lerp_(_known(posts / count, known), share)
        self.along.lerp_(_known(along / count / _nonzero(gain), known), share)


def _kept(value: Tensor) -> nn.Parameter:
    return nn.Parameter(value, requires_grad=False)


def _share(weight: float, known: Tensor, like: Tensor) -> Tensor:
    return known.to(like.dtype) * weight


def _known(x: Tensor, known: Tensor) -> Tensor:
    return torch.where(known, x, torch.zeros_like(x))


def _nonzero(x: Tensor) -> Tensor:
    return torch.where(x == 0, torch.ones_like(x), x)
