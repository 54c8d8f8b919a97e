"""Rules side by side: validation accuracy over epochs, and test accuracy of every seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .style import BLUE, FAINT, GREEN, INK, ORANGE, PURPLE, RED, SKY, canvas, whole_numbers

COLOURS = (BLUE, ORANGE, GREEN, PURPLE, RED, SKY)


def comparison_figure(
    curves: Mapping[str, Sequence[Sequence[float]]],
    tests: Mapping[str, Sequence[float]],
    titles: Mapping[str, str],
) -> Any:
    """Left: mean and range over seeds of ``curves[rule][seed][epoch]``; right: ``tests[rule]``.

    All values are shares in 0 … 1.

    >>> figure = comparison_figure({"a": [[0.1, 0.2]]}, {"a": [0.2]}, {"a": "rule a"})
    >>> len(figure.axes)
    2
    """
    with canvas(7.6, 3.2) as figure:
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
        for colour, (rule, seeds) in zip(COLOURS, curves.items(), strict=False):
            _curve(left, np.array(seeds), colour, titles[rule])
        for x, (colour, values) in enumerate(zip(COLOURS, tests.values(), strict=False)):
            _points(right, x, values, colour)
        left.set(xlabel="epoch", ylabel="accuracy (%)", title="validation")
        right.set(title="test, every seed", xticks=range(len(tests)), xlim=(-0.6, len(tests) - 0.4))
        right.set_xticklabels(list(tests))
        left.legend(loc="lower right")
        whole_numbers(left.xaxis)
        for axes in (left, right):
            axes.grid(axis="y", color=FAINT, linewidth=0.6)
            axes.set_axisbelow(True)
    return figure


def _curve(axes: Any, seeds: Any, colour: str, title: str) -> None:
    x = np.arange(1, seeds.shape[1] + 1)
    axes.fill_between(x, 100 * seeds.min(0), 100 * seeds.max(0), color=colour, alpha=0.18, lw=0)
    axes.plot(x, 100 * seeds.mean(0), color=colour, label=title)


def _points(axes: Any, x: int, values: Sequence[float], colour: str) -> None:
    mean = 100 * float(np.mean(values))
    axes.scatter([x] * len(values), [100 * v for v in values], color=colour, s=26, zorder=3)
    axes.hlines(mean, x - 0.22, x + 0.22, color=INK, linewidth=1.2, zorder=4)
    axes.annotate(f"{mean:.1f}", (x + 0.27, mean), va="center", fontsize=8, color=INK)
