"""snnTorch: layers without state over all steps at once, neurons in the library's own time loop.

    snn.Leaky(beta=γ, threshold=θ, reset_mechanism="none") gives u = γ mem + I, o = H(u − θ);
    the state passed on is mem = u − θ o, subtracted here, the spike detached as the library does.

Its own ``reset_mechanism="subtract"`` is another neuron: with ``reset_delay=True`` θ is taken off
a step later and undecayed, with ``False`` a membrane still above θ after a reset loses θ twice.
Readouts are a linear layer, behind it where it leaks ``snn.Leaky`` without reset, whose membrane
is y. ``LeakyParallel``, the one fused form, has no reset and so cannot be this neuron.
"""

from __future__ import annotations

import snntorch as snn
import torch
from peer import Merged, Peer, conv, linear, loaded, pooling
from plan import Plan, Stage
from torch import Tensor, nn

COMPILES = 0
"""The library does not speak of compiling."""


class Spiking(nn.Module):
    """A layer's currents through one snnTorch neuron, step by step."""

    def __init__(self, neuron: nn.Module, threshold: float, recurrent: bool) -> None:
        super().__init__()
        self.neuron, self.threshold, self.recurrent = neuron, threshold, recurrent

    def forward(self, currents: Tensor) -> Tensor:
        spikes = []
        o = mem = torch.zeros_like(currents[0])
        for current in currents.unbind(0):
            state = (o, mem) if self.recurrent else (mem,)
            o, u = self.neuron(current, *state)
            mem = u - self.threshold * o.detach()
            spikes.append(o)
        return torch.stack(spikes)


class Leaking(nn.Module):
    """y[t] = γ_out y[t−1] + I[t]."""

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.neuron = snn.Leaky(beta=decay, reset_mechanism="none")

    def forward(self, currents: Tensor) -> Tensor:
        y, ys = torch.zeros_like(currents[0]), []
        for current in currents.unbind(0):
            _, y = self.neuron(current, y)
            ys.append(y)
        return torch.stack(ys)


def build(plan: Plan, method: str) -> Peer:
    """The network of the plan."""
    parts: list[nn.Module] = []
    neurons = {}
    for stage in plan.stages:
        parts.append(Merged(conv(stage.weight) if stage.convolutional else linear(stage.weight)))
        neurons[stage.name] = neuron_of(stage, plan)
        parts.append(Spiking(neurons[stage.name], plan.threshold, stage.loop is not None))
        if stage.tail:
            parts.append(Merged(pooling(stage.tail)))
    parts += [nn.Flatten(2), Merged(linear(plan.readout, plan.bias))]
    if plan.readout_decay:
        parts.append(Leaking(plan.readout_decay))
    net = nn.Sequential(*parts)
    about = {
        "neuron": "snn.Leaky (recurrent: RLeaky), reset_mechanism none, threshold subtracted",
        "surrogate": "atan, alpha 2 (default; triangular here is ±threshold, not a triangle)",
        "engine": "layers without state on all T·B at once, neurons step by step",
    }
    return Peer(net, neurons, net, about)


def neuron_of(stage: Stage, plan: Plan) -> nn.Module:
    """Leaky, or RLeaky with the stage's recurrent weight."""
    same = {"beta": plan.decay, "threshold": plan.threshold, "reset_mechanism": "none"}
    if stage.loop is None:
        return snn.Leaky(**same)
    neuron = snn.RLeaky(all_to_all=True, linear_features=len(stage.loop), **same)
    neuron.recurrent = loaded(nn.Linear(*stage.loop.T.shape, bias=False), stage.loop)
    return neuron
