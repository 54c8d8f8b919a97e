"""The sections of a run's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import ConfigError
from ..learn.loss import CrossEntropy
from ..nn import LIF

# PyTorch does not refuse any number of threads; it crashes where the system cannot make them.
MOST_THREADS = 1024
FACTORS = ("readout_factor", "rule_factor")
"""Fields of `OptimizerConfig`, 1 in runs from before there were any."""


@dataclass(frozen=True)
class Part:
    """Something chosen by name from a catalogue, with the options of that choice.

    Which options exist is read from the signature of the chosen function, so a part of the
    network, a rule, an optimiser and a data set are all described the same way.

    >>> Part("tess", {"pre_decay": 0.5}).options["pre_decay"]
    0.5
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DataConfig(Part):
    """Which data, and how much.

    ``limit`` keeps that many training samples and a quarter as many of the other splits, the
    first ones of a fixed permutation.

    >>> DataConfig("keywords", limit=200).limit
    200
    """

    limit: int | None = None

    def __post_init__(self) -> None:
        _at_least("data.limit", self.limit, 1)


@dataclass(frozen=True)
class OptimizerConfig(Part):
    """A torch optimiser, with factors on its step size for two kinds of parameters.

    ``readout_factor`` is the readout's: layers that learn by themselves do not wait for it, and it
    must not lag behind them. ``rule_factor`` is that of what a rule trains besides the network,
    such as class bases, whose entries are larger than weights.

    >>> OptimizerConfig("Adam", {"lr": 1e-3}).readout_factor
    1.0
    """

    readout_factor: float = 1.0
    rule_factor: float = 1.0

    def __post_init__(self) -> None:
        for name in FACTORS:
            if not getattr(self, name) > 0:
                got = getattr(self, name)
                raise ConfigError(f"optimizer.{name}", got=got, expected="a factor > 0")


@dataclass(frozen=True)
class SchedulerConfig(Part):
    """A torch scheduler of the step size, advanced once an epoch or once a step.

    Where the scheduler wants a length (``T_max``, ``total_iters``, …) and none is given, it gets
    the run's own. ``ReduceLROnPlateau`` watches the validation loss.

    >>> SchedulerConfig("CosineAnnealingLR").every
    'epoch'
    """

    every: Literal["epoch", "step"] = "epoch"


@dataclass(frozen=True)
class LearnerConfig:
    """How the learner visits time and layers, and what it does to the gradients.

    ``firing_rate`` is a target in spikes per neuron and step, pulled at with ``firing_strength``.

    >>> LearnerConfig().schedule
    'auto'
    """

    schedule: Literal["auto", "streaming", "layerwise", "two_sweep", "bptt"] = "auto"
    update: Literal["sequence", "step"] = "sequence"
    active_steps: str | int | tuple[int, ...] = "all"
    clip_norm: float | None = None
    accumulate: int = 1
    firing_rate: float | None = None
    firing_strength: float = 1.0
    precision: Literal["auto", "float32", "bf16"] = "float32"
    compile: Literal["auto", "on", "off"] = "auto"

    def __post_init__(self) -> None:
        _at_least("learner.accumulate", self.accumulate, 1)


@dataclass(frozen=True)
class TrainingConfig:
    """How long, how much at once, from which seed, on what, and how often to write things down.

    ``log_every`` and ``checkpoint_every`` count steps; 0 means once an epoch only, and
    ``checkpoint_epochs`` makes that once in so many, for short epochs of large nets. ``bucket``
    puts sequences of similar length together, out of that many batches at a time, and cuts their
    padding; for data whose sequences have lengths. ``repeatable`` takes on CUDA only products that
    give the same sum twice, so that a resumed run ends bit-identically; elsewhere they all do.

    >>> TrainingConfig(epochs=3).epochs
    3
    """

    epochs: int = 10
    batch_size: int = 64
    bucket: int | None = None
    seed: int = 0
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    log_every: int = 50
    checkpoint_every: int = 100
    checkpoint_epochs: int = 1
    threads: int | None = None
    repeatable: bool = True

    def __post_init__(self) -> None:
        least = {"epochs": 1, "batch_size": 1, "bucket": 1, "seed": 0, "threads": 1}
        least["checkpoint_epochs"] = 1
        for name, bound in least.items():
            _at_least(f"training.{name}", getattr(self, name), bound)
        _at_least("training.log_every", self.log_every, 0)
        _at_least("training.checkpoint_every", self.checkpoint_every, 0)
        if self.threads is not None and self.threads > MOST_THREADS:
            raise ConfigError(
                "training.threads is too large", got=self.threads, expected=f"1..{MOST_THREADS}"
            )


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides what a run computes.

    ``neuron`` is the neuron's value itself; in overrides and in JSON its class is a name.

    >>> RunConfig("mine", DataConfig("keywords"), Part("mlp"), Part("tess")).optimizer.name
    'Adam'
    """

    recipe: str
    data: DataConfig
    model: Part
    rule: Part
    neuron: LIF = field(default_factory=LIF)
    augment: Part = field(default_factory=lambda: Part("none"))
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig("Adam", {"lr": 1e-3})
    )
    scheduler: SchedulerConfig = field(default_factory=lambda: SchedulerConfig("none"))
    loss: CrossEntropy = field(default_factory=CrossEntropy)
    learner: LearnerConfig = field(default_factory=LearnerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        if type(self.optimizer) is Part:
            optimizer = OptimizerConfig(self.optimizer.name, self.optimizer.options)
            object.__setattr__(self, "optimizer", optimizer)
        if not self.loss.scale > 0:
            raise ConfigError("loss.scale", got=self.loss.scale, expected="a factor > 0")


def _at_least(key: str, value: float | None, least: float) -> None:
    if value is not None and value < least:
        raise ConfigError(f"{key} is too small", got=value, expected=f"at least {least}")
