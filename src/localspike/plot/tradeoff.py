"""Accuracy against peak memory, one panel per net, every rule by name."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from .style import BLUE, FAINT, GREEN, INK, ORANGE, canvas

GROUPS = {
    "time and space": ("local in time and space", GREEN, "o"),
    "time": ("local in time", BLUE, "s"),
    "neither": ("through time", ORANGE, "D"),
}
SIZE = 7.5
TITLE_WIDTH = 60
LETTER, LINE = 0.56 * SIZE, 1.25 * SIZE
RINGS = (7.0, 13.0, 20.0, 28.0, 38.0, 50.0, 64.0, 80.0, 100.0)
ANGLES = (0, 180, 30, 330, 150, 210, 60, 300, 120, 240, 90, 270)
CLOSE = 8.0
WIDE = 4.0
"""From this ratio of memories on the axis is logarithmic."""

Box = tuple[float, float, float, float]


class Point(NamedTuple):
    """A rule on one net: peak memory in MiB, mean and sd of accuracy as shares, what it is local
    in (a key of ``GROUPS``)."""

    name: str
    memory: float
    accuracy: float
    sd: float | None
    local: str


def tradeoff_figure(panels: Mapping[str, Sequence[Point]], titles: Mapping[str, str]) -> Any:
    """Test accuracy (mean ± sd) over peak memory; a thin line leads from a far label to its point.

    >>> points = [Point("tess", 10.0, 0.9, 0.01, "time and space")]
    >>> figure = tradeoff_figure({"fc": points}, {"fc": "a net"})
    >>> [label.get_text() for label in figure.axes[0].texts]
    ['tess']
    """
    panels = {net: [_drawable(point) for point in points] for net, points in panels.items()}
    with canvas(6.9 * max(len(panels), 1), 5.6) as figure:
        drawn = figure.subplots(1, max(len(panels), 1), squeeze=False)[0]
        for axes, (net, points) in zip(drawn, panels.items(), strict=False):
            _panel(axes, points, titles[net])
        _legend(figure, panels)
        # The layout is settled before labels are placed in it, and labels do not move it.
        figure.draw_without_rendering()
        for axes, points in zip(drawn, panels.values(), strict=False):
            _label(axes, points, 72.0 / figure.dpi)
        figure.set_layout_engine("none")
    return figure


def _drawable(point: Point) -> Point:
    """On a log scale no rise at all is drawn as a tenth of a MiB."""
    return point._replace(memory=max(point.memory, 0.1))


def _panel(axes: Any, points: Sequence[Point], title: str) -> None:
    for point in points:
        _, colour, marker = GROUPS[point.local]
        axes.errorbar(
            point.memory, 100 * point.accuracy,
            yerr=None if point.sd is None else 100 * point.sd,
            color=colour, marker=marker, markersize=5, linewidth=1.1, capsize=2.5,
        )  # fmt: skip
    what, _, measured = title.partition(": ")
    axes.set(xlabel="peak memory while training (MiB)", ylabel="test accuracy (%)")
    # Wrapped, or the titles of two panels run into each other.
    axes.set_title("\n".join([what, *textwrap.wrap(measured, TITLE_WIDTH)]))
    axes.title.set_fontsize(9)
    axes.margins(x=0.16, y=0.08)
    memory = [point.memory for point in points]
    if memory and max(memory) > WIDE * min(memory):
        axes.set(xscale="log", xlabel="peak memory while training (MiB, log scale)")
        axes.xaxis.set_major_formatter(_plain)
        axes.xaxis.set_minor_formatter(_plain_minor)
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)


def _plain(value: float, position: int | None = None) -> str:
    return f"{value:g}"


def _plain_minor(value: float, position: int | None = None) -> str:
    """Of the ticks between powers of ten, only 2 and 5 have their number written."""
    lead = round(value / 10 ** math.floor(math.log10(value)))
    return f"{value:g}" if lead in (2, 5) else ""


def _legend(figure: Any, panels: Mapping[str, Sequence[Point]]) -> None:
    there = {point.local for points in panels.values() for point in points}
    axes = figure.axes[0]
    for key, (label, colour, marker) in GROUPS.items():
        if key in there:
            axes.plot([], [], color=colour, marker=marker, linestyle="none", label=label)
    if there:
        figure.legend(loc="outside lower center", ncols=len(there))


def _label(axes: Any, points: Sequence[Point], scale: float) -> None:
    """Write every name where it covers nothing; ``scale`` turns pixels into points."""
    left, bottom, right, top = (scale * edge for edge in axes.bbox.extents)
    frame = (left, bottom, right, top)
    spots = [_spot(axes, point, scale) for point in points]
    taken = [bar for _, bar in spots]
    for point, ((x, y), _) in sorted(zip(points, spots, strict=True), key=lambda p: p[1][0]):
        dx, dy, box = _free(x, y, LETTER * len(point.name), frame, taken)
        taken.append(box)
        far = math.hypot(dx, dy) > CLOSE
        axes.annotate(
            point.name, (point.memory, 100 * point.accuracy), (dx, dy),
            textcoords="offset points", ha=_side(dx), va="center", fontsize=SIZE, color=INK,
            arrowprops={"arrowstyle": "-", "color": "#999999", "lw": 0.5, "shrinkA": 0,
                        "shrinkB": 3} if far else None,
        ).set_in_layout(False)  # fmt: skip


def _spot(axes: Any, point: Point, scale: float) -> tuple[tuple[float, float], Box]:
    """Where a point lies, and the box of its marker and error bar, in points."""
    x, y = (scale * v for v in axes.transData.transform((point.memory, 100 * point.accuracy)))
    sd = point.sd or 0.0
    above = scale * axes.transData.transform((point.memory, 100 * (point.accuracy + sd)))[1]
    reach = max(above - y, 0.0) + 3.5
    return (x, y), (x - 3.5, y - reach, x + 3.5, y + reach)


def _side(dx: float) -> str:
    return "center" if abs(dx) < 1 else "left" if dx > 0 else "right"


def _free(
    x: float, y: float, width: float, frame: Box, taken: Sequence[Box]
) -> tuple[float, float, Box]:
    """The nearest offset at which a label lies within the frame and on nothing else."""
    for dx, dy in _offsets():
        shift = {"center": -width / 2, "left": 0.0, "right": -width}[_side(dx)]
        corner = (x + dx + shift, y + dy - LINE / 2)
        box = (*corner, corner[0] + width, corner[1] + LINE)
        if _within(box, frame) and not any(_overlap(box, other) for other in taken):
            return dx, dy, box
    # No room is left anywhere near: then on top of something is better than not at all.
    return dx, dy, box


def _offsets() -> Iterator[tuple[float, float]]:
    for radius in RINGS:
        for angle in ANGLES:
            turn = math.radians(angle)
            yield radius * math.cos(turn), radius * math.sin(turn)


def _within(box: Box, frame: Box) -> bool:
    inside = box[0] >= frame[0] and box[1] >= frame[1]
    return inside and box[2] <= frame[2] and box[3] <= frame[3]


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
