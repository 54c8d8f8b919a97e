"""Spike raster of one sample: input, then every block, over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .style import BLUE, INK, canvas, shades, whole_numbers

SHOWN = 120


def raster_figure(spikes: Mapping[str, NDArray[Any]], title: str) -> Any:
    """One panel per entry of ``spikes``, each [T, n] with non-zero = spike.

    Of a large block, evenly spaced neurons are shown, and the label says how many of how many.

    >>> figure = raster_figure({"input": np.eye(4), "hidden1": np.eye(4)}, "a sample")
    >>> len(figure.axes)
    2
    """
    colours = [INK, *shades(len(spikes) - 1)] if len(spikes) > 1 else [BLUE]
    with canvas(6.8, 1.0 + 1.15 * len(spikes)) as figure:
        panels = np.atleast_1d(figure.subplots(len(spikes), 1, sharex=True))
        for axes, (name, values), colour in zip(panels, spikes.items(), colours, strict=True):
            _panel(axes, name, values, colour)
        panels[0].set_title(title)
        panels[-1].set_xlabel("time step")
        whole_numbers(panels[-1].xaxis)
    return figure


def _panel(axes: Any, name: str, values: NDArray[Any], colour: Any) -> None:
    steps, n = values.shape
    chosen = np.unique(np.linspace(0, n - 1, min(n, SHOWN)).round().astype(int))
    when, which = np.nonzero(values[:, chosen])
    size = 200.0 / max(steps, len(chosen))
    axes.scatter(when, which, s=max(size, 1.2), marker="|" if steps > 8 else "s", color=colour)
    axes.set_xlim(-0.5, steps - 0.5)
    axes.set_ylim(-1, len(chosen))
    axes.set_yticks([])
    rate = 100 * np.count_nonzero(values) / values.size
    of = f"{len(chosen)} of {n}" if len(chosen) < n else f"{n}"
    axes.set_ylabel(f"{name}\n{of}\n{rate:.1f} %", rotation=0, ha="right", va="center", fontsize=8)
    axes.spines["left"].set_visible(False)
