"""TESS the plain way: what a careful user writes with autograd, and what benchmarks divide by.

Float32, contiguous, one time step after the other. Each layer is an autograd Function whose
backward makes two weight contractions (the pre trace's and the post trace's) and an input gradient
that nobody reads; weights are standardised and the basis is generated again at every step. Written
from the rule's equations and independent of the package, apart from the network whose weights it
takes, so it is an oracle of the gradient as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Constants:
    """γ, θ, λ_pre, λ_post, α_pre, α_post as published."""

    decay: float = 0.5
    threshold: float = 0.6
    pre_decay: float = 0.5
    post_decay: float = 0.2
    pre_gain: float = 1.0
    post_gain: float = 1.0


class Eligible(torch.autograd.Function):
    """o[t] of one layer, whose weight gradient is Σ α_pre (m Ψ) ⊗ q + α_post (m h) ⊗ x."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, v: Tensor, q: Tensor, h: Tensor, c: Constants
    ) -> tuple[Tensor, Tensor, Tensor]:
        current = F.conv2d(x, weight, padding=1) if x.ndim == 4 else F.linear(x, weight)
        u = c.decay * v + current
        o = (u > c.threshold).float()
        psi = 0.3 * torch.clamp(1.0 - (u - c.threshold).abs(), min=0.0)
        ctx.save_for_backward(x, weight, q, h, psi)
        ctx.constants = c
        after = u - c.threshold * o
        ctx.mark_non_differentiable(after, psi)
        return o, after, psi

    @staticmethod
    def backward(ctx: Any, m: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, q, h, psi = ctx.saved_tensors
        c: Constants = ctx.constants
        pre, post = c.pre_gain * m * psi, c.post_gain * m * h
        if x.ndim == 2:
            return pre @ weight, pre.T @ q + post.T @ x, None, None, None, None
        grad = torch.nn.grad.conv2d_weight(q, weight.shape, pre, padding=1)
        grad = grad + torch.nn.grad.conv2d_weight(x, weight.shape, post, padding=1)
        back = torch.nn.grad.conv2d_input(x.shape, weight, pre, padding=1)
        return back, grad, None, None, None, None


class Layer(nn.Module):
    """One block: standardised weight and gain, the states of a sequence, pooling, the latents."""

    def __init__(self, weight: Tensor, gain: Tensor, tail: Sequence[Any], latent: int | None):
        super().__init__()
        self.weight = nn.Parameter(weight.detach().clone())
        self.gain = nn.Parameter(gain.detach().clone())
        self.tail, self.latent = tail, latent
        self.c = Constants()

    def reset(self) -> None:
        """Forget the last sequence."""
        self.v = self.q = self.h = self.psi = torch.zeros(())

    def standardised(self) -> Tensor:
        """gain (W − mean) / sqrt(var · fan_in + ε)."""
        axes, fan_in = tuple(range(1, self.weight.ndim)), self.weight[0].numel()
        mean = self.weight.mean(axes, keepdim=True)
        var = self.weight.var(axes, keepdim=True)
        return self.gain * (self.weight - mean) / torch.sqrt(var * fan_in + 1e-4)

    def forward(self, x: Tensor) -> Tensor:
        """One step [B, ...]."""
        self.q = self.c.pre_decay * self.q + x.detach()
        self.h = self.c.post_decay * self.h + self.psi
        weight = self.standardised()
        if self.v.ndim == 0:
            shape = (len(x), len(weight), *x.shape[2:])
            self.v, self.h = torch.zeros(shape), torch.zeros(shape)
        o, self.v, self.psi = Eligible.apply(x, weight, self.v, self.q, self.h, self.c)
        for pool in self.tail:
            o = pool(o)
        return o

    def local_loss(self, out: Tensor, labels: Tensor, classes: int) -> Tensor:
        """Cross-entropy of the layer's own logits s B a, s = 1 / max(‖a‖, 1) held constant."""
        a = out if self.latent is None else F.adaptive_avg_pool2d(out, self.latent)
        a = a.flatten(1)
        basis = square_wave(classes, a.shape[1])
        s = 1.0 / a.detach().norm(dim=1, keepdim=True).clamp(min=1.0)
        return F.cross_entropy((s * a) @ basis.T, labels)


def square_wave(classes: int, latents: int) -> Tensor:
    """sign(sin(f_c i)) by the top bit of a 32-bit phase, f_c = 50 … 512 rad a latent."""
    turns, steps = 2935890503282001226, max(classes - 1, 1)
    rows = [((50 * steps + 462 * c) * turns // (steps << 32)) % (1 << 32) for c in range(classes)]
    phase = torch.tensor(rows)[:, None] * torch.arange(latents) % (1 << 32)
    return (1 - 2 * (phase >> 31)).float()


class Naive(nn.Module):
    """The layers of a network of this package that has no bias and no residual, trained plainly."""

    def __init__(self, net: Any, post_gain: float = 1.0) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for block in net.blocks.values():
            tail = [_pooling(op) for op in block.tail]
            synapse, neuron = block.synapse, block.neuron
            if (neuron.decay, neuron.threshold, neuron.reset) != (0.5, 0.6, "soft"):
                raise ValueError("the naive baseline has the published neuron only")
            self.layers.append(Layer(synapse.weight, synapse.gain, tail, block.latent))
            self.layers[-1].c = Constants(post_gain=post_gain)
        self.readout = nn.Parameter(net.readout.synapse.weight.detach().clone())

    def gradient(self, frames: Tensor, labels: Tensor) -> Tensor:
        """Gradients of a whole batch [T, B, ...] into ``.grad``; the readout's loss."""
        for layer in self.layers:
            layer.reset()
        self.zero_grad()
        total = torch.zeros(())
        for x in frames:
            losses = []
            for layer in self.layers:
                x = layer(x.detach().requires_grad_())
                losses.append(layer.local_loss(x, labels, len(self.readout)))
            logits = F.linear(x.detach().flatten(1), self.readout)
            losses.append(F.cross_entropy(logits, labels))
            torch.stack(losses).sum().backward()
            total = total + losses[-1].detach()
        return total


def _pooling(op: Any) -> Any:
    name = type(op).__name__
    if name == "MaxPool":
        return nn.MaxPool2d(op.size)
    if name == "AvgPool":
        return nn.AvgPool2d(op.size)
    if name == "GlobalAvgPool":
        return nn.AdaptiveAvgPool2d(op.size)
    raise ValueError(f"the naive baseline has no tail {name}")
