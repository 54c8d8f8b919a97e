"""What the study asks: one trial a question, each a recipe with a few changed settings.

All share the protocol of `protocol.py`. A trial answers its question against the one it names as
``beside``. Trials that need rules the package does not have take them from `ideas.py`.
"""

from __future__ import annotations

from typing import NamedTuple


class Trial(NamedTuple):
    """A question, the settings that answer it, and the trial it is to be compared with."""

    question: str
    settings: tuple[str, ...] = ()
    beside: str = "tess"
    recipe: str = "cifar10-tess"
    plugin: bool = False


_FACTORS = ("readout_factor=5", "rule_factor=10")
_ADAPTED = ("rule=tess_plus", "rule.votes=false", *_FACTORS)
_SILENT = (*_ADAPTED, "model.norm_momentum=0.1")
_PLUS = ("rule=tess_plus", "rule.votes=true", *_FACTORS, "model.norm_momentum=0.1")
_PLAIN = ("rule=plain",)

TRIALS: dict[str, Trial] = {
    "bptt": Trial("What does backpropagation through time reach?", recipe="cifar10-bptt"),
    "frozen": Trial("What do frozen hidden layers reach?", recipe="cifar10-frozen"),
    "tess": Trial("What does the rule reach without a post trace?", ("rule.post_gain=0",), "bptt"),
    "tess-published": Trial("As published for CIFAR-10: does the post trace help?"),
    "post-minus": Trial("A post trace that counts against?", ("rule.post_gain=-1",)),
    "tess-3e-3": Trial("Is the step too small?", ("rule.post_gain=0", "lr=3e-3")),
    "scale-mean": Trial("The released scale 1/n?", ("rule.post_gain=0", "rule.scale=mean")),
    "scale-sqrt": Trial("Scale 1/sqrt(n)?", ("rule.post_gain=0", "rule.scale=sqrt")),
    "hadamard": Trial("Orthogonal codes?", (*_PLAIN, "rule.basis=hadamard"), plugin=True),
    "random": Trial("Random codes?", (*_PLAIN, "rule.basis=random"), plugin=True),
    "cosine": Trial("A smooth wave?", (*_PLAIN, "rule.basis=cosine"), plugin=True),
    "pool-1": Trial("One code a channel, blind to places?", ("rule.post_gain=0", "rule.pool=1")),
    "dense": Trial(
        "One prediction a window, one code a channel?", ("rule=dense", "rule.pool=2"), plugin=True
    ),
    "gains": Trial(
        "A trained factor per class?", (*_PLAIN, "rule.mixing=gain", "rule_factor=10"), plugin=True
    ),
    "readout-5": Trial(
        "Does the readout lag behind the layers?", ("rule.post_gain=0", "readout_factor=5")
    ),
    "rate-30": Trial("Livelier layers at birth?", ("rule.post_gain=0", "model.rate=0.3")),
    "smoothing": Trial("Label smoothing?", ("rule.post_gain=0", "loss.label_smoothing=0.1")),
    "batch-32": Trial("Twice as many, smaller batches?", ("rule.post_gain=0", "batch_size=32")),
    "no-trace": Trial(
        "Does memory in time matter on a still image?", ("rule.post_gain=0", "rule.pre_decay=0")
    ),
    "last-2": Trial(
        "The signal on the last two steps only?", ("rule.post_gain=0", "active_steps=2")
    ),
    "latents-filtered": Trial(
        "Latents low-passed over time?", ("rule.post_gain=0", "rule.latent_decay=0.9")
    ),
    "running": Trial(
        "Running statistics under the fixed basis?",
        ("rule.post_gain=0", "readout_factor=5", "model.norm_momentum=0.1"),
        "readout-5",
    ),
    "trained": Trial(
        "A trained classifier a layer, from random weights?",
        (*_PLAIN, "rule.basis=trained", "readout_factor=5", "rule_factor=10"),
        "readout-5",
        plugin=True,
    ),
    "trained-alone": Trial(
        "The same without the readout's factor?",
        (*_PLAIN, "rule.basis=trained", "rule_factor=10"),
        "trained",
        plugin=True,
    ),
    "adapted-alone": Trial(
        "A square wave that learns, without the readout's factor?",
        (*_PLAIN, "rule.basis=adapted", "rule_factor=10"),
        plugin=True,
    ),
    "adapted": Trial("A basis that begins as the square wave and learns?", _ADAPTED, "readout-5"),
    "adapted-slow": Trial(
        "Must the basis be quicker than weights?",
        ("rule=tess_plus", "rule.votes=false", "readout_factor=5"),
        "adapted",
    ),
    "plus-silent": Trial("Both: a basis that learns, running statistics?", _SILENT, "adapted"),
    "plus": Trial("Layers vote beside the readout when the net is judged?", _PLUS, "plus-silent"),
    "plus-momentum-30": Trial("Quicker statistics?", (*_PLUS, "model.norm_momentum=0.3"), "plus"),
    "plus-post": Trial("The post trace on top?", (*_PLUS, "rule.post_gain=1"), "plus"),
    "plus-2e-3": Trial("A larger step?", (*_PLUS, "lr=2e-3"), "plus"),
    "plus-pool-4": Trial("Finer latents?", (*_PLUS, "rule.pool=4"), "plus"),
    "plus-smoothing": Trial("Label smoothing?", (*_PLUS, "loss.label_smoothing=0.1"), "plus"),
}
"""By name, in the order they are run."""
