"""Ten spoken keywords, embedded in the package: 80 event channels, 50 steps, test speakers unheard.

Every rule trains the same 80-200-200-10 net (weight standardisation, membrane decay 0.9, a plain
linear readout as in the TESS paper, calibrated to 0.05 spikes per neuron and step), with the same
loss, optimiser and number of epochs; only the rule's own settings and the step size differ.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..config import DataConfig, OptimizerConfig, Part, RunConfig, SchedulerConfig, TrainingConfig
from ..nn import LIF

MEMBRANE_DECAY = 0.9


def base(rule: str, lr: float = 1e-2, **rule_options: Any) -> RunConfig:
    """What all keyword runs share.

    >>> base("frozen").model.options["hidden"]
    (200, 200)
    """
    return RunConfig(
        recipe=f"keywords-{rule.replace('_', '-')}",
        data=DataConfig("keywords"),
        model=Part("mlp", {"hidden": (200, 200), "rate": 0.05}),
        neuron=LIF(decay=MEMBRANE_DECAY, threshold=1.0),
        rule=Part(rule, rule_options),
        optimizer=OptimizerConfig("Adam", {"lr": lr}),
        scheduler=SchedulerConfig("CosineAnnealingLR"),
        training=TrainingConfig(epochs=20, batch_size=64, log_every=20),
    )


def keywords_tess() -> RunConfig:
    """TESS: each layer learns from its own spikes and a fixed class basis, nothing sent back."""
    # No post trace, as published for event data; the latents are low-passed because one 20 ms
    # step of a word says little about it (without: about 8 points less on validation).
    return base("tess", pre_decay=MEMBRANE_DECAY, post_gain=0.0, latent_decay=0.99)


def keywords_bptt() -> RunConfig:
    """Backpropagation through time: the baseline on the same net, loss and schedule."""
    return base("bptt", lr=3e-3)


def keywords_frozen() -> RunConfig:
    """Hidden layers stay as initialised and only the readout learns: the floor to beat."""
    return base("frozen")


def keywords_s_tllr() -> RunConfig:
    """S-TLLR: two eligibility traces, the signal backpropagated within each step."""
    return base("s_tllr", lr=3e-3, pre_decay=MEMBRANE_DECAY)


def keywords_ottt() -> RunConfig:
    """OTTT: the input trace decays as the membrane does, the signal as in S-TLLR."""
    return base("ottt", lr=3e-3)


def keywords_sltt() -> RunConfig:
    """SLTT: no traces at all, each step on its own."""
    return base("sltt", lr=3e-3)


def leaky(rule: str, lr: float = 1e-2, **rule_options: Any) -> RunConfig:
    """A net in which BPTT is stronger: membrane decay 0.8 and a readout that leaks with 0.9.

    Credit through the readout's leak is what rules without it cannot have; see the README's table.

    >>> leaky("tess").neuron.decay
    0.8
    """
    config = base(rule, lr, **rule_options)
    return replace(
        config,
        recipe=f"keywords-leaky-{rule}",
        model=Part("mlp", {**config.model.options, "readout_decay": 0.9}),
        neuron=LIF(decay=0.8, threshold=1.0),
    )


def keywords_leaky_tess() -> RunConfig:
    """TESS on a net with faster membranes and a leaky readout, where BPTT is stronger."""
    return leaky("tess", pre_decay=0.8, post_gain=0.0, latent_decay=0.99)


def keywords_leaky_bptt() -> RunConfig:
    """BPTT on a net with faster membranes and a leaky readout."""
    return leaky("bptt", lr=3e-3)


def keywords_leaky_frozen() -> RunConfig:
    """Frozen hidden layers under a leaky readout: a strong floor."""
    return leaky("frozen")
