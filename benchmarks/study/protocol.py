"""The scaled CIFAR-10 protocol, fixed before the runs: what every trial of the study shares.

That of `localspike.recipes.small`: quarter-width VGG-9, T = 4, 10,000 images to learn from and
2,500 others of the training images to validate on, 12 epochs, batches of 64, Adam with one cosine
of the step size, crops and flips. Products in bfloat16, state and weights in float32. The test
images are not read by a trial.
"""

from __future__ import annotations

from collections.abc import Iterable

from localspike.config import RunConfig, override
from localspike.recipes import small
from localspike.recipes.registry import recipe

HOW = (
    "learner.precision=bf16",
    "learner.compile=on",
    "training.threads=1",
    "training.log_every=0",
    "training.checkpoint_every=0",
    "training.checkpoint_epochs=4",
    "training.device=cpu",
)


def config_of(name: str, changes: Iterable[str], seed: int) -> RunConfig:
    """The configuration of one trial of a recipe."""
    scaled = small.scaled(recipe(name))
    return override(scaled, [*HOW, *changes, f"training.seed={seed}"])
