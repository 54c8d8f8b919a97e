"""One sample of a data set, drawn as its kind asks for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import data, plot
from ..data import Dataset, StaticImages
from ..data.registry import Info
from ..errors import ConfigError, DataError
from ..learn.atomic import writing


@dataclass(frozen=True)
class Drawn:
    """A picture that was written, and of what."""

    name: str
    split: str
    index: int
    label: str
    steps: int
    events: int | None
    file: str


def draw_sample(
    name: str,
    split: str,
    index: int,
    out: Path,
    data_root: str | os.PathLike[str] | None = None,
) -> Drawn:
    """Write sample ``index`` of a split as PNG: image, event frames, raster or spectrogram.

    Raises
    ------
    LocalspikeError
        If there is no such sample, its files cannot be read, matplotlib is not installed, or the
        picture cannot be written; ConfigError if ``out`` is a folder or does not end in .png.

    >>> import tempfile
    >>> out = Path(tempfile.mkdtemp()) / "word.png"
    >>> draw_sample("keywords", "val", 0, out).label
    'down'
    """
    entry = data.info(name)
    _check_picture(out)
    options = {"counts": True} if "counts" in entry.options else {}
    loaded = data.load(name, split, data_root=data_root, **options)
    if not 0 <= index < len(loaded):
        raise DataError(
            f"{name} {split} has no sample {index}",
            got=index,
            expected=f"0 … {len(loaded) - 1}",
        )
    label = loaded.classes[int(loaded.labels[index])]
    frames = loaded.batch([index]).frames[:, 0].numpy()
    figure = _figure(entry, loaded, index, frames, f"{name}, {split} {index}: “{label}”")
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        plot.save(figure, out)
    events = None if loaded.inputs.static else int(frames.sum())
    return Drawn(name, split, index, label, len(frames), events, str(out))


def _check_picture(out: Path) -> None:
    if out.is_dir() or out.suffix.lower() != ".png":
        raise ConfigError(
            "cannot draw there",
            got=f"{out}, a folder" if out.is_dir() else out,
            expected="a file that ends in .png",
            fix="Name one with --out",
        )


def _figure(entry: Info, loaded: Dataset, index: int, frames: Any, title: str) -> Any:
    card, inputs = entry.card, loaded.inputs
    if isinstance(inputs, StaticImages):
        at = index if loaded.index is None else int(loaded.index[index])
        return plot.image_figure(inputs.pixels[at].numpy(), title)
    if frames.ndim == 4:
        return plot.frames_figure(frames, f"{title}, {int(frames.sum()):,} events", card.step_ms)
    title = f"{title}, {int(frames.sum()):,} events"
    if card.kind == "sound" and card.halves:
        return plot.spectrogram_figure(frames, title, card.step_ms, halves=True)
    return plot.raster_of(frames, title, card.step_ms, halves=card.halves)
