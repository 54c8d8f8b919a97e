"""What the study asks: one trial a question, each a recipe with a few changed settings.

All share the protocol of `protocol.py`. A trial answers its question against the one it names as
``beside``. Trials that need rules the package does not have take them from `ideas.py`. What does
not hang on images is asked of small nets, with several seeds (`knobs.py`, `parts.py`).
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
_WON = "lr=1e-2"  # the grid's, for `tess_plus`

TRIALS: dict[str, Trial] = {
    "bptt": Trial("What does backpropagation through time reach?", recipe="cifar10-bptt"),
    "tess": Trial("What does the rule reach without a post trace?", ("rule.post_gain=0",), "bptt"),
    "tess-published": Trial("As published for CIFAR-10: does the post trace help?"),
    "post-minus": Trial("A post trace that counts against?", ("rule.post_gain=-1",)),
    "scale-mean": Trial("The released scale 1/n?", ("rule.post_gain=0", "rule.scale=mean")),
    "scale-sqrt": Trial("Scale 1/sqrt(n)?", ("rule.post_gain=0", "rule.scale=sqrt")),
    "hadamard": Trial("Orthogonal codes?", (*_PLAIN, "rule.basis=hadamard"), plugin=True),
    "random": Trial("Random codes?", (*_PLAIN, "rule.basis=random"), plugin=True),
    "cosine": Trial("A smooth wave?", (*_PLAIN, "rule.basis=cosine"), plugin=True),
    "pool-1": Trial("One code a channel, blind to places?", ("rule.post_gain=0", "rule.pool=1")),
    "dense": Trial(
        "One prediction a window, one code a channel?", ("rule=dense", "rule.pool=2"), plugin=True
    ),
    "readout-5": Trial(
        "Does the readout lag behind the layers?", ("rule.post_gain=0", "readout_factor=5")
    ),
    "no-trace": Trial(
        "Does memory in time matter on a still image?", ("rule.post_gain=0", "rule.pre_decay=0")
    ),
    "running": Trial(
        "Running statistics under the fixed basis?",
        ("rule.post_gain=0", "readout_factor=5", "model.norm_momentum=0.1"),
        "readout-5",
    ),
    "trained-alone": Trial(
        "A trained classifier a layer, from random weights?",
        (*_PLAIN, "rule.basis=trained", "rule_factor=10"),
        plugin=True,
    ),
    "adapted-alone": Trial(
        "A square wave that learns, without the readout's factor?",
        (*_PLAIN, "rule.basis=adapted", "rule_factor=10"),
        plugin=True,
    ),
    "adapted": Trial("A basis that begins as the square wave and learns?", _ADAPTED, "readout-5"),
    "plus-silent": Trial("Both: a basis that learns, running statistics?", _SILENT, "adapted"),
    "plus": Trial("Layers vote beside the readout when the net is judged?", _PLUS, "plus-silent"),
    "whole": Trial("All three at the step size that won?", (*_PLUS, _WON), "plus"),
    "whole-silent": Trial("There, without votes?", (*_SILENT, _WON), "whole"),
    "whole-basis": Trial("There, a basis that learns and no more?", (*_ADAPTED, _WON), "whole"),
    "whole-fixed": Trial(
        "There, statistics under the fixed basis?",
        ("rule.post_gain=0", "readout_factor=5", "model.norm_momentum=0.1", _WON),
        "whole",
    ),
}
"""By name, in the order they are run."""
