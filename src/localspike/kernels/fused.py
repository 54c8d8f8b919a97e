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

from .compiling import Kernel, active, tell_of_alignment
from .neuron import Constants, NeuronState, neuron_step
from .surrogate import Surrogate, heaviside

MOST = 16
"""Steps unrolled at most: machine code, and the time to make it, grow with them."""

SMALL = 1 << 20
"""Elements up to which eager code may hold a second copy for the sake of fewer calls."""


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
) -> tuple[Tensor, Tensor, Tensor]:
    """LIF over currents [T, N] from v [N]: spikes o and Ψ(u − θ) in the currents' dtype, last v.

    v is None at rest: then it is zero, and float32 or the currents' dtype above it.

    >>> from .surrogate import Triangle
    >>> o, psi, v = scan(torch.full((4, 1), 0.6), torch.zeros(1), Constants(1.0, 1.0), Triangle())
    >>> o.flatten().tolist()
    [0.0, 1.0, 0.0, 1.0]
    """
    kernel, static = _scan_kernel(constants, psi, inclusive), currents.stride(0) == 0
    o, slopes = Joined(currents), Joined(currents)
    for part in parts_of(currents):
        key = (part.stop - part.start, currents.dtype, v is None, static, currents.device)
        fired, slope, v = kernel(currents[part], v, key=key)
        o.add(part, fired)
        slopes.add(part, slope)
    assert v is not None  # T ≥ 1
    return o.whole(), slopes.whole(), v


@lru_cache(256)
def _scan_kernel(constants: Constants, psi: Surrogate, inclusive: bool) -> Kernel:
    def run(currents: Tensor, v: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        tell_of_alignment(currents)
        spikes, slopes = [], []
        if v is None:
            v = torch.zeros_like(currents[0], dtype=_wide(currents))
        for current in currents.unbind(0):
            u, o, after = neuron_step(
                current.to(v.dtype), NeuronState(v), constants,
                spike=lambda d: heaviside(d, inclusive),
            )  # fmt: skip
            v = after.v
            spikes.append(o.to(currents.dtype))
            slopes.append(psi(u - constants.threshold).to(currents.dtype))
        return torch.stack(spikes), torch.stack(slopes), v

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
    psi: Tensor,
    constants: TwoTraceConstants,
    choice: Choice | None = None,
    h: Tensor | None = None,
    lead: bool = False,
) -> Post:
    """c[s] = α_pre a[s] + λ_pre c[s+1] + α_post m[s] h[s] with a = m Ψ; Ψ and c [T, ...].

    m may be smaller than Ψ where it is the same over an axis; with a ``choice`` it arrives at the
    chosen neuron of every window alone. ``h`` is the post trace at the first step (None: zero).
    Sums are float32 (or the dtype of Ψ above it); the result has the dtype of Ψ.

    >>> collapse(torch.ones(3, 1), torch.ones(3, 1), TwoTraceConstants(0.5)).c.flatten()
    tensor([1.7500, 1.5000, 1.0000])
    """
    out, carried = Joined(psi), None
    kernel, parts = _collapse_kernel(constants, _size(choice)), parts_of(psi)
    for part, behind in zip(parts[::-1], _behind(psi, constants, parts, h)[::-1], strict=True):
        more = lead or part.start > 0
        key = (part.stop - part.start, more, carried is None, m.dtype, psi.dtype, psi.device)
        which = _which(choice, part)
        c, carried = kernel(m[part], psi[part], carried, behind, which, more, key=key)
        out.add(part, c)
    return Post(out.whole(), carried)


def collapse_sum(
    m: Tensor, psi: Tensor, constants: TwoTraceConstants, choice: Choice | None = None
) -> Tensor:
    """Σ_s c[s] of `collapse`: all that a static input is contracted with.

    >>> collapse_sum(torch.ones(3, 1), torch.ones(3, 1), TwoTraceConstants(0.5))
    tensor([4.2500])
    """
    total, carried = None, None
    kernel, parts = _sum_kernel(constants, _size(choice)), parts_of(psi)
    for part, h in zip(parts[::-1], _behind(psi, constants, parts, None)[::-1], strict=True):
        key = (part.stop - part.start, carried is None, m.dtype, psi.dtype, psi.device)
        carried, total = kernel(
            m[part], psi[part], carried, h, _which(choice, part), total, key=key
        )
    return total.to(psi.dtype)  # type: ignore[union-attr]  # T ≥ 1


def _size(choice: Choice | None) -> int:
    return 0 if choice is None else choice.size


def _which(choice: Choice | None, part: slice) -> Tensor | None:
    return None if choice is None else choice.which[part]


def parts_of(x: Tensor) -> list[slice]:
    """The steps of x [T, ...] in groups that one call unrolls."""
    steps, numbers = len(x), x.numel()
    size = chunk_of(steps) if active() or numbers <= SMALL else 1
    return [slice(start, min(start + size, steps)) for start in range(0, steps, size)]


