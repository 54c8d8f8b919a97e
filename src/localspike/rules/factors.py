"""What temporal credit is made from, and what it makes: plain values, no arithmetic.

Every eligibility yields factors of a weight gradient. With the learning signal m the gradient is
Σ_t Σ_terms (m ⊙ post) ⊗ pre, or Σ_t Σ_b m · E where a trace per synapse cannot be factored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

from torch import Tensor

Afferents = Mapping[str, Tensor]


@dataclass(frozen=True)
class Cell:
    """The constants of a block's neurons that an eligibility may know.

    γ (``decay``), α of a current-based synapse, β and ρ of an adaptive threshold, the reset, the
    readout's leak γ_out, whether the block reads the network's input, whether it recurs, and
    whether its synapse keeps running statistics.
    """

    decay: float
    synaptic_decay: float = 0.0
    adaptation: float = 0.0
    adaptation_decay: float = 0.0
    reset: str = "soft"
    reset_by: float = 0.0
    readout_decay: float = 0.0
    first: bool = False
    recurrent: bool = False
    normalised: bool = False


class Local(NamedTuple):
    """What a block's neurons offer: [B, ...] in a step, [T, B, ...] in a sequence.

    ``recurrent`` is W_rec, for the rules that look through it.
    """

    psi: Tensor
    u: Tensor
    o: Tensor
    recurrent: Tensor | None = None


class Term(NamedTuple):
    """One post ⊗ pre product; ``pre`` holds one tensor per afferent ("input", "recurrent")."""

    post: Tensor
    pre: Afferents


class Factors(NamedTuple):
    """What one step offers to the contraction.

    ``terms`` for the weights, ``bias_post`` × ``bias_pre`` for the bias, ``direct`` the term whose
    pre factor is ∂u/∂w (for a regulariser of the membrane).

    Rules that keep a trace per synapse have ``dense`` instead (and ``unfiltered`` where that is
    filtered): E [B, K, L, F] per afferent and for "bias", E = ∂o/∂w of the same neuron; where
    ``full``, E [B, N, K, F] is that of every neuron N of the layer. ``constant`` is the post factor
    of a synapse whose input is always 1, where the block is normalised.
    """

    terms: tuple[Term, ...] = ()
    bias_post: Tensor | None = None
    bias_pre: float = 1.0
    direct: Afferents | None = None
    dense: Mapping[str, Tensor] | None = None
    unfiltered: Mapping[str, Tensor] | None = None
    full: bool = False
    constant: Tensor | None = None


class Collapsed(NamedTuple):
    """A whole sequence collapsed: ``post[k]`` [T, B, ...] contracts with raw afferent k."""

    post: Mapping[str, Tensor]
    bias_post: Tensor | None


class BoundEligibility(Protocol):
    """Temporal credit at work on one block; all state is passed in and given back.

    ``per_synapse`` asks for afferents as patches [B, 1 or K, L, F] and Ψ, u, o as [B, K, L].
    """

    per_synapse: ClassVar[bool]

    def init(self, afferents: Afferents, u: Tensor) -> Any:
        """Zero traces; shapes follow the afferents and ``u``."""
        ...

    def step(self, state: Any, afferents: Afferents, local: Local) -> tuple[Factors, Any]:
        """Advance the traces by one step and give this step's factors."""
        ...

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
        """The same over a whole sequence from zero traces, as one post factor per afferent.

        ``direct`` is a signal at u itself, ``at_spikes`` one at o that no readout's leak delays:
        what regularisers ask for.
        """
        ...


def tensors_of(state: Any) -> list[Tensor]:
    """Every tensor in a state of tuples and dictionaries.

    >>> tensors_of(({"a": None}, 0.5, ()))
    []
    """
    if isinstance(state, Tensor):
        return [state]
    inner = state.values() if isinstance(state, Mapping) else state
    if not isinstance(state, Mapping | tuple | list):
        return []
    return [tensor for part in inner for tensor in tensors_of(part)]
