"""The honest tables: who takes part where, the grid of step sizes, and which one won it.

On one place every rule runs on the same net, neuron, loss, schedule and budget (`protocol.py`).
Its step size is the best of one grid by validation with seed 0; the smaller of equals. On
CIFAR-10 a run of the grid is a third as long as a final one, and the best two are run again at full
length to choose between them. Then the rule is trained anew with other seeds, and the whole test
split is read once a run, with the weights of the final epoch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from jobs import Job
from records import records

GRID = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
"""At first 1e-4 … 1e-2; moved up by a point for all rules when one was best at its upper edge."""
MORE: dict[str, tuple[float, ...]] = {
    place: (1e-1,) for place in ("nmnist-fc", "nmnist-conv", "keywords-fc", "braille-fc")
} | {"keywords-rec": (1e-1, 3e-1)}
"""By place, where a rule was best at the upper edge: how the grid goes on, for all rules there."""
GRID_SEED = 0
GRID_EPOCHS = {"cifar10": 4}
"""Epochs of a run of the grid where they are fewer than those of a final run."""
FINALISTS = 2
"""Step sizes that such a grid sends to a run of full length."""


NUMBER = re.compile(r"[0-9.]+(e-?[0-9]+)?")


class Contestant(NamedTuple):
    """A rule in a table.

    ``settings`` hold everywhere, ``images`` on CIFAR-10; ``tuned`` is what was chosen on CIFAR-10
    before the grid; ``plugin`` asks for `ideas.py`; ``dropped`` says why its runs were not made.
    ``long_as`` is the entry whose grid it has where runs are long, for it is trained alike.
    """

    title: str
    recipe: str
    entry: str
    settings: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    tuned: str = "nothing"
    plugin: bool = False
    dropped: str = ""
    long_as: str = ""


_PLUS_TUNED = (
    "by the trials below, on validation of CIFAR-10 with seed 0, basis, running statistics, the\n"
    "readout's factor and votes; the momentum of the statistics and the factor of the basis were\n"
    "set by hand, in short runs without a record"
)
_VOTES = ("rule.votes=true",)
_AUTO = ("rule.votes=auto",)
_AUTO_TUNED = (
    "nothing; that validation decides on votes was thought of after the test of `tess_plus` with\n"
    "all votes, and the layers' own predictions on validation, had been read; its validation\n"
    "accuracy is the better of two readings. On CIFAR-10 it has no grid of its own: training\n"
    "hears no vote, so that it is trained as `tess_plus` with all votes is, whose step size it\n"
    "has, chosen by validation with all votes"
)
_BASIS = ("rule.votes=false", "model.norm_momentum=none")
_BASIS_TUNED = (
    "by the trials of its parts on keywords, after the test of `tess_plus` there had been read"
)
_BALANCED = ("rule.basis=balanced_square",)
_BALANCED_TUNED = (
    "nothing; the row was found, and another wave made, after the test of TESS on Braille had\n"
    "been read, by what its layer says there (below: one class for all samples)"
)
_BATCH = ("model=vgg9_batchnorm", "model.width=0.25")
_RUNNING = ("model.norm_momentum=0.1",)
_SWEPT = ("learner.schedule=two_sweep",)
"""The gradient of a stream, in less than half the time."""
_TP = ("rule=tp", "rule.decay=0.5", "rule.against=merged", "learner.update=step")
"""The gradient of `against=batch`, as published, from 10 target streams instead of 64."""

CONTESTANTS: dict[str, Contestant] = {
    "bptt": Contestant("BPTT", "cifar10-bptt", "bptt"),
    "bptt-batchnorm": Contestant(
        "BPTT with batch normalisation", "cifar10-bptt", "bptt", _BATCH, plugin=True
    ),
    "bptt-running": Contestant(
        "BPTT on the net with running statistics",
        "cifar10-bptt",
        "bptt",
        _RUNNING,
        dropped="given up far behind plain BPTT in three points of its grid (below)",
    ),
    "tess_plus": Contestant(
        "tess_plus, all layers vote", "cifar10-tess-plus", "tess_plus", _VOTES, tuned=_PLUS_TUNED
    ),
    "tess_plus-auto": Contestant(
        "tess_plus, votes by validation",
        "cifar10-tess-plus",
        "tess_plus",
        _AUTO,
        tuned=_AUTO_TUNED,
        long_as="tess_plus",
    ),
    "tess_plus-basis": Contestant(
        "tess_plus, its basis alone", "cifar10-tess-plus", "tess_plus", _BASIS, tuned=_BASIS_TUNED
    ),
    "tess": Contestant("TESS, local only", "cifar10-tess", "tess"),
    "tess-balanced": Contestant(
        "TESS, no constant row in its basis",
        "cifar10-tess",
        "tess",
        _BALANCED,
        tuned=_BALANCED_TUNED,
    ),
    "s_tllr": Contestant("S-TLLR", "cifar10-s-tllr", "s_tllr", images=_SWEPT),
    "ottt": Contestant("OTTT", "cifar10-ottt", "ottt", images=_SWEPT),
    "tp": Contestant("Traces Propagation", "cifar10-tess", "tp", images=_TP),
    "frozen": Contestant("frozen hidden layers", "cifar10-frozen", "frozen"),
}

SEEDS: dict[str, tuple[int, ...]] = {
    "cifar10": (1, 2, 3),
    "nmnist-fc": (1, 2, 3),
    "nmnist-conv": (1, 2, 3),
    "keywords-fc": (1, 2, 3, 4, 5),
    "keywords-rec": (1, 2, 3, 4, 5),
    "braille-fc": (1, 2, 3, 4, 5),
    "braille-rec": (1, 2, 3, 4, 5),
}
"""By place: the seeds of final runs, none of them the grid's."""

