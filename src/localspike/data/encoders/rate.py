"""An intensity as the same value at every step, or as the probability of a spike at each."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...errors import ConfigError
from .check import check_floating, check_positive, check_range, check_steps


def direct(x: Tensor, steps: int) -> Tensor:
    """The same frame at every step: o[t] = x, a view [steps, *x.shape] whose stride over t is 0.

    Nothing is copied, and a learner sees by the stride that the input is static; the first layer
    turns currents into spikes. Raises ShapeError for integers, ConfigError for impossible steps.
    Rueckauer et al., Frontiers in Neuroscience 11, 2017, section 2.2.4.

    >>> frames = direct(torch.rand(2, 3, 8, 8), steps=6)
    >>> tuple(frames.shape), frames.stride(0)
    ((6, 2, 3, 8, 8), 0)
    """
    check_floating("direct", x)
    steps = check_steps("direct", steps)
    return x.detach().expand(steps, *x.shape)


def poisson(x: Tensor, steps: int, generator: torch.Generator, gain: float = 1.0) -> Tensor:
    """Independent spikes of a rate proportional to the intensity: [steps, *x.shape] of 0 and 1.

    P(o[t, i] = 1) = min(1, gain · x_i), for x ≥ 0; a Bernoulli draw per step, the Poisson process
    of rate gain · x_i in bins of one step. ``steps`` · gain · x is the mean number of spikes. The
    draws are of float32 whatever dtype x has, so the same generator gives the same spikes.
    Raises ShapeError for integers, DataError for negative or non-finite x, ConfigError for steps,
    gain, or a generator of another device. Heeger, "Poisson model of spike generation", 2000.

    >>> spikes = poisson(torch.tensor([0.0, 0.25, 1.0]), 1000, torch.Generator().manual_seed(0))
    >>> spikes.mean(0)
    tensor([0.0000, 0.2400, 1.0000])
    """
    check_floating("poisson", x)
    steps = check_steps("poisson", steps)
    check_positive("poisson", "gain", gain)
    if generator.device.type != x.device.type:
        raise ConfigError(
            "poisson: generator of another device",
            got=f"{generator.device} for values on {x.device}",
            expected=f"a generator on {x.device}",
        )
    check_range("poisson", x, 0.0, math.inf)
    chance = x.detach().float() * gain
    drawn = torch.rand(steps, *x.shape, generator=generator, device=x.device)
    return (drawn < chance).to(x.dtype)
