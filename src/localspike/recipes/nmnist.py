"""N-MNIST in 30 steps of 10 ms to a small conv net: digits seen by a moving event camera."""

from __future__ import annotations

from typing import Any

from ..config import DataConfig, OptimizerConfig, Part, RunConfig, SchedulerConfig, TrainingConfig


def base(rule: str, **rule_options: Any) -> RunConfig:
    """What all N-MNIST runs share.

    >>> base("ottt").data.options["bin_ms"]
    10
    """
    return RunConfig(
        recipe=f"nmnist-{rule.replace('_', '-')}",
        data=DataConfig("nmnist", {"bin_ms": 10}),
        model=Part("convnet", {"channels": (16, 32, 64)}),
        rule=Part(rule, rule_options),
        optimizer=OptimizerConfig("Adam", {"lr": 1e-3}),
        scheduler=SchedulerConfig("CosineAnnealingLR"),
        training=TrainingConfig(epochs=20, batch_size=64),
    )


def nmnist_tess() -> RunConfig:
    """TESS: each layer learns from its own spikes and a fixed class basis, nothing sent back."""
    return base("tess")


def nmnist_bptt() -> RunConfig:
    """Backpropagation through time: the baseline on the same net, loss and schedule."""
    return base("bptt")


def nmnist_s_tllr() -> RunConfig:
    """S-TLLR with the traces published for DVS Gesture, the signal on all steps."""
    return base("s_tllr")


def nmnist_ottt() -> RunConfig:
    """OTTT: the input trace decays as the membrane does, backpropagation within each step."""
    return base("ottt")


def nmnist_sltt() -> RunConfig:
    """SLTT: no traces at all, backpropagation within each step on its own."""
    return base("sltt")


def nmnist_frozen() -> RunConfig:
    """Hidden layers stay as initialised and only the readout learns: the floor to beat."""
    return base("frozen")
