"""A block's elementwise work over a whole sequence, in two passes over memory.

Eager code makes one pass an operation. Here a layer's sequence is read once forward (currents in,
spikes and Ψ out) and once backward (signal and Ψ in, one post factor out), all tensors seen as
[T, N] in the order they lie in memory. Bytes moved per neuron and step with elements of b bytes:

    scan       b (I) + b (o) + b (Ψ)            = 3 b
    collapse   b (m) + b (Ψ) + b (c)            = 3 b, without c (2 b) where the input is static

State is float32 (or the currents' own dtype above it) whatever b is.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from .compiling import Kernel
from .neuron import Constants, NeuronState, neuron_step
from .surrogate import Surrogate, heaviside

MOST = 16
"""Steps unrolled at most: machine code, and the time to make it, grow with them."""


class TwoTraceConstants(NamedTuple):
    """λ_pre, α_pre, λ_post and α_post of a two-trace eligibility."""

    pre_decay: float
    pre_gain: float = 1.0
    post_decay: float = 0.0
    post_gain: float = 0.0


def chunk_of(steps: int) -> int:
    """How many of T steps one call unrolls: all of up to 16, else the 8 … 16 that fit T best.

    >>> [chunk_of(steps) for steps in (6, 30, 100, 800)]
    [6, 15, 10, 16]
    """
    if steps <= MOST:
        return steps
    return max(range(MOST // 2, MOST + 1), key=lambda k: (-(steps % k), k))


def scan(
    currents: Tensor, v: Tensor, constants: Constants, psi: Surrogate, inclusive: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """LIF over currents [T, N] from v [N]: spikes o and Ψ(u − θ) in the currents' dtype, last v.

    >>> from .surrogate import Triangle
    >>> o, psi, v = scan(torch.full((4, 1), 0.6), torch.zeros(1), Constants(1.0, 1.0), Triangle())
    >>> o.flatten().tolist()
    [0.0, 1.0, 0.0, 1.0]
    """
    kernel, steps = _scan_kernel(constants, psi, inclusive), len(currents)
    o = torch.empty(currents.shape, dtype=currents.dtype, device=currents.device)
    slopes = torch.empty_like(o)
    for part in _parts(steps):
        key = (part.stop - part.start, currents.dtype, v.dtype, currents.stride(0) == 0, v.device)
        v = kernel(currents[part], v, o[part], slopes[part], key=key)
    return o, slopes, v


def _parts(steps: int) -> list[slice]:
    size = chunk_of(steps)
    return [slice(start, min(start + size, steps)) for start in range(0, steps, size)]


@lru_cache(256)
def _scan_kernel(constants: Constants, psi: Surrogate, inclusive: bool) -> Kernel:
    def run(currents: Tensor, v: Tensor, o_out: Tensor, psi_out: Tensor) -> Tensor:
        spikes, slopes = [], []
        for current in currents.unbind(0):
            u, o, after = neuron_step(
                current.to(v.dtype), NeuronState(v), constants,
                spike=lambda d: heaviside(d, inclusive),
            )  # fmt: skip
            v = after.v
            spikes.append(o.to(o_out.dtype))
            slopes.append(psi(u - constants.threshold).to(o_out.dtype))
        o_out.copy_(torch.stack(spikes))
        psi_out.copy_(torch.stack(slopes))
        return v

    return Kernel(run)


def collapse(m: Tensor, psi: Tensor, constants: TwoTraceConstants) -> Tensor:
    """c[s] = α_pre a[s] + λ_pre c[s+1] + α_post m[s] h[s] with a = m Ψ; m, Ψ, c [T, N].

    Sums are float32 (or the dtype of m above it); the result has the dtype of m.

    >>> collapse(torch.ones(3, 1), torch.ones(3, 1), TwoTraceConstants(0.5)).flatten()
    tensor([1.7500, 1.5000, 1.0000])
    """
    c, parts = torch.empty_like(m), _parts(len(m))
    carried = _start(m)
    kernel, key = _collapse_kernel(constants), (m.dtype, psi.dtype, m.device)
    for part, h in zip(parts[::-1], _behind(psi, constants, parts)[::-1], strict=True):
        size = part.stop - part.start
        carried = kernel(m[part], psi[part], carried, h, c[part], key=(size, *key))
    return c


def collapse_sum(m: Tensor, psi: Tensor, constants: TwoTraceConstants) -> Tensor:
    """Σ_s c[s] [N] of `collapse`: all that a static input is contracted with.

    >>> collapse_sum(torch.ones(3, 1), torch.ones(3, 1), TwoTraceConstants(0.5))
    tensor([4.2500])
    """
    parts, total, carried = _parts(len(m)), _start(m), _start(m)
    kernel, key = _sum_kernel(constants), (m.dtype, psi.dtype, m.device)
    for part, h in zip(parts[::-1], _behind(psi, constants, parts)[::-1], strict=True):
        size = part.stop - part.start
        carried, total = kernel(m[part], psi[part], carried, h, total, key=(size, *key))
    return total.to(m.dtype)


def _start(m: Tensor) -> Tensor:
    wide = torch.promote_types(m.dtype, torch.float32)
    return torch.zeros(m.shape[1:], dtype=wide, device=m.device)


def _behind(psi: Tensor, constants: TwoTraceConstants, parts: list[slice]) -> list[Tensor]:
    """h before the first step of every part."""
    h = _start(psi)
    found = [h]
    for part in parts[:-1]:
        if constants.post_gain:
            key = (part.stop - part.start, psi.dtype, psi.device)
            h = _behind_kernel(constants.post_decay)(psi[part], h, key=key)
        found.append(h)
    return found


@lru_cache(256)
def _behind_kernel(decay: float) -> Kernel:
    def run(psi: Tensor, h: Tensor) -> Tensor:
        return _exclusive([x.to(h.dtype) for x in psi.unbind(0)], h, decay)[-1]

    return Kernel(run)


def _exclusive(slopes: list[Tensor], h: Tensor, decay: float) -> list[Tensor]:
    """h[t] = λ h[t−1] + Ψ[t−1] for t = 0 … T, from h[0]."""
    behind = [h]
    for slope in slopes:
        behind.append(decay * behind[-1] + slope)
    return behind


def _posts(
    m: Tensor, psi: Tensor, carried: Tensor, h: Tensor, c: TwoTraceConstants
) -> tuple[list[Tensor], Tensor]:
    """The post factors of a part in the order of time, and c before it."""
    signal, slope = [x.to(h.dtype) for x in m.unbind(0)], [x.to(h.dtype) for x in psi.unbind(0)]
    behind = _exclusive(slope[:-1], h, c.post_decay) if c.post_gain else []
    posts = []
    for s in range(len(signal) - 1, -1, -1):
        a = signal[s] * slope[s] if c.pre_gain == 1.0 else signal[s] * slope[s] * c.pre_gain
        carried = a + c.pre_decay * carried
        post = carried + c.post_gain * (signal[s] * behind[s]) if behind else carried
        posts.append(post)
    return posts[::-1], carried


@lru_cache(256)
def _collapse_kernel(constants: TwoTraceConstants) -> Kernel:
    def run(m: Tensor, psi: Tensor, carried: Tensor, h: Tensor, out: Tensor) -> Tensor:
        posts, carried = _posts(m, psi, carried, h, constants)
        out.copy_(torch.stack(posts))
        return carried

    return Kernel(run)


@lru_cache(256)
def _sum_kernel(constants: TwoTraceConstants) -> Kernel:
    def run(
        m: Tensor, psi: Tensor, carried: Tensor, h: Tensor, total: Tensor
    ) -> tuple[Tensor, Tensor]:
        posts, carried = _posts(m, psi, carried, h, constants)
        for post in posts:
            total = total + post
        return carried, total

    return Kernel(run)


def flat(x: Tensor) -> Tensor:
    """x [T, B, ...] as [T, N] in the order it lies in memory; a copy only of what is not dense.

    >>> flat(torch.zeros(2, 3, 4, 5, 5)).shape
    torch.Size([2, 300])
    """
    if _channels_last(x):
        x = x.permute(0, 1, 3, 4, 2)
    return x.reshape(len(x), -1)


def unflat(x: Tensor, like: Tensor) -> Tensor:
    """The inverse of `flat`: x [T, N] in the shape and memory order of ``like`` [T, B, ...].

    >>> maps = torch.arange(48.0).view(2, 1, 2, 3, 4)
    >>> bool((unflat(flat(maps), maps) == maps).all())
    True
    """
    if not _channels_last(like):
        return x.view(len(x), *like.shape[1:])
    b, c, h, w = like.shape[1:]
    return x.view(len(x), b, h, w, c).permute(0, 1, 4, 2, 3)


def _channels_last(x: Tensor) -> bool:
    """Whether feature maps [T, B, C, H, W] lie channel by channel innermost."""
    if x.ndim != 5:
        return False
    one = x[0]
    return one.is_contiguous(memory_format=torch.channels_last) and not one.is_contiguous()
