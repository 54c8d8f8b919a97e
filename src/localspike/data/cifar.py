"""CIFAR-10 and CIFAR-100 from any of their forms.

Krizhevsky, "Learning multiple layers of features from tiny images", 2009. Looked for under the
data root, with or without a folder ``cifar10`` or ``cifar100`` around them:

- ``cifar-10-batches-bin/data_batch_1.bin … test_batch.bin``: 1 label byte + 3,072 pixel bytes;
  ``cifar-100-binary/train.bin, test.bin``: a coarse and a fine label byte + 3,072 pixel bytes;
- ``cifar-10-batches-py/data_batch_1 … test_batch``, ``cifar-100-python/train, test``: pickles,
  read by a restricted unpickler;
- ``cifar10/train_00.webp … test_03.webp`` with ``labels.npz`` and ``sha256.json``: atlases of
  50 × 50 tiles of 32 × 32 RGB, row-major, lossless.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from ..errors import DataError
from .cifar_atlas import read_atlas
from .cifar_forms import COARSE, FINE, Labels, Pixels, read_binary, read_python
from .cifar_names import CLASSES, COARSE_CLASSES, FINE_CLASSES
from .dataset import Dataset, StaticImages
from .files import carve, check_split, check_steps, choose, find, resolve_root

__all__ = ["CLASSES", "COARSE_CLASSES", "FINE_CLASSES", "cifar10", "cifar100"]

MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)
"""Channel statistics of CIFAR-10's 50,000 training images, in pixels / 255."""
MEAN_100 = (0.5071, 0.4865, 0.4409)
STD_100 = (0.2673, 0.2564, 0.2762)
"""The same of CIFAR-100."""

SPLITS = ("train", "val", "test")
FORMS: dict[str, Callable[[Path, str], tuple[Pixels, Labels]]] = {
    "cifar10/cifar-10-batches-bin": read_binary,
    "cifar-10-batches-bin": read_binary,
    "cifar10/cifar-10-batches-py": read_python,
    "cifar-10-batches-py": read_python,
    "cifar10/labels.npz": read_atlas,
    "labels.npz": read_atlas,
}
FORMS_100 = {
    "cifar100/cifar-100-binary": read_binary,
    "cifar-100-binary": read_binary,
    "cifar100/cifar-100-python": read_python,
    "cifar-100-python": read_python,
}
LABELS = {"fine": (FINE, FINE_CLASSES), "coarse": (COARSE, COARSE_CLASSES)}


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
    steps = check_steps("cifar10", steps)
    folder, form = _found("cifar10", split, data_root, list(FORMS))
    pixels, labels = FORMS[form](folder, _part(split))
    chosen = choose(carve(len(labels), split, "cifar10"), limit, "cifar10")
    images = StaticImages(_picked(pixels, chosen), steps, MEAN, STD)
    return Dataset("cifar10", split, images, torch.from_numpy(labels)[chosen], CLASSES)


def cifar100(
    split: str,
    data_root: str | os.PathLike[str] | None = None,
    limit: int | None = None,
    steps: int = 6,
    *,
    labels: Literal["fine", "coarse"] = "fine",
) -> Dataset:
    """CIFAR-100 as static frames [T, B, 3, 32, 32], normalised by channel mean and deviation.

    ``labels`` "fine" gives the 100 classes, "coarse" the 20 groups they belong to; the images and
    their order are the same. Splits and ``limit`` as in ``cifar10``. Raises DataError.

    >>> FINE_CLASSES[11], len(FINE_CLASSES), len(COARSE_CLASSES)
    ('boy', 100, 20)
    """
    if labels not in LABELS:
        raise DataError(
            "cifar100 has no such labels",
            got=repr(labels),
            expected=" or ".join(map(repr, LABELS)),
        )
    steps = check_steps("cifar100", steps)
    folder, form = _found("cifar100", split, data_root, list(FORMS_100))
    layout, classes = LABELS[labels]
    pixels, targets = FORMS_100[form](folder, _part(split), layout)
    chosen = choose(carve(len(targets), split, "cifar100"), limit, "cifar100")
    images = StaticImages(_picked(pixels, chosen), steps, MEAN_100, STD_100)
    return Dataset("cifar100", split, images, torch.from_numpy(targets)[chosen], classes)


def _found(
    name: str,
    split: str,
    data_root: str | os.PathLike[str] | None,
    forms: Sequence[str],
) -> tuple[Path, str]:
    """Where the files lie, and in which form, once the split makes sense."""
    check_split(name, split, SPLITS)
    root = resolve_root(data_root, forms)
    form = find(root, forms)
    return root / form, form


def _part(split: str) -> str:
    return "test" if split == "test" else "train"


def _picked(pixels: Pixels, chosen: Tensor) -> Tensor:
    return torch.from_numpy(pixels[chosen.numpy()])
