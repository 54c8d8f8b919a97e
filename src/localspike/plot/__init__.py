"""Figures of a run, drawn from plain numbers; needs the ``plot`` extra."""

from __future__ import annotations

from .comparison import comparison_figure
from .confusion import confusion_figure
from .curves import learning_curves
from .raster import raster_figure
from .rates import rates_figure
from .samples import frames_figure, image_figure, raster_of, spectrogram_figure
from .style import save
from .tradeoff import Point, tradeoff_figure

__all__ = [
    "Point",
    "comparison_figure",
    "confusion_figure",
    "frames_figure",
    "image_figure",
    "learning_curves",
    "raster_figure",
    "raster_of",
    "rates_figure",
    "save",
    "spectrogram_figure",
    "tradeoff_figure",
]
