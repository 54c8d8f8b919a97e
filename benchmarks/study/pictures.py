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
    with style.canvas(8.4, 4.4) as figure:
        axes = figure.subplots()
        for i, (name, title) in enumerate(shown):
            curves = [[100 * point["val_accuracy"] for point in r["curve"]] for r in found[name]]
            line, colour = divmod(i, len(_COLOURS))
            _mean_curve(axes, curves, title, color=_COLOURS[colour], linestyle=_LINES[line])
        axes.set_xlabel("epoch")
        axes.set_ylabel("validation accuracy, %")
        style.whole_numbers(axes.xaxis)
        # From the top down as they end.
        last = {line: line.get_ydata()[-1] for line in axes.get_lines()}
        order = sorted(last, key=last.__getitem__, reverse=True)
        figure.legend(handles=order, loc="outside right center", handlelength=3)
    return figure


def _mean_curve(axes: Any, curves: list[list[float]], title: str, **look: str) -> None:
    by_epoch = list(zip(*curves, strict=True))
    epochs = range(1, len(by_epoch) + 1)
    low, high = [min(v) for v in by_epoch], [max(v) for v in by_epoch]
    axes.fill_between(epochs, low, high, color=look["color"], alpha=0.15, lw=0)
    axes.plot(epochs, [statistics.mean(v) for v in by_epoch], lw=1.4, label=title, **look)


def save(figure: Figure, path: Path) -> None:
    """As PNG that is the same whenever it is written."""
    figure.savefig(path, dpi=110, metadata={"Software": None})
