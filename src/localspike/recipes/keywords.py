"""Ten spoken keywords, embedded in the package: 80 event channels, 50 steps, test speakers unheard.

Every rule trains the same 80-200-200-10 net with weight standardisation, the same loss and the
same number of epochs; only the rule's own settings and the step size differ.
"""

from __future__ import annotations

from typing import Any

from ..config import DataConfig, Part, RunConfig, SchedulerConfig, TrainingConfig


def base(rule: str, lr: float = 3e-3, **rule_options: Any) -> RunConfig:
    """What all keyword runs share.

    >>> base("frozen").model.options["hidden"]
    (200, 200)
    """
    return RunConfig(
        recipe=f"keywords-{rule.replace('_', '-')}",
        data=DataConfig("keywords"),
        model=Part("mlp", {"hidden": (200, 200)}),
        rule=Part(rule, rule_options),
        optimizer=Part("Adam", {"lr": lr}),
        scheduler=SchedulerConfig("CosineAnnealingLR"),
        training=TrainingConfig(epochs=24, batch_size=32, log_every=20),
    )


def keywords_tess() -> RunConfig:
    """TESS: each layer learns from its own spikes and a fixed class basis, nothing sent back."""
    return base("tess", pre_decay=0.9, post_gain=0.0, latent_decay=0.9)


def keywords_bptt() -> RunConfig:
    """Backpropagation through time: the baseline on the same net, loss and schedule."""
    return base("bptt")


def keywords_frozen() -> RunConfig:
    """Hidden layers stay as initialised and only the readout learns: the floor to beat."""
    return base("frozen")


def keywords_s_tllr() -> RunConfig:
    """S-TLLR: two eligibility traces, the signal backpropagated within each step."""
    return base("s_tllr", pre_decay=0.9)


def keywords_ottt() -> RunConfig:
    """OTTT: the input trace decays as the membrane does, the signal as in S-TLLR."""
    return base("ottt")


def keywords_sltt() -> RunConfig:
    """SLTT: no traces at all, each step on its own."""
    return base("sltt")
