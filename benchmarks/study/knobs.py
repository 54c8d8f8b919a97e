"""Everything about TESS that can be set otherwise, one thing at a time, on two small nets.

Each asks a question of TESS as it is on that net, with the step size that won its grid there unless
it says otherwise; validation after the last epoch, seeds as in `parts.py`, differences paired. Post
trace, scale and the package's other bases are in `ablation.py`; what begins from `tess_plus` is in
`parts.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import parts
from contest import chosen
from jobs import Job
from records import Record, records, values
from stats import paired, percent

PLACES = {"keywords-fc": parts.SEEDS, "nmnist-conv": parts.SEEDS[:3]}
"""By place: the seeds."""
KEPT = {
    "keywords-fc": ("rule.pre_decay=0.9", "rule.latent_decay=0.99"),
    "nmnist-conv": ("rule.pre_decay=0.9", "rule.latent_decay=0.9"),
}
"""What another rule in TESS's place keeps of it."""


class Knob(NamedTuple):
    """A question and the settings that answer it; with ``rule`` they replace TESS's preset.

    ``slower`` divides the step size; ``only`` is the one place where it means something.
    """

    question: str
    settings: tuple[str, ...]
    rule: str = ""
    slower: float = 1.0
    only: str = ""


_IMAGES, _VECTORS = "nmnist-conv", "keywords-fc"
KNOBS: dict[str, Knob] = {
    "usual": Knob("TESS as it is in the tables", ()),
    "rate-20": Knob("Livelier layers at birth, a fifth of neurons at a step?", ("model.rate=0.2",)),
    "rate-04": Knob("Quieter ones, a twenty-fifth?", ("model.rate=0.04",), only=_IMAGES),
    "gain-1": Knob("Gains of 1, nothing calibrated?", ("model.rate=none",)),
    "gain-1-half": Knob(
        "The same with half the threshold?", ("model.rate=none", "neuron.threshold=0.5")
    ),
    "psi-half": Knob("A surrogate half as wide?", ("rule.width=0.5",), "plain"),
    "psi-double": Knob("Twice as wide?", ("rule.width=2",), "plain"),
    "psi-sharp": Knob("The sharp fast sigmoid?", ("rule.surrogate=fast_sigmoid",)),
    "pre-0": Knob("No pre trace?", ("rule.pre_decay=0",)),
    "pre-50": Knob("A shorter pre trace, 0.5?", ("rule.pre_decay=0.5",)),
    "pre-99": Knob("A longer one, 0.99?", ("rule.pre_decay=0.99",)),
    "latent-0": Knob("Latents as they are, as published?", ("rule.latent_decay=0",)),
    "unstandardised": Knob("No weight standardisation?", ("model.standardised=false",)),
    "running": Knob("Running statistics?", ("model.norm_momentum=0.1",)),
    "readout-5": Knob("A readout five times as quick?", ("readout_factor=5",)),
    "readout-02": Knob("Five times as slow?", ("readout_factor=0.2",)),
    "smoothing": Knob("Label smoothing, 0.1?", ("loss.label_smoothing=0.1",)),
    "dropout": Knob("Dropout, 0.2?", ("model.dropout=0.2",)),
    "last-10": Knob(
        "Loss and signal in the last 10 steps only, judged on all?", ("active_steps=10",)
    ),
    "per-step": Knob(
        "Weights that change at every step, a tenth as far?", ("learner.update=step",), slower=10
    ),
    "batch-16": Knob("Four times as many, smaller batches?", ("batch_size=16",)),
    "sgd": Knob(
        "SGD with momentum, at a step size by hand?",
        ("optimizer=SGD", "optimizer.momentum=0.9", "lr=0.3"),
    ),
    "votes": Knob("Layers vote?", ("rule.votes=true",), "plain"),
    "gains": Knob("A trained factor per class?", ("rule.mixing=gain", "rule_factor=10"), "plain"),
    "sine": Knob("The papers' square wave, from a sine?", ("rule.basis=sine_square",)),
    "orthogonal": Knob("Its rows made orthogonal?", ("rule.basis=orthogonal",), "plain"),
    "pool-50": Knob("A quarter of the latents?", ("rule.pool=50",), only=_VECTORS),
    "pool-1": Knob("One latent a channel, blind to places?", ("rule.pool=1",), only=_IMAGES),
    "pool-0": Knob("Every output a latent?", ("rule.pool=0",), only=_IMAGES),
    "dense": Knob("One prediction a window?", ("rule.pool=2",), "dense", only=_IMAGES),
}
"""By name, in the order they are run."""


def jobs() -> Iterator[Job]:
    """Every place, knob and seed, once the grid there is whole; the quicker place first."""
    for place, seeds in PLACES.items():
        lr = chosen(place, "tess")
        for seed in seeds if lr is not None else ():
            for name, knob in KNOBS.items():
                if knob.only in ("", place):
                    changes = settings(knob, place, lr)
                    source, plugin = f"{place}/tess", bool(knob.rule)
                    yield Job(f"knobs/{place}", name, seed, source, changes, plugin)


def settings(knob: Knob, place: str, lr: float) -> tuple[str, ...]:
    """All of a knob's settings; its own come last."""
    rule = (f"rule={knob.rule}", *KEPT[place]) if knob.rule else ()
    return (*rule, f"lr={lr / knob.slower!r}", *knob.settings)


def table(titles: dict[str, str]) -> Iterator[str]:
    """A row a question, two columns a place."""
    found = {place: records(f"knobs/{place}") for place in PLACES}
    shown = [place for place in PLACES if found[place]]
    heads = [f"{titles[place]} | difference, points [95 %]" for place in shown]
    yield f"| question | settings | {' | '.join(heads)} |"
    yield "|---|---|" + "---|---|" * len(shown)
    for name, knob in KNOBS.items():
        if knob.only and knob.only not in shown:
            continue
        cells = [cell for place in shown for cell in _cells(found[place], name, knob, place)]
        told = " ".join([*([f"rule={knob.rule}"] if knob.rule else []), *knob.settings])
        told += f" lr/{knob.slower:g}" if knob.slower != 1.0 else ""
        yield f"| {knob.question} | {told} | {' | '.join(cells)} |"
    yield ""


def compared() -> int:
    """Differences in the table that have an interval."""
    found = {place: records(f"knobs/{place}") for place in PLACES}
    cells = [_cells(found[p], name, knob, p)[1] for p in PLACES for name, knob in KNOBS.items()]
    return sum("[" in cell for cell in cells)


def _cells(
    found: dict[str, dict[int, Record]], name: str, knob: Knob, place: str
) -> tuple[str, str]:
    if knob.only not in ("", place):
        return "", ""
    mine, usual = (values(found.get(n, {}), "val_accuracy") for n in (name, "usual"))
    apart = "" if name == "usual" else paired(mine, usual) or ""
    return percent(mine.values()), str(apart)
