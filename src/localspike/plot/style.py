"""The look all figures share: a colour-blind-safe palette, thin axes, no boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..optional import require

# Okabe and Ito's palette, told apart with every common kind of colour vision.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
)
INK, FAINT = "#222222", "#D9D9D9"
SETTINGS = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "savefig.dpi": 160,
}


@contextmanager
def canvas(width: float, height: float) -> Iterator[Any]:
    """A figure of the shared look, ``width`` × ``height`` inches, laid out when the block ends.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed; the message names the extra.
    """
    matplotlib = require("matplotlib", "drawing figures")
    figure = require("matplotlib.figure", "drawing figures").Figure
    with matplotlib.rc_context(SETTINGS):
        yield figure(figsize=(width, height), layout="constrained")


def shades(n: int) -> list[Any]:
    """``n`` colours from dark to light for things that have an order, such as blocks by depth."""
    colours = require("matplotlib", "drawing figures").colormaps["viridis"]
    return [colours(0.72 * i / max(n - 1, 1)) for i in range(n)]


def whole_numbers(axis: Any) -> None:
    """Ticks at whole numbers only: there is no half epoch or half step."""
    ticker = require("matplotlib.ticker", "drawing figures")
    axis.set_major_locator(ticker.MaxNLocator(integer=True))


def label_ends(
    axes: Any, x: float, names: Sequence[str], ys: Sequence[float], colours: Any
) -> None:
    """Write each line's name at its end, moved apart where they would overlap."""
    low, high = axes.get_ylim()
    apart = 0.055 * (high - low)
    placed: list[float] = []
    for index in sorted(range(len(names)), key=lambda i: ys[i]):
        y = max(ys[index], placed[-1] + apart) if placed else ys[index]
        placed.append(y)
        axes.annotate(
            names[index],
            (x, ys[index]),
            xytext=(1.02, y),
            textcoords=axes.get_yaxis_transform(),
            color=colours[index],
            va="center",
            annotation_clip=False,
        )


def save(figure: Any, path: Path) -> None:
    """Write a figure as PNG, whatever the file's name ends in."""
    figure.savefig(path, format="png")
