"""The scaled CIFAR-10 protocol, fixed before the runs: what every trial of the study shares.

Quarter-width VGG-9, T = 4, 10,000 images to learn from and 2,500 others of the training images to
validate on, 12 epochs, batches of 64, Adam with one cosine of the step size, crops and flips. The
test images are not read by a trial. Products in bfloat16, state and weights in float32.
"""

from __future__ import annotations

from collections.abc import Iterable

from localspike.config import RunConfig, override
from localspike.recipes.registry import recipe as recipe_of

FIXED = (
    "data.limit=10000",
    "data.steps=4",
    "model.width=0.25",
    "augment.cutout=0",
    "optimizer.fused=true",
    "scheduler=CosineAnnealingLR",
    "scheduler.every=step",
    "learner.precision=bf16",
    "learner.compile=on",
    "training.epochs=12",
    "training.batch_size=64",
    "training.threads=1",
    "training.log_every=0",
    "training.checkpoint_every=0",
    "training.checkpoint_epochs=4",
    "training.device=cpu",
)


def config_of(recipe: str, changes: Iterable[str], seed: int) -> RunConfig:
    """The configuration of one trial."""
    return override(recipe_of(recipe), [*FIXED, *changes, f"training.seed={seed}"])
