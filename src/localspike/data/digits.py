"""N-MNIST: MNIST digits seen by a moving event camera, 2 × 34 × 34, about 300 ms each.

Orchard et al., "Converting static image datasets to spiking neuromorphic datasets using
saccades", Frontiers in Neuroscience 9, 2015. Two forms, looked for under the data root:

- ``nmnist/nmnist_1ms.npz``: 5,000 recordings to train on and 1,000 held out, in 1 ms bins
  (``dlin`` uint16 = differences of ((t · 2 + p) · 34 + y) · 34 + x, 65535 escapes to ``big``);
- ``nmnist/Train/0/*.bin`` … ``nmnist/Test/9/*.bin``: the official files of 5-byte events.
"""

from __future__ import annotations

import os

import torch

from .dataset import Dataset
from .events import place_events
from .files import check_split, check_steps, find, resolve_root
from .nmnist_forms import SENSOR, read_folder, read_npz

CLASSES = tuple("0123456789")
SPLITS = ("train", "val", "test")
NOMINAL_MS = 300
FORMS = ("nmnist/nmnist_1ms.npz", "nmnist_1ms.npz", "nmnist/Train", "Train")


def nmnist(
    split: str,
    data_root: str | os.PathLike[str] | None = None,
    limit: int | None = None,
    bin_ms: int = 10,
    steps: int | None = None,
    *,
    counts: bool = False,
    variable: bool = False,
) -> Dataset:
    """N-MNIST as spikes [T, B, 2, 34, 34], one step per ``bin_ms`` (T = 30 by default).

    ``steps`` None covers the nominal 300 ms; later events are left out. ``variable=True`` gives
    each recording its length in steps and, with ``steps`` None, makes T cover the longest.
    ``counts=True`` keeps how many events fell in a bin instead of whether one did. Splits: "train"
    (nine in ten of the training recordings), "val" (the tenth, by a fixed seed) and "test" (the
    held-out 1,000 of the npz, which come from the official training folder too, or the official
    test folder where the official files are used).
    Raises DataError.

    >>> import os
    >>> nmnist("val", limit=2).sample_shape if os.environ.get("LOCALSPIKE_DATA") else (2, 34, 34)
    (2, 34, 34)
    """
    check_split("nmnist", split, SPLITS)
    check_steps("nmnist bin_ms", bin_ms, maximum=1000)
    root = resolve_root(data_root, FORMS)
    form = find(root, FORMS)
    read = read_npz if form.endswith(".npz") else read_folder
    columns = read(root / form, split, limit, counts)
    step = columns.time // (1000 * bin_ms)
    duration = step[columns.offsets[1:] - 1] + 1
    if steps is None:
        steps = int(duration.max()) if variable else -(-NOMINAL_MS // bin_ms)
    check_steps("nmnist", steps)
    inputs = place_events(
        step, columns.cell, columns.offsets, steps=steps, cells=SENSOR.cells,
        sample_shape=(2, 34, 34), counts=counts, weight=columns.weight,
    )  # fmt: skip
    lengths = torch.from_numpy(duration).clamp(max=steps) if variable else None
    return Dataset("nmnist", split, inputs, torch.from_numpy(columns.labels), CLASSES, lengths)
