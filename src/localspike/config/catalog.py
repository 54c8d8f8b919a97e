"""The names each part of a configuration can be chosen by, and the options each name has."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import torch
from torch.optim import lr_scheduler

from .. import data, rules
from ..errors import ConfigError
from ..learn.fptt import FPTT
from ..nn import LIF, models
from ..nn.neuron import NEURONS
from .options import Option, nearest, options_of

# These need a closure, sparse gradients, or other schedulers and functions as arguments.
NOT_BY_NAME = {"Optimizer", "LBFGS", "SparseAdam", "LRScheduler", "LambdaLR", "MultiplicativeLR"}
NOT_BY_NAME |= {"ChainedScheduler", "SequentialLR"}


def no_augment() -> None:
    """The samples as they are."""


def no_schedule(optimizer: torch.optim.Optimizer) -> None:
    """A constant step size."""


def _classes(module: Any, base: type) -> dict[str, Callable[..., Any]]:
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, base)
        and name not in NOT_BY_NAME
        and not name.startswith("_")
    }


def fptt(
    params: Iterable[torch.nn.Parameter],
    lr: float = 1e-3,
    alpha: float = 0.1,
    beta: float = 0.5,
    base: str = "Adam",
) -> FPTT:
    """FPTT around another optimiser of the catalogue."""
    if base not in OPTIMIZERS or base == "FPTT":
        raise ConfigError(f"unknown optimiser {base!r}", fix=nearest(base, OPTIMIZERS))
    return FPTT(OPTIMIZERS[base](params, lr=lr), alpha, beta)


OPTIMIZERS = {"FPTT": fptt, **_classes(torch.optim, torch.optim.Optimizer)}
SCHEDULERS = {"none": no_schedule, **_classes(lr_scheduler, lr_scheduler.LRScheduler)}

CATALOGUES: dict[str, Mapping[str, Callable[..., Any]]] = {
    "data": {name: data.info(name).loader for name in data.names()},
    "augment": {
        "none": no_augment,
        "images": data.ImageAugment,
        "images_colour": data.ColourAugment,
        "events": data.EventAugment,
        "events_spatial": data.SpatialAugment,
        "events_masks": data.MaskAugment,
    },
    "model": models.MODELS,
    "neuron": NEURONS,
    "rule": rules.PRESETS,
    "optimizer": OPTIMIZERS,
    "scheduler": SCHEDULERS,
}

# Filled in by the run itself: what a data set is and where it lies is not an option of it.
GIVEN = {
    "data": {"split", "data_root", "limit"},
    "augment": set[str](),
    "model": {"inputs", "in_channels", "image", "classes", "neuron"},
    "neuron": set[str](),
    "rule": set[str](),
    "optimizer": {"params", "capturable", "differentiable"},
    "scheduler": {"optimizer", "last_epoch"},
}
NOUNS = {"data": "data set", "optimizer": "optimiser"}


def lookup(section: str, name: str) -> Callable[..., Any]:
    """The function a name stands for in one section's catalogue.

    >>> lookup("optimizer", "SGD").__name__
    'SGD'
    """
    catalogue = CATALOGUES[section]
    if name not in catalogue:
        raise ConfigError(
            f"unknown {NOUNS.get(section, section)} {name!r}", fix=nearest(name, catalogue)
        )
    return catalogue[name]


@cache
def options_for(section: str, name: str) -> dict[str, Option]:
    """The options one choice has.

    >>> "momentum" in options_for("optimizer", "SGD")
    True
    """
    return options_of(lookup(section, name), skip=GIVEN[section])


def neuron_name(neuron: LIF) -> str:
    """The name a neuron's class can be chosen by.

    >>> neuron_name(LIF(decay=0.9))
    'lif'
    """
    for name, kind in NEURONS.items():
        if type(neuron) is kind:
            return name
    raise ConfigError(
        "a neuron of this class cannot be written down",
        got=type(neuron).__name__,
        expected=" or ".join(kind.__name__ for kind in NEURONS.values()),
    )
