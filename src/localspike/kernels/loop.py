"""A recurrent layer over a whole sequence, its products and its neurons in one call.

Step by step the feedback W_rec o[t−1] waits for the spikes before it, so that T small products
remain; between them eager code makes a dozen calls a step. Here a group of steps is one call.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from .compiling import Kernel
from .fused import Joined, parts_of
from .neuron import Constants, NeuronState, neuron_step
from .surrogate import Surrogate, heaviside


def scan(
    currents: Tensor,
    v: Tensor,
    o_prev: Tensor,
    weight: Tensor,
    constants: Constants,
    psi: Surrogate,
    inclusive: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """LIF with feedback over currents [T, B, N]: u[t] = γ v[t−1] + I[t] + W_rec o[t−1].

    v and o_prev [B, N] start it, ``weight`` [N, N] is W_rec. Gives spikes o and Ψ(u − θ) in the
    currents' dtype, in which the products are made, and the last v (float32 or above).

    >>> from .surrogate import Triangle
    >>> one, zero = torch.ones(1, 1), torch.zeros(1, 1)
    >>> o, _, _ = scan(
    ...     torch.tensor([[[2.0]], [[0.0]]]), zero, zero, 2 * one, Constants(0.0, 1.0), Triangle()
    ... )
    >>> o.flatten().tolist()  # the second spike is the feedback's
    [1.0, 1.0]
    """
    kernel = _kernel(constants, psi, inclusive)
    o, slopes, fired = Joined(currents), Joined(currents), o_prev.to(currents.dtype)
    static = currents.stride(0) == 0
    for part in parts_of(currents):
        key = (part.stop - part.start, currents.dtype, static, currents.device)
        spikes, slope, v = kernel(currents[part], v, fired, weight, key=key)
        fired = spikes[-1]
        o.add(part, spikes)
        slopes.add(part, slope)
    return o.whole(), slopes.whole(), v


@lru_cache(256)
def _kernel(constants: Constants, psi: Surrogate, inclusive: bool) -> Kernel:
    def run(
        currents: Tensor, v: Tensor, fired: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        spikes, slopes = [], []
        for current in currents.unbind(0):
            total = current.to(v.dtype) + F.linear(fired, weight).to(v.dtype)
            u, o, after = neuron_step(
                total, NeuronState(v), constants, spike=lambda d: heaviside(d, inclusive)
            )
            v, fired = after.v, o.to(currents.dtype)
            spikes.append(fired)
            slopes.append(psi(u - constants.threshold).to(currents.dtype))
        return torch.stack(spikes), torch.stack(slopes), v

    return Kernel(run)
