"""A block's elementwise work over a whole sequence, in two passes over memory.

Eager code makes one pass an operation. Here a layer's sequence is read once forward (currents in,
spikes out) and once backward (signal and currents in, one post factor out), all tensors seen as
[T, N] in the order they lie in memory. Bytes moved per neuron and step with elements of b bytes,
w neurons a window of a signal that is the same over it, p of a pooling:

    scan       b (I) + b (o)                    = 2 b
    with max pooling in it (`pooled`)             b + (b + 2)/p
    collapse   b/w (m) + b (I) + b (c)          = 2 b, or b for a static input; 1 byte/p (choice)

A static input has I once for all T steps. Ψ is found again from I in registers (`slopes`); eager
code, and recurrent layers, which do not keep I, write it (b) and read it instead. State is float32
(or the currents' own dtype above it) whatever b is, and moves at the ends of parts of 16 steps.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from .compiling import Kernel, active, tell_of_alignment
from .neuron import Constants
from .parts import Joined, parts_of
from .slopes import Dynamics, Slopes, kept, membranes, slopes_of, still_for, unrolled, wide
from .surrogate import Surrogate


class TwoTraceConstants(NamedTuple):
    """λ_pre, α_pre, λ_post and α_post of a two-trace eligibility."""

    pre_decay: float
    pre_gain: float = 1.0
    post_decay: float = 0.0
    post_gain: float = 0.0


class Choice(NamedTuple):
    """Max pooling's choice of one neuron in every window of size × size: see `maxpool`.

    ``which`` uint8 [T, R, 1, Q, 1, C], the place of the chosen one.
    """

    which: Tensor
    size: int


def scan(
    currents: Tensor,
    v: Tensor | None,
    constants: Constants,
    psi: Surrogate,
    inclusive: bool = False,
) -> tuple[Tensor, Slopes, Tensor]:
    """LIF over currents [T, N] from v [N]: spikes o in the currents' dtype, Ψ(u − θ), last v.

    v is None at rest: then it is zero, and float32 or the currents' dtype above it. Compiled, Ψ is
    not written: the slopes keep the currents, which must stay as they are.

    >>> from .surrogate import Triangle
    >>> o, psi, v = scan(torch.full((4, 1), 0.6), torch.zeros(1), Constants(1.0, 1.0), Triangle())
    >>> o.flatten().tolist()
    [0.0, 1.0, 0.0, 1.0]
    """
    dynamics, static = Dynamics(constants, psi, inclusive), is_still(currents)
    # On other devices that was not measured.
    keep = not active() or currents.device.type != "cpu"
    kernel, parts = _scan_kernel(dynamics, keep), tuple(parts_of(currents))
    o, slopes, starts = Joined(currents), Joined(currents), []
    for part in parts:
        key = (part.stop - part.start, currents.dtype, v is None, static, currents.device)
        starts.append(v)
        fired, slope, v = kernel(currents[part], v, key=key)
        o.add(part, fired)
        if keep:
            slopes.add(part, slope)
    assert v is not None  # T ≥ 1
    if keep:
        return o.whole(), kept(slopes.whole()), v
    return o.whole(), Slopes(currents, parts, tuple(starts), dynamics), v


def is_still(x: Tensor) -> bool:
    """Whether x [T, ...] is one step for all.

    >>> is_still(torch.zeros(1, 2).expand(3, 2))
    True
    """
    return x.stride(0) == 0


@lru_cache(256)
def _scan_kernel(dynamics: Dynamics, keep: bool) -> Kernel:
    def run(currents: Tensor, v: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor]:
        tell_of_alignment(currents)
        us, spikes, last = membranes(currents, v, dynamics)
        slopes = torch.stack(slopes_of(us, dynamics, currents.dtype)) if keep else None
        return torch.stack([o.to(currents.dtype) for o in spikes]), slopes, last

    return Kernel(run)


class Post(NamedTuple):
    """The post factors c [T, ...], and ``lead``: c at the first step without the post trace's part.

    With the pre trace q as it was before the first step, λ_pre lead ⊗ q is what the sequence adds
    to the gradient for all steps before it.
    """

    c: Tensor
    lead: Tensor | None = None


def collapse(
    m: Tensor,
    psi: Slopes,
    constants: TwoTraceConstants,
    choice: Choice | None = None,
    h: Tensor | None = None,
    lead: bool = False,
) -> Post:
    """c[s] = α_pre a[s] + λ_pre c[s+1] + α_post m[s] h[s] with a = m Ψ; Ψ and c [T, ...].

    m may be smaller than Ψ where it is the same over an axis; with a ``choice`` it arrives at the
    chosen neuron of every window alone. ``h`` is the post trace at the first step (None: zero).
    Sums are float32 (or the dtype of Ψ above it); the result has the dtype of Ψ.

    >>> collapse(torch.ones(3, 1), kept(torch.ones(3, 1)), TwoTraceConstants(0.5)).c.flatten()
    tensor([1.7500, 1.5000, 1.0000])
    """
    out, carried = Joined(psi.source), None
    kernel = _collapse_kernel(constants, _size(choice), psi.dynamics)
    for part, told in _backwards(m, psi, constants, choice, h):
        more = lead or part.start > 0
        key = (part.stop - part.start, more, carried is None, *_key(told))
        c, carried = kernel(*told, carried, more, key=key)
        out.add(part, c)
    return Post(out.whole(), carried)


def collapse_sum(
    m: Tensor, psi: Slopes, constants: TwoTraceConstants, choice: Choice | None = None
) -> Tensor:
    """Σ_s c[s] of `collapse`: all that a static input is contracted with.

    >>> collapse_sum(torch.ones(3, 1), kept(torch.ones(3, 1)), TwoTraceConstants(0.5))
    tensor([4.2500])
    """
    total, carried = None, None
    kernel = _sum_kernel(constants, _size(choice), psi.dynamics)
    for part, told in _backwards(m, psi, constants, choice, None):
        key = (part.stop - part.start, carried is None, *_key(told))
        carried, total = kernel(*told, carried, total, key=key)
    return total.to(psi.source.dtype)  # type: ignore[union-attr]  # T ≥ 1


class _Told(NamedTuple):
    """What a part of the steps is collapsed from."""

    m: Tensor
    source: Tensor
    v: Tensor | None
    still: Tensor | None
    h: Tensor | None
    which: Tensor | None


def _backwards(
    m: Tensor, psi: Slopes, constants: TwoTraceConstants, choice: Choice | None, h: Tensor | None
) -> list[tuple[slice, _Told]]:
    """The parts from the last to the first."""
    still = still_for(m, psi)
    starts = zip(psi.parts, psi.starts, _behind(psi, constants, h), strict=True)
    told = [
        (p, _Told(m[p], psi.source[p], v, still, before, _which(choice, p)))
        for p, v, before in starts
    ]
    return told[::-1]


def _key(told: _Told) -> tuple[object, ...]:
    there = tuple(x is None for x in told)
    static, dtypes = is_still(told.source), (told.m.dtype, told.source.dtype)
    return (there, static, dtypes, told.source.device)


def _size(choice: Choice | None) -> int:
    return 0 if choice is None else choice.size


def _which(choice: Choice | None, part: slice) -> Tensor | None:
    return None if choice is None else choice.which[part]


def rates(o: Tensor) -> Tensor:
    """Mean spikes per neuron [T, B] of o [T, B, n], summed in float32 (or the dtype above it).

    >>> rates(torch.tensor([[[1.0, 0.0, 1.0, 0.0]]]))
    tensor([[0.5000]])
    """
    mean: Tensor = _RATES(o, key=(o.dtype, o.device))
    return mean


def _mean(o: Tensor) -> Tensor:
    tell_of_alignment(o)
    return o.to(wide(o)).mean(2)


_RATES = Kernel(_mean)


def trace_end(x: Slopes, before: Tensor | None, decay: float) -> Tensor:
    """q[T−1] of q[t] = λ q[t−1] + x[t] over x [T, ...] from q[−1] = ``before`` (None: zero).

    Float32, or the dtype of x above it.

    >>> trace_end(kept(torch.ones(3, 1)), None, 0.5)
    tensor([1.7500])
    """
    return _trace_ends(x, before, decay, len(x.parts))[-1]


def _trace_ends(x: Slopes, q: Tensor | None, decay: float, parts: int) -> list[Tensor]:
    """The trace after each of the first parts."""
    kernel, found = _end_kernel(decay, x.dynamics), []
    for part, v in list(zip(x.parts, x.starts, strict=True))[:parts]:
        source = x.source[part]
        key = (len(source), q is None, v is None, is_still(source), source.dtype, source.device)
        q = kernel(source, v, q, key=key)
        assert q is not None  # a part has a step
        found.append(q)
    return found


@lru_cache(256)
def _end_kernel(decay: float, dynamics: Dynamics | None) -> Kernel:
    def run(source: Tensor, v: Tensor | None, q: Tensor | None) -> Tensor:
        for x in unrolled(source, v, dynamics, None):
            q = x if q is None else x + decay * q
        assert q is not None  # a part has a step
        return q.clone()  # a trace outlives x, of which a first step may be a view

    return Kernel(run)


def _behind(psi: Slopes, constants: TwoTraceConstants, h: Tensor | None) -> list[Tensor | None]:
    """h before the first step of every part, None where it is zero or the rule has none."""
    if not constants.post_gain:
        return [None] * len(psi.parts)
    return [h, *_trace_ends(psi, h, constants.post_decay, len(psi.parts) - 1)]


def _exclusive(slopes: list[Tensor], h: Tensor | None, decay: float) -> list[Tensor | None]:
    """h[t] = λ h[t−1] + Ψ[t−1] for t = 0 … T, from h[0] (None: zero)."""
    behind = [h]
    for slope in slopes:
        before = behind[-1]
        behind.append(slope if before is None else decay * before + slope)
    return behind


def _posts(
    signal: list[Tensor],
    slope: list[Tensor],
    carried: Tensor | None,
    h: Tensor | None,
    c: TwoTraceConstants,
) -> tuple[list[Tensor], Tensor]:
    """The post factors of a part in the order of time, and c before it."""
    behind, posts = _exclusive(slope[:-1], h, c.post_decay), []
    for s in range(len(signal) - 1, -1, -1):
        a = signal[s] * slope[s] if c.pre_gain == 1.0 else signal[s] * slope[s] * c.pre_gain
        carried = a if carried is None else a + c.pre_decay * carried
        post, before = carried, behind[s]
        if c.post_gain and before is not None:
            post = carried + c.post_gain * (signal[s] * before)
        posts.append(post)
    assert carried is not None  # a part has a step
    return posts[::-1], carried


def _signals(m: Tensor, which: Tensor | None, size: int, dtype: torch.dtype) -> list[Tensor]:
    """m of every step, at the chosen neurons of windows of ``size`` where there is a choice."""
    wide = [x.to(dtype) for x in m.unbind(0)]
    if which is None:
        return wide
    # In floating point, which machine code compares sixteen at a time, unlike bytes.
    places = torch.arange(size * size, dtype=dtype, device=m.device).view(size, 1, size, 1)
    chosen = [w.to(dtype) == places for w in which.unbind(0)]
    return [torch.where(here, x, 0.0) for x, here in zip(wide, chosen, strict=True)]


@lru_cache(256)
def _collapse_kernel(constants: TwoTraceConstants, size: int, dynamics: Dynamics | None) -> Kernel:
    def run(
        m: Tensor, source: Tensor, v: Tensor | None, still: Tensor | None, h: Tensor | None,
        which: Tensor | None, carried: Tensor | None, more: bool,
    ) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        signals = _signals(m, which, size, wide(source))
        slopes = unrolled(source, v, dynamics, still)
        posts, carried = _posts(signals, slopes, carried, h, constants)
        return torch.stack([p.to(source.dtype) for p in posts]), carried if more else None

    return Kernel(run)


@lru_cache(256)
def _sum_kernel(constants: TwoTraceConstants, size: int, dynamics: Dynamics | None) -> Kernel:
    def run(
        m: Tensor, source: Tensor, v: Tensor | None, still: Tensor | None, h: Tensor | None,
        which: Tensor | None, carried: Tensor | None, total: Tensor | None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        signals = _signals(m, which, size, wide(source))
        slopes = unrolled(source, v, dynamics, still)
        posts, carried = _posts(signals, slopes, carried, h, constants)
        for post in posts:
            total = post if total is None else total + post
        assert total is not None  # a part has a step
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
