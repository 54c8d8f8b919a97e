"""Norse: box cells, whose currents do not outlive a step, in a loop over time.

    lif_box: v += dt/τ (I' − v), o = H(v − v_th), reset_subtract v = (1 − o) v + o (v − v_th)

With dt/τ = 1 − γ and I' = I / (1 − γ), that is u = γ v + I and v = u − θ o: weights are loaded
divided by 1 − γ (the readout's by 1 − γ_out). ``LIF`` and ``LIFRecurrent`` have a synaptic current
and reset to a value. The loop is written out because the library's own over a layer indexes the
currents at every step, whose backward pass is quadratic in T (MLP, T=800: 17 times as long).
Norse 1.1 has no compiled kernel any more: everything is PyTorch.
"""

from __future__ import annotations

import torch
from norse.torch import LIBoxCell, LIBoxParameters, LIFBoxCell, LIFBoxParameters
from norse.torch.functional.reset import reset_subtract
from peer import Merged, Peer, conv, linear, pooling
from plan import Plan
from torch import Tensor, nn

COMPILES = 0
"""Compiling ``lif_box_feed_forward_step``, as its tests do, took 10 % off the MLP at T=100."""
STEP = 0.001


class OverTime(nn.Module):
    """Currents [T, B, ...], plus the loop's of the last spikes if there is one, through a cell."""

    def __init__(self, cell: nn.Module, loop: nn.Module | None = None) -> None:
        super().__init__()
        self.cell, self.loop = cell, loop

    def forward(self, currents: Tensor) -> Tensor:
        o, state, outs = None, None, []
        for current in currents.unbind(0):
            if self.loop is not None and o is not None:
                current = current + self.loop(o)
            o, state = self.cell(current, state)
            outs.append(o)
        return torch.stack(outs)


def build(plan: Plan, method: str) -> Peer:
    """The network of the plan."""
    parts: list[nn.Module] = []
    neurons = {}
    for stage in plan.stages:
        weight = stage.weight / (1.0 - plan.decay)
        parts.append(Merged(conv(weight) if stage.convolutional else linear(weight)))
        neurons[stage.name] = cell_of(plan)
        loop = None if stage.loop is None else linear(stage.loop / (1.0 - plan.decay))
        parts.append(OverTime(neurons[stage.name], loop))
        if stage.tail:
            parts.append(Merged(pooling(stage.tail)))
    net = nn.Sequential(*parts, nn.Flatten(2), *readout(plan))
    about = {
        "neuron": "lif_box with reset_subtract, weights divided by 1 - decay",
        "surrogate": "triangle, height 0.3, width 1: the reference's own",
        "engine": "layers without state on all T·B at once, cells step by step",
    }
    return Peer(net, neurons, net, about)


def cell_of(plan: Plan) -> nn.Module:
    """A box neuron with the plan's constants."""
    p = LIFBoxParameters(
        tau_mem_inv=torch.tensor((1.0 - plan.decay) / STEP),
        v_th=torch.tensor(plan.threshold),
        method="triangle",
        alpha=0.3,
        reset_method=reset_subtract,
    )
    return LIFBoxCell(p, dt=STEP)


def readout(plan: Plan) -> list[nn.Module]:
    """A linear layer, and where it leaks an integrator without spikes."""
    scale = 1.0 - plan.readout_decay
    bias = None if plan.bias is None else plan.bias / scale
    layer = Merged(linear(plan.readout / scale, bias))
    if not plan.readout_decay:
        return [layer]
    p = LIBoxParameters(tau_mem_inv=torch.tensor(scale / STEP))
    return [layer, OverTime(LIBoxCell(p, dt=STEP))]
