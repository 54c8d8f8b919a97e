"""Firing rate of every block over training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .style import FAINT, canvas, label_ends, shades, whole_numbers


def rates_figure(steps: Sequence[int], rates: Sequence[Mapping[str, float]]) -> Any:
    """One line per block: percent of neurons that spike in a time step, by training step.

    >>> len(rates_figure([1, 2], [{"hidden1": 0.1}, {"hidden1": 0.2}]).axes[0].lines)
    1
    """
    names = list(rates[0])
    colours = shades(len(names))
    with canvas(6.4, 3.2) as figure:
        axes = figure.subplots()
        marker = "o" if len(steps) < 15 else None
        ends = []
        for name, colour in zip(names, colours, strict=True):
            y = [100 * line[name] for line in rates]
            axes.plot(steps, y, color=colour, marker=marker, markersize=3.5)
            ends.append(y[-1])
        axes.set_ylim(bottom=0)
        axes.set_xlabel("training step")
        axes.set_ylabel("firing rate (% of neurons per time step)")
        axes.set_title("Firing rate of each block over training")
        axes.grid(axis="y", color=FAINT, linewidth=0.6)
        axes.set_axisbelow(True)
        whole_numbers(axes.xaxis)
        label_ends(axes, steps[-1], names, ends, colours)
    return figure
