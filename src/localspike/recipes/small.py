"""The scaled protocol: every published table within about an hour on two CPU cores.

One place for its numbers, so that tables and studies mean the same by it. CIFAR-10 is the
quarter-width VGG-9 on 10,000 images shown for 4 steps, 12 epochs; any other run of a paper is
scaled by the same numbers. N-MNIST, keywords and Braille take the comparison's nets and entries.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from .. import data
from ..config import Part, RunConfig, SchedulerConfig, override
from .family import entries
from .nets import NETS, base_of
from .protocols import PROTOCOLS

WIDTH = 0.25
STEPS = 4
LIMIT = 10_000
EPOCHS = 12
BATCH_SIZE = 64
PRECISION: Literal["auto", "float32", "bf16"] = "auto"
SCHEDULER = SchedulerConfig("CosineAnnealingLR", every="step")
AUGMENT = Part("images", {"cutout": 0})
"""Of images; recordings are not augmented."""
NET_EPOCHS = {"nmnist": 5, "keywords": 10, "braille": 10}
"""Epochs of the comparison's nets, by data set."""

NOTE = (
    f"Scaled: VGG-9 at {WIDTH:g} of its width, {LIMIT:,} samples to train on and a quarter as many "
    f"to judge by, images shown for {STEPS} steps, {EPOCHS} epochs in batches of {BATCH_SIZE}, "
    "cosine step size, images cropped and flipped, products in bf16 where the machine has units; "
    "N-MNIST, keywords and Braille on the nets and settings of `localspike compare`. A difference "
    "measures the scale before it measures a rule."
)


def cifar10(settings: Iterable[str] = ()) -> RunConfig:
    """The scaled CIFAR-10 run, with further settings in the language of the command line.

    >>> run = cifar10(["rule=tess"])
    >>> run.model.options["width"], run.data.limit, run.training.epochs, run.rule.name
    (0.25, 10000, 12, 'tess')
    """
    return override(scaled(PROTOCOLS["tess"]["cifar10"]), settings)


def scaled(config: RunConfig) -> RunConfig:
    """A paper's run by the numbers above; its step size and loss stay.

    >>> scaled(PROTOCOLS["tp"]["shd-ff"]).scheduler.name
    'CosineAnnealingLR'
    """
    options, model, augment = dict(config.data.options), config.model, Part("none")
    if data.info(config.data.name).card.kind == "image":
        options["steps"], augment = STEPS, AUGMENT
    if model.name == "vgg9":
        model = Part("vgg9", {**model.options, "width": WIDTH})
    return replace(
        config,
        data=replace(config.data, options=options, limit=LIMIT),
        model=model,
        augment=augment,
        scheduler=SCHEDULER,
        learner=replace(config.learner, precision=PRECISION),
        training=replace(config.training, epochs=EPOCHS, batch_size=BATCH_SIZE),
    )


def is_net(place: str) -> bool:
    """Whether a place is one of the comparison's nets.

    >>> is_net("nmnist-conv"), is_net("shd-rec"), is_net("cifar10")
    (True, False, False)
    """
    name, _, net = place.partition("-")
    return net in NETS.get(name, {})


def on_net(place: str, entry: str) -> RunConfig:
    """An entry of the family on one of the comparison's nets, with fewer epochs.

    >>> on_net("nmnist-fc", "tp").training.epochs
    5
    """
    name, _, net = place.partition("-")
    config = entries()[entry].apply(base_of(name, net), name, net)
    return replace(config, training=replace(config.training, epochs=NET_EPOCHS[name]))
