"""The clips of Speech Commands: where each one is, and its samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .formats.clip import Clip
from .formats.flac import read_flac
from .formats.wave import read_wave

RATE = CLIP = 16_000


class Place(NamedTuple):
    """Where one clip is: a file, its first sample there, and the samples the file should have."""

    path: Path
    start: int = 0
    length: int | None = None


def sounds(places: Sequence[Place]) -> Iterator[NDArray[np.float64]]:
    """Samples [16000] of each clip in −1 … 1, shorter ones filled with zeros at their end.

    A file that several clips in a row are in is read once. Raises DataError, naming the file.
    """
    path, samples = None, np.zeros(0)
    for place in places:
        if place.path != path:
            path, samples = place.path, read_sound(place.path)
            _check_length(place, len(samples))
        clip = samples[place.start : place.start + CLIP]
        yield np.pad(clip, (0, CLIP - len(clip)))


def read_sound(path: Path) -> NDArray[np.float64]:
    """Samples of a WAVE or FLAC file of one channel at 16 kHz; DataError for anything else."""
    clip = read_flac(path) if path.suffix == ".flac" else read_wave(path)
    _check_kind(clip, path)
    return clip.unit()


def _check_kind(clip: Clip, path: Path) -> None:
    if clip.channels != 1 or clip.rate != RATE or not len(clip.samples):
        raise DataError(
            f"{path}: not a clip of this data set",
            got=f"{len(clip.samples)} samples of {clip.channels} channels at {clip.rate} Hz",
            expected=f"some samples of one channel at {RATE} Hz",
            fix="Get the file again",
        )


def _check_length(place: Place, length: int) -> None:
    if place.length not in (None, length):
        raise DataError(
            f"{place.path}: does not match index.json",
            got=f"{length} samples",
            expected=f"{place.length}, clips of {CLIP}",
            fix="Get the folder again; it is incomplete",
        )
