"""CIFAR10-DVS: 10,000 images of CIFAR-10 moved before an event camera, 128 × 128, about 1.3 s each.

Li et al., "CIFAR10-DVS: an event-stream dataset for object classification", Frontiers in
Neuroscience 11, 2017. Looked for under the data root, as the ten official archives unpack:
``cifar10dvs/airplane/cifar10_airplane_0.aedat`` … ``cifar10dvs/truck/cifar10_truck_999.aedat``
(AEDAT 2.0).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import DataError
from .dataset import Dataset
from .event_files import class_folders
from .events import Sensor
from .files import check_split, choose, find, fixed_permutation, resolve_root
from .formats.aedat2 import read_aedat2
from .placing import gather_dataset, make_grid, shrunk

CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
SPLITS = ("train", "val", "test")
SENSOR = Sensor(2, 128, 128)
NOMINAL_MS = 1300
FORMS = ("cifar10dvs", "CIFAR10DVS")
PER_CLASS, TEST, VAL = 1000, 100, 90


def cifar10dvs(
    split: str,
    data_root: str | os.PathLike[str] | None = None,
    limit: int | None = None,
    bin_ms: int = 130,
    steps: int | None = None,
    *,
    counts: bool = False,
    variable: bool = False,
    size: int | None = 48,
) -> Dataset:
    """CIFAR10-DVS as spikes [T, B, 2, size, size], one step per ``bin_ms`` (T = 10 by default).

    Time begins at a recording's first event. ``steps`` None covers the nominal 1.3 s, later events
    are left out; ``variable=True`` gives each recording its length in steps and, with ``steps``
    None, makes T cover the longest. ``size`` shrinks the 128 × 128 pixels by blocks, None keeps
    them. ``counts=True`` keeps how many events fell in a bin instead of whether one did.

    There is no official split. "test" is numbers 0 … 99 of each class, as in Duan et al.,
    "Temporal effective batch normalization in spiking neural networks", NeurIPS 2022, and many
    papers since (a random tenth is the other custom, and gives other results); of the other 900 of
    each class, 90 by a fixed seed are "val" and the rest is "train". Raises DataError.

    >>> try:
    ...     cifar10dvs("dev")
    ... except DataError as error:
    ...     print(error)
    cifar10dvs has no such split: got 'dev'; expected 'train' or 'val' or 'test'.
    """
    check_split("cifar10dvs", split, SPLITS)
    grid = make_grid(
        "cifar10dvs", SENSOR, shrunk(SENSOR, size, "cifar10dvs"), bin_ms=bin_ms, steps=steps,
        nominal_ms=NOMINAL_MS, counts=counts, variable=variable,
    )  # fmt: skip
    root = resolve_root(data_root, FORMS)
    found = members(root / find(root, FORMS), split)
    chosen = choose(torch.arange(len(found)), limit, "cifar10dvs").tolist()
    picked = [found[number] for number in chosen]
    return gather_dataset(
        "cifar10dvs", split, _recordings([path for path, _ in picked]),
        [label for _, label in picked], CLASSES, grid, variable=variable,
    )  # fmt: skip


def _recordings(paths: list[Path]) -> Iterator[tuple[str, NDArray[np.void]]]:
    for path in paths:
        # Neighbours may be swapped on their way from the camera; the first in time is t = 0.
        events = read_aedat2(path, layout="cifar10dvs", sensor=SENSOR, sort=True).events
        events["t"] -= events["t"][:1]
        yield str(path), events


def members(folder: Path, split: str) -> list[tuple[Path, int]]:
    """Files of a split and their labels; DataError for a missing or foreign folder or file."""
    wanted = {name: set(numbers(split, name)) for name in CLASSES}
    archives = "the official archives airplane.zip … truck.zip"
    found = [
        (path, label)
        for label, paths in class_folders(folder, CLASSES, ".aedat", archives)
        for path in paths
        if number(path) in wanted[CLASSES[label]]
    ]
    if not found:
        raise DataError(
            f"{folder}: no recordings for split {split!r}",
            expected=f"numbers 0 … {PER_CLASS - 1} of each class",
            fix=f"Unpack {archives} again",
        )
    return found


def numbers(split: str, name: str) -> list[int]:
    """Numbers of a class's files that are in a split.

    >>> [len(numbers(split, "cat")) for split in SPLITS], max(numbers("test", "cat"))
    ([810, 90, 100], 99)
    """
    if split == "test":
        return list(range(TEST))
    order = (TEST + fixed_permutation(PER_CLASS - TEST, f"validation cifar10dvs {name}")).tolist()
    return sorted(order[:VAL] if split == "val" else order[VAL:])


def number(path: Path) -> int:
    """The number in a file name such as cifar10_cat_17.aedat."""
    found = re.fullmatch(r"cifar10_(\w+)_(\d{1,3})\.aedat", path.name, re.ASCII)
    if found is None or found[1] != path.parent.name:
        raise DataError(
            f"{path}: not the name of a recording of this class",
            got=path.name,
            expected=f"cifar10_{path.parent.name}_0.aedat … cifar10_{path.parent.name}_999.aedat",
            fix="Put the file where it belongs, or unpack the official archive again",
        )
    return int(found[2])
