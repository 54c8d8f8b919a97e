"""From a configuration to live objects: data, network, rule, optimiser, scheduler, learner."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from .. import data
from ..data import Dataset
from ..errors import ConfigError
from ..learn.cuda import settle
from ..learn.feed import Feed
from ..learn.learner import Learner
from ..learn.regulariser import FiringRate
from ..learn.targets import steps_asked
from ..nn import Network
from ..nn.init import calibrate
from ..rules import Rule
from .catalog import lookup, options_for
from .schema import FACTORS, RunConfig

CALIBRATION_SAMPLES = 64
SHOWN = (int, float, str, tuple, bool)
# Optimisers of torch that have a fused step on every device.
FUSED = ("Adam", "AdamW", "SGD")
# Names torch's schedulers give to "how many steps in all".
LENGTHS = ("T_max", "T_0", "total_iters", "total_steps")
# Schedulers that set step sizes and do not scale those that are there.
ABSOLUTE = ("OneCycleLR", "CyclicLR")
DataRoot = str | os.PathLike[str] | None


@dataclass(frozen=True)
class Session:
    """The live objects of one run."""

    config: RunConfig
    device: torch.device
    net: Network
    learner: Learner
    optimizer: Optimizer
    scheduler: LRScheduler | None
    train: Feed
    validation: Feed


def build_session(config: RunConfig, data_root: DataRoot = None) -> Session:
    """Load data, build and calibrate the network, and marry it to rule and optimiser.

    Sets the global random seed, so that two sessions of one configuration start equal.

    Raises
    ------
    LocalspikeError
        Whatever part of the configuration cannot be built says so.
    """
    device = pick_device(config.training.device)
    settle(device, config.learner.precision, config.training.repeatable)
    if config.training.threads is not None:
        torch.set_num_threads(config.training.threads)
    train = load_split(config, "train", data_root)
    validation = load_split(config, "val", data_root)
    torch.manual_seed(config.training.seed)
    net = build_network(config).to(device)
    feed = train_feed(config, train, net, device)
    rate = firing_rate(config)
    if rate is not None:
        calibrate(net, calibration_frames(feed).to(device), rate)
    optimizer = build_optimizer(config, net)
    learner = build_learner(config, net, optimizer)
    own = learner.credit.own_parameters().values()
    if config.optimizer.rule_factor != 1.0 and not own:
        raise ConfigError(
            f"rule {config.rule.name!r} trains nothing of its own",
            got=f"optimizer.rule_factor={config.optimizer.rule_factor:g}",
            fix="Leave the factor out, or take a rule that does, such as tess_plus",
        )
    _scale(optimizer, own, config.optimizer.rule_factor)
    scheduler = build_scheduler(config, optimizer, len(feed))
    return Session(
        config, device, net, learner, optimizer, scheduler, feed,
        test_feed(config, validation, net, device),
    )  # fmt: skip


def pick_device(name: str) -> torch.device:
    """The device a name stands for; ``auto`` takes CUDA, then MPS, then the CPU.

    >>> pick_device("cpu")
    device(type='cpu')
    """
    usable = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(kind for kind, here in usable.items() if here)
    if not usable.get(name, False):
        here = [kind for kind, there in usable.items() if there]
        raise ConfigError(
            "the device is not there", got=name, expected=" or ".join(["auto", *here])
        )
    return torch.device(name)


def load_split(config: RunConfig, split: str, data_root: DataRoot = None) -> Dataset:
    """One split of the configured data, at most ``data.limit`` samples (a quarter to judge by)."""
    limit = config.data.limit
    if limit is not None and split != "train":
        limit = -(-limit // 4)
    options = config.data.options
    return data.load(config.data.name, split, data_root=data_root, limit=limit, **options)


def known_of(config: RunConfig) -> data.Info:
    """What is known of the configured data, with the options it is loaded with."""
    return data.info(config.data.name).with_options(config.data.options)


def build_network(config: RunConfig) -> Network:
    """The configured network for the configured data, weights as drawn."""
    about = known_of(config)
    wanted = inspect.signature(lookup("model", config.model.name)).parameters
    given: dict[str, Any] = {"classes": len(about.classes), "neuron": config.neuron}
    given |= _input_sizes(config.model.name, about.sample_shape, "image" in wanted)
    # Not calibrated here: training does that on its own frames, and other uses load weights.
    options = {**config.model.options, **given, "rate": None}
    net: Network = _called("model", config.model.name, **options)
    return net


def _input_sizes(model: str, shape: tuple[int, ...], image: bool) -> dict[str, int]:
    if not image:
        return {"inputs": prod(shape)}
    if len(shape) != 3 or shape[1] != shape[2]:
        raise ConfigError(
            f"the model {model} needs square images",
            got=f"samples of shape {list(shape)}",
            expected="[C, H, H]",
            fix="Choose model=mlp or model=recurrent for this data",
        )
    return {"in_channels": shape[0], "image": shape[1]}


def firing_rate(config: RunConfig) -> float | None:
    """The firing rate the model is calibrated to, or None for weights as drawn.

    >>> from localspike.config import DataConfig, Part
    >>> firing_rate(RunConfig("x", DataConfig("keywords"), Part("mlp"), Part("tess")))
    0.15
    """
    default = inspect.signature(lookup("model", config.model.name)).parameters["rate"].default
    rate: float | None = config.model.options.get("rate", default)
    return rate


def calibration_frames(feed: Feed) -> torch.Tensor:
    """Frames [T, B, ...] of training samples spread over the whole set, as they are.

    Spread, for many data sets are in the order of their classes.
    """
    count = min(CALIBRATION_SAMPLES, len(feed.dataset))
    chosen = [i * len(feed.dataset) // count for i in range(count)]
    return feed.shaped(feed.dataset.batch(chosen).frames)


def build_rule(config: RunConfig) -> Rule:
    """The configured rule; what it draws at random comes from the run's seed unless it has one."""
    options = dict(config.rule.options)
    if "seed" in inspect.signature(lookup("rule", config.rule.name)).parameters:
        options.setdefault("seed", config.training.seed)
    rule: Rule = _called("rule", config.rule.name, **options)
    return rule


