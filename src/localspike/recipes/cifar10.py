"""CIFAR-10 shown for six steps to VGG-9, with the TESS paper's batch, epochs and augmentation.

Crop of a 4-pixel padding, flip and cutout; Adam at 1e-3, halved after five epochs without
improvement on validation; one optimiser step per batch. Source: arXiv 2502.01837.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..config import DataConfig, OptimizerConfig, Part, RunConfig, SchedulerConfig, TrainingConfig


def base(rule: str, **rule_options: Any) -> RunConfig:
    """What all CIFAR-10 runs share.

    >>> base("tess").model.name
    'vgg9'
    """
    return RunConfig(
        recipe=f"cifar10-{rule.replace('_', '-')}",
        data=DataConfig("cifar10", {"steps": 6}),
        augment=Part("images"),
        model=Part("vgg9"),
        rule=Part(rule, rule_options),
        optimizer=OptimizerConfig("Adam", {"lr": 1e-3}),
        scheduler=SchedulerConfig("ReduceLROnPlateau", {"factor": 0.5, "patience": 5}),
        training=TrainingConfig(epochs=200, batch_size=128),
    )


def cifar10_tess() -> RunConfig:
    """TESS with the traces published for CIFAR-10 (0.5, 0.2, both gains +1)."""
    return base("tess", pre_decay=0.5, post_decay=0.2, post_gain=1.0)


def cifar10_tess_plus() -> RunConfig:
    """TESS with a class basis that learns, on blocks that keep running statistics.

    The step size is the one that won its grid in docs/results.md, at a quarter of the width.
    """
    return replace(
        base("tess_plus"),
        model=Part("vgg9", {"norm_momentum": 0.1}),
        optimizer=OptimizerConfig("Adam", {"lr": 1e-2}, readout_factor=5.0, rule_factor=10.0),
    )


def cifar10_bptt() -> RunConfig:
    """Backpropagation through time: the baseline on the same net, loss and schedule."""
    return base("bptt")


def cifar10_s_tllr() -> RunConfig:
    """S-TLLR with the traces published for CIFAR10-DVS (0.5, 0.2, post gain -1)."""
    return base("s_tllr", pre_decay=0.5, post_decay=0.2, post_gain=-1.0)


def cifar10_ottt() -> RunConfig:
    """OTTT: the input trace decays as the membrane does, backpropagation within each step."""
    return base("ottt")


def cifar10_sltt() -> RunConfig:
    """SLTT: no traces at all, backpropagation within each step on its own."""
    return base("sltt")


def cifar10_frozen() -> RunConfig:
    """Hidden layers stay as initialised and only the readout learns: the floor to beat."""
    return base("frozen")
