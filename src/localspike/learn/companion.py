"""A second stream of samples, the targets, run through the network beside the data."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import IllegalError
from ..nn.network import INPUT, Network
from ..rules.basis import seeded
from ..rules.signal import Companion


class CompanionStream:
    """Extends a batch of B samples by K targets, which enter as a label current.

    In a block that reads the network's input the targets have no synaptic input, and S y as a
    current: S is one fixed random matrix per such block, uniform in ± drive · θ.
    """

    def __init__(self, net: Network, spec: Companion, classes: int, like: Tensor) -> None:
        self.spec, self.classes = spec, classes
        generator = seeded(spec.seed)
        self.entries: dict[str, Tensor] = {}
        for name, block in net.blocks.items():
            if INPUT in net.wires[name]:
                shape = (classes, *block.neuron_shape(net.input_shapes[name]))
                entry = torch.rand(shape, generator=generator) * 2 - 1
                self.entries[name] = (entry * spec.drive * block.neuron.threshold).to(like)

    def count(self, batch: int) -> int:
        """K, the number of targets beside a batch.

        Raises
        ------
        IllegalError
            A batch of one contrasted with itself teaches nothing.
        """
        if self.spec.among_samples and batch < 2:
            raise IllegalError(
                "contrasting a batch with its own labels needs at least 2 samples",
                got=f"a batch of {batch}",
                fix="Use larger batches, or against='classes' to contrast with every class",
            )
        return self.classes if self.spec.per_class else batch

    def drives(self, y: Tensor) -> dict[str, Tensor]:
        """The label current of every entry block, [..., B + K, ...] for one-hot y [..., B, C]."""
        return {name: self._drive(entry, y) for name, entry in self.entries.items()}

    def _drive(self, entry: Tensor, y: Tensor) -> Tensor:
        batch, lead = y.shape[-2], y.shape[:-2]
        if self.spec.per_class:
            labelled = entry.expand(*lead, *entry.shape)
        else:
            labelled = torch.tensordot(y, entry, dims=1)
        silent = entry.new_zeros((*lead, batch, *entry.shape[1:]))
        return torch.cat((silent, labelled), len(lead))
