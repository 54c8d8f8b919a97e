"""Figures of docs/results.md from records: TESS's knobs on several data sets, and the curves."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import ablation
from contest import CONTESTANTS
from matplotlib.figure import Figure
from records import Record, records

from localspike.plot import style

_COLOURS = (style.BLUE, style.ORANGE, style.RED, style.PURPLE, style.GREEN, style.SKY, style.INK)
_LINES = ("-", "--", ":")  # where there are more rows than colours

Points = dict[str, list[float]]
"""Accuracies in per cent by setting."""
NAMES = {
    "post_gain": "post trace gain",
    "scale": "logit scale",
    "basis": "class basis",
}


def ablations() -> dict[str, dict[str, Points]]:
    """By place and knob: what there is a record of."""
    trials = records("trials")
    found = {
        "cifar10": _points(lambda knob, value: ablation.IMAGES.get((knob, value), "tess"), trials)
    }
    for place in ablation.PLACES:
        found[place] = _points(ablation.job_name, records(f"ablation/{place}"))
    return {place: knobs for place, knobs in found.items() if any(knobs.values())}


def _points(named: Any, trained: dict[str, dict[int, Record]]) -> dict[str, Points]:
    return {
        knob: {
            value: [100 * r["val_accuracy"] for r in trained[named(knob, value)].values()]
            for value in values
            if named(knob, value) in trained
        }
        for knob, values in ablation.KNOBS.items()
    }


def ablation_figure(found: dict[str, dict[str, Points]]) -> Figure:
    """A row a data set, a column a knob; a dot a seed, a bar their mean."""
    knobs = list(ablation.KNOBS)
    figure = Figure(figsize=(11, 2.6 * len(found)), layout="constrained")
    grid = figure.subplots(
        len(found),
        len(knobs),
        squeeze=False,
        sharey="row",
        width_ratios=[len(v) for v in ablation.KNOBS.values()],
    )
    for row, (place, by_knob) in zip(grid, found.items(), strict=True):
        for axes, knob in zip(row, knobs, strict=True):
            _panel(axes, by_knob[knob], ablation.KNOBS[knob], ablation.USUAL[knob])
            axes.set_title(f"{place}: {NAMES[knob]}", fontsize=9, loc="left")
        row[0].set_ylabel("validation accuracy, %")
    return figure


def _panel(axes: Any, points: Points, settings: tuple[str, ...], usual: str) -> None:
    for x, setting in enumerate(settings):
        seen = points.get(setting, [])
        if not seen:
            axes.annotate("not run", (x, 0.04), xycoords=("data", "axes fraction"), ha="center")
            continue
        mean = statistics.mean(seen)
        color = "C0" if setting == usual else "0.6"
        axes.bar(x, mean, color=color, width=0.7)
        axes.plot([x] * len(seen), seen, "k.", markersize=4)
        axes.annotate(f"{mean:.1f}", (x, mean), ha="center", va="bottom", fontsize=8)
    axes.set_xticks(range(len(settings)), [s.replace("_", "\n") for s in settings], fontsize=8)
    axes.set_xlim(-0.6, len(settings) - 0.4)
    axes.margins(y=0.15)
    axes.spines[["top", "right"]].set_visible(False)


def curve_figure(place: str) -> Figure:
    """Validation accuracy after every epoch of the final runs: the seeds' mean and their range."""
    found = {n: list(by.values()) for n, by in records(f"final/{place}").items() if by}
    shown = [(name, c.title) for name, c in CONTESTANTS.items() if name in found]
    colours = [_COLOURS[i % len(_COLOURS)] for i in range(len(shown))]
    with style.canvas(8.4, 4.4) as figure:
        axes = figure.subplots()
        ends = []
        for i, (name, _) in enumerate(shown):
            curves = [[100 * point["val_accuracy"] for point in r["curve"]] for r in found[name]]
            ends.append(_mean_curve(axes, curves, colours[i], _LINES[i // len(_COLOURS)]))
        axes.set_xlabel("epoch")
        axes.set_ylabel("validation accuracy, %")
        style.whole_numbers(axes.xaxis)
        last = axes.get_lines()[0].get_xdata()[-1]
        style.label_ends(axes, last, [title for _, title in shown], ends, colours)
    return figure


def _mean_curve(axes: Any, curves: list[list[float]], colour: str, line: str) -> float:
    """Draws them and says where their mean ends."""
    by_epoch = list(zip(*curves, strict=True))
    epochs = range(1, len(by_epoch) + 1)
    means = [statistics.mean(values) for values in by_epoch]
    low, high = [min(v) for v in by_epoch], [max(v) for v in by_epoch]
    axes.fill_between(epochs, low, high, color=colour, alpha=0.15, lw=0)
    axes.plot(epochs, means, color=colour, lw=1.4, linestyle=line)
    return means[-1]


def save(figure: Figure, path: Path) -> None:
    """As PNG that is the same whenever it is written."""
    figure.savefig(path, dpi=110, metadata={"Software": None})
