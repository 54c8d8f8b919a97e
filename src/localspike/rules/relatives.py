"""The rest of the family as functions returning a frozen `Rule`; every constant with its source.

``decay=None`` (and the like) takes each block's own constants, so that the pre trace is ∂u/∂w of
a neuron with soft or no reset, its reset detached and its adaptation left out.
"""

from __future__ import annotations

from typing import Literal

from ..errors import ConfigError
from .base import Rule
from .class_basis import Basis, ClassBasis, Mixing, Scale
from .contrast import Against, Contrast
from .eligibility import TwoTrace
from .membrane_band import MembraneBand
from .presets import SurrogateName, surrogate_named
from .projection import Projection
from .rank_one import RankOne
from .signal import Backprop, Signal
from .synapse_trace import SynapseTrace

SignalName = Literal["bp", "dfa", "sdfa", "drtp"]


def _own_trace(decay: float | None) -> TwoTrace:
    """∂u/∂w of the block's own membrane (or with ``decay`` as its γ), biases too."""
    return TwoTrace(decay, trace_bias=True, synaptic_decay=None)


def tp(
    decay: float = 0.98,
    against: Against = "batch",
    drive: float = 1.0,
    seed: int = 0,
    surrogate: SurrogateName = "arctan",
) -> Rule:
    """Traces Propagation: traces of data contrasted with traces of targets, forward only.

    No trace enters the weight gradient but the current input; the error is built from traces of
    the outputs. Published constants (arXiv 2509.13053): θ, γ, β = 1, 0.98, 0.98 (N-MNIST),
    1, 0.96, 0.97 (SHD), 0.5, 0.85, 0.85 (SHD, recurrent), 1, 0.53, 0.98 (DVS Gesture), 0.5, 0.18,
    0.19 (CIFAR10-DVS); γ and θ are the network's, readout without leak, Adam 1e-4 at every step
    (the learner's ``update="step"``), Ψ = 1/(1 + (πd)²), batch 128. ``against="merged"`` gives the
    same gradient (see `Contrast`) by fewer streams, where a batch has more samples than classes.

    >>> tp().signal.decay
    0.98
    """
    return Rule("tp", TwoTrace(0.0), Contrast(decay, against, drive, seed), _psi(surrogate))


def lls(
    basis: Basis = "integer_square",
    scale: Scale = "l2_full",
    mixing: Mixing = "none",
    pre_decay: float | None = 0.0,
    pool: int | None = None,
    seed: int = 0,
    surrogate: SurrogateName = "triangle",
) -> Rule:
    """LLS: a fixed periodic basis on the layer's normalised output, no trace in time.

    ``mixing="gain"`` is LLS-M (a trained factor per class), ``"matrix"`` LLS-M×M. The latents are
    normalised by their own norm (not below 1, so that silence stays silence). ``pre_decay`` adds a
    trace. Source: arXiv 2405.15868 (WACV 2025), for ANNs.

    >>> lls(mixing="matrix").signal.mixing
    'matrix'
    """
    signal = ClassBasis(basis, scale, pool, mixing=mixing, seed=seed)
    return Rule("lls", TwoTrace(pre_decay), signal, _psi(surrogate))


def decolle(
    decay: float | None = None,
    synaptic_decay: float | None = None,
    upper: float = 0.0,
    lower: float = 0.0,
    pool: int | None = 0,
    seed: int = 0,
    surrogate: SurrogateName = "sigmoid",
) -> Rule:
    """DECOLLE: a fixed random readout and a loss of its own at every layer and step.

    The pre trace is the neuron's: double-exponential for a current-based one. ``upper`` and
    ``lower`` weigh the membrane regulariser (its release: lower = 0.003 upper). Source: Kaiser,
    Mostafa and Neftci, Front. Neurosci. 2020; smooth-L1 loss there, the learner's loss here.

    >>> decolle(upper=0.1).band.upper
    0.1
    """
    traces = TwoTrace(decay, trace_bias=True, synaptic_decay=synaptic_decay)
    signal = ClassBasis("random", "sqrt", pool, seed=seed)
    band = MembraneBand(upper, lower) if upper or lower else None
    return Rule("decolle", traces, signal, _psi(surrogate), band)


def local_loss(
    decay: float | None = None,
    pool: int | None = None,
    seed: int = 0,
    surrogate: SurrogateName = "triangle",
) -> Rule:
    """A trained linear classifier at every layer; its error through its own weights is the signal.

    The classifiers are the learner's, not the network's: they are in its checkpoints and its
    optimiser, and prediction does not need them. Source: Deep Spike Learning with Local
    Classifiers (IEEE Trans. Cybernetics 2022).

    >>> local_loss().signal.basis
    'trained'
    """
    signal = ClassBasis("trained", 1.0, pool, seed=seed)
    return Rule("local_loss", _own_trace(decay), signal, _psi(surrogate))


