"""sinabs: its layers take whole sequences, batch first, [B, T, ...].

    sl.LIF(tau_mem=−1/ln γ, norm_input=False, spike_fn=SingleSpike, reset_fn=MembraneSubtract())
    is v = exp(−1/τ) v + I, o = H(v ≥ θ), v −= θ o: the reference's neuron but for ties.

Time constants are parameters there; they are frozen, as the reference's are constants.
"""

from __future__ import annotations

import math

import sinabs.layers as sl
import torch
from peer import Peer, conv, linear, pooling
from plan import Plan
from sinabs.activation import MembraneSubtract, SingleExponential, SingleSpike
from torch import Tensor, nn

COMPILES = 0
"""The library does not speak of compiling."""
PART = 16


class InParts(nn.Module):
    """A layer that keeps its state from call to call, on [B, T, ...] a few steps at a time.

    It indexes the currents at every step, whose backward pass is quadratic in the steps of a call.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, currents: Tensor) -> Tensor:
        return torch.cat([self.layer(part) for part in currents.split(PART, 1)], 1)


class Looped(nn.Module):
    """A recurrent layer step by step: ``LIFRecurrent`` is one call, and as quadratic."""

    def __init__(self, layer: nn.Module, loop: nn.Module) -> None:
        super().__init__()
        self.layer, self.loop = layer, loop

    def forward(self, currents: Tensor) -> Tensor:
        o, spikes = None, []
        for current in currents.split(1, 1):
            o = self.layer(current if o is None else current + self.loop(o))
            spikes.append(o)
        return torch.cat(spikes, 1)


class Sequence(nn.Module):
    """The first layer's synapse, once where all steps are alike, and the layers behind it."""

    def __init__(self, first: nn.Module, rest: list[nn.Module]) -> None:
        super().__init__()
        self.first, self.rest = first, nn.Sequential(*rest)

    def forward(self, frames: Tensor) -> Tensor:
        if frames.shape[1] > 1 and frames.stride(1) == 0:
            once = self.first(frames[:, :1])
            return self.rest(once.expand(-1, frames.shape[1], *once.shape[2:]))
        return self.rest(self.first(frames))


def build(plan: Plan, method: str) -> Peer:
    """The network of the plan."""
    parts: list[nn.Module] = []
    neurons = {}
    for stage in plan.stages:
        parts.append(sl.Repeat(conv(stage.weight)) if stage.convolutional else linear(stage.weight))
        neurons[stage.name] = neuron_of(plan)
        over = InParts(neurons[stage.name])
        if stage.loop is not None:
            over = Looped(neurons[stage.name], linear(stage.loop))
        parts.append(over)
        if stage.tail:
            parts.append(sl.Repeat(pooling(stage.tail)))
    parts += [nn.Flatten(2), linear(plan.readout, plan.bias)]
    if plan.readout_decay:
        leak = sl.ExpLeak(tau_mem=constant(plan.readout_decay), norm_input=False)
        parts.append(InParts(leak))
    net = frozen(Sequence(parts[0], parts[1:]))
    stateful = [part for part in net.modules() if isinstance(part, sl.StatefulLayer)]

    def logits(frames: Tensor) -> Tensor:
        for part in stateful:
            part.reset_states()
        return net(frames).transpose(0, 1)

    about = {
        "neuron": "sl.LIF, norm_input False, SingleSpike, MembraneSubtract",
        "surrogate": "SingleExponential, width 0.5 (default; there is no triangle)",
        "engine": "the library's layers, batch first, neurons 16 steps a call (recurrent: 1)",
    }
    return Peer(net, neurons, logits, about, prepare=lambda frames: frames.transpose(0, 1))


def neuron_of(plan: Plan) -> nn.Module:
    """LIF with the plan's constants."""
    return sl.LIF(
        tau_mem=constant(plan.decay),
        spike_threshold=torch.tensor(plan.threshold),
        spike_fn=SingleSpike,
        reset_fn=MembraneSubtract(),
        surrogate_grad_fn=SingleExponential(),
        norm_input=False,
    )


def constant(decay: float) -> float:
    """The time constant of a decay per step."""
    return -1.0 / math.log(decay)


def frozen(net: nn.Module) -> nn.Module:
    """The network with its neurons' time constants held."""
    for name, parameter in net.named_parameters():
        if name.endswith("tau_mem"):
            parameter.requires_grad_(False)
    return net
