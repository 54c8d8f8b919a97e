"""N-Caltech101: 8,709 images of Caltech-101 seen by a moving event camera, about 300 ms each.

Orchard et al., "Converting static image datasets to spiking neuromorphic datasets using
saccades", Frontiers in Neuroscience 9, 2015. Looked for under the data root: the official folder
``Caltech101``, a folder per class of ``image_0001.bin``, … in the 5-byte format. There are 100
classes of objects ("Faces" was left out by the authors, who keep "Faces_easy") and the background.
"""

from __future__ import annotations

import os
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
from .formats.nmnist import read_nmnist
from .placing import frame_shape, gather_dataset, make_grid, shrunk

BACKGROUND = "BACKGROUND_Google"
CLASSES = (
    "BACKGROUND_Google", "Faces_easy", "Leopards", "Motorbikes", "accordion", "airplanes",
    "anchor", "ant", "barrel", "bass", "beaver", "binocular", "bonsai", "brain", "brontosaurus",
    "buddha", "butterfly", "camera", "cannon", "car_side", "ceiling_fan", "cellphone", "chair",
    "chandelier", "cougar_body", "cougar_face", "crab", "crayfish", "crocodile",
    "crocodile_head", "cup", "dalmatian", "dollar_bill", "dolphin", "dragonfly",
    "electric_guitar", "elephant", "emu", "euphonium", "ewer", "ferry", "flamingo",
    "flamingo_head", "garfield", "gerenuk", "gramophone", "grand_piano", "hawksbill",
    "headphone", "hedgehog", "helicopter", "ibis", "inline_skate", "joshua_tree", "kangaroo",
    "ketch", "lamp", "laptop", "llama", "lobster", "lotus", "mandolin", "mayfly", "menorah",
    "metronome", "minaret", "nautilus", "octopus", "okapi", "pagoda", "panda", "pigeon",
    "pizza", "platypus", "pyramid", "revolver", "rhino", "rooster", "saxophone", "schooner",
    "scissors", "scorpion", "sea_horse", "snoopy", "soccer_ball", "stapler", "starfish",
    "stegosaurus", "stop_sign", "strawberry", "sunflower", "tick", "trilobite", "umbrella",
    "watch", "water_lilly", "wheelchair", "wild_cat", "windsor_chair", "wrench", "yin_yang",
)  # fmt: skip
SPLITS = ("train", "val", "test")
CANVAS, SQUARE = Sensor(2, 180, 240), Sensor(2, 240, 240)
NOMINAL_MS = 300
FORMS = ("ncaltech101/Caltech101", "Caltech101", "ncaltech101")
TENTHS = {"train": (2, 10), "val": (1, 2), "test": (0, 1)}
ARCHIVE = "the official archive Caltech101.zip"


def ncaltech101(
    split: str,
    data_root: str | os.PathLike[str] | None = None,
    limit: int | None = None,
    bin_ms: int = 10,
    steps: int | None = None,
    *,
    counts: bool = False,
    variable: bool = False,
    size: int | None = 64,
    square: bool = False,
    background: bool = True,
) -> Dataset:
    """N-Caltech101 as spikes [T, B, 2, H, W], one step per ``bin_ms`` (T = 30 by default).

    Recordings have different sizes, none above 180 × 240 pixels: each lies in the upper left corner
    of a canvas of that size, and the rest stays empty. The canvas is then shrunk by blocks until
    its longer side is ``size`` (64 gives 48 × 64: the aspect stays), None keeps it; ``square=True``
    first adds empty rows below, for networks of square frames. ``steps`` None covers the nominal
    300 ms, later events are left out; ``variable=True`` gives each recording its length in steps
    and, with ``steps`` None, makes T cover the longest. ``counts=True`` keeps how many events fell
    in a bin instead of whether one did. ``background=False`` leaves out the recordings of the
    background, whose label 0 then never occurs.

    There is no official split: each class's files are put in an order fixed for ever; a tenth is
    "test", another "val", and the rest "train". Raises DataError.

    >>> try:
    ...     ncaltech101("dev")
    ... except DataError as error:
    ...     print(error)
    ncaltech101 has no such split: got 'dev'; expected 'train' or 'val' or 'test'.
    """
    check_split("ncaltech101", split, SPLITS)
    canvas = SQUARE if square else CANVAS
    grid = make_grid(
        "ncaltech101", canvas, shrunk(canvas, size, "ncaltech101"), bin_ms=bin_ms, steps=steps,
        nominal_ms=NOMINAL_MS, counts=counts, variable=variable,
    )  # fmt: skip
    root = resolve_root(data_root, FORMS)
    found = members(root / find(root, FORMS), split, background)
    chosen = choose(torch.arange(len(found)), limit, "ncaltech101").tolist()
    picked = [found[number] for number in chosen]
    return gather_dataset(
        "ncaltech101", split, _recordings([path for path, _ in picked]),
        [label for _, label in picked], CLASSES, grid, variable=variable,
    )  # fmt: skip


def sample_shape(size: int | None = 64, square: bool = False) -> tuple[int, int, int]:
    """[2, H, W], what a step of a sample is with those options.

    >>> sample_shape(), sample_shape(32, square=True)
    ((2, 48, 64), (2, 32, 32))
    """
    return frame_shape(shrunk(SQUARE if square else CANVAS, size, "ncaltech101"))


def _recordings(paths: list[Path]) -> Iterator[tuple[str, NDArray[np.void]]]:
    for path in paths:
        yield str(path), read_nmnist(path, sensor=CANVAS, sort=True).events


def members(folder: Path, split: str, background: bool = True) -> list[tuple[Path, int]]:
    """Files of a split and their labels; DataError for a missing or foreign folder."""
    found = []
    for label, paths in class_folders(folder, CLASSES, ".bin", ARCHIVE):
        if background or CLASSES[label] != BACKGROUND:
            found += [(paths[at], label) for at in share(len(paths), split, CLASSES[label])]
    if not found:
        raise DataError(
            f"{folder}: no recordings for split {split!r}",
            expected="ten recordings or more of a class",
            fix=f"Unpack {ARCHIVE} again",
        )
    return found


def share(count: int, split: str, name: str) -> list[int]:
    """Positions of a split's files among the ``count`` of a class, in order of name.

    >>> [len(share(31, split, "inline_skate")) for split in SPLITS]
    [25, 3, 3]
    """
    first, end = TENTHS[split]
    order = fixed_permutation(count, f"split ncaltech101 {name}")
    return sorted(order[first * count // 10 : end * count // 10].tolist())
