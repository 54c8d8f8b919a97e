"""POKER-DVS: the pips of cards flipped before an event camera, 35 × 35, about 30 ms each.

Serrano-Gotarredona and Linares-Barranco, "Poker-DVS and MNIST-DVS. Their history, how they were
made, and other details", Frontiers in Neuroscience 9, 2015. Looked for under the data root:
``pokerdvs/pokerdvs.npz`` with ``{train,test}_{t_us,x,y,p,offsets,labels}`` and ``classes``: 48
recordings to train on and 20 to test.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError
from .dataset import Dataset
from .event_files import read_columns
from .events import Sensor
from .files import carve, check_split, choose, find, load_npz, resolve_root
from .placing import gather_dataset, make_grid

CLASSES = ("club", "heart", "diamond", "spade")
SPLITS = ("train", "val", "test")
SENSOR = Sensor(2, 35, 35)
NOMINAL_MS = 30
FORMS = ("pokerdvs/pokerdvs.npz", "pokerdvs.npz")


def pokerdvs(
    split: str,
    data_root: str | os.PathLike[str] | None = None,
    limit: int | None = None,
    bin_ms: int = 1,
    steps: int | None = None,
    *,
    counts: bool = False,
    variable: bool = False,
) -> Dataset:
    """POKER-DVS as spikes [T, B, 2, 35, 35], one step per ``bin_ms`` (T = 30 by default).

    ``steps`` None covers the nominal 30 ms, later events are left out; ``variable=True`` gives each
    recording its length in steps and, with ``steps`` None, makes T cover the longest.
    ``counts=True`` keeps how many events fell in a bin instead of whether one did. "test" is the
    official 20; of the official 48 to train on, a tenth of each class by a fixed seed is "val": one
    of 12, 4 in all. Raises DataError.

    >>> import os
    >>> pokerdvs("val", limit=2).sample_shape if os.environ.get("LOCALSPIKE_DATA") else (2, 35, 35)
    (2, 35, 35)
    """
    check_split("pokerdvs", split, SPLITS)
    grid = make_grid(
        "pokerdvs", SENSOR, SENSOR, bin_ms=bin_ms, steps=steps, nominal_ms=NOMINAL_MS,
        counts=counts, variable=variable,
    )  # fmt: skip
    root = resolve_root(data_root, FORMS)
    path = root / find(root, FORMS)
    _check_classes(path)
    columns, labels = read_columns(path, "test" if split == "test" else "train", SENSOR)
    chosen = choose(members(torch.from_numpy(labels), split), limit, "pokerdvs").tolist()
    return gather_dataset(
        "pokerdvs", split, columns.recordings(chosen), labels[np.array(chosen, int)].tolist(),
        CLASSES, grid, variable=variable,
    )  # fmt: skip


def members(labels: Tensor, split: str) -> Tensor:
    """Indices of a split's recordings in its part of the file, of "val" a tenth of every class.

    >>> [len(members(torch.arange(48) % 4, split)) for split in SPLITS]
    [44, 4, 48]
    """
    if split == "test":
        return torch.arange(len(labels))
    # A tenth of all 48 would be 4 of any class: one could be missing from "val".
    chosen = []
    for label in labels.unique().tolist():
        own = torch.nonzero(labels == label).flatten()
        chosen.append(own[carve(len(own), split, f"pokerdvs {label}")])
    return torch.cat(chosen).sort().values


def _check_classes(path: Path) -> None:
    named = tuple(str(name) for name in load_npz(path, ["classes"])["classes"].ravel())
    if named != CLASSES:
        raise DataError(
            f"{path}: other classes",
            got=", ".join(named) or "none",
            expected=", ".join(CLASSES),
            fix="Get the file again; it is of another data set or version",
        )
