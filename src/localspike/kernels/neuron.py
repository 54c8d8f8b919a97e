"""Neuron dynamics, one step and whole sequences, as pure functions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Spike = Callable[[Tensor], Tensor]


def after_reset(u: Tensor, o: Tensor, reset: str, reset_by: float) -> Tensor:
    """Membrane after reset: soft v = u − r·o, hard v = u·(1 − o), none v = u.

    >>> after_reset(torch.tensor([1.0]), torch.tensor([1.0]), "soft", 0.6)
    tensor([0.4000])
    """
    if reset == "soft":
        return torch.sub(u, o, alpha=reset_by)
    return u * (1.0 - o) if reset == "hard" else u


def lif_step(
    current: Tensor,
    v_prev: Tensor,
    *,
    decay: float,
    threshold: float,
    spike: Spike,
    reset: str = "soft",
    reset_by: float = 1.0,
    detach_reset: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """One step of the leaky integrate-and-fire neuron: u = γ v_prev + I, o = H(u − θ), reset.

    Parameters
    ----------
    current:
        I[t] = W x[t] + W_rec o[t−1] + b, shape [B, ...].
    v_prev:
        v[t−1], membrane after the previous reset, same shape.
    spike:
        Function of d = u − θ giving o; plain Heaviside, or one with a surrogate for autograd.
    detach_reset:
        Stop autograd through the reset's o (part of the BPTT baseline's definition).

    Returns
    -------
    u (before reset), o, v (after reset), each [B, ...].

    >>> from localspike.kernels.surrogate import heaviside
    >>> one = torch.ones(1)
    >>> lif_step(one, one, decay=0.5, threshold=0.6, spike=heaviside, reset_by=0.6)
    (tensor([1.5000]), tensor([1.]), tensor([0.9000]))
    """
    u = torch.add(current, v_prev, alpha=decay)
    o = spike(u - threshold)
    return u, o, after_reset(u, o.detach() if detach_reset else o, reset, reset_by)


def lif_scan(
    currents: Tensor,
    v_prev: Tensor,
    *,
    decay: float,
    threshold: float,
    spike: Spike,
    reset: str = "soft",
    reset_by: float = 1.0,
    detach_reset: bool = False,
    feedback: Callable[[Tensor], Tensor] | None = None,
    o_prev: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The LIF neuron over a whole sequence of currents [T, B, ...]; see `lif_step`.

    ``feedback`` maps o[t−1] to the recurrent current W_rec o[t−1]; ``o_prev`` starts it.
    Returns u [T, B, ...], o [T, B, ...] and the last v [B, ...].
    """
    keep = _Graph() if torch.is_grad_enabled() else _Buffers(currents)
    v = v_prev
    for t, current in enumerate(currents.unbind(0)):
        if feedback is not None and o_prev is not None:
            current = current + feedback(o_prev)
        u, o_prev, v = lif_step(
            current,
            v,
            decay=decay,
            threshold=threshold,
            spike=spike,
            reset=reset,
            reset_by=reset_by,
            detach_reset=detach_reset,
        )
        keep.put(t, u, o_prev)
    return *keep.whole(), v


class _Graph:
    """Keeps every step as it is, for autograd."""

    def __init__(self) -> None:
        self.u: list[Tensor] = []
        self.o: list[Tensor] = []

    def put(self, t: int, u: Tensor, o: Tensor) -> None:
        self.u.append(u)
        self.o.append(o)

    def whole(self) -> tuple[Tensor, Tensor]:
        return torch.stack(self.u), torch.stack(self.o)


class _Buffers:
    """Without autograd: two whole-sequence buffers and nothing per step beside them."""

    def __init__(self, like: Tensor) -> None:
        self.u = torch.empty(like.shape, dtype=like.dtype, device=like.device)
        self.o = torch.empty_like(self.u)

    def put(self, t: int, u: Tensor, o: Tensor) -> None:
        self.u[t].copy_(u)
        self.o[t].copy_(o)

    def whole(self) -> tuple[Tensor, Tensor]:
        return self.u, self.o


def integrator_step(current: Tensor, y_prev: Tensor, decay: float) -> Tensor:
    """Readout y[t] = γ_out y[t−1] + I[t]; γ_out = 0 plain linear, 1 no leak.

    >>> integrator_step(torch.ones(1), torch.ones(1), 0.5)
    tensor([1.5000])
    """
    return torch.add(current, y_prev, alpha=decay) if decay else current


def integrator_scan(currents: Tensor, y_prev: Tensor, decay: float) -> tuple[Tensor, Tensor]:
    """`integrator_step` over [T, B, ...]; returns all y and the last one."""
    if not decay:
        return currents, currents[-1]
    ys = []
    for current in currents.unbind(0):
        y_prev = integrator_step(current, y_prev, decay)
        ys.append(y_prev)
    return torch.stack(ys), y_prev
