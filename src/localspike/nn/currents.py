"""Synaptic currents of whole sequences; of an input that is one frame for all steps, once."""

from __future__ import annotations

import torch
from torch import Tensor

from .synapse import Linear, Synapse


def is_static(x: Tensor) -> bool:
    """True for one frame expanded over time (stride 0): work once, not T times."""
    return x.shape[0] > 1 and x.stride(0) == 0


def merged_currents(
    synapse: Synapse, x: Tensor, weight: Tensor, dtype: torch.dtype | None, narrow: bool = False
) -> Tensor:
    """Currents [T, B, ...] of x [T, B, ...] in one call; a static input is computed once."""
    more = {"narrow": True} if narrow else {}  # a synapse of a user's own need not know it
    if is_static(x):
        current: Tensor = synapse(x[0], weight, dtype, **more)
        return current.expand(x.shape[0], *current.shape)
    currents: Tensor = synapse(x.flatten(0, 1), weight, dtype, **more)
    return currents.unflatten(0, x.shape[:2])


def beside(currents: Tensor, drive: Tensor, synapse: Synapse) -> Tensor:
    """Currents [..., B, *event] with what a silent input gives for the drive's further samples.

    >>> beside(torch.ones(2, 3), torch.zeros(4, 3), Linear(5, 3)).sum(1).tolist()
    [3.0, 3.0, 0.0, 0.0]
    """
    event = 1 if isinstance(synapse, Linear) else 3
    axis = currents.ndim - event - 1
    extra = drive.shape[drive.ndim - event - 1] - currents.shape[axis]
    if extra <= 0:
        return currents
    if axis == 1 and is_static(currents):
        whole = beside(currents[0], drive[0] if drive.ndim == currents.ndim else drive, synapse)
        return whole.expand(len(currents), *whole.shape)
    silent = currents.new_zeros((*currents.shape[:axis], extra, *currents.shape[axis + 1 :]))
    if synapse.bias is not None:
        silent = silent + synapse.bias.view(-1, *(1,) * (event - 1))
    return torch.cat((currents, silent), axis)


def driven(currents: Tensor, drive: Tensor) -> Tensor:
    """Currents [T, B, ...] plus a drive [T, B, ...] or [B, ...]; static stays one frame.

    >>> driven(torch.zeros(1, 2).expand(3, 1, 2), torch.ones(1, 2)).stride(0)
    0
    """
    if is_static(currents):  # a drive of every step broadcasts to [T, B, ...] by itself
        return (currents[0] + drive).expand(currents.shape)
    return currents + drive