SHORT = ("bptt", "tess_plus", "tess_plus-auto", "tess_plus-basis", "tess", "frozen")
"""Rules of the places beside CIFAR-10; `localspike compare` has the whole family there."""
LONG = tuple(rule for rule in CONTESTANTS if rule not in ("tess_plus-basis", "tess-balanced"))
"""Rules on CIFAR-10, where what its parts bring is a question of `trials.py`."""


def names() -> list[str]:
    """PLACE/RULE of everything that is to be in the tables."""
    wanted = ((place, rule) for place in SEEDS for rule in rules_of(place))
    return [f"{place}/{rule}" for place, rule in wanted if not CONTESTANTS[rule].dropped]


def rules_of(place: str) -> tuple[str, ...]:
    """Who takes part; with 10 classes no row of the square wave is constant."""
    if place == "cifar10":
        return LONG
    return (*SHORT, "tess-balanced") if place.startswith("braille") else SHORT


def grid_jobs(wanted: Iterable[str]) -> Iterator[Job]:
    """Every step size for each PLACE/RULE."""
    for place, rule, source, settings in sources(wanted):
        if _whose_grid(place, rule):
            continue
        short = (f"epochs={GRID_EPOCHS[place]}",) if place in GRID_EPOCHS else ()
        for lr in steps(place):
            changes = (*settings, f"lr={lr!r}", *short)
            plugin = CONTESTANTS[rule].plugin
            yield Job(f"grid/{place}", f"{rule}-{lr:g}", GRID_SEED, source, changes, plugin)


def finalist_jobs(wanted: Iterable[str]) -> Iterator[Job]:
    """The best of a shortened grid at full length, of each PLACE/RULE whose grid is whole."""
    for place, rule, source, settings in sources(wanted):
        if place in GRID_EPOCHS and not _whose_grid(place, rule):
            for lr in finalists(grid_of(place, rule), place):
                changes = (*settings, f"lr={lr!r}")
                plugin = CONTESTANTS[rule].plugin
                name = f"{rule}-{lr:g}"
                yield Job(f"finalists/{place}", name, GRID_SEED, source, changes, plugin)


def final_jobs(wanted: Iterable[str], seeds: tuple[int, ...] | None = None) -> Iterator[Job]:
    """Every PLACE/RULE whose grid is whole, with the step size that won it, seed by seed."""
    rows = [(row, chosen(row[0], row[1])) for row in sources(wanted)]
    for place in SEEDS:
        for seed in seeds or SEEDS[place]:
            for (there, rule, source, settings), lr in rows:
                if there == place and lr is not None:
                    changes = (*settings, f"lr={lr!r}")
                    plugin = CONTESTANTS[rule].plugin
                    yield Job(f"final/{place}", rule, seed, source, changes, plugin, test=True)


def sources(wanted: Iterable[str]) -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    """Place, rule, source and settings of every PLACE/RULE."""
    for name in wanted:
        place, _, rule = name.partition("/")
        entrant = CONTESTANTS[rule]
        if place == "cifar10":
            yield place, rule, entrant.recipe, (*entrant.images, *entrant.settings)
        else:
            yield place, rule, f"{place}/{entrant.entry}", entrant.settings


def grid_of(place: str, rule: str, part: str = "grid") -> dict[float, float]:
    """Validation accuracy by step size, of every point that has a record, the smallest first."""
    found = records(f"{part}/{place}")
    points = {
        float(name.removeprefix(f"{rule}-")): runs[GRID_SEED]["val_accuracy"]
        for name, runs in found.items()
        if name.startswith(f"{rule}-") and NUMBER.fullmatch(name.removeprefix(f"{rule}-"))
    }
    return dict(sorted(points.items()))


def steps(place: str) -> tuple[float, ...]:
    """The step sizes that every rule of a place tries."""
    return (*GRID, *MORE.get(place, ()))


def finalists(found: dict[float, float], place: str) -> list[float]:
    """The best step sizes of a grid, the best first; none until it is whole."""
    if not found.keys() >= set(steps(place)):
        return []
    return sorted(found, key=lambda lr: (-found[lr], lr))[:FINALISTS]


def _whose_grid(place: str, rule: str) -> str:
    """The entry whose grid an entry has, where runs are long; "" for its own."""
    return CONTESTANTS[rule].long_as if place in GRID_EPOCHS else ""


def chosen(place: str, rule: str) -> float | None:
    """The best step size, the smaller of equal ones; None until all runs it takes are there."""
    rule = _whose_grid(place, rule) or rule
    best = finalists(grid_of(place, rule), place)
    if not best or place not in GRID_EPOCHS:
        return best[0] if best else None
    again = grid_of(place, rule, "finalists")
    whole = again.keys() >= set(best)
    return max(again, key=again.__getitem__) if whole else None
