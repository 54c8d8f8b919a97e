"""What a block that runs lean learns from some time steps, and what it hands on to the next ones.

With q the pre trace before the first step and c[0] the collapsed post factor at it, the steps
before reach these by λ_pre c[0] ⊗ q: one small product more than a sequence in one piece takes.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from ..kernels import fused, slopes, windows
from ..kernels.maxpool import channels_last
from ..kernels.slopes import Slopes
from ..kernels.windows import Windows
from ..nn import lean
from ..nn.currents import is_static
from ..nn.layer import Spiking, Weights
from ..rules.class_basis import BoundClassBasis
from ..rules.eligibility import TwoTrace
from ..rules.signal import Told
from .credit import Credit
from .gradients import Gradients, learns
from .layerwise import contract_readout
from .targets import Target

AFFERENTS = ("input", "recurrent")


class Between(NamedTuple):
    """What one block hands on: pre traces by afferent, post trace, its signal's state, [B, ...].

    The recurrent one counts o of the last step, which is an afferent of the next one only.
    ``bias`` is the trace of a constant input 1.
    """

    pre: dict[str, Tensor]
    post: Tensor | None = None
    signal: Any = None
    bias: float = 0.0


class Did(NamedTuple):
    """What one block did at some steps, and all that its learning from them depends on.

    ``before`` is what the steps before handed on, ``below`` what the block below keeps,
    ``readout`` the readout's error and weights where the signal is sent from there.
    """

    name: str
    kept: lean.Kept
    target: Target
    before: Between | None = None
    below: object = None
    readout: tuple[Tensor, Tensor] | None = None


class Engine(Protocol):
    """The schedule that asks."""

    credit: Credit
    dtype: torch.dtype | None

    def seen(self, name: str, out: Tensor) -> Tensor:
        """A block's output as its signal takes it."""
        ...


def learn(engine: Engine, did: Did, gradients: Gradients, more: bool) -> Between:
    """One contraction of a block's steps [T, B, ...]; ``more`` steps need what this gives back."""
    told, at = signal(engine, did)
    gradients.add_own(did.name, told.own)
    after = contract(engine, did, at, gradients, more)
    return after._replace(signal=told.state)


def contract(
    engine: Engine, did: Did, at: Tensor | Windows, gradients: Gradients, more: bool = False
) -> Between:
    """`learn` from m at the spikes, however it came there."""
    name, kept, before = did.name, did.kept, did.before
    block, rule = engine.credit.net.blocks[name], engine.credit.eligibility(name)
    assert isinstance(rule, TwoTrace)  # `block_obstacle`
    if not learns(block):
        return Between({})
    constants = _constants(rule)
    static = is_static(kept.x)
    if static and block.recurrent is None:
        total = _recentred(engine, did, gradients, _collapse_sum(at, kept, constants))
        gradients.add_weight(name, lean.contract(block, kept, total, engine.dtype))
        return Between({})
    crossed = before is not None and bool(constants.pre_decay)
    post = _collapse(at, kept, constants, None if before is None else before.post, crossed)
    at_input = _recentred(engine, did, gradients, post.c.sum(0) if static else post.c)
    gradients.add_weight(name, lean.contract(block, kept, at_input, engine.dtype))
    if block.recurrent is not None:
        for grad in lean.contract_recurrent(block, kept, post.c, engine.dtype):
            gradients.add_weight(name, grad, "recurrent")
    if before is not None and post.lead is not None:
        gradients.add_products(name, post.lead, _reaching(before, kept, constants.pre_decay))
    return _after(kept, before, constants) if more else Between({})


def arrived(block: Spiking, kept: lean.Kept, m: Tensor) -> Tensor | Windows:
    """m [T, B, ...] at a block's output where it reaches the spikes."""
    at = lean.windows(block, kept, m) if m.ndim == 5 else None
    if at is not None:
        return at
    back = block.tail_pullback(m.flatten(0, 1), kept.contexts)
    return _ordered(back, kept.like[0]).unflatten(0, kept.like.shape[:2])


def sent_down(
    block: Spiking,
    kept: lean.Kept,
    at: Tensor | Windows,
    weights: Weights,
    dtype: torch.dtype | None,
) -> Tensor:
    """m Ψ carried to the block's input [T·B, ...] through its weights, each step on its own."""
    delta = _collapse(at, kept, fused.TwoTraceConstants(0.0), None, False).c.flatten(0, 1)
    shape = torch.Size((len(delta), *kept.x.shape[2:]))
    return lean.pullback(block, delta, weights.input, shape, dtype)


def _recentred(engine: Engine, did: Did, gradients: Gradients, post: Tensor) -> Tensor:
    """Post factors [T, B, ...], or their sum over time [B, ...], of a block that is normalised."""
    current, told = did.kept.current, did.target.told
    if current is None or did.name not in engine.credit.recentred:
        return post
    if post.ndim < current.ndim:
        current, told = current[0], told.sum(0)
    return gradients.recentred(did.name, post, current, told, did.target.batch)


