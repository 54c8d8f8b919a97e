"""Temporal credit with one trace per synapse: e-prop's and OSTL's, for rules that need it.

Where a neuron's own Jacobian differs from neuron to neuron (an adaptive threshold, a reset that is
differentiated, a filter behind Ψ) the eligibility ∂o/∂w no longer factors into post × pre. Step by
step it then takes memory for every synapse and position. Over a whole sequence it does not: the
adjoint of the same recursion runs in reverse time on one number per neuron.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from ..errors import ConfigError
from ..kernels import trace
from .eligibility import TwoTrace, check_decay
from .factors import Afferents, Cell, Collapsed, Factors, Local

BIAS = "bias"


class SynapseState(NamedTuple):
    """Per afferent: ε_v, ε_a, the filtered eligibility ē, the synaptic current's trace p, and e."""

    v: Afferents
    a: Afferents
    filtered: Afferents
    current: Afferents
    e: Afferents


@dataclass(frozen=True)
class SynapseTrace:
    """The eligibility of each synapse through its neuron's own state.

        p[t]   = α p[t−1] + x[t]
        ε_u[t] = γ ε_v[t−1] + p[t]  (+ W_rec e[t−1] with ``recurrent``)
        e[t]   = Ψ(u[t]) (ε_u[t] − β ε_a[t])            = ∂o[t]/∂w
        ε_v[t] = ε_u[t] − r e[t]                         the soft reset, with ``through_reset``
        ε_a[t+1] = ρ ε_a[t] + e[t],    ē[t] = κ ē[t−1] + e[t],    G = Σ_t m[t] ē[t]

    γ, α, β, ρ and the reset are the neuron's; α, β and κ are often 0. Where nothing in this
    depends on the post-synaptic neuron but Ψ, `for_block` gives the two-factor form instead,
    which needs no memory per synapse.

    Parameters
    ----------
    filter:
        κ, or "readout" for the readout's own leak (then credit through that leak is exact, where
        the block's tail is linear: max pooling sends it to the winner of the current step).
    through_reset:
        Differentiate the reset's spike too (OSTL); e-prop does not.
    recurrent:
        Look through W_rec as well: exact in the layer, for cubic memory. Step by step it keeps
        every neuron's derivative by every weight.

    Source: e-prop (Bellec et al. 2020) eq. (21)–(28); OSTL (arXiv 2007.12723).

    >>> SynapseTrace().for_block(Cell(decay=0.9)).pre_decay
    0.9
    """

    filter: float | Literal["readout"] = "readout"
    through_reset: bool = False
    recurrent: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.filter, str) and self.filter != "readout":
            raise ConfigError("filter", got=self.filter, expected="a decay per step, or 'readout'")
        if not isinstance(self.filter, str):
            check_decay("filter", self.filter)

    def for_block(self, cell: Cell) -> TwoTrace | BoundSynapseTrace:
        """The form one block needs: two factors where they suffice, a trace per synapse if not."""
        kappa = cell.readout_decay if isinstance(self.filter, str) else self.filter
        bound = BoundSynapseTrace(replace(self, filter=kappa), cell, kappa)
        if bound.factors:
            traced = TwoTrace(cell.decay, trace_bias=True, synaptic_decay=cell.synaptic_decay)
            return traced.for_block(cell)
        return bound

    def for_readout(self, leak: float) -> TwoTrace:
        """The readout's trace, with its own leak."""
        return TwoTrace(pre_decay=leak, trace_bias=True)


