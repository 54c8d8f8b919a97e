"""Learning curves: loss and accuracy of training and validation by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .style import BLUE, FAINT, ORANGE, canvas, whole_numbers


def learning_curves(epochs: Sequence[Mapping[str, Any]], title: str = "") -> Any:
    """Two panels over epochs; each line of ``epochs`` has epoch, loss, accuracy, val_loss, ….

    >>> line = {"epoch": 1, "loss": 2.0, "accuracy": 0.2, "val_loss": 1.9, "val_accuracy": 0.3}
    >>> len(learning_curves([line]).axes)
    2
    """
    x = [line["epoch"] for line in epochs]
    with canvas(7.2, 3.0) as figure:
        left, right = figure.subplots(1, 2)
        _panel(left, x, epochs, "loss", "loss (nats per sample, all steps)", 1.0)
        _panel(right, x, epochs, "accuracy", "accuracy (%)", 100.0)
        final = epochs[-1]["val_accuracy"]
        right.set_title(f"final validation accuracy {100 * final:.1f} %", weight="normal")
        left.set_title(title or "Learning curves")
        left.legend(loc="upper right")
    return figure


def _panel(
    axes: Any,
    x: Sequence[int],
    epochs: Sequence[Mapping[str, Any]],
    key: str,
    label: str,
    scale: float,
) -> None:
    marker = "o" if len(x) < 15 else None
    for name, prefix, colour in (("training", "", BLUE), ("validation", "val_", ORANGE)):
        y = [scale * line[prefix + key] for line in epochs]
        axes.plot(x, y, color=colour, label=name, marker=marker, markersize=3.5)
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    whole_numbers(axes.xaxis)