def etlp(
    label_period: int = 1,
    decay: float | None = None,
    seed: int = 0,
    surrogate: SurrogateName = "triangle",
) -> Rule:
    """ETLP: the pre trace, Ψ and the label's fixed projection, at the moments of label events.

    With ``decay=None`` the eligibility is the neuron's own, on ALIF neurons with their adaptation
    (a trace per synapse); a number takes one plain trace instead. ``label_period`` is the number
    of steps between label events for the hidden blocks; the learner's ``active_steps="every-k"``
    makes the readout wait for them too.
    Source: arXiv 2301.08281.

    >>> etlp(label_period=5).signal.label_period
    5
    """
    traces = SynapseTrace(filter=0.0) if decay is None else _own_trace(decay)
    return Rule(
        "etlp", traces, Projection("drtp", seed, label_period=label_period), _psi(surrogate)
    )


def e_prop(
    feedback: Literal["symmetric", "random", "adaptive"] = "random",
    filter: float | Literal["readout"] = "readout",
    seed: int = 0,
    surrogate: SurrogateName = "triangle",
) -> Rule:
    """e-prop: eligibility through the neuron's own state, filtered with the readout's leak.

    The output error arrives by the readout's weights (``"symmetric"``: only for a block the
    readout reads directly), by fixed random ones, or by adaptive ones. With a filter κ > 0, or ALIF
    neurons, streaming keeps a trace per synapse and position. Source: Bellec et al., Nat.
    Commun. 2020; Ψ = (0.3/θ)·max(1 − |d|, 0) there with d = (u − θ)/θ.

    >>> e_prop("symmetric").signal.kind
    'symmetric'
    """
    kinds: dict[str, Literal["symmetric", "dfa", "adaptive"]] = {
        "symmetric": "symmetric",
        "random": "dfa",
        "adaptive": "adaptive",
    }
    if feedback not in kinds:
        raise ConfigError("unknown feedback", got=feedback, expected=f"one of {sorted(kinds)}")
    return Rule("e_prop", SynapseTrace(filter), Projection(kinds[feedback], seed), _psi(surrogate))


def ostl(
    recurrent: bool = False, through_reset: bool = True, surrogate: SurrogateName = "triangle"
) -> Rule:
    """OSTL: the neuron's own Jacobian in time, reset included; backpropagation within each step.

    ``recurrent=True`` looks through W_rec too: exact in the layer (RTRL), cubic memory when
    streamed. Source: Bohnstingl et al., arXiv 2007.12723.

    >>> ostl().eligibility.through_reset
    True
    """
    traces = SynapseTrace(0.0, through_reset, recurrent)
    return Rule("ostl", traces, Backprop(), _psi(surrogate))


def osttp(
    recurrent: bool = False,
    through_reset: bool = True,
    seed: int = 0,
    surrogate: SurrogateName = "triangle",
) -> Rule:
    """OSTTP: OSTL's traces with the label projected directly to every layer (DRTP).

    Source: Ortner et al., arXiv 2304.05124.

    >>> osttp().local_in_space
    True
    """
    traces = SynapseTrace(0.0, through_reset, recurrent)
    return Rule("osttp", traces, Projection("drtp", seed), _psi(surrogate))


def es_d_rtrl(
    decay: float | None = None,
    signal: SignalName = "bp",
    seed: int = 0,
    surrogate: SurrogateName = "triangle",
) -> Rule:
    """ES-D-RTRL: diagonal RTRL as a product of two low-passed factors, O(I + O) memory.

    ``decay=None`` smooths with the neuron's own γ. Source: Wang et al., BrainScale (2024).

    >>> es_d_rtrl(0.9).eligibility.decay
    0.9
    """
    spatial: Signal = Backprop() if signal == "bp" else Projection(signal, seed)
    return Rule("es_d_rtrl", RankOne(decay), spatial, _psi(surrogate))


def dfa(decay: float | None = None, seed: int = 0, surrogate: SurrogateName = "triangle") -> Rule:
    """Direct feedback alignment: the output error of each step through fixed random matrices.

    Source: Nøkland 2016; with the neuron's own pre trace.

    >>> dfa().signal.kind
    'dfa'
    """
    return Rule("dfa", _own_trace(decay), Projection("dfa", seed), _psi(surrogate))


def sdfa(decay: float | None = None, seed: int = 0, surrogate: SurrogateName = "triangle") -> Rule:
    """Direct feedback alignment with only the sign of the output error.

    >>> sdfa().signal.kind
    'sdfa'
    """
    return Rule("sdfa", _own_trace(decay), Projection("sdfa", seed), _psi(surrogate))


def drtp(decay: float | None = None, seed: int = 0, surrogate: SurrogateName = "triangle") -> Rule:
    """Direct random target projection: the label through fixed random matrices.

    Source: Frenkel, Lefebvre and Bol, Front. Neurosci. 2021; with the neuron's own pre trace.

    >>> drtp().local_in_space
    True
    """
    return Rule("drtp", _own_trace(decay), Projection("drtp", seed), _psi(surrogate))


_psi = surrogate_named
