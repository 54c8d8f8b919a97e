"""What each layer predicts by itself, on samples it has learnt from and on others.

Asks why votes help on one data set and harm on another: a layer that knows the training samples
better than the readout does, and others worse, has learnt them by heart. Seeds as in `parts.py`; on
CIFAR-10 one, that of the grid.
"""

from __future__ import annotations

from collections.abc import Iterator

import parts
from contest import CONTESTANTS, GRID_SEED, chosen, sources
from jobs import Job
from records import records
from stats import spread

RULES = ("tess_plus", "tess_plus-basis", "tess")
PLACES = {
    "keywords-fc": parts.SEEDS,
    "keywords-rec": parts.SEEDS,
    "braille-fc": parts.SEEDS,
    "nmnist-conv": parts.SEEDS[:3],
    "cifar10": (GRID_SEED,),
}
"""By place: the seeds; the quickest first."""


def jobs() -> Iterator[Job]:
    """Every place, rule and seed, once the grids are whole."""
    wanted = [f"{place}/{rule}" for place in PLACES for rule in RULES]
    for place, rule, source, settings in sources(wanted):
        lr = chosen(place, rule)
        for seed in PLACES[place] if lr is not None else ():
            yield Job(f"layers/{place}", rule, seed, source, (*settings, f"lr={lr!r}"), layers=True)


def table(place: str, title: str) -> Iterator[str]:
    """Accuracy of every layer, of the readout and of all together."""
    found = records(f"layers/{place}")
    if not found:
        return
    yield f"| {title} | heard | training, % | validation, % |"
    yield "|---|---|---|---|"
    for rule in (rule for rule in RULES if rule in found):
        runs = list(found[rule].values())
        name = f"{CONTESTANTS[rule].title} ({len(runs)})"
        for voice in voices(runs[0]):
            on = [spread(said(run, split, voice) for run in runs) for split in ("train", "val")]
            yield f"| {name} | {voice} | {' | '.join(on)} |"
            name = ""
    yield ""


def voices(record: dict[str, object]) -> list[str]:
    """Layers from the input on, the readout, and, where the layers vote, all of them."""
    all_of_them = ["together"] if record["name"] == "tess_plus" else []
    return [*record["alone"]["val"]["layers"], "readout", *all_of_them]  # type: ignore[index]


def said(record: dict[str, object], split: str, voice: str) -> float:
    """One accuracy."""
    alone = record["alone"][split]  # type: ignore[index]
    found: float = alone[voice] if voice in ("readout", "together") else alone["layers"][voice]
    return found
