"""The readout: a network's last block, which integrates and does not spike."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from ..kernels import neuron as dynamics
from .currents import merged_currents
from .layer import BlockState, Shape, Weights
from .neuron import Integrator
from .synapse import Linear


class Readout(nn.Module):
    """Non-spiking last layer: y[t] = γ_out y[t−1] + W x[t] (+ b), logits at every step.

    Feature maps are flattened, channel-major, before the linear synapse.

    >>> readout = Readout(Linear(3, 2), Integrator(0.9))
    >>> readout.output_shape((3,))
    (2,)
    """

    def __init__(self, synapse: Linear, neuron: Integrator | None = None) -> None:
        super().__init__()
        if getattr(synapse, "norm", None) is not None:
            raise ConfigError(
                "a readout with running statistics", fix="Give norm_momentum to hidden blocks only"
            )
        self.synapse, self.neuron = synapse, neuron or Integrator()

    def output_shape(self, shape: Shape) -> Shape:
        """[C] for an input sample of ``shape``."""
        return self.synapse.output_shape((math.prod(shape),))

    def flat(self, x: Tensor, lead: int) -> Tensor:
        """x with everything after its ``lead`` leading axes in one."""
        return x if x.ndim == lead + 1 else x.flatten(lead)

    def weights(self) -> Weights:
        """The effective weight now."""
        return Weights(self.synapse.effective_weight())

    def init_state(self, shape: Shape, batch: int, **_: Any) -> BlockState:
        """y[−1] = 0."""
        return BlockState(
            self.synapse.weight.new_zeros((batch, *self.output_shape(shape))).detach()
        )

    def step(
        self, x: Tensor, state: BlockState, weights: Weights, dtype: torch.dtype | None = None
    ) -> tuple[Tensor, BlockState]:
        """Logits [B, C] of one step."""
        current = self.synapse(self.flat(x, 1), weights.input, dtype)
        y = dynamics.integrator_step(current, state.v, self.neuron.decay)
        return y, BlockState(y)

    def sequence(
        self, x: Tensor, state: BlockState, weights: Weights, dtype: torch.dtype | None = None
    ) -> tuple[Tensor, BlockState]:
        """Logits [T, B, C] of a whole sequence."""
        currents = merged_currents(self.synapse, self.flat(x, 2), weights.input, dtype)
        y, last = dynamics.integrator_scan(currents, state.v, self.neuron.decay)
        return y, BlockState(last)