def build_learner(config: RunConfig, net: Network, optimizer: Optimizer | None) -> Learner:
    """The learner of the configured rule, loss and schedule."""
    asked = config.learner
    target, strength = asked.firing_rate, asked.firing_strength
    return Learner(
        net,
        build_rule(config),
        optimizer,
        loss=config.loss,
        schedule=asked.schedule,
        update=asked.update,
        active_steps=asked.active_steps,
        clip_norm=asked.clip_norm,
        accumulate=asked.accumulate,
        firing_rate=None if target is None else FiringRate(target, strength),
        precision=asked.precision,
        compile=asked.compile,
        seed=config.training.seed,
    )


def build_optimizer(config: RunConfig, net: Network) -> Optimizer:
    """The configured torch optimiser over all parameters.

    A readout with a step size of its own is a group of its own.
    """
    readout, factor = net.readout, config.optimizer.readout_factor
    if readout is None or factor == 1.0:
        return optimizer_over(config, net.parameters())
    last = list(readout.parameters())
    hidden = [p for p in net.parameters() if all(p is not other for other in last)]
    optimizer = optimizer_over(config, [{"params": hidden}, {"params": last}])
    _scale(optimizer, last, factor)
    return optimizer


def _scale(optimizer: Optimizer, parameters: Iterable[Parameter], factor: float) -> None:
    """Multiply the step size of the groups that hold some of these parameters."""
    wanted = {id(p) for p in parameters}
    for group in optimizer.param_groups:
        if any(id(p) in wanted for p in group["params"]):
            group["lr"] *= factor


def optimizer_over(
    config: RunConfig, parameters: Iterable[Parameter] | Iterable[dict[str, Any]]
) -> Optimizer:
    """The configured torch optimiser over ``parameters``, in its fused form where it has one.

    Fused, a step passes over weights and moments once: a quarter of the time on a CPU.
    """
    name, options = config.optimizer.name, dict(config.optimizer.options)
    if name in FUSED and not (options.get("foreach") or options.get("differentiable")):
        options.setdefault("fused", True)
    optimizer: Optimizer = _called("optimizer", name, params=parameters, **options)
    return optimizer


