"""The honest tables of docs/results.md: accuracy on the test split, step sizes, cost."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

import batchnorm  # noqa: F401 - a model for BPTT, whose cost is told too
from contest import CONTESTANTS, GRID_EPOCHS, LONG, SEEDS, chosen, grid_of, sources
from protocol import config_of
from records import Record, records, values
from stats import paired, percent

from localspike.bench.figures import line
from localspike.config import RunConfig
from localspike.recipes.costs import Asked, costs

TITLES = {
    "cifar10": "CIFAR-10, scaled",
    "nmnist-fc": "N-MNIST, fully connected (2312-200-10)",
    "nmnist-conv": "N-MNIST, convolutional (16-32 channels)",
    "keywords-fc": "Keywords, fully connected (80-200-200-10)",
    "keywords-rec": "Keywords, recurrent (80-128-10)",
    "braille-fc": "Braille, fully connected (128)",
    "braille-rec": "Braille, recurrent (128)",
}
LAST = 4
"""Epochs at the end through which the slope of a curve is laid."""


def accuracy(place: str) -> Iterator[str]:
    """Test accuracy of every rule, its difference to BPTT, and how much of the gap it closes."""
    found = records(f"final/{place}")
    if not found:
        return
    first = next(iter(next(iter(found.values())).values()))
    yield f"### {TITLES[place]}"
    yield ""
    yield (
        f"{first['test_samples']:,} test samples, {len(first['curve'])} epochs; every rule is to "
        f"have the seeds {', '.join(map(str, SEEDS[place]))}."
    )
    yield ""
    yield "| rule | test accuracy, % (seeds) | minus BPTT, points [95 %] | local | step size |"
    yield "|---|---|---|---|---|"
    baseline = values(found.get("bptt", {}), "test_accuracy")
    for name, entrant in CONTESTANTS.items():
        if name not in found:
            if place == "cifar10" and name in LONG:
                yield f"| {entrant.title} | {entrant.dropped or 'not run'} | | | |"
            continue
        mine = found[name]
        apart = "" if name == "bptt" else paired(values(mine, "test_accuracy"), baseline) or ""
        local = "space and time" if next(iter(mine.values()))["local"] else "no"
        accuracies = percent(values(mine, "test_accuracy").values())
        yield f"| {entrant.title} | {accuracies} | {apart} | {local} | {chosen(place, name):g} |"
    yield ""
    yield from _gap(found)
    yield from _slope(found)
    yield from _machines(found)


def _machines(found: dict[str, dict[int, Record]]) -> Iterator[str]:
    """Which runs of a table were made on which processor, where that differs."""
    rows: dict[str, list[str]] = {}
    for name, entrant in CONTESTANTS.items():
        for processor in sorted({r["hardware"]["processor"] for r in found.get(name, {}).values()}):
            rows.setdefault(processor, []).append(entrant.title)
    if len(rows) > 1:
        made = ". ".join(f"{processor}: {'; '.join(titles)}" for processor, titles in rows.items())
        yield f"Made on several machines. {made}."
        yield ""


def _gap(found: dict[str, dict[int, Record]]) -> Iterator[str]:
    """How much of TESS's gap to BPTT tess_plus closes: each as good as it has been judged.

    tess_plus as it is by default, TESS without a constant row where it has one.
    """
    if not {"bptt", "tess", "tess_plus"} <= set(found):
        return
    ours = _whole(found, "tess_plus-auto", "tess_plus")
    theirs = _whole(found, "tess-balanced", "tess")
    means = {
        name: statistics.mean(values(found[name], "test_accuracy").values())
        for name in ("bptt", theirs, ours)
    }
    gap = means["bptt"] - means[theirs]
    if gap > 0:
        closed, points = (means[ours] - means[theirs]) / gap, 100 * gap
        which = "TESS" if theirs == "tess" else "TESS without that row"
        title = CONTESTANTS[ours].title
        yield f"{title}, closes {closed:.0%} of the {points:.1f} points from {which} to BPTT."
        yield ""


def _whole(found: dict[str, dict[int, Record]], first: str, second: str) -> str:
    """The first of two where it has all the seeds that the second has."""
    return first if set(found.get(first, ())) >= set(found[second]) else second


def _slope(found: dict[str, dict[int, Record]]) -> Iterator[str]:
    """What BPTT's curves still gain at their end."""
    slopes = []
    for record in found.get("bptt", {}).values():
        points = record["curve"][-LAST:]
        slopes.append(line(range(len(points)), [100 * p["val_accuracy"] for p in points]).slope)
    if slopes:
        said = " ± ".join(
            f"{f(slopes):.2f}" for f in (statistics.mean, statistics.stdev)[: len(slopes)]
        )
        yield (
            f"Over its last {LAST} epochs BPTT's validation accuracy rises by {said} points an "
            "epoch (mean ± sd over seeds)."
        )
        yield ""


