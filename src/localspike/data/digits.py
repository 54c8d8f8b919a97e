"""N-MNIST: MNIST digits seen by a moving event camera, 2 × 34 × 34, about 300 ms each.

Orchard et al., "Converting static image datasets to spiking neuromorphic datasets using
saccades", Frontiers in Neuroscience 9, 2015. Three forms, looked for under the data root:

- ``nmnist/nmnist_1ms.npz``: 5,000 recordings to train on and 1,000 held out, in 1 ms bins
  (``dlin`` uint16 = differences of ((t · 2 + p) · 34 + y) · 34 + x, 65535 escapes to ``big``);
- ``nmnist/Train/0/*.bin`` … ``nmnist/Test/9/*.bin``: the official files of 5-byte events;
- ``nmnist/nmnist_raw_us.npz``: raw events of 200 recordings to train on and 100 of the official
  test, ``{train,test}_{t_us,x,y,p,offsets,labels}``.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch

from ..errors import DataError
from .dataset import Dataset
from .events import place_events
from .files import check_split, find, resolve_root
from .formats.nmnist import NMNIST
from .nmnist_forms import read_folder, read_npz, read_raw
from .placing import Grid, gather_dataset, make_grid

CLASSES = tuple("0123456789")
SPLITS = ("train", "val", "test")
NOMINAL_MS = 300
FORMS = ("nmnist/nmnist_1ms.npz", "nmnist_1ms.npz", "nmnist/Train", "Train")
FORM_FILES = {
    "auto": FORMS,
    "1ms": FORMS[:2],
    "official": FORMS[2:],
    "raw": ("nmnist/nmnist_raw_us.npz", "nmnist_raw_us.npz"),
}


def nmnist(
    split: str,
    data_root: str | os.PathLike[str] | None = None,
    limit: int | None = None,
    bin_ms: int = 10,
    steps: int | None = None,
    *,
    counts: bool = False,
    variable: bool = False,
    form: str = "auto",
) -> Dataset:
    """N-MNIST as spikes [T, B, 2, 34, 34], one step per ``bin_ms`` (T = 30 by default).

    ``steps`` None covers the nominal 300 ms; later events are left out. ``variable=True`` gives
    each recording its length in steps and, with ``steps`` None, makes T cover the longest.
    ``counts=True`` keeps how many events fell in a bin instead of whether one did. Splits: "train"
    (nine in ten of the training recordings), "val" (the tenth, by a fixed seed) and "test" (the
    held-out 1,000 of the 1 ms npz, which come from the official training folder too, or the
    official test recordings of the other forms). ``form`` is "1ms", "official" or "raw"; "auto"
    takes the 1 ms file or else the official folders, never the raw npz, whose recordings the 1 ms
    file has in part: never test with one what was trained with the other. Raises DataError.

    >>> import os
    >>> nmnist("val", limit=2).sample_shape if os.environ.get("LOCALSPIKE_DATA") else (2, 34, 34)
    (2, 34, 34)
    """
    check_split("nmnist", split, SPLITS)
    if form not in FORM_FILES:
        raise DataError(
            "nmnist has no such form",
            got=repr(form),
            expected=" or ".join(map(repr, FORM_FILES)),
        )
    grid = make_grid(
        "nmnist", NMNIST, NMNIST, bin_ms=bin_ms, steps=steps, nominal_ms=NOMINAL_MS,
        counts=counts, variable=variable,
    )  # fmt: skip
    wanted = FORM_FILES[form]
    root = resolve_root(data_root, wanted)
    path = root / find(root, wanted)
    if path.name == "nmnist_1ms.npz":
        return _from_1ms(path, split, limit, grid, variable)
    read = read_raw if path.suffix == ".npz" else read_folder
    recordings, labels = read(path, split, limit)
    return gather_dataset("nmnist", split, recordings, labels, CLASSES, grid, variable=variable)


def _from_1ms(path: Path, split: str, limit: int | None, grid: Grid, variable: bool) -> Dataset:
    columns = read_npz(path, split, limit, grid.counts)
    step = columns.time // grid.step_us
    duration = step[columns.offsets[1:] - 1] + 1
    steps = int(duration.max()) if grid.steps is None else grid.steps
    inputs = place_events(
        step, columns.cell, columns.offsets, steps=steps, cells=grid.cells,
        sample_shape=(2, 34, 34), counts=grid.counts, weight=columns.weight,
    )  # fmt: skip
    lengths = torch.from_numpy(duration).clamp(max=steps) if variable else None
    return Dataset("nmnist", split, inputs, torch.from_numpy(columns.labels), CLASSES, lengths)
