"""SpikingJelly 2: backpropagation through time in multi-step mode, OTTT and SLTT step by step.

    LIFNode(tau=1/(1−γ), decay_input=False, v_threshold=θ, v_reset=None)
    h = v − v/τ + x, o = H(h ≥ θ), v = h − θ o: the reference's neuron but for ties.

Multi-step layers merge T and B; ``LIFNode`` in multi-step mode is the library's own operator over
the sequence (on the CPU, its PyTorch implementation). The recurrent layer's operator cannot be over
the sequence; ``LinearRecurrentContainer`` would multiply the input by a weight once more each step,
so the loop is written out. OTTT and SLTT run by the library's ``ottt_online_training``, one update
a sequence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from peer import Peer, linear, loaded
from plan import Plan, Stage
from spikingjelly.activation_based import base, functional, layer, neuron, surrogate
from spikingjelly.activation_based.learning.online_learning import ottt_online_training
from torch import Tensor, nn
from torch.optim import Optimizer

COMPILES = 0
"""torch.compile takes the operators apart on the CPU too, but gains nothing that could be measured:
VGG-9 (B=16, T=6, one thread) 2.88 s of CPU time a step, 2.89 s without, after 5 minutes of it."""
SURROGATE = "PiecewiseQuadratic, alpha 1: a triangle of height and width 1"


class Whole(nn.Module):
    """Multi-step layers; a first synapse that is given one frame at all steps runs once."""

    def __init__(self, first: nn.Module, rest: list[nn.Module]) -> None:
        super().__init__()
        self.first, self.rest = first, nn.Sequential(*rest)

    def forward(self, frames: Tensor) -> Tensor:
        same = len(frames) > 1 and frames.stride(0) == 0
        self.first.step_mode = "s" if same else "m"
        if not same:
            return self.rest(self.first(frames))
        once = self.first(frames[0])
        return self.rest(once.expand(len(frames), *once.shape))


class Loop(base.MemoryModule):
    """One step of a recurrent layer: the node on a current plus the loop's of its last spikes."""

    def __init__(self, loop: nn.Module, node: nn.Module) -> None:
        super().__init__()
        self.loop, self.node = loop, node
        self.register_memory("o", None)

    def single_step_forward(self, current: Tensor) -> Tensor:
        if self.o is not None:
            current = current + self.loop(self.o)
        self.o = self.node(current)
        return self.o

    def detach(self) -> None:
        if self.o is not None:
            self.o = self.o.detach()  # a view, which the inherited method cannot detach in place

    def multi_step_forward(self, currents: Tensor) -> Tensor:
        return torch.stack([self.single_step_forward(current) for current in currents])


class Leaking(base.MemoryModule):
    """y[t] = γ_out y[t−1] + I[t]; the library's non-spiking node has no single-step mode."""

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.register_memory("y", None)

    def single_step_forward(self, current: Tensor) -> Tensor:
        self.y = current if self.y is None else torch.add(current, self.y, alpha=self.decay)
        return self.y

    def multi_step_forward(self, currents: Tensor) -> Tensor:
        return torch.stack([self.single_step_forward(current) for current in currents])


def build(plan: Plan, method: str) -> Peer:
    """The network of the plan for BPTT, OTTT or SLTT."""
    return through_time(plan) if method == "bptt" else online(plan, method)


def through_time(plan: Plan) -> Peer:
    """Multi-step mode, trained through autograd."""
    parts, neurons = layers(plan, neuron.LIFNode)
    for part in parts:
        part.step_mode = "m"
    for part, stage in zip(neurons.values(), plan.stages, strict=True):
        part.step_mode = "m" if stage.loop is None else "s"
    net = Whole(parts[0], parts[1:])

    def logits(frames: Tensor) -> Tensor:
        functional.reset_net(net)
        return net(frames)

    about = {
        "neuron": "LIFNode, decay_input False, soft reset, detached",
        "surrogate": SURROGATE,
        "engine": "multi-step mode, the operators the library selects on the CPU",
    }
    return Peer(net, neurons, logits, about)


def online(plan: Plan, method: str) -> Peer:
    """Single-step mode; every step has its own backward pass, and a sequence one update."""
    node = neuron.OTTTLIFNode if method == "ottt" else neuron.SLTTLIFNode
    parts, neurons = layers(plan, node)
    net = layer.OTTTSequential(*parts) if method == "ottt" else nn.Sequential(*parts)

    def logits(frames: Tensor) -> Tensor:
        functional.reset_net(net)
        return torch.stack([first(net(frame)) for frame in frames])

    def learn(frames: Tensor, labels: Tensor, optimizer: Optimizer) -> Tensor:
        functional.reset_net(net)
        steps = len(frames)
        targets = labels[:, None].expand(-1, steps)
        loss, _ = ottt_online_training(
            net, optimizer, frames.transpose(0, 1), targets, share_of_loss(steps), online=False
        )
        return loss

    about = {
        "neuron": f"{node.__name__}, decay_input False, soft reset",
        "surrogate": SURROGATE,
        "engine": "single-step mode, ottt_online_training with one update a sequence",
    }
    return Peer(net, neurons, logits, about, learn)


def share_of_loss(steps: int) -> Callable[[Tensor, Tensor], Tensor]:
    """A step's cross-entropy as its part of the mean over all steps."""
    return lambda logits, labels: F.cross_entropy(logits, labels) / steps


def first(out: Any) -> Tensor:
    """Logits of an output that may have a trace beside them."""
    return out[0] if isinstance(out, list | tuple) else out


def layers(plan: Plan, kind: Any) -> tuple[list[nn.Module], dict[str, nn.Module]]:
    """All layers in single-step mode, and the spiking ones by name."""
    parts: list[nn.Module] = []
    neurons = {}
    for stage in plan.stages:
        neurons[stage.name] = node = node_of(kind, plan)
        parts += [synapse(stage), node if stage.loop is None else Loop(linear(stage.loop), node)]
        if stage.tail:
            parts.append(
                layer.MaxPool2d(2, 2) if stage.tail == "max" else layer.AdaptiveAvgPool2d(1)
            )
    outputs, inputs = plan.readout.shape
    last = layer.Linear(inputs, outputs, bias=plan.bias is not None)
    parts += [layer.Flatten(), loaded(last, plan.readout, plan.bias)]
    if plan.readout_decay:
        parts.append(Leaking(plan.readout_decay))
    return parts, neurons


def node_of(kind: Any, plan: Plan) -> nn.Module:
    """A neuron with the plan's constants."""
    return kind(
        tau=1.0 / (1.0 - plan.decay),
        decay_input=False,
        v_threshold=plan.threshold,
        v_reset=None,
        surrogate_function=surrogate.PiecewiseQuadratic(alpha=1.0),
        detach_reset=True,
    )


def synapse(stage: Stage) -> nn.Module:
    """The library's convolution or linear layer."""
    outputs, inputs = stage.weight.shape[:2]
    if stage.convolutional:
        return loaded(layer.Conv2d(inputs, outputs, 3, padding=1, bias=False), stage.weight)
    return loaded(layer.Linear(inputs, outputs, bias=False), stage.weight)