def grid(place: str) -> Iterator[str]:
    """Validation accuracy over the step sizes."""
    yield from _grid(place, "grid", TITLES[place])
    if place in GRID_EPOCHS:
        yield from _grid(place, "finalists", "again, at full length")


def _grid(place: str, part: str, title: str) -> Iterator[str]:
    rows = {name: grid_of(place, name, part) for name in CONTESTANTS}
    if not any(rows.values()):
        return
    tried = sorted({*(lr for found in rows.values() for lr in found)})
    yield f"| {title} | " + " | ".join(f"{lr:g}" for lr in tried) + " |"
    yield "|---|" + "---|" * len(tried)
    for name, found in rows.items():
        best = chosen(place, name)
        cells = [_point(found, lr, best) for lr in tried]
        if found:
            yield f"| {CONTESTANTS[name].title} | {' | '.join(cells)} |"
    yield ""


def _point(found: dict[float, float], lr: float, best: float | None) -> str:
    """A point of a grid, the best in bold; to two decimals where one would make it look shared."""
    if lr not in found:
        return ""
    digits = f"{100 * found[lr]:.1f}"
    alike = {x for x in found.values() if f"{100 * x:.1f}" == digits}
    if best in found and found[best] in alike and len(alike) > 1:
        digits = f"{100 * found[lr]:.2f}"
    return f"**{digits}**" if lr == best else digits


def cost(place: str) -> Iterator[str]:
    """What every rule of a final table costs, beside its accuracy."""
    found = records(f"final/{place}")
    if not found:
        return
    yield (
        f"| {TITLES[place]} | test accuracy, % | schedule | signal, 1e6 | all products, 1e6 | "
        + ("state, KiB | matrices, KiB | peak memory, MiB |")
    )
    yield "|---|---|---|---|---|---|---|---|"
    for _, name, source, settings in sources(f"{place}/{n}" for n in CONTESTANTS if n in found):
        mine = found[name]
        schedule = next(iter(mine.values()))["schedule"]
        made, batch = _costs(config_of(source, settings, 0))
        run = made[schedule]
        held = made.get("streaming", made.get("bptt", run))["bytes"] / batch
        sizes = [r["peak_memory_mib"] for r in mine.values() if not r["resumed"]]
        peak = f"{statistics.median(sizes):.0f}" if sizes else "–"
        signal, total = run["paper_signal"] / batch, run["products"]["total"] / batch
        products = f"{signal / 1e6:.2f} | {total / 1e6:.0f}"
        memory = f"{held / 1024:.0f} | {run['auxiliary_bytes'] / 1024:.0f} | {peak}"
        accuracies = percent(values(mine, "test_accuracy").values())
        title = CONTESTANTS[name].title
        yield f"| {title} | {accuracies} | {schedule} | {products} | {memory} |"
    yield ""


def _costs(config: RunConfig) -> tuple[dict[str, Any], int]:
    """By schedule: the cost of one sample, or of a batch where one alone is refused; how many."""
    for batch in (1, config.training.batch_size):
        tree = costs(config, Asked(rules=(config.rule.name,), batch=batch))["rules"]
        made = tree[config.rule.name]["schedules"]
        if made:
            break
    return made, batch