class Joined:
    """Results of parts of the time steps, put together; those of a single part as they are."""

    def __init__(self, like: Tensor) -> None:
        self._like, self._whole = like, torch.empty(0)

    def add(self, part: slice, values: Tensor) -> None:
        """The values [part, ...] of some steps."""
        if len(values) == len(self._like):
            self._whole = values
            return
        if self._whole.numel() == 0:
            shape = (len(self._like), *values.shape[1:])
            self._whole = torch.empty(shape, dtype=values.dtype, device=values.device)
        self._whole[part].copy_(values)

    def whole(self) -> Tensor:
        """All steps [T, ...]."""
        return self._whole


def rates(o: Tensor) -> Tensor:
    """Mean spikes per neuron [T, B] of o [T, B, n], summed in float32 (or the dtype above it).

    >>> rates(torch.tensor([[[1.0, 0.0, 1.0, 0.0]]]))
    tensor([[0.5000]])
    """
    mean: Tensor = _RATES(o, key=(o.dtype, o.device))
    return mean


def _wide(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _mean(o: Tensor) -> Tensor:
    tell_of_alignment(o)
    return o.to(_wide(o)).mean(2)


_RATES = Kernel(_mean)


def trace_end(x: Tensor, before: Tensor | None, decay: float) -> Tensor:
    """q[T−1] of q[t] = λ q[t−1] + x[t] over x [T, ...] from q[−1] = ``before`` (None: zero).

    Float32, or the dtype of x above it.

    >>> trace_end(torch.ones(3, 1), None, 0.5), trace_end(torch.ones(1, 1), torch.ones(1), 0.5)
    (tensor([1.7500]), tensor([1.5000]))
    """
    q, kernel = before, _end_kernel(decay)
    for part in parts_of(x):
        q = kernel(x[part], q, key=(part.stop - part.start, q is None, x.dtype, x.device))
    assert q is not None  # T ≥ 1
    return q


@lru_cache(256)
def _end_kernel(decay: float) -> Kernel:
    def run(x: Tensor, q: Tensor | None) -> Tensor:
        tell_of_alignment(x)
        for now in x.unbind(0):
            wide = now.to(_wide(x))
            q = wide if q is None else wide + decay * q
        assert q is not None  # a part has a step
        return q.clone()  # a trace outlives x, of which a first step may be a view

    return Kernel(run)


def _behind(
    psi: Tensor, constants: TwoTraceConstants, parts: list[slice], h: Tensor | None
) -> list[Tensor] | list[None]:
    """h before the first step of every part; None for all where the rule has no post trace."""
    if not constants.post_gain:
        return [None] * len(parts)
    if h is None:
        h = torch.zeros(psi.shape[1:], dtype=_wide(psi), device=psi.device)
    found = [h]
    for part in parts[:-1]:
        found.append(trace_end(psi[part], found[-1], constants.post_decay))
    return found


def _exclusive(slopes: list[Tensor], h: Tensor, decay: float) -> list[Tensor]:
    """h[t] = λ h[t−1] + Ψ[t−1] for t = 0 … T, from h[0]."""
    behind = [h]
    for slope in slopes:
        behind.append(decay * behind[-1] + slope)
    return behind


def _posts(
    signal: list[Tensor],
    slope: list[Tensor],
    carried: Tensor | None,
    h: Tensor | None,
    c: TwoTraceConstants,
) -> tuple[list[Tensor], Tensor]:
    """The post factors of a part in the order of time, and c before it."""
    behind = [] if h is None else _exclusive(slope[:-1], h, c.post_decay)
    posts = []
    for s in range(len(signal) - 1, -1, -1):
        a = signal[s] * slope[s] if c.pre_gain == 1.0 else signal[s] * slope[s] * c.pre_gain
        carried = a if carried is None else a + c.pre_decay * carried
        post = carried + c.post_gain * (signal[s] * behind[s]) if behind else carried
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


def _slopes(psi: Tensor) -> list[Tensor]:
    tell_of_alignment(psi)
    return [x.to(_wide(psi)) for x in psi.unbind(0)]


@lru_cache(256)
def _collapse_kernel(constants: TwoTraceConstants, size: int) -> Kernel:
    def run(
        m: Tensor, psi: Tensor, carried: Tensor | None, h: Tensor | None, which: Tensor | None,
        more: bool,
    ) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        signals = _signals(m, which, size, _wide(psi))
        posts, carried = _posts(signals, _slopes(psi), carried, h, constants)
        return torch.stack([p.to(psi.dtype) for p in posts]), carried if more else None

    return Kernel(run)


@lru_cache(256)
def _sum_kernel(constants: TwoTraceConstants, size: int) -> Kernel:
    def run(
        m: Tensor, psi: Tensor, carried: Tensor | None, h: Tensor | None, which: Tensor | None,
        total: Tensor | None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        signals = _signals(m, which, size, _wide(psi))
        posts, carried = _posts(signals, _slopes(psi), carried, h, constants)
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
