"""Normalisation by running statistics: constant within a sequence, so that every schedule has it.

Batch normalisation looks at a whole batch, and at all of its time steps, before the first neuron
may fire; that is not online, not possible for a batch of one, and not local in time. Here a unit
keeps the mean and the mean square of its own current over past sequences, two numbers, and is
normalised by them as they were when the sequence began. Between updates they fold into the
effective weight and a constant current, so a device that only infers has nothing to compute.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import ConfigError

EPSILON = 1e-5
MOMENTUM = 0.1


class RunningNorm(nn.Module):
    """Mean and mean square of c = ŵ·x per output unit, kept over updates.

        I = g (c − E[c]) / sqrt(E[c²] − E[c]² + ε)

    ``momentum`` is the weight of what one update has seen; at batch 1 a smaller one than the
    default is right. The statistics are parameters without gradient: they are saved, moved and
    watched as weights are, and no optimiser changes them.

    Source: batch normalisation's inference form (arXiv 1502.03167), used in training as well; the
    idea of normalising spiking layers online is of OSR (ICLR 2024).

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
        self.mean = nn.Parameter(torch.zeros(units), requires_grad=False)
        self.square = nn.Parameter(torch.ones(units), requires_grad=False)

    def inverse(self) -> Tensor:
        """1 / sqrt(variance + ε) of every unit [O]."""
        return torch.rsqrt((self.square - self.mean.square()).clamp_min(0.0) + EPSILON)

    @torch.no_grad()
    def settle(self, seen: Tensor, factor: Tensor, momentum: float | None = None) -> None:
        """Take in what has been ``seen`` (`kernels.norm.moments` [3, O]) of currents factor · c.

        Units of which nothing was seen, or with a factor of 0, stay as they were.
        """
        weight = self.momentum if momentum is None else momentum
        count, total, squares = seen.to(self.mean)
        known = (count > 0) & (factor != 0)
        count, factor = torch.where(known, count, 1.0), torch.where(known, factor, 1.0)
        share = torch.where(known, weight, 0.0).to(self.mean)
        self.mean.lerp_(total / count / factor, share)
        self.square.lerp_(squares / count / factor.square(), share)
