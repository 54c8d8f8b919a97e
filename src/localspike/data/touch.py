"""Braille letters read by an event-coded fingertip: 12 taxels × ON/OFF, up to 1.3 s.

Müller-Cleve et al., "Braille letter reading: a benchmark for spatio-temporal pattern recognition on
neuromorphic hardware", Frontiers in Neuroscience 16, 2022: 26 letters and the space, 200 recordings
each. Looked for under the data root: ``braille/braille_th10.npz``, the sparsest of the published
encodings (threshold 10, a median of 39 events), so not comparable with results at the others.
Arrays: ``t_s`` float (s), ``taxel``, ``pol`` (1 = ON), ``offsets``, ``labels``, ``letters``.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import DataError
from .dataset import Dataset, check_labels
from .events import Sensor, check_events, make_events, place_by_time
from .files import check_split, check_steps, choose, find, fixed_permutation, load_npz, resolve_root

CLASSES = ("Space", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
SPLITS = ("train", "val", "test")
SENSOR = Sensor(2, 1, 12)
NOMINAL_MS = 1300
FORMS = ("braille/braille_th10.npz", "braille_th10.npz")
TENTHS = {"train": (0, 7), "val": (7, 8), "test": (8, 10)}


def braille(
    split: str,
    data_root: str | os.PathLike[str] | None = None,
    limit: int | None = None,
    bin_ms: int = 20,
    steps: int | None = None,
    *,
    counts: bool = False,
    variable: bool = True,
) -> Dataset:
    """Braille letters as spikes [T, B, 24], one step per ``bin_ms`` (T = 65 by default).

    Channel = polarity · 12 + taxel (OFF, then ON). ``steps`` None covers the nominal 1.3 s; later
    events are left out. Each recording has its own length, the step of its last event plus one;
    ``variable=False`` takes all T steps of all. ``counts=True`` keeps how many events fell in a bin
    instead of whether one did. The source has no official split: here each class's recordings are
    put in an order fixed for ever, and 7 tenths are "train", 1 "val" and 2 "test". Raises
    DataError.

    >>> import os
    >>> braille("val", limit=2).sample_shape if os.environ.get("LOCALSPIKE_DATA") else (24,)
    (24,)
    """
    check_split("braille", split, SPLITS)
    bin_ms = check_steps("braille", bin_ms, maximum=NOMINAL_MS, what="bin_ms")
    root = resolve_root(data_root, FORMS)
    events, offsets, labels = read_braille(root / find(root, FORMS))
    steps = -(-NOMINAL_MS // bin_ms) if steps is None else steps
    steps = check_steps("braille", steps)
    frames = place_by_time(
        events, offsets, SENSOR, step_us=1000 * bin_ms, steps=steps,
        sample_shape=(SENSOR.cells,), counts=counts,
    )  # fmt: skip
    last = torch.from_numpy(events["t"][offsets[1:] - 1] // (1000 * bin_ms))
    lengths = (last + 1).clamp(max=steps) if variable else None
    everything = Dataset("braille", split, frames, labels, CLASSES, lengths)
    return everything.subset(choose(members(labels, split), limit, "braille"))


def members(labels: Tensor, split: str) -> Tensor:
    """Indices of a split's recordings, the same share of every class.

    >>> toy = torch.arange(20) % 2
    >>> [members(toy, split).tolist() for split in ("val", "test")]
    [[5, 6], [9, 10, 11, 16]]
    """
    first, end = TENTHS[split]
    chosen = []
    for label, letter in enumerate(CLASSES):
        own = torch.nonzero(labels == label).flatten()
        shuffled = own[fixed_permutation(len(own), f"split braille {letter}")]
        chosen.append(shuffled[first * len(own) // 10 : end * len(own) // 10])
    return torch.cat(chosen).sort().values


def read_braille(path: Path) -> tuple[NDArray[np.void], NDArray[np.int64], Tensor]:
    """Events, offsets and labels of the file, checked.

    Raises DataError for a missing, foreign or damaged file.
    """
    arrays = load_npz(path, ("t_s", "taxel", "pol", "offsets", "labels"))
    seconds, taxel, polarity, offsets, label = arrays.values()
    offsets = offsets.astype(np.int64)
    if not len(seconds) == len(taxel) == len(polarity) or len(label) != len(offsets) - 1:
        raise DataError(
            f"{path}: arrays of different lengths",
            got=f"{len(seconds)} times, {len(taxel)} taxels, {len(polarity)} polarities, "
            f"{len(offsets)} offsets, {len(label)} labels",
            expected="one taxel and polarity per time, one label per recording",
            fix="Get the file again; it is damaged",
        )
    if not np.isfinite(seconds).all():
        raise DataError(
            f"{path}: event time is not a number",
            got=f"{seconds[~np.isfinite(seconds)][0]} at event {np.isfinite(seconds).argmin()}",
            fix="Get the file again; it is damaged",
        )
    # A float32 of seconds lies up to 0.06 µs beside the whole µs it stands for.
    times = np.rint(seconds.astype(np.float64) * 1e6).astype(np.int64)
    times[times == 1000 * NOMINAL_MS] -= 1  # the nominal end belongs to the last bin
    events = make_events(times, taxel, polarity)
    check_events(events, offsets, SENSOR, str(path))
    labels = torch.from_numpy(label.astype(np.int64))
    check_labels(labels, len(CLASSES), str(path))
    return events, offsets, labels
