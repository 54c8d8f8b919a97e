"""Temporal credit: what a layer remembers of the past, as factors of its weight gradient.

Every eligibility yields ``Term(post, pre)`` pairs: with the learning signal m the gradient is
Σ_t Σ_terms (m ⊙ post) ⊗ pre.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    """Traces after a step: q per traced afferent, h (None if α_post = 0), the bias's (scalar)."""

    pre: Afferents
    post: Tensor | None
    bias: float


class Factors(NamedTuple):
    """What one step offers to the contraction: weight terms, and post × scalar for the bias."""

    terms: tuple[Term, ...]
    bias_post: Tensor
    bias_pre: float


class Collapsed(NamedTuple):
    """A whole sequence collapsed: ``post[k]`` [T, B, ...] contracts with raw afferent k."""

    post: Mapping[str, Tensor]
    bias_post: Tensor | None


@dataclass(frozen=True)
class TwoTrace:
    """The two-trace eligibility of S-TLLR and TESS, and every rule that is a case of it.

        q[t] = λ_pre q[t−1] + x[t]            h[t] = λ_post h[t−1] + Ψ(u[t−1])
        G = Σ_t α_pre (m[t] ⊙ Ψ(u[t])) ⊗ q[t] + α_post (m[t] ⊙ h[t]) ⊗ x[t]

    Parameters
    ----------
    pre_decay, post_decay:
        λ_pre in [0, 1] and λ_post in [0, 1], per step; λ_pre = None takes the block's own γ.
    pre_gain, post_gain:
        α_pre and α_post.
    trace_input:
        False leaves the network's own input untraced in the first block (OTTT's release).
    trace_bias:
        True gives the bias the trace of a constant input 1, as the exact gradient has it.
    readout_decay:
        Trace decay of the readout's input; None uses the readout's own leak (exact).
    untraced:
        Afferents without a pre trace; set by `for_block`.

    Source: S-TLLR (arXiv 2306.15220) and TESS (arXiv 2502.01837) eq. (7).

    >>> TwoTrace(pre_decay=0.5, post_gain=0.0)
    TwoTrace(pre_decay=0.5, post_decay=0.0, pre_gain=1.0, post_gain=0.0, ...)
    """

    pre_decay: float | None
    post_decay: float = 0.0
    pre_gain: float = 1.0
    post_gain: float = 0.0
    trace_input: bool = True
    trace_bias: bool = False
    readout_decay: float | None = None
    untraced: tuple[str, ...] = ()

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

    def for_block(self, gamma: float, first: bool) -> TwoTrace:
        """The eligibility of one block: membrane decay γ, and whether it sees the net's input."""
        decay = gamma if self.pre_decay is None else self.pre_decay
        untraced = ("input",) if first and not self.trace_input else ()
        return replace(self, pre_decay=decay, untraced=untraced)

    def decay_of(self, afferent: str) -> float:
        """λ_pre of one afferent ("input" or "recurrent"), once bound to a block."""
        return 0.0 if afferent in self.untraced else self.pre_decay or 0.0

    def for_readout(self, leak: float) -> TwoTrace:
        """The readout's: one trace with its leak (or `readout_decay`), no post trace."""
        decay = leak if self.readout_decay is None else self.readout_decay
        traced = self.trace_bias or self.readout_decay is None
        return TwoTrace(pre_decay=decay, trace_bias=traced)

    def init(self, afferents: Afferents, u: Tensor) -> TraceState:
        """All traces zero; shapes follow the afferents and ``u``."""
        pre = {k: torch.zeros_like(x) for k, x in afferents.items() if self.decay_of(k)}
        return TraceState(pre, torch.zeros_like(u) if self.post_gain else None, 0.0)

    def step(
        self, state: TraceState, afferents: Afferents, psi: Tensor
    ) -> tuple[Factors, TraceState]:
        """Advance the traces by one step and give this step's factors (Ψ = ``psi``)."""
        pre = {k: trace.trace_step(q, afferents[k], self.decay_of(k)) for k, q in state.pre.items()}
        eligible = psi if self.pre_gain == 1.0 else self.pre_gain * psi
        terms = self._terms(eligible, state.post, pre, afferents)
        post = None if state.post is None else trace.trace_step(state.post, psi, self.post_decay)
        bias = ((self.pre_decay or 0.0) * state.bias if self.trace_bias else 0.0) + 1.0
        bias_post = eligible if self.trace_bias else psi
        return Factors(terms, bias_post, bias), TraceState(pre, post, bias)

    def _terms(
        self, eligible: Tensor, h: Tensor | None, q: Afferents, x: Afferents
    ) -> tuple[Term, ...]:
        """Where λ_pre = 0 both terms share the pre factor x, so they are one contraction."""
        terms = [Term(eligible, q)] if q else []
        if q and h is not None:
            terms.append(Term(self.post_gain * h, {k: x[k] for k in q}))
        plain = {k: v for k, v in x.items() if k not in q}
        if plain:
            both = eligible if h is None else torch.add(eligible, h, alpha=self.post_gain)
            terms.append(Term(both, plain))
        return tuple(terms)

    def collapse(
        self, m: Tensor, psi: Tensor, afferents: Iterable[str] = ("input",), *, bias: bool = True
    ) -> Collapsed:
        """Whole sequence, zero initial traces: c[s] of the reverse-time identity plus α_post m ⊙ h.

        m, psi: [T, B, ...]. Each afferent's result contracts with its raw activity, x[s] or
        o[s−1]. Without a ``bias`` its post factor is not made.
        """
        a = m * psi if self.pre_gain == 1.0 else m * psi * self.pre_gain
        decays = {k: self.decay_of(k) for k in afferents}
        traced = {d: trace.trace_reverse(a, d) if d else a for d in {*decays.values()}}
        bias_post = self._bias_post(a, m, psi, traced) if bias else None
        if self.post_gain:
            h = trace.trace_exclusive(psi, self.post_decay)
            traced = {d: torch.addcmul(c, m, h, value=self.post_gain) for d, c in traced.items()}
        return Collapsed({k: traced[d] for k, d in decays.items()}, bias_post)

    def _bias_post(
        self, a: Tensor, m: Tensor, psi: Tensor, traced: Mapping[float, Tensor]
    ) -> Tensor:
        if not self.trace_bias:
            return m * psi
        decay = self.pre_decay or 0.0
        return traced[decay] if decay in traced else trace.trace_reverse(a, decay)


@dataclass(frozen=True)
class ThroughTime:
    """No eligibility at all: credit through time by autograd (BPTT).

    ``detach_reset`` stops the gradient at the reset's spike, the usual choice for SNNs.
    """

    detach_reset: bool = True


Eligibility = TwoTrace | ThroughTime
