"""One sample of a data set as a picture: an image, event frames, a raster, a spectrogram."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..optional import require
from .style import BLUE, FAINT, INK, RED, canvas, whole_numbers

PANELS, COLUMNS = 20, 5
SHOWN = 2_000
"""Events of a raster above which its marks shrink."""


def image_figure(image: NDArray[Any], title: str) -> Any:
    """A still image [C, H, W] of bytes or of shares 0 … 1; C is 1 (grey) or 3 (red, green, blue).

    >>> image_figure(np.zeros((3, 8, 9), np.uint8), "nothing").axes[0].get_xlabel()
    '9 x 8 pixels'
    """
    picture = image.transpose(1, 2, 0)
    with canvas(3.4, 3.7) as figure:
        axes = figure.subplots()
        grey = {"cmap": "gray", "vmin": 0, "vmax": 255 if image.dtype == np.uint8 else 1}
        figure.get_layout_engine().set(h_pad=0.1)
        axes.imshow(picture.squeeze(2) if len(image) == 1 else picture, **grey)
        axes.set_title(title)
        axes.set_xlabel(f"{image.shape[2]} x {image.shape[1]} pixels")
        _bare(axes)
    return figure


def frames_figure(frames: NDArray[Any], title: str, step_ms: float) -> Any:
    """Event frames [T, 2, H, W] as a grid of panels, OFF blue, ON red, both dark.

    More than 20 steps are added up in neighbouring groups, so that every event is shown; empty
    steps at the end are left out.

    >>> len(frames_figure(np.ones((30, 2, 4, 4)), "a sample", 10.0).axes)
    15
    """
    frames = frames[: _last(frames)]
    groups = np.array_split(np.arange(len(frames)), _panels(len(frames)))
    summed = [frames[group].sum(axis=0) for group in groups]
    rows = -(-len(groups) // COLUMNS)
    high = frames.shape[2] / frames.shape[3]
    with canvas(7.2, 0.5 + rows * (1.37 * high + 0.22)) as figure:
        panels = figure.subplots(rows, COLUMNS).ravel()
        most = _bright(np.stack(summed))
        for axes, group, frame in zip(panels, groups, summed, strict=False):
            axes.imshow(two_colours(frame, most), interpolation="nearest")
            first, end = group[0] * step_ms, (group[-1] + 1) * step_ms
            axes.set_title(f"{first:g}-{end:g} ms", fontsize=7, fontweight="normal", pad=2)
            _bare(axes)
        for axes in panels[len(groups) :]:
            axes.remove()
        figure.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
        _legend(figure)
    return figure


def _last(frames: NDArray[Any]) -> int:
    """Steps up to the last one with an event, at least one."""
    busy = np.flatnonzero(frames.reshape(len(frames), -1).any(axis=1))
    return int(busy[-1]) + 1 if busy.size else 1


def _panels(steps: int) -> int:
    """As few groups of equal length as give no more than ``PANELS``."""
    together = -(-steps // PANELS)
    return -(-steps // together)


def _bright(frames: NDArray[Any]) -> float:
    """The count that is drawn in full colour: nearly the highest, so that one hot pixel is not."""
    counts = frames[frames > 0]
    return max(1.0, float(np.quantile(counts, 0.98))) if counts.size else 1.0


def two_colours(frame: NDArray[Any], most: float = 1.0) -> NDArray[np.float64]:
    """OFF and ON counts [2, H, W] as colours [H, W, 3] on white, full at ``most`` events.

    >>> two_colours(np.zeros((2, 1, 1))).tolist()
    [[[1.0, 1.0, 1.0]]]
    """
    to_rgb = require("matplotlib.colors", "drawing figures").to_rgb
    colour = np.ones((*frame.shape[1:], 3))
    for counts, name in zip(frame, (BLUE, RED), strict=True):
        # From a third up, so that a single event is seen.
        strength = np.where(counts > 0, 0.35 + 0.65 * np.minimum(counts / most, 1.0), 0.0)
        colour *= 1 - strength[..., None] * (1 - np.array(to_rgb(name)))
    return colour


def raster_of(frames: NDArray[Any], title: str, step_ms: float, *, halves: bool) -> Any:
    """Channels over time [T, n], a mark per bin with events; ``halves``: OFF first, then ON.

    OFF and ON of a channel stand close together, in two colours.

    >>> raster_of(np.eye(4), "a sample", 10.0, halves=True).axes[0].get_ylabel()
    'channel (of 2)'
    """
    parts = np.split(frames, 2, axis=1) if halves else [frames]
    channels = parts[0].shape[1]
    with canvas(7.2, 1.3 + min(3.6, 0.11 * channels + 0.8)) as figure:
        axes = figure.subplots()
        events = max(1, int(np.count_nonzero(frames)))
        size = float(np.clip(60_000 / max(channels, 60) ** 1.5 / max(1.0, events / SHOWN), 1.0, 60))
        looks = ((BLUE, -0.16), (RED, 0.16)) if halves else ((INK, 0.0),)
        for part, (colour, up) in zip(parts, looks, strict=True):
            step, channel = np.nonzero(part)
            axes.scatter((step + 0.5) * step_ms, channel + up, s=size, marker="|", color=colour)
        _time_axes(axes, len(frames) * step_ms, title)
        axes.set_ylim(-0.7, channels - 0.3)
        axes.set_ylabel(f"channel (of {channels})")
        whole_numbers(axes.yaxis)
        if halves:
            _legend(figure)
    return figure


def spectrogram_figure(frames: NDArray[Any], title: str, step_ms: float, *, halves: bool) -> Any:
    """How many events each band has over time [T, n], low bands below; ``halves``: OFF, then ON.

    >>> len(spectrogram_figure(np.eye(4), "a word", 20.0, halves=True).axes)
    3
    """
    parts = np.split(frames, 2, axis=1) if halves else [frames]
    with canvas(7.2, 1.0 + 1.75 * len(parts)) as figure:
        panels = np.atleast_1d(figure.subplots(len(parts), 1, sharex=True))
        most = max(1.0, float(frames.max()))
        names = ("ON (louder)", "OFF (softer)") if halves else ("",)
        for axes, part, name in zip(panels, parts[::-1], names, strict=True):
            drawn = axes.imshow(
                part.T, origin="lower", aspect="auto", cmap="magma", vmin=0, vmax=most,
                extent=(0, len(frames) * step_ms, 0, part.shape[1]), interpolation="nearest",
            )  # fmt: skip
            axes.set_ylabel(f"band\n{name}".strip())
        _time_axes(panels[-1], len(frames) * step_ms, "")
        panels[0].set_title(title)
        bar = figure.colorbar(drawn, ax=list(panels), label="events in a step", pad=0.01)
        bar.outline.set_visible(False)
        whole_numbers(bar.ax.yaxis)
    return figure


def _time_axes(axes: Any, duration: float, title: str) -> None:
    axes.set_xlim(0, duration)
    axes.set_xlabel("time (ms)")
    axes.set_title(title)


def _bare(axes: Any) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(FAINT)


def _legend(figure: Any) -> None:
    patch = require("matplotlib.patches", "drawing figures").Patch
    handles = [patch(color=BLUE, label="OFF"), patch(color=RED, label="ON")]
    figure.legend(handles=handles, loc="upper right", ncols=2, fontsize=8, borderaxespad=0.3)
