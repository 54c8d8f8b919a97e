"""TESS, S-TLLR, OTTT, SLTT and the baselines as functions returning a frozen `Rule`.

Every constant is given with its source; the rest of the family is in `relatives`.
"""

from __future__ import annotations

from typing import Literal

from ..errors import ConfigError
from ..kernels.surrogate import ArcTangent, FastSigmoid, SigmoidDerivative, Surrogate, Triangle
from .base import Rule
from .class_basis import ClassBasis, Scale, Votes
from .eligibility import ThroughTime, TwoTrace
from .projection import Projection
from .signal import Backprop, Signal, Silent

SURROGATES: dict[str, Surrogate] = {
    "triangle": Triangle(),
    "fast_sigmoid": FastSigmoid(),
    "sigmoid": SigmoidDerivative(),
    "arctan": ArcTangent(),
}
SurrogateName = Literal["triangle", "fast_sigmoid", "sigmoid", "arctan"]


def tess(
    pre_decay: float = 0.5,
    post_decay: float = 0.2,
    post_gain: float = 1.0,
    pre_gain: float = 1.0,
    scale: Scale = "l2",
    basis: Literal["integer_square", "balanced_square", "sine_square"] = "integer_square",
    pool: int | None = None,
    latent_decay: float = 0.0,
    surrogate: SurrogateName = "triangle",
    published_code: bool = False,
) -> Rule:
    """TESS: two eligibility traces in time, a fixed class basis in space; local in both.

    Published constants (arXiv 2502.01837, IJCNN 2025): γ = 0.5, θ = 0.6 (in the network's LIF),
    Ψ = 0.3·max(1 − |u − θ|, 0), λ_pre = 0.5, λ_post = 0.2, α_pre = 1, α_post = +1 on CIFAR10,
    CIFAR100 and DVS Gesture and 0 on CIFAR10-DVS. The paper leaves the logit scale s open:
    its text has s = 1, its release s = 1/n (``"mean"``); the default here is ``"l2"``.
    ``latent_decay`` low-passes the latents and is not in the paper (0 = as published). Nor is
    ``basis="balanced_square"``, for data at whose number of classes the wave has a constant row.
    ``published_code=True`` takes the release's basis and scale (sine form, 1/n); its conv reset
    of 1.0 is a setting of the neuron (``reset_by``).

    >>> tess().eligibility.post_gain
    1.0
    """
    if published_code and (basis, scale) != ("integer_square", "l2"):
        raise ConfigError(
            "published_code=True brings its own basis and scale",
            got=f"basis={basis!r}, scale={scale!r}",
            fix="Leave both out, or leave published_code out",
        )
    if published_code:
        basis, scale = "sine_square", "mean"
    return Rule(
        "tess",
        TwoTrace(pre_decay, post_decay, pre_gain, post_gain),
        ClassBasis(basis, scale, pool, latent_decay),
        surrogate_named(surrogate),
    )


def tess_plus(
    pre_decay: float = 0.5,
    post_decay: float = 0.2,
    post_gain: float = 0.0,
    scale: Scale = "l2",
    pool: int | None = None,
    latent_decay: float = 0.0,
    votes: Votes = "auto",
    surrogate: SurrogateName = "triangle",
) -> Rule:
    """TESS with a class basis that learns: it begins as the square wave and descends its own loss.

    Beyond the paper. Nothing is sent between layers and no memory grows with time, but the basis,
    C × latents numbers a layer, is stored. Its entries are of order one, so its step size wants to
    be larger than that of weights (`optimizer.rule_factor`, 10 in the recipes). On nets with
    running statistics (a model's ``norm_momentum``) the layers learn what they lose otherwise.
    With ``votes`` a judged net hears every layer's own prediction beside the readout: always,
    never, or ("auto") where validation says that it is better: see `learn.choose_votes`, which
    `localspike train` calls after every epoch and a loop of your own has to. Layers that know few
    training samples by heart vote badly (docs/tess_plus.md).

    >>> tess_plus().signal.basis
    'adapted'
    """
    return Rule(
        "tess_plus",
        TwoTrace(pre_decay, post_decay, 1.0, post_gain),
        ClassBasis("adapted", scale, pool, latent_decay, votes=votes),
        surrogate_named(surrogate),
    )


