"""The names each part of a configuration can be chosen by, and the options each name has."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
from torch.optim import lr_scheduler

from .. import data, rules
from ..errors import ConfigError
from ..nn import models
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


OPTIMIZERS = _classes(torch.optim, torch.optim.Optimizer)
SCHEDULERS = {"none": no_schedule, **_classes(lr_scheduler, lr_scheduler.LRScheduler)}

CATALOGUES: dict[str, Mapping[str, Callable[..., Any]]] = {
    "data": {name: data.info(name).loader for name in data.names()},
    "augment": {"none": no_augment, "images": data.ImageAugment, "events": data.EventAugment},
    "model": models.MODELS,
    "rule": rules.PRESETS,
    "optimizer": OPTIMIZERS,
    "scheduler": SCHEDULERS,
}

# Filled in by the run itself: what a data set is and where it lies is not an option of it.
GIVEN = {
    "data": {"split", "data_root", "limit"},
    "augment": set[str](),
    "model": {"inputs", "in_channels", "image", "classes", "neuron"},
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
