"""Temporal credit: what a layer remembers of the past, as factors of its weight gradient.

Every eligibility yields ``Term(post, pre)`` pairs: with the learning signal m the gradient is
Σ_t Σ_terms (m ⊙ post) ⊗ pre.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import ConfigError
from ..kernels import trace

Afferents = Mapping[str, Tensor]


class Term(NamedTuple):
    """One post ⊗ pre product; ``pre`` holds one tensor per afferent ("input", "recurrent")."""

    post: Tensor
    pre: Afferents


class TraceState(NamedTuple):
    """Traces after a step: q per afferent (None if λ_pre = 0), h, and the bias trace (scalar)."""

    pre: Afferents | None
    post: Tensor | None
    bias: float


class Factors(NamedTuple):
    """What one step offers to the contraction: weight terms, and post × scalar for the bias."""

    terms: tuple[Term, ...]
    bias_post: Tensor
    bias_pre: float


class Collapsed(NamedTuple):
    """A whole sequence collapsed: ``post`` [T, B, ...] contracts with the raw afferents."""

    post: Tensor
    bias_post: Tensor | None


@dataclass(frozen=True)
class TwoTrace:
    """The two-trace eligibility of S-TLLR and TESS, and every rule that is a case of it.

        q[t] = λ_pre q[t−1] + x[t]            h[t] = λ_post h[t−1] + Ψ(u[t−1])
        G = Σ_t α_pre (m[t] ⊙ Ψ(u[t])) ⊗ q[t] + α_post (m[t] ⊙ h[t]) ⊗ x[t]

    Parameters
    ----------
    pre_decay, post_decay:
        λ_pre in [0, 1] and λ_post in [0, 1], per step.
    pre_gain, post_gain:
        α_pre and α_post.
    trace_input:
        False leaves the network's own input untraced in the first block (OTTT's release).
    trace_bias:
        True gives the bias the trace of a constant input 1, as the exact gradient has it.
    readout_decay:
        Trace decay of the readout's input; None uses the readout's own leak (exact).

    Source: RULES of S-TLLR (arXiv 2306.15220) and TESS (arXiv 2502.01837) eq. (7).

    >>> TwoTrace(pre_decay=0.5, post_gain=0.0)
    TwoTrace(pre_decay=0.5, post_decay=0.0, pre_gain=1.0, post_gain=0.0, ...)
    """

    pre_decay: float
    post_decay: float = 0.0
    pre_gain: float = 1.0
    post_gain: float = 0.0
    trace_input: bool = True
    trace_bias: bool = False
    readout_decay: float | None = None

    def __post_init__(self) -> None:
        for name in ("pre_decay", "post_decay", "readout_decay"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value <= 1.0:
                raise ConfigError(
                    f"{name} out of range",
                    got=value,
                    expected="a decay per step in [0, 1]",
                    fix="Convert a time constant with exp(-dt/tau)",
                )

    def for_first_block(self) -> TwoTrace:
        """The eligibility of the block that sees the network's input."""
        return self if self.trace_input else replace(self, pre_decay=0.0)

    def for_readout(self, leak: float) -> TwoTrace:
        """The readout's: one trace with its leak (or `readout_decay`), no post trace."""
        decay = leak if self.readout_decay is None else self.readout_decay
        traced = self.trace_bias or self.readout_decay is None
        return TwoTrace(pre_decay=decay, trace_bias=traced)

    def init(self, afferents: Afferents, u: Tensor) -> TraceState:
        """All traces zero; shapes follow the afferents and ``u``."""
        pre = {k: torch.zeros_like(x) for k, x in afferents.items()} if self.pre_decay else None
        return TraceState(pre, torch.zeros_like(u) if self.post_gain else None, 0.0)

    def step(
        self, state: TraceState, afferents: Afferents, psi: Tensor
    ) -> tuple[Factors, TraceState]:
        """Advance the traces by one step and give this step's factors (Ψ = ``psi``)."""
        bias = (self.pre_decay * state.bias if self.trace_bias else 0.0) + 1.0
        eligible = psi if self.pre_gain == 1.0 else self.pre_gain * psi
        if state.pre is None:
            pre, terms = None, self._untraced(eligible, state.post, afferents)
        else:
            pre = {
                k: trace.trace_step(state.pre[k], x, self.pre_decay) for k, x in afferents.items()
            }
            terms = self._traced(eligible, state.post, pre, afferents)
        post = None if state.post is None else trace.trace_step(state.post, psi, self.post_decay)
        bias_post = eligible if self.trace_bias else psi
        return Factors(terms, bias_post, bias), TraceState(pre, post, bias)

    def _untraced(self, eligible: Tensor, h: Tensor | None, x: Afferents) -> tuple[Term, ...]:
        """λ_pre = 0: both terms share the pre factor x, so they are one term."""
        post = eligible if h is None else torch.add(eligible, h, alpha=self.post_gain)
        return (Term(post, x),)

    def _traced(
        self, eligible: Tensor, h: Tensor | None, q: Afferents, x: Afferents
    ) -> tuple[Term, ...]:
        first = Term(eligible, q)
        return (first,) if h is None else (first, Term(self.post_gain * h, x))

    def collapse(self, m: Tensor, psi: Tensor, *, bias: bool = True) -> Collapsed:
        """Whole sequence, zero initial traces: c[s] of the reverse-time identity plus α_post m ⊙ h.

        m, psi: [T, B, ...]. The result contracts with the raw x[s] (and o[s−1]). Without a
        ``bias`` its post factor is not made.
        """
        a = m * psi if self.pre_gain == 1.0 else m * psi * self.pre_gain
        post = trace.trace_reverse(a, self.pre_decay) if self.pre_decay else a
        untraced = m * psi if bias and not self.trace_bias else None
        bias_post = post if self.trace_bias else untraced
        if self.post_gain:
            h = trace.trace_exclusive(psi, self.post_decay)
            post = torch.addcmul(post, m, h, value=self.post_gain)
        return Collapsed(post, bias_post)


@dataclass(frozen=True)
class ThroughTime:
    """No eligibility at all: credit through time by autograd (BPTT).

    ``detach_reset`` stops the gradient at the reset's spike, the usual choice for SNNs.
    """

    detach_reset: bool = True


Eligibility = TwoTrace | ThroughTime
