"""What BPTT would be compared with elsewhere: the same net, batch-normalised.

    python benchmarks/study/trial.py NAME cifar10-bptt model=vgg9_batchnorm \
        --plugin benchmarks/study/ideas.py ...

A batch's own moments over samples, steps and positions, and its gradient through them: neither
local in time nor possible for a batch of one, so no rule of the package has it. It is here so that
`tess_plus`, whose net normalises by running statistics, has an opponent that normalises too.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from localspike.nn import Conv2d, Network, Spiking, models

MOMENTUM, EPSILON = 0.1, 1e-5


class BatchNormed(Conv2d):
    """A convolution without bias whose currents are normalised by the batch; trained by autograd.

    With gradients on: by the batch's moments, which move the running ones. Without: by those.
    """

    def __init__(self, like: Conv2d) -> None:
        super().__init__(like.channels, like.filters, like.kernel_size, padding=1)
        self.scale = nn.Parameter(torch.ones(like.filters))
        self.shift = nn.Parameter(torch.zeros(like.filters))
        self.register_buffer("running_mean", torch.zeros(like.filters))
        self.register_buffer("running_var", torch.ones(like.filters))

    def forward(
        self, x: Tensor, weight: Tensor, dtype: torch.dtype | None = None, narrow: bool = False
    ) -> Tensor:
        current = super().forward(x, weight, dtype)
        training = torch.is_grad_enabled() and weight.requires_grad
        return batch_norm(
            current, self.running_mean, self.running_var, self.scale, self.shift,
            training, MOMENTUM, EPSILON,
        )  # fmt: skip


def vgg9_batchnorm(
    in_channels: int = 3,
    classes: int = 10,
    *,
    image: int = 32,
    width: float = 1.0,
    neuron: Any = None,
    rate: float | None = None,
) -> Network:
    """`models.vgg9` with batch normalisation in place of weight standardisation."""
    net = models.vgg9(
        in_channels, classes, image=image, width=width, neuron=neuron, standardised=False, rate=None
    )
    for block in net.blocks.values():
        if isinstance(block, Spiking):
            assert isinstance(block.synapse, Conv2d)
            block.synapse = BatchNormed(block.synapse)
    return net


models.MODELS["vgg9_batchnorm"] = vgg9_batchnorm
