"""Eligibility traces, forward and in reverse time.

The identity that lets a whole sequence collapse into one contraction:

    Σ_t a[t] ⊗ q[t] = Σ_s c[s] ⊗ x[s],   q[t] = λ q[t−1] + x[t],   c[s] = a[s] + λ c[s+1]
"""

from __future__ import annotations

import torch
from torch import Tensor


def trace_step(trace_prev: Tensor, x: Tensor, decay: float) -> Tensor:
    """q[t] = λ q[t−1] + x[t] (includes the current input).

    >>> trace_step(torch.ones(1), torch.ones(1), 0.5)
    tensor([1.5000])
    """
    return torch.add(x, trace_prev, alpha=decay)


def trace_forward(x: Tensor, decay: float, initial: Tensor | None = None) -> Tensor:
    """q[t] for every t of x [T, ...], from q[−1] = ``initial`` (default 0).

    >>> trace_forward(torch.ones(3), 0.5)
    tensor([1.0000, 1.5000, 1.7500])
    """
    q, out = torch.zeros_like(x[0]) if initial is None else initial, torch.empty_like(x)
    for t in range(x.shape[0]):
        q = torch.add(x[t], q, alpha=decay, out=out[t])
    return out


def trace_exclusive(x: Tensor, decay: float, initial: Tensor | None = None) -> Tensor:
    """h[t] = λ h[t−1] + x[t−1], h[0] = ``initial`` (default 0): excludes the current step.

    >>> trace_exclusive(torch.ones(3), 0.5)
    tensor([0.0000, 1.0000, 1.5000])
    """
    h, out = torch.zeros_like(x[0]) if initial is None else initial, torch.empty_like(x)
    out[0] = h
    for t in range(1, x.shape[0]):
        h = torch.add(x[t - 1], h, alpha=decay, out=out[t])
    return out


def trace_reverse(a: Tensor, decay: float) -> Tensor:
    """c[s] = a[s] + λ c[s+1] for a [T, ...]: the adjoint of `trace_forward`.

    >>> trace_reverse(torch.ones(3), 0.5)
    tensor([1.7500, 1.5000, 1.0000])
    """
    out = torch.empty_like(a)
    out[-1] = a[-1]
    for s in range(a.shape[0] - 2, -1, -1):
        torch.add(a[s], out[s + 1], alpha=decay, out=out[s])
    return out
