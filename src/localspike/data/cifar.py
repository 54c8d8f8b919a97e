"""CIFAR-10 from any of its forms: binary batches, python batches, or lossless image atlases.

Krizhevsky, "Learning multiple layers of features from tiny images", 2009. Looked for under the
data root, with or without a folder ``cifar10`` around them:

- ``cifar-10-batches-bin/data_batch_1.bin … test_batch.bin``: 1 label byte + 3,072 pixel bytes;
- ``cifar-10-batches-py/data_batch_1 … test_batch``: pickles, read by a restricted unpickler;
- ``cifar10/train_00.webp … test_03.webp`` with ``labels.npz`` and ``sha256.json``: atlases of
  50 × 50 tiles of 32 × 32 RGB, row-major, lossless.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from .cifar_forms import read_atlas, read_binary, read_python
from .dataset import Dataset, StaticImages
from .files import carve, check_split, check_steps, choose, find, resolve_root

CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)
"""Channel statistics of the 50,000 training images, in pixels / 255."""

SPLITS = ("train", "val", "test")
FORMS: dict[str, Callable[[Path, str], tuple[NDArray[Any], NDArray[Any]]]] = {
    "cifar10/cifar-10-batches-bin": read_binary,
    "cifar-10-batches-bin": read_binary,
    "cifar10/cifar-10-batches-py": read_python,
    "cifar-10-batches-py": read_python,
    "cifar10/labels.npz": read_atlas,
    "labels.npz": read_atlas,
}


def cifar10(
    split: str,
    data_root: str | os.PathLike[str] | None = None,
    limit: int | None = None,
    steps: int = 6,
) -> Dataset:
    """CIFAR-10 as static frames [T, B, 3, 32, 32], normalised by channel mean and deviation.

    Splits: "train" (45,000), "val" (5,000 of the training images, by a fixed seed) and "test"
    (10,000). ``limit`` keeps the first images of a fixed permutation, the same for any form of the
    files. The files of the split are read whole and checked: about 4 s for the training atlases
    on one core. Raises DataError.

    >>> import os
    >>> len(cifar10("test", limit=100)) if os.environ.get("LOCALSPIKE_DATA") else 100
    100
    """
    check_split("cifar10", split, SPLITS)
    check_steps("cifar10", steps)
    root = resolve_root(data_root, list(FORMS))
    form = find(root, list(FORMS))
    pixels, labels = FORMS[form](root / form, "test" if split == "test" else "train")
    chosen = choose(carve(len(labels), split, "cifar10"), limit, "cifar10")
    images = StaticImages(torch.from_numpy(pixels[chosen.numpy()]), steps, MEAN, STD)
    return Dataset("cifar10", split, images, torch.from_numpy(labels)[chosen], CLASSES)
