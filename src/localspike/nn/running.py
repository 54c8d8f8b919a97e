"""Normalisation by running statistics: constant within a sequence, so that every schedule has it.

Batch normalisation looks at a whole batch, and at all of its time steps, before the first neuron
may fire; that is not online, not possible for a batch of one, and not local in time. Here a unit
keeps the mean and the mean square of its own current over past sequences and is normalised by them
as they were when the sequence began. Between updates they fold into the effective weight and a
constant current, so a device that only infers has nothing to compute.

The other half of batch normalisation is in its gradient: what would move all currents of a unit
alike, or stretch them, is taken out, since the normalisation would undo it. Here two more running
means say how much that is, and it is taken out of every post factor on the spot.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..errors import ConfigError

EPSILON = 1e-5
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
    E[post Î] for a batch of one.

    Source: batch normalisation (arXiv 1502.03167) with expectations in place of a batch's means;
    the idea of normalising spiking layers online is of OSR (ICLR 2024).

    >>> norm = RunningNorm(2)
    >>> norm.settle(torch.tensor([[4.0, 4.0], [4.0, 8.0], [8.0, 20.0]]), torch.ones(2), 1.0)
    >>> norm.mean.tolist(), norm.square.tolist()
    ([1.0, 2.0], [2.0, 5.0])
    """

    def __init__(self, units: int, momentum: float = MOMENTUM) -> None:
        super().__init__()
        if not 0.0 < momentum <= 1.0:
            raise ConfigError("momentum of running statistics", got=momentum, expected="in (0, 1]")
        self.momentum = momentum
        self.mean = _kept(torch.zeros(units))
        self.square = _kept(torch.ones(units))
        self.push = _kept(torch.zeros(units))
        self.along = _kept(torch.zeros(units))

    def inverse(self) -> Tensor:
        """1 / sqrt(variance + ε) of every unit [O]."""
        return torch.rsqrt((self.square - self.mean.square()).clamp_min(0.0) + EPSILON)

    def pull(self, gain: Tensor, batch: int) -> Pull:
        """What is taken out of the post factors of a batch, whose currents are g Î."""
        return Pull(self.push / batch, self.along / (batch * _nonzero(gain)))

    @torch.no_grad()
    def settle(self, seen: Tensor, factor: Tensor, momentum: float | None = None) -> None:
        """Take in what has been ``seen`` (`kernels.norm.moments` [3, O]) of currents factor · c.

        Units of which nothing was seen, or with a factor of 0, stay as they were.
        """
        weight = self.momentum if momentum is None else momentum
        count, total, squares = seen.to(self.mean)
        share = _share(weight, (count > 0) & (factor != 0), self.mean)
        factor = _nonzero(factor)
        count = _nonzero(count)
        self.mean.lerp_(total / count / factor, share)
        self.square.lerp_(squares / count / factor.square(), share)

    @torch.no_grad()
    def settle_credit(self, told: Tensor, gain: Tensor) -> None:
        """Take in the sums [3, O] of `kernels.norm.recentre`, post factors times their batch."""
        count, posts, along = told.to(self.mean)
        share, count = _share(self.momentum, count > 0, self.push), _nonzero(count)
        self.push.lerp_(posts / count, share)
        self.along.lerp_(along / count / _nonzero(gain), share)


def _kept(value: Tensor) -> nn.Parameter:
    return nn.Parameter(value, requires_grad=False)


def _share(weight: float, known: Tensor, like: Tensor) -> Tensor:
    return known.to(like.dtype) * weight


def _nonzero(x: Tensor) -> Tensor:
    return torch.where(x == 0, torch.ones_like(x), x)
