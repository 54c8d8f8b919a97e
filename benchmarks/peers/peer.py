"""What a library's module hands over, and the few pieces of plain PyTorch they all use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

LOSS = "mean over steps and batch of the cross-entropy of each step's logits"


@dataclass
class Peer:
    """A library's network, ready to train.

    ``neurons`` are the modules that give spikes (alone, or first of several), by block name.
    ``logits`` runs frames from a state of zero: [T, B, C]. ``learn`` is one whole training step
    on frames and labels, optimiser included, and gives the loss; None is backpropagation through
    ``logits``.
    ``prepare`` brings frames [T, B, ...] into the library's own order of axes, once.
    """

    net: nn.Module
    neurons: Mapping[str, nn.Module]
    logits: Callable[[Tensor], Tensor]
    about: dict[str, str]
    learn: Callable[[Tensor, Tensor, Optimizer], Tensor] | None = None
    prepare: Callable[[Tensor], Tensor] = lambda frames: frames

    def step(self, frames: Tensor, labels: Tensor, optimizer: Optimizer) -> Tensor:
        """One training step on prepared frames; the loss before it, as `LOSS` has it."""
        if self.learn is not None:
            return self.learn(frames, labels, optimizer)
        optimizer.zero_grad()
        loss = through_time(self.logits(frames), labels)
        loss.backward()
        optimizer.step()
        return loss.detach()


def through_time(logits: Tensor, labels: Tensor) -> Tensor:
    """`LOSS` of logits [T, B, C]."""
    return F.cross_entropy(logits.flatten(0, 1), labels.repeat(len(logits)))


def loaded(module: nn.Module, weight: Tensor, bias: Tensor | None = None) -> nn.Module:
    """A linear or convolutional module with these weights."""
    with torch.no_grad():
        module.weight.copy_(weight)
        if bias is not None:
            module.bias.copy_(bias)
    return module


def conv(weight: Tensor) -> nn.Module:
    """PyTorch's 3×3 convolution, padded by 1, no bias."""
    outputs, inputs = weight.shape[:2]
    return loaded(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), weight)


def linear(weight: Tensor, bias: Tensor | None = None) -> nn.Module:
    """PyTorch's linear layer."""
    outputs, inputs = weight.shape
    return loaded(nn.Linear(inputs, outputs, bias=bias is not None), weight, bias)


def pooling(tail: str) -> nn.Module:
    """What follows a VGG-9 convolution's neurons."""
    return nn.MaxPool2d(2, 2) if tail == "max" else nn.AdaptiveAvgPool2d(1)


def merged(module: nn.Module, x: Tensor) -> Tensor:
    """A layer without state on x [T, B, ...] in one call; a frame repeated over T only once."""
    if len(x) > 1 and x.stride(0) == 0:
        out = module(x[0])
        return out.expand(len(x), *out.shape)
    return module(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class Merged(nn.Module):
    """`merged` as a module."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return merged(self.module, x)
