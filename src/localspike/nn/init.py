"""Initialisation that keeps every block alive: gains set so that each block fires at a rate."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ConfigError
from ..kernels.norm import moments
from ..kernels.surrogate import spike_function
from .currents import merged_currents
from .layer import Activity, BlockState, Spiking
from .network import INPUT, Network

RATE_BAND = (0.03, 0.5)
"""Spikes per neuron and step every block of every model fires at after calibration."""

_LOWEST_GAIN, _HIGHEST_GAIN, _HALVINGS = 1e-3, 1e3, 24


@torch.no_grad()
def calibrate(net: Network, frames: Tensor, rate: float = 0.15) -> dict[str, float]:
    """Scale every block's gain (or its weight, if it has none) until it fires at ``rate``.

    Blocks are visited in order, each seeing the already calibrated ones below, on ``frames``
    [T, B, ...]: a few training samples or a `probe`. One factor per block is found by bisection
    of its logarithm; nothing else of the weights changes. Returns the rates reached.

    Raises
    ------
    ConfigError
        A block cannot reach the band `RATE_BAND` (its input is silent, say).

    >>> from localspike.nn import models
    >>> net = models.mlp(20, (30,), 4)
    >>> round(calibrate(net, probe(net), rate=0.2)["hidden1"], 1)
    0.2
    """
    if not RATE_BAND[0] <= rate <= RATE_BAND[1]:
        raise ConfigError("calibration rate outside the band", got=rate, expected=RATE_BAND)
    net.check(frames)
    before = [p.clone() for p in net.parameters()]
    try:
        return _calibrate(net, frames, rate)
    except ConfigError:  # a refused calibration leaves the network as it was
        for parameter, value in zip(net.parameters(), before, strict=True):
            parameter.copy_(value)
        raise


def _calibrate(net: Network, frames: Tensor, rate: float) -> dict[str, float]:
    state, outputs, rates = net.init_state(frames.shape[1]), {INPUT: frames}, {}
    for name, block in net.blocks.items():
        x = net.gather(name, outputs)
        _set_statistics(block, x)
        _scale(block, _find_factor(block, x, state[name], rate))
        activity = _respond(block, x, state[name])
        outputs[name] = activity.out
        net.release(name, outputs)
        rates[name] = float(activity.o.mean())
        _require_band(name, rates[name])
    return rates


def _set_statistics(block: Spiking, x: Tensor) -> None:
    """Let a normalised block's statistics be those of this very input."""
    if block.normalised:
        currents = merged_currents(block.synapse, x, block.weights().input, None)
        block.synapse.settle(moments(currents), momentum=1.0)


def _respond(block: Spiking, x: Tensor, state: BlockState) -> Activity:
    spike = spike_function(None, block.neuron.fires_at_threshold)
    return block.sequence(x, state, block.weights(), spike=spike)[0]


def _find_factor(block: Spiking, x: Tensor, state: BlockState, rate: float) -> float:
    """Bisect the factor on the input current for the wanted mean rate, which grows with it."""
    weights = block.weights()
    spike = spike_function(None, block.neuron.fires_at_threshold)
    # Currents are proportional to the factor: the synapse runs once, not once per trial.
    currents = merged_currents(block.synapse, x, weights.input, None)
    currents, _ = block.centred(currents, state, weights, None)
    low, high = _LOWEST_GAIN, _HIGHEST_GAIN
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        spikes = block.scan(currents * middle, state, weights, spike=spike).o
        low, high = (middle, high) if float(spikes.mean()) < rate else (low, middle)
    return float((low * high) ** 0.5)


def _scale(block: Spiking, factor: float) -> None:
    synapse = block.synapse
    (synapse.weight if synapse.gain is None else synapse.gain).mul_(factor)
    if synapse.bias is not None:
        synapse.bias.mul_(factor)


def _require_band(name: str, rate: float) -> None:
    if RATE_BAND[0] <= rate <= RATE_BAND[1]:
        return
    raise ConfigError(
        f"block {name!r} cannot be brought to fire",
        got=f"{rate:.3f} spikes per neuron and step",
        expected=f"within {RATE_BAND}",
        fix="Check that its input is not silent, or change threshold and decay",
    )


def probe(
    net: Network, rate: float = 0.1, steps: int = 12, batch: int = 4, seed: int = 0
) -> Tensor:
    """Random input spikes [steps, batch, ...] of a given rate, the same for the same seed.

    >>> from localspike.nn import models
    >>> probe(models.mlp(20, (30,), 4)).shape
    torch.Size([12, 4, 20])
    """
    generator = torch.Generator().manual_seed(seed)
    spikes = torch.rand((steps, batch, *net.sample_shape), generator=generator) < rate
    return spikes.to(next(net.parameters()))