def signal(engine: Engine, did: Did) -> tuple[Told, Tensor | Windows]:
    """What the signal says, and m at the spikes, one number a window where that is enough."""
    (name, kept, target, before, below, readout), credit = did, engine.credit
    block, bound = credit.net.blocks[name], credit.bound[name]
    goes_on: dict[str, Any] = {} if before is None else {"state": before.signal}
    # Of that very class: a subclass may say something else over a sequence.
    if type(bound) is BoundClassBasis and bound.size and kept.out.ndim == 5:
        known = credit.knowledge(name, kept.out, target, None, None)
        told = bound.at_latents(known, **goes_on)
        shape = (*told.m.shape[:2], kept.out.shape[2], bound.size, bound.size)
        at = lean.windows(block, kept, told.m.view(shape))
        if at is not None:
            return told, at
        told = bound.spread(told, known)
    else:
        known = credit.knowledge(name, engine.seen(name, kept.out), target, readout, below)
        told = bound.sequence(known, **goes_on)
    return told, arrived(block, kept, told.m)


def _reaching(before: Between, kept: lean.Kept, decay: float) -> dict[str, Tensor]:
    """λ q of every afferent at the first of the steps.

    Of the recurrent one, without o of the step before: that is contracted as an afferent.
    """
    found = {"input": decay * before.pre["input"]}
    if kept.o_prev is not None:
        found["recurrent"] = before.pre["recurrent"] - kept.o_prev
    return found


def _after(kept: lean.Kept, before: Between | None, c: fused.TwoTraceConstants) -> Between:
    pre, post = dict[str, Tensor](), None
    if c.pre_decay:
        activities = {"input": kept.x}
        if kept.o_prev is not None and kept.o is not None:
            activities["recurrent"] = kept.o
        for afferent, x in activities.items():
            q = None if before is None else before.pre[afferent]
            pre[afferent] = _end(slopes.kept(x), q, c.pre_decay)
    if c.post_gain:
        post = _end(kept.slopes, None if before is None else before.post, c.post_decay)
    return Between(pre, post)


def _end(x: Slopes, before: Tensor | None, decay: float) -> Tensor:
    """`fused.trace_end` of x [T, B, ...] in any memory order."""
    q = None if before is None else fused.flat(before[None])[0]
    return fused.unflat(fused.trace_end(_flat(x), q, decay)[None], x.source[:1])[0]


def _flat(x: Slopes) -> Slopes:
    return x.shaped(fused.flat(x.source))


def crosses(credit: Credit) -> bool:
    """Whether the readout's trace can go on from part to part: it is one plain pre trace."""
    if not credit.readout_learns():
        return True
    rule = credit.eligibility(credit.net.readout_name or "")
    plain = type(rule) is TwoTrace and rule.pre_gain == 1.0 and not rule.post_gain
    return plain and not rule.fast_decay_of("input")  # type: ignore[attr-defined]


def learn_readout(
    credit: Credit,
    x: Tensor,
    logits: Tensor,
    target: Target,
    before: Between | None,
    gradients: Gradients,
    more: bool,
) -> Between:
    """The readout's part of `learn`, on its input x [T, B, n] and logits [T, B, C]."""
    _, collapsed = contract_readout(credit, x, logits, target, gradients)
    name = credit.net.readout_name
    if collapsed is None or name is None or (before is None and not more):
        return Between({})
    rule, c = credit.eligibility(name), collapsed.post["input"]
    assert isinstance(rule, TwoTrace)  # `crosses`
    decay = rule.decay_of("input")
    if not decay:
        return Between({})
    if before is not None:
        gradients.add_products(name, decay * c[0], before.pre)
        if rule.trace_bias and gradients.has_bias(name):
            gradients.add_bias(name, decay * before.bias * c[0])
    if not more:
        return Between({})
    constant = _constant_end(len(x), 0.0 if before is None else before.bias, decay)
    q = None if before is None else before.pre["input"]
    return Between({"input": _end(slopes.kept(x), q, decay)}, bias=constant)


def _constant_end(steps: int, before: float, decay: float) -> float:
    """The trace of a constant 1 after so many steps more.

    >>> _constant_end(2, 1.0, 0.5)
    1.75
    """
    for _ in range(steps):
        before = 1.0 + decay * before
    return before


def _constants(rule: TwoTrace) -> fused.TwoTraceConstants:
    return fused.TwoTraceConstants(
        rule.decay_of("input"), rule.pre_gain, rule.post_decay, rule.post_gain
    )


def _collapse(
    at: Tensor | Windows,
    kept: lean.Kept,
    c: fused.TwoTraceConstants,
    h: Tensor | None,
    lead: bool,
) -> fused.Post:
    """The post factor [T, B, ...]."""
    if isinstance(at, Windows):
        return windows.collapse(at, kept.slopes, c, h, lead)
    behind = None if h is None else fused.flat(h[None])[0]
    post = fused.collapse(fused.flat(at), _flat(kept.slopes), c, h=behind, lead=lead)
    first = None if post.lead is None else fused.unflat(post.lead[None], kept.like[:1])[0]
    return fused.Post(fused.unflat(post.c, kept.like), first)


def _collapse_sum(at: Tensor | Windows, kept: lean.Kept, c: fused.TwoTraceConstants) -> Tensor:
    """The post factor summed over time [B, ...]."""
    if isinstance(at, Windows):
        return windows.collapse_sum(at, kept.slopes, c)
    total = fused.collapse_sum(fused.flat(at), _flat(kept.slopes), c)
    return fused.unflat(total[None], kept.like[:1])[0]


def _ordered(m: Tensor, like: Tensor) -> Tensor:
    """m [N, ...] dense in the memory order of ``like``; a signal spread over positions is not."""
    if like.ndim == 4 and not like.is_contiguous():
        return channels_last(m)
    return m.contiguous()