def s_tllr(
    signal: Literal["bp", "dfa", "sdfa", "drtp"] = "bp",
    pre_decay: float = 0.75,
    post_decay: float = 0.2,
    post_gain: float = -1.0,
    pre_gain: float = 1.0,
    readout_decay: float | None = None,
    surrogate: SurrogateName = "triangle",
    seed: int = 0,
) -> Rule:
    """S-TLLR: the two-trace eligibility with a backpropagated or projected signal of each step.

    Published constants (arXiv 2306.15220, TMLR 2025), λ_post, λ_pre, α_post, α_pre:
    DVS Gesture 0.2, 0.75, −1, 1 (the default); CIFAR10-DVS and N-Caltech101 0.2, 0.5, −1, 1;
    SHD 0.5, 1, 1, 1; MVSEC flow 0.5, 0.8, −0.2, 1. The signal acts on the last 5 of 20 steps
    (DVS Gesture) or 90 of 100 (SHD): the learner's ``active_steps``. Ψ is the triangle on vision,
    ``"fast_sigmoid"`` 1/(100|u − θ| + 1)² on audio, ``"sigmoid"`` on CIFAR10-DVS. The release
    traces the audio readout's input with ``readout_decay=0.99``.

    >>> s_tllr("dfa").signal.kind
    'dfa'
    """
    spatial: Signal = Backprop() if signal == "bp" else Projection(signal, seed)
    traces = TwoTrace(pre_decay, post_decay, pre_gain, post_gain, readout_decay=readout_decay)
    return Rule("s_tllr", traces, spatial, surrogate_named(surrogate))


def ottt(
    decay: float | None = None, surrogate: SurrogateName = "sigmoid", published_code: bool = False
) -> Rule:
    """OTTT: the pre trace decays as the membrane (λ_pre = γ), no post trace, backprop per step.

    ``decay=None`` takes each block's own γ (and synaptic decay). By default every spiking layer's
    input is traced, biases too, and the readout's input by the readout's own leak; then one
    feed-forward layer of LIF or current-based neurons with soft or no reset has exactly the
    gradient of BPTT with detached reset. ``published_code=True`` is the release: the
    network's input untraced, the readout's input traced with γ (0.5 unless ``decay`` says
    otherwise), biases untraced.

    Source: arXiv 2210.04195; γ = 0.5, θ = 1, sigmoid Ψ with α = 4, loss 0.95 CE + 0.05 MSE over T,
    SGD 0.1 with momentum 0.9 and a cosine over 300 epochs.

    >>> ottt().eligibility.trace_bias
    True
    """
    traces = (
        TwoTrace(decay, trace_input=False, readout_decay=0.5 if decay is None else decay)
        if published_code
        else TwoTrace(decay, trace_bias=True, synaptic_decay=None if decay is None else 0.0)
    )
    return Rule("ottt", traces, Backprop(), surrogate_named(surrogate))


def sltt(surrogate: SurrogateName = "sigmoid") -> Rule:
    """SLTT: no trace at all (λ_pre = 0, α_post = 0), backprop through each step alone.

    Source: arXiv 2302.14311. SLTT-K keeps K of the T steps: the learner's ``active_steps``.

    >>> sltt().eligibility.pre_decay
    0.0
    """
    return Rule("sltt", TwoTrace(0.0), Backprop(), surrogate_named(surrogate))


def bptt(detach_reset: bool = True, surrogate: SurrogateName = "triangle") -> Rule:
    """Backpropagation through time by autograd: the baseline, on the same forward code.

    Ψ is the derivative of the spike; ``detach_reset`` stops the gradient at the reset's spike.

    >>> bptt().local_in_time
    False
    """
    return Rule("bptt", ThroughTime(detach_reset), Backprop(), surrogate_named(surrogate))


def frozen() -> Rule:
    """Hidden blocks keep their initial weights and only the readout learns: the floor to beat.

    >>> frozen().local_in_space
    True
    """
    return Rule("frozen", TwoTrace(0.0), Silent(), Triangle())


def surrogate_named(name: str) -> Surrogate:
    """The published secondary activation of that name, or an error listing the names.

    >>> surrogate_named("triangle")
    Triangle(height=0.3, width=1.0)
    """
    if name not in SURROGATES:
        raise ConfigError("unknown surrogate", got=name, expected=f"one of {sorted(SURROGATES)}")
    return SURROGATES[name]
