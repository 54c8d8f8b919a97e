"""Confusion matrix: what was shown against what was answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .style import INK, canvas

ANNOTATED = 20


def confusion_figure(counts: NDArray[Any], classes: Sequence[str], title: str) -> Any:
    """Counts [C, C] (row = true, column = predicted), coloured by share of the row.

    >>> confusion_figure(np.eye(2, dtype=int), ("no", "yes"), "test").axes[0].get_xlabel()
    'predicted class'
    """
    share = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = 2.6 + 0.34 * len(classes)
    with canvas(side + 0.9, side) as figure:
        axes = figure.subplots()
        image = axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
        ticks = range(len(classes))
        axes.set_xticks(ticks, classes, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(ticks, classes)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
        axes.set_title(title)
        if len(classes) <= ANNOTATED:
            _annotate(axes, counts, share)
        bar = figure.colorbar(image, ax=axes, shrink=0.8, label="share of the true class (%)")
        bar.outline.set_visible(False)
    return figure


def _annotate(axes: Any, counts: NDArray[Any], share: NDArray[Any]) -> None:
    for row, column in np.argwhere(counts > 0):
        colour = "white" if share[row, column] > 55 else INK
        axes.text(
            column, row, int(counts[row, column]), ha="center", va="center", color=colour, size=7
        )