def build_scheduler(config: RunConfig, optimizer: Optimizer, batches: int) -> LRScheduler | None:
    """The configured torch scheduler, told the run's length where it asks for one."""
    name, options = config.scheduler.name, dict(config.scheduler.options)
    factors = {f"optimizer.{f}": getattr(config.optimizer, f) for f in FACTORS}
    if name in ABSOLUTE and any(factor != 1.0 for factor in factors.values()):
        raise ConfigError(
            f"scheduler {name} sets one step size for all parameters",
            got=", ".join(f"{key}={factor:g}" for key, factor in factors.items()),
            fix="Take another scheduler, such as CosineAnnealingLR, or factors of 1",
        )
    if name == "ReduceLROnPlateau" and config.scheduler.every == "step":
        raise ConfigError(
            f"scheduler {name} watches the validation loss, which there is after every epoch",
            got="scheduler.every=step",
            fix="Use scheduler.every=epoch",
        )
    length = config.training.epochs * (batches if config.scheduler.every == "step" else 1)
    for parameter in inspect.signature(lookup("scheduler", name)).parameters:
        if parameter in LENGTHS:
            options.setdefault(parameter, length)
    scheduler: LRScheduler | None = _called("scheduler", name, optimizer=optimizer, **options)
    return scheduler


def _called(section: str, name: str, **arguments: Any) -> Any:
    function = lookup(section, name)
    try:
        return function(**arguments)
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and section != "optimizer":
            raise  # of memory, perhaps; an optimiser takes none as it is made
        given = {key: value for key, value in arguments.items() if isinstance(value, SHOWN)}
        raise ConfigError(
            f"{section} {name} cannot be built: {said(error)}",
            got=", ".join(f"{key}={value}" for key, value in given.items()) or None,
            fix=f"Change {_culprit(section, name, error, given)}",
        ) from error


def said(error: Exception) -> str:
    """The first sentence of another library's error, without its stack.

    >>> said(ValueError("Invalid learning rate: -1.0."))
    'Invalid learning rate: -1.0'
    """
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def _culprit(section: str, name: str, error: Exception, given: Mapping[str, Any]) -> str:
    """The key to look at first: one the error names, or one that was given."""
    known = options_for(section, name)
    named = [key for key in known if re.search(rf"\b{key.removesuffix('s')}s?\b", str(error))]
    key = next((key for key in (*named, *given) if key in known), "name")
    return f"{section}.{key}"


def train_feed(config: RunConfig, dataset: Dataset, net: Network, device: torch.device) -> Feed:
    """Shuffled and augmented batches to learn from."""
    augment = _called("augment", config.augment.name, **config.augment.options)
    bucket = config.training.bucket
    if bucket is not None and dataset.lengths is None:
        raise ConfigError(
            "training.bucket sorts sequences by their lengths",
            got=f"data {config.data.name}, whose sequences are all of {dataset.steps} steps",
            fix="Leave bucket out, or set data.variable=true where the data set has it",
        )
    return Feed(
        _placed(dataset, device),
        config.training.batch_size,
        net.sample_shape,
        shuffle=True,
        seed=config.training.seed,
        device=device,
        augment=augment,
        bucket=bucket,
        least=steps_asked(config.learner.active_steps),  # those of the end are counted by sample
    )


def test_feed(config: RunConfig, dataset: Dataset, net: Network, device: torch.device) -> Feed:
    """Batches in order, to judge by."""
    batch_size = config.training.batch_size
    return Feed(_placed(dataset, device), batch_size, net.sample_shape, device=device)


def _placed(dataset: Dataset, device: torch.device) -> Dataset:
    """Images lie on a CUDA device once for all, where they are gathered and augmented."""
    return dataset.on(device) if device.type == "cuda" else dataset
