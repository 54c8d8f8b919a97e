"""A trained network with its weights as they act: what a device runs, and learns on."""

from __future__ import annotations

from copy import deepcopy
from typing import cast

import torch

from ..errors import IllegalError
from .layer import Spiking
from .network import Network
from .readout import Readout
from .synapse import Conv2d, Linear, Synapse
from .tail import Dropout


@torch.no_grad()
def fold(net: Network) -> Network:
    """The same network with plain weights: gains, standardisation and running statistics in them.

    A synapse with running statistics gets a bias, its constant current; dropout, which only
    training draws, is left out. Logits and spikes are the same but for rounding; gradients are not,
    for what is learnt from here on are the weights themselves.

    >>> from localspike.nn import models
    >>> net = models.mlp(12, (8,), 4)
    >>> x = torch.ones(3, 1, 12)
    >>> bool(torch.allclose(fold(net)(x), net(x), atol=1e-6))
    True
    """
    folded = deepcopy(net)
    for block in folded.modules_by_name.values():
        inner = cast("Spiking | Readout", block)
        inner.synapse = plain(inner.synapse)
        if isinstance(inner, Spiking):
            inner.tail = tuple(op for op in inner.tail if not isinstance(op, Dropout))
            if inner.recurrent is not None:
                inner.recurrent = cast(Linear, plain(inner.recurrent))
    return folded


def plain(synapse: Synapse) -> Synapse:
    """A synapse with the effective weight of another as its own."""
    weight, offset, bias = synapse.effective_weight(), synapse.offset(), synapse.bias
    constant = [x.detach() for x in (bias, offset) if x is not None]
    made = _like(synapse, bias=bool(constant))
    made.to(weight)
    made.weight.copy_(weight)
    if made.bias is not None:
        made.bias.copy_(torch.stack(constant).sum(0))
    made.requires_grad_(synapse.weight.requires_grad)
    return made


def _like(synapse: Synapse, bias: bool) -> Synapse:
    if type(synapse) is Conv2d:
        geometry = synapse.geometry
        return Conv2d(
            synapse.channels,
            synapse.filters,
            synapse.kernel_size,
            stride=geometry.stride,
            padding=geometry.padding,
            groups=geometry.groups,
            bias=bias,
        )
    if type(synapse) is not Linear:
        raise IllegalError(
            "this synapse cannot be folded",
            got=type(synapse).__name__,
            expected="Linear or Conv2d, whose current is known from their weights",
        )
    return Linear(synapse.inputs, synapse.outputs, bias=bias)
