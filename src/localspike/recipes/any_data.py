"""A recipe for every data set, named as the data set is: a plain net to begin with.

Where a recipe ``<data>-tess`` was written by hand this is the same run; otherwise the shape of a
sample decides on the net, and TESS is set as it is for data of that kind elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from .. import data
from ..config import DataConfig, OptimizerConfig, Part, RunConfig, SchedulerConfig, TrainingConfig
from ..nn import LIF

SLOW = LIF(decay=0.9, threshold=1.0)
_TRACES: dict[str, dict[str, Any]] = {
    "image": {"pre_decay": 0.5, "post_decay": 0.2, "post_gain": 1.0},
    "camera": {},
    "sound": {"pre_decay": 0.9, "post_gain": 0.0, "latent_decay": 0.99},
    "touch": {"pre_decay": 0.9, "post_gain": 0.0, "latent_decay": 0.99},
}


def recipes(written: Mapping[str, Callable[[], RunConfig]]) -> dict[str, Callable[[], RunConfig]]:
    """Functions by name of the data set; ``written`` are the recipes there are already.

    >>> recipes({})["shd"]().model.name
    'mlp'
    """
    made = {}
    for name in data.names():
        model = written.get(f"{name.replace('_', '-')}-tess", partial(plain, name))
        made[name] = _named(name, model)
    return made


def _named(name: str, model: Callable[[], RunConfig]) -> Callable[[], RunConfig]:
    def made() -> RunConfig:
        return replace(model(), recipe=name)

    title = data.info(name).title.split(",")[0]
    made.__doc__ = f"{title} to a plain net, to begin with: TESS unless rule= says otherwise."
    return made


def plain(name: str) -> RunConfig:
    """A run of TESS on any data set: square images to a conv net, all else to two hidden layers.

    >>> plain("cifar100").model.name, plain("ncaltech101").model.name
    ('convnet', 'mlp')
    """
    about = data.info(name)
    shape, kind = about.sample_shape, about.card.kind
    square = len(shape) == 3 and shape[1] == shape[2]
    model = (
        Part("convnet", {"channels": (16, 32, 64)})
        if square
        else Part("mlp", {"hidden": (200, 200), "rate": 0.05})
    )
    return RunConfig(
        recipe=name,
        data=DataConfig(name),
        model=model,
        neuron=LIF() if square else SLOW,
        rule=Part("tess", _TRACES[kind]),
        augment=Part("images") if shape[0] == 3 else Part("none"),
        optimizer=OptimizerConfig("Adam", {"lr": 1e-3 if square else 1e-2}),
        scheduler=SchedulerConfig("CosineAnnealingLR"),
        training=TrainingConfig(epochs=20, batch_size=64),
    )
