"""The protocols, fixed before the runs: what all trials on one data set share.

CIFAR-10 is that of `localspike.recipes.small`: quarter-width VGG-9, T = 4, 10,000 images to learn
from and 2,500 others of the training images to validate on, 12 epochs, batches of 64, Adam with one
cosine of the step size, crops and flips. Products in bfloat16, state and weights in float32.
N-MNIST, keywords and Braille are the nets and settings of `localspike compare` at the epochs of
`localspike reproduce --scale small`, in float32. The test split is read by final runs only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from localspike.config import RunConfig, override
from localspike.recipes import small
from localspike.recipes.compare_plan import settle
from localspike.recipes.registry import recipe

HOW = (
    "training.threads=1",
    "training.log_every=0",
    "training.checkpoint_every=0",
    "training.checkpoint_epochs=4",
    "training.device=cpu",
)
IMAGES = ("learner.precision=bf16", "learner.compile=on")


def config_of(source: str, changes: Iterable[str], seed: int) -> RunConfig:
    """The configuration of one training of a recipe, or of PLACE/ENTRY, an entry on a small net."""
    place, _, entry = source.partition("/")
    changed = [*HOW, *changes, f"training.seed={seed}"]
    if entry:
        return settle(override(small.on_net(place, entry), changed))[0]
    return override(small.scaled(recipe(source)), [*IMAGES, *changed])


def judged_on(config: RunConfig) -> RunConfig:
    """The same run on the whole test split: the limit is the training's."""
    return replace(config, data=replace(config.data, limit=None))
