"""MNIST and Fashion-MNIST from their official IDX files, gzipped or not.

LeCun et al., "Gradient-based learning applied to document recognition", Proceedings of the IEEE
86, 1998; Xiao et al., "Fashion-MNIST", arXiv:1708.07747. Looked for under the data root in
``mnist`` or ``MNIST/raw`` and ``fashion_mnist`` or ``FashionMNIST/raw``: the four files
``{train,t10k}-{images-idx3,labels-idx1}-ubyte``, each with or without ``.gz``.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import DataError
from .cifar_forms import check_classes
from .dataset import Dataset, StaticImages
from .files import carve, check_split, check_steps, choose, find, present, resolve_root
from .idx import FETCH, read_idx

SPLITS = ("train", "val", "test")
SIDE = 28
CLASSES = tuple("0123456789")
FASHION_CLASSES = (
    "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
    "ankle boot",
)  # fmt: skip
STATISTICS = {"mnist": (0.1307, 0.3081), "fashion_mnist": (0.2860, 0.3530)}
"""Mean and deviation of the 60,000 training images, in pixels / 255."""

_FIRST = ("train-images-idx3-ubyte.gz", "train-images-idx3-ubyte")
FORMS = tuple(f"{folder}/{name}" for folder in ("mnist", "MNIST/raw") for name in _FIRST)
FASHION_FORMS = tuple(
    f"{folder}/{name}" for folder in ("fashion_mnist", "FashionMNIST/raw") for name in _FIRST
)


def mnist(
    split: str,
    data_root: str | os.PathLike[str] | None = None,
    limit: int | None = None,
    steps: int = 6,
) -> Dataset:
    """MNIST as static frames [T, B, 1, 28, 28], normalised by mean and deviation.

    Splits: "train" (54,000), "val" (6,000 of the training images, by a fixed seed) and "test"
    (10,000). ``limit`` keeps the first images of a fixed permutation. Raises DataError.

    >>> len(CLASSES), STATISTICS["mnist"]
    (10, (0.1307, 0.3081))
    """
    return _load("mnist", split, data_root, limit, steps, FORMS, CLASSES)


def fashion_mnist(
    split: str,
    data_root: str | os.PathLike[str] | None = None,
    limit: int | None = None,
    steps: int = 6,
) -> Dataset:
    """Fashion-MNIST as static frames [T, B, 1, 28, 28]; splits and ``limit`` as in ``mnist``.

    Raises DataError.

    >>> FASHION_CLASSES[9]
    'ankle boot'
    """
    return _load("fashion_mnist", split, data_root, limit, steps, FASHION_FORMS, FASHION_CLASSES)


def _load(
    name: str,
    split: str,
    data_root: str | os.PathLike[str] | None,
    limit: int | None,
    steps: int,
    forms: tuple[str, ...],
    classes: tuple[str, ...],
) -> Dataset:
    check_split(name, split, SPLITS)
    steps = check_steps(name, steps)
    root = resolve_root(data_root, forms)
    folder = (root / find(root, forms)).parent
    pixels, labels = read_pairs(folder, "t10k" if split == "test" else "train")
    chosen = choose(carve(len(labels), split, name), limit, name)
    mean, deviation = STATISTICS[name]
    picked = torch.from_numpy(pixels[chosen.numpy()]).unsqueeze(1)
    images = StaticImages(picked, steps, (mean,), (deviation,))
    return Dataset(name, split, images, torch.from_numpy(labels)[chosen], classes)


def read_pairs(folder: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images [N, 28, 28] and labels [N] of "train" or "t10k".

    Raises DataError when a file is missing or damaged, or the two do not belong together.
    """
    images_file = _present(folder, f"{part}-images-idx3-ubyte")
    labels_file = _present(folder, f"{part}-labels-idx1-ubyte")
    pixels, labels = read_idx(images_file, 3), read_idx(labels_file, 1)
    if pixels.shape != (len(labels), SIDE, SIDE) or not len(labels):
        raise DataError(
            f"{images_file}: images of the wrong kind",
            got=f"{' x '.join(map(str, pixels.shape))} for {len(labels)} labels",
            expected=f"N x {SIDE} x {SIDE} and N labels",
            fix=FETCH,
        )
    return pixels, check_classes(labels, len(CLASSES), labels_file)


def _present(folder: Path, name: str) -> Path:
    """The file itself or the gzipped one; the name to miss where there is neither."""
    zipped = folder / f"{name}.gz"
    return folder / name if present(folder / name) and not zipped.is_file() else zipped
