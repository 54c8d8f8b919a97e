"""The papers' protocols as runs, as far as they are known; where ours differs is said in words.

Nets have weight standardisation and their firing rates are calibrated wherever a paper does not
say how weights begin: with gains of 1 a deep spiking net is silent, and nothing local can be
learned in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..config import (
    DataConfig,
    LearnerConfig,
    OptimizerConfig,
    Part,
    RunConfig,
    SchedulerConfig,
    TrainingConfig,
)
from ..nn import LIF
from . import cifar10

_PLATEAU = SchedulerConfig("ReduceLROnPlateau", {"factor": 0.5, "patience": 5})
_CONSTANT = SchedulerConfig("none")
_QUARTER = SchedulerConfig("CosineAnnealingLR", {"eta_min": 0.25e-4})
_MOVED = Part("events_spatial", {"flip": 0.0, "roll": 4, "degrees": 0.0, "cutout": 0})


def _training(epochs: int, batch_size: int) -> TrainingConfig:
    return TrainingConfig(
        epochs=epochs, batch_size=batch_size, log_every=0, checkpoint_every=0, threads=1
    )


def _run(
    data: DataConfig,
    model: Part,
    epochs: int,
    batch_size: int,
    scheduler: SchedulerConfig,
    *,
    lr: float = 1e-3,
    **sections: Any,
) -> RunConfig:
    return RunConfig(
        recipe="",
        data=data,
        model=model,
        rule=Part("bptt"),
        optimizer=OptimizerConfig("Adam", {"lr": lr}),
        scheduler=scheduler,
        learner=LearnerConfig(),
        training=_training(epochs, batch_size),
        **sections,
    )


_IMAGES = cifar10.base("bptt")
_GESTURES, _CIFAR_EVENTS = DataConfig("dvs_gesture", {"counts": True}), DataConfig("cifar10dvs")
_OBJECTS = DataConfig("ncaltech101", {"bin_ms": 30, "steps": 10, "size": 60, "square": True})
_VGG, _VGG_AVERAGED, _VGG_SUMMED = (
    Part("vgg9"),
    Part("vgg9", {"pooling": "avg"}),
    Part("vgg9", {"readout_decay": 1.0}),
)


def _image(name: str) -> RunConfig:
    return _run(
        DataConfig(name, _IMAGES.data.options), _VGG, 200, 128, _PLATEAU, augment=_IMAGES.augment
    )


def _tp(data: DataConfig, model: Part, decay: float, threshold: float, **sizes: int) -> RunConfig:
    neuron = LIF(decay, threshold, fires_at_threshold=True)
    return _run(data, model, scheduler=_QUARTER, lr=1e-4, neuron=neuron, **sizes)


PROTOCOLS: Mapping[str, Mapping[str, RunConfig]] = {
    "tess": {
        "cifar10dvs": _run(_CIFAR_EVENTS, _VGG, 200, 64, _PLATEAU, augment=_MOVED),
        "dvs_gesture": _run(_GESTURES, _VGG, 200, 16, _PLATEAU, augment=_MOVED),
        "cifar10": _image("cifar10"),
        "cifar100": _image("cifar100"),
    },
    "s_tllr": {
        "dvs_gesture": _run(_GESTURES, _VGG_AVERAGED, 300, 16, _CONSTANT),
        "cifar10dvs": _run(_CIFAR_EVENTS, _VGG_AVERAGED, 300, 64, _CONSTANT),
        "ncaltech101": _run(_OBJECTS, _VGG_AVERAGED, 300, 64, _CONSTANT),
        "shd-rec": _run(
            DataConfig("shd", {"bin_ms": 10, "steps": 100}),
            Part("recurrent", {"hidden": (450,), "readout_decay": 0.99}),
            200,
            128,
            _CONSTANT,
            lr=2e-4,
            neuron=LIF(decay=0.9),
        ),
    },
    "tp": {
        "nmnist-fc": _tp(
            DataConfig("nmnist", {"form": "official"}),
            Part("mlp", {"hidden": (200,), "readout_decay": 1.0}),
            0.98, 1.0, batch_size=128, epochs=100,
        ),
        "shd-ff": _tp(
            DataConfig("shd"), Part("mlp", {"hidden": (450,), "readout_decay": 1.0}),
            0.96, 1.0, batch_size=128, epochs=100,
        ),
        "shd-rec": _tp(
            DataConfig("shd"), Part("recurrent", {"hidden": (450,), "readout_decay": 1.0}),
            0.85, 0.5, batch_size=128, epochs=100,
        ),
        "dvs_gesture": _tp(_GESTURES, _VGG_SUMMED, 0.53, 1.0, batch_size=64, epochs=200),
        "cifar10dvs": _tp(_CIFAR_EVENTS, _VGG_SUMMED, 0.18, 0.5, batch_size=64, epochs=300),
    },
}  # fmt: skip
"""By paper and place: the run all rules of its tables share, under a rule that stands for any."""

COMMON = (
    "Ours: validation split from the training data, test read once with the weights of the final "
    "epoch, the same net, neuron, loss and schedule for every rule of a place.",
    "Weights are standardised, and every block is calibrated before training: 0.15 spikes per "
    "neuron and step, on the nets of `localspike compare` as there.",
)
DIFFERS: Mapping[str, tuple[str, ...]] = {
    "tess": (
        "TESS here: hidden blocks learn from their local signal alone, logits scaled by their "
        "latents' l2 norm (the paper leaves the scale open). As released, the published commands "
        "never evaluate the local loss, and the best epoch and the step size follow the test "
        "split; here, at full scale, the step size follows validation. S-TLLR on CIFAR-10 and "
        "CIFAR-100 has the constants published for CIFAR10-DVS.",
        "CIFAR10-DVS and DVS Gesture: bins of 130 and 75 ms (of CIFAR10-DVS whether an event fell "
        "in, not normalised; published: frames by event count, normalised), moved by up to 4 "
        "pixels with wrap in place of a crop of padded frames.",
    ),
    "s_tllr": (
        "Not known to us, and chosen: batch sizes, no schedule of the step size, membrane decay "
        "0.5 (SHD: 0.9), threshold 0.6 (its code; 0.8 in its text), no augmentation.",
        "N-Caltech101: 60 x 60 frames, the sensor's 60 x 45 with empty rows below. The baseline's "
        "loss is on at the same steps as S-TLLR's signal.",
    ),
    "tp": (
        "Published are the top 5 of 10 seeds at their best test epoch; beside it what the "
        "authors' logs give over all seeds at the final epoch.",
        "TP steps its optimiser at every time step, BPTT once a sequence. Not known to us, and "
        "chosen: bins of 10 ms (N-MNIST), 14 ms (SHD), 75 ms (DVS Gesture), 130 ms (CIFAR10-DVS), "
        "no augmentation.",
    ),
}
"""By paper: where the protocol that is run differs from the published one."""