class BoundSynapseTrace:
    """`SynapseTrace` on one block."""

    per_synapse: ClassVar[bool] = True

    def __init__(self, spec: SynapseTrace, cell: Cell, kappa: float) -> None:
        self.spec, self.cell, self.kappa = spec, cell, kappa

    @property
    def factors(self) -> bool:
        """True where every neuron's eligibility is Ψ times the same trace."""
        c = self.cell
        looks_back = self.spec.through_reset and c.reset != "none"
        through = self.spec.recurrent and c.recurrent
        return not (self.kappa or c.adaptation or looks_back or c.reset == "hard" or through)

    def init(self, afferents: Afferents, u: Tensor) -> SynapseState:
        """No past yet: traces begin at the first step."""
        return SynapseState({}, {}, {}, {}, {})

    def step(
        self, state: SynapseState, afferents: Afferents, local: Local
    ) -> tuple[Factors, SynapseState]:
        """One step on patches [B, 1 or K, L, F] and Ψ, u, o [B, K, L]."""
        full = self.spec.recurrent and local.recurrent is not None
        axes = (..., None, None) if full else (..., None)
        if full:  # [B, K, 1] → [B, K, 1, 1]: every neuron against every synapse
            local = local._replace(psi=local.psi[..., 0], u=local.u[..., 0], o=local.o[..., 0])
        psi, u, o = (x[axes] for x in (local.psi, local.u, local.o))
        new, plain = SynapseState({}, {}, {}, {}, {}), {}
        for k, x in {**afferents, BIAS: torch.ones_like(psi[:1])}.items():
            if full:
                x = _through_layer(x, psi, local.recurrent, state.e.get(k))
            e_u = self._arriving(k, x, state, new)
            e = psi * self._less_adaptation(e_u, state.a.get(k))
            self._keep(k, e, e_u, u, o, state, new, full)
            plain[k] = e
        if self.kappa:
            return Factors(dense=new.filtered, unfiltered=plain, full=full), new
        return Factors(dense=plain, full=full), new

    def _arriving(self, k: str, x: Tensor, state: SynapseState, new: SynapseState) -> Tensor:
        """ε_u = γ ε_v_prev + p."""
        if self.cell.synaptic_decay:
            before = state.current.get(k)
            x = x if before is None else trace.trace_step(before, x, self.cell.synaptic_decay)
            new.current[k] = x  # type: ignore[index]
        return x if k not in state.v else x + self.cell.decay * state.v[k]

    def _less_adaptation(self, e_u: Tensor, e_a: Tensor | None) -> Tensor:
        return e_u if e_a is None else torch.sub(e_u, e_a, alpha=self.cell.adaptation)

    def _keep(
        self,
        k: str,
        e: Tensor,
        e_u: Tensor,
        u: Tensor,
        o: Tensor,
        state: SynapseState,
        new: SynapseState,
        full: bool,
    ) -> None:
        """What the next step needs of this one."""
        new.v[k] = self._after_reset(e_u, e, u, o)  # type: ignore[index]
        if self.cell.adaptation:
            a = state.a.get(k)
            new.a[k] = e if a is None else e + self.cell.adaptation_decay * a  # type: ignore[index]
        if self.kappa:
            before = state.filtered.get(k)
            new.filtered[k] = e if before is None else e + self.kappa * before  # type: ignore[index]
        if full:
            new.e[k] = e  # type: ignore[index]

    def _after_reset(self, e_u: Tensor, e: Tensor, u: Tensor, o: Tensor) -> Tensor:
        through, reset = self.spec.through_reset, self.cell.reset
        if reset == "hard":
            kept = (1.0 - o) * e_u
            return kept - u * e if through else kept
        return torch.sub(e_u, e, alpha=self.cell.reset_by) if through and reset == "soft" else e_u

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
        """The adjoint recursion: c[t] = ∂(Σ m e)/∂I[t], one number per neuron, for all afferents.

        Every afferent enters by the same current, so one c serves them all.
        """
        signal = trace.trace_reverse(m, self.kappa) if self.kappa else m
        c = self._adjoint(signal if at_spikes is None else signal + at_spikes, local)
        return Collapsed(dict.fromkeys(afferents, c), c if bias else None)

    def _adjoint(self, signal: Tensor, local: Local) -> Tensor:
        cell = self.cell
        out = torch.empty_like(signal)
        to_v = to_a = arriving = torch.zeros_like(signal[0])
        for t in range(signal.shape[0] - 1, -1, -1):
            psi, u, o = local.psi[t], local.u[t], local.o[t]
            to_e = signal[t] + to_a
            if self.spec.recurrent and local.recurrent is not None:
                to_e = to_e + arriving @ local.recurrent
            to_e, kept = self._reset_adjoint(to_e, to_v, u, o)
            to_u = torch.addcmul(kept, psi, to_e)
            to_a = cell.adaptation_decay * to_a - cell.adaptation * psi * to_e
            arriving = torch.add(to_u, arriving, alpha=cell.synaptic_decay, out=out[t])
            to_v = cell.decay * to_u
        return out

    def _reset_adjoint(
        self, to_e: Tensor, to_v: Tensor, u: Tensor, o: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Adjoints of e and of ε_u that come back through the reset."""
        through, reset = self.spec.through_reset, self.cell.reset
        if reset == "hard":
            return (to_e - u * to_v if through else to_e), (1.0 - o) * to_v
        if through and reset == "soft":
            to_e = torch.sub(to_e, to_v, alpha=self.cell.reset_by)
        return to_e, to_v


def _through_layer(
    x: Tensor, psi: Tensor, recurrent: Tensor | None, e_prev: Tensor | None
) -> Tensor:
    """∂I_n/∂w_kf = δ_nk x_f + Σ_l W_rec[n, l] e_l[t−1], [B, N, K, F], of patches [B, 1, 1, F]."""
    size = psi.shape[1]
    own = torch.eye(size, dtype=x.dtype, device=x.device)[:, :, None] * x
    if e_prev is None or recurrent is None:
        return own
    return own + torch.einsum("nl,blkf->bnkf", recurrent, e_prev)
