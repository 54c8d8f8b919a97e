"""Temporal credit in two traces per layer: what S-TLLR, TESS and most of the family are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from ..errors import ConfigError, is_finite
from ..kernels import trace
from .factors import Afferents, Cell, Collapsed, Factors, Local, Term


class TraceState(NamedTuple):
    """Traces after a step: q per traced afferent, h (None if α_post = 0), the bias's (scalars).

    ``fast`` holds the first stage of a double-exponential pre trace, where there is one.
    """

    pre: Afferents
    post: Tensor | None
    bias: float
    fast: Afferents = {}  # noqa: RUF012  (immutable by use: states are never changed in place)
    fast_bias: float = 0.0


@dataclass(frozen=True)
class TwoTrace:
    """The two-trace eligibility of S-TLLR and TESS, and every rule that is a case of it.

        q[t] = λ_pre q[t−1] + x[t]            h[t] = λ_post h[t−1] + Ψ(u[t−1])
        G = Σ_t α_pre (m[t] ⊙ Ψ(u[t])) ⊗ q[t] + α_post (m[t] ⊙ h[t]) ⊗ x[t]

    With a synaptic decay α the pre trace is double-exponential, as ∂u/∂w of a current-based
    neuron is: p[t] = α p[t−1] + x[t], q[t] = λ_pre q[t−1] + p[t].

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
    synaptic_decay:
        α of the double-exponential pre trace; None takes the block's own (0 for LIF and ALIF).
    untraced, constant:
        Afferents without a pre trace, and whether there is one that is always 1; set by
        `for_block`.

    Source: S-TLLR (arXiv 2306.15220) and TESS (arXiv 2502.01837) eq. (7); DECOLLE (2020) for the
    double-exponential form.

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
    synaptic_decay: float | None = 0.0
    untraced: tuple[str, ...] = ()
    constant: bool = False

    per_synapse: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name in ("pre_decay", "post_decay", "readout_decay", "synaptic_decay"):
            check_decay(name, getattr(self, name))
        for name in ("pre_gain", "post_gain"):
            check_gain(name, getattr(self, name))

    def for_block(self, cell: Cell) -> TwoTrace:
        """The eligibility of one block: None decays become the neurons' own."""
        untraced = ("input",) if cell.first and not self.trace_input else ()
        return replace(
            self,
            pre_decay=cell.decay if self.pre_decay is None else self.pre_decay,
            synaptic_decay=(
                cell.synaptic_decay if self.synaptic_decay is None else self.synaptic_decay
            ),
            untraced=untraced,
            constant=cell.normalised,
        )

    def for_readout(self, leak: float) -> TwoTrace:
        """The readout's: one trace with its leak (or `readout_decay`), no post trace."""
        decay = leak if self.readout_decay is None else self.readout_decay
        traced = self.trace_bias or self.readout_decay is None
        return TwoTrace(pre_decay=decay, trace_bias=traced)

    def decay_of(self, afferent: str) -> float:
        """λ_pre of one afferent ("input" or "recurrent"), once bound to a block."""
        return 0.0 if afferent in self.untraced else self.pre_decay or 0.0

    def fast_decay_of(self, afferent: str) -> float:
        """α of one afferent, once bound to a block."""
        return 0.0 if afferent in self.untraced else self.synaptic_decay or 0.0

    def init(self, afferents: Afferents, u: Tensor) -> TraceState:
        """All traces zero; shapes follow the afferents and ``u``."""
        pre = {k: torch.zeros_like(x) for k, x in afferents.items() if self.decay_of(k)}
        fast = {k: torch.zeros_like(x) for k, x in afferents.items() if self.fast_decay_of(k)}
        return TraceState(pre, torch.zeros_like(u) if self.post_gain else None, 0.0, fast)

    def step(
        self, state: TraceState, afferents: Afferents, local: Local
    ) -> tuple[Factors, TraceState]:
        """Advance the traces by one step and give this step's factors."""
        psi = local.psi
        fast = {
            k: trace.trace_step(p, afferents[k], self.fast_decay_of(k))
            for k, p in state.fast.items()
        }
        arriving = {**afferents, **fast}
        pre = {k: trace.trace_step(q, arriving[k], self.decay_of(k)) for k, q in state.pre.items()}
        eligible = psi if self.pre_gain == 1.0 else self.pre_gain * psi
        terms = self._terms(eligible, state.post, {**arriving, **pre}, afferents)
        post = None if state.post is None else trace.trace_step(state.post, psi, self.post_decay)
        first, decay = self.synaptic_decay or 0.0, self.pre_decay or 0.0
        if self.constant:  # it stands for the input of a normalised block
            first, decay = self.fast_decay_of("input"), self.decay_of("input")
        fast_bias = first * state.fast_bias + 1.0
        follow = self.trace_bias or self.constant
        traced = (decay * state.bias + fast_bias) if follow else 1.0
        bias, bias_post = (traced, eligible) if self.trace_bias else (1.0, psi)
        after = TraceState(pre, post, traced, fast, fast_bias)
        constant = self._constant(eligible * traced, state.post) if self.constant else None
        direct = {**arriving, **pre}
        return Factors(terms, bias_post, bias, direct=direct, constant=constant), after

    def _constant(self, traced: Tensor, h: Tensor | None) -> Tensor:
        """The post factor of an input that is always 1."""
        return traced if h is None else torch.add(traced, h, alpha=self.post_gain)

    def _terms(
        self, eligible: Tensor, h: Tensor | None, q: Afferents, x: Afferents
    ) -> tuple[Term, ...]:
        """Where q = x both terms share the pre factor, so they are one contraction."""
        traced = {k: v for k, v in q.items() if v is not x[k]}
        terms = [Term(eligible, traced)] if traced else []
        if traced and h is not None:
            terms.append(Term(self.post_gain * h, {k: x[k] for k in traced}))
        plain = {k: v for k, v in x.items() if k not in traced}
        if plain:
            both = eligible if h is None else torch.add(eligible, h, alpha=self.post_gain)
            terms.append(Term(both, plain))
        return tuple(terms)

    def collapse(
        self,
        m: Tensor,
        local: Local,
        afferents: Iterable[str] = ("input",),
        *,
        bias: bool = True,
        direct: Tensor | None = None,
        at_spikes: Tensor | None = None,
    ) -> Collapsed:
        """Whole sequence, zero initial traces: c[s] of the reverse-time identity plus α_post m ⊙ h.

        m, Ψ: [T, B, ...]. Each afferent's result contracts with its raw activity, x[s] or
        o[s−1]. Without a ``bias`` its post factor is not made.
        """
        psi = local.psi
        m = m if at_spikes is None else m + at_spikes
        a = m * psi if self.pre_gain == 1.0 else m * psi * self.pre_gain
        if direct is not None:
            a = a + direct
        decays = {k: (self.decay_of(k), self.fast_decay_of(k)) for k in afferents}
        traced = {pair: _reversed(a, *pair) for pair in {*decays.values()}}
        bias_post = self._bias_post(a, m, psi, traced, direct) if bias else None
        if self.post_gain:
            h = trace.trace_exclusive(psi, self.post_decay)
            traced = {d: torch.addcmul(c, m, h, value=self.post_gain) for d, c in traced.items()}
        return Collapsed({k: traced[d] for k, d in decays.items()}, bias_post)

    def _bias_post(
        self,
        a: Tensor,
        m: Tensor,
        psi: Tensor,
        traced: Mapping[tuple[float, float], Tensor],
        direct: Tensor | None,
    ) -> Tensor:
        if not self.trace_bias:
            return m * psi if direct is None else m * psi + direct
        pair = (self.pre_decay or 0.0, self.synaptic_decay or 0.0)
        return traced[pair] if pair in traced else _reversed(a, *pair)


def _reversed(a: Tensor, decay: float, fast_decay: float) -> Tensor:
    """The adjoint of a pre trace with one or two exponentials."""
    for d in (decay, fast_decay):
        a = trace.trace_reverse(a, d) if d else a
    return a


def check_gain(name: str, value: Any) -> None:
    """Refuse a gain that is no finite number.

    >>> check_gain("post_gain", -1)
    """
    if not is_finite(value):
        raise ConfigError(name, got=repr(value), expected="a finite number")


def check_decay(name: str, value: float | None) -> None:
    """Refuse a decay per step outside [0, 1]; None is somebody else's choice.

    >>> check_decay("pre_decay", 0.5)
    """
    if value is not None and not (is_finite(value) and 0.0 <= value <= 1.0):
        raise ConfigError(
            f"{name} out of range",
            got=repr(value),
            expected="a decay per step in [0, 1]",
            fix="Convert a time constant with exp(-dt/tau)",
        )


@dataclass(frozen=True)
class ThroughTime:
    """No eligibility at all: credit through time by autograd (BPTT).

    ``detach_reset`` stops the gradient at the reset's spike, the usual choice for SNNs.
    """

    detach_reset: bool = True
