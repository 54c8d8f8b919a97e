"""Batches of CIFAR-10 and CIFAR-100 in their two official forms: binary, and pickled by Python."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .files import read_bytes

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]

SIDE, PIXELS = 32, 3 * 32 * 32
FETCH = "Get the file again; it is truncated or of another format"


@dataclass(frozen=True)
class Layout:
    """Which files a part lies in, and where a record has its label.

    A binary record is ``lead`` label bytes, of which ``column`` is the one wanted, then 3,072
    pixel bytes; a python batch keeps the labels under ``key``.

    >>> CIFAR10.record, FINE.record
    (3073, 3074)
    """

    title: str
    parts: Mapping[str, tuple[str, ...]]
    lead: int
    column: int
    key: str
    classes: int
    size: str

    @property
    def record(self) -> int:
        """Bytes of one image in the binary form."""
        return self.lead + PIXELS


_FIVE = tuple(f"data_batch_{number}" for number in range(1, 6))
_WHOLE = {"train": ("train",), "test": ("test",)}
CIFAR10 = Layout(
    "CIFAR-10", {"train": _FIVE, "test": ("test_batch",)}, 1, 0, "labels", 10, "30,730,000"
)
FINE = Layout("CIFAR-100", _WHOLE, 2, 1, "fine_labels", 100, "153,700,000 and 30,740,000")
COARSE = Layout("CIFAR-100", _WHOLE, 2, 0, "coarse_labels", 20, FINE.size)


def read_binary(folder: Path, part: str, layout: Layout = CIFAR10) -> tuple[Pixels, Labels]:
    """Binary batches: per image its label bytes, then 1,024 red, green and blue bytes each."""
    names = layout.parts[part]
    return _join([_one_binary(folder / f"{name}.bin", layout) for name in names])


def _one_binary(path: Path, layout: Layout) -> tuple[Pixels, Labels]:
    content = read_bytes(path)
    if len(content) == 0 or len(content) % layout.record:
        raise DataError(
            f"{path}: not {layout.title} binary",
            got=f"{len(content)} bytes",
            expected=f"a multiple of {layout.record} bytes ({layout.size} in the official files)",
            fix=FETCH,
        )
    table = np.frombuffer(content, dtype=np.uint8).reshape(-1, layout.record)
    pixels = table[:, layout.lead :].reshape(-1, 3, SIDE, SIDE)
    return pixels, check_classes(table[:, layout.column], layout.classes, path)


def read_python(folder: Path, part: str, layout: Layout = CIFAR10) -> tuple[Pixels, Labels]:
    """Python batches: pickled dicts with ``data`` [N, 3072] uint8 and labels."""
    return _join([_one_python(folder / name, layout) for name in layout.parts[part]])


def _one_python(path: Path, layout: Layout) -> tuple[Pixels, Labels]:
    batch = load_pickle(path, layout.title)
    if not {"data", layout.key} <= batch.keys():
        raise DataError(
            f"{path}: not a {layout.title} batch",
            got=f"keys {sorted(batch)}",
            expected=f"data and {layout.key}",
            fix=FETCH,
        )
    data, labels = _array(batch["data"], path), _array(batch[layout.key], path)
    if data.dtype != np.uint8 or data.shape != (labels.size, PIXELS) or not labels.size:
        raise DataError(
            f"{path}: data of the wrong kind",
            got=f"{data.dtype} {list(data.shape)} for {labels.size} labels",
            expected=f"uint8 [N, {PIXELS}] and N labels",
            fix=FETCH,
        )
    return data.reshape(-1, 3, SIDE, SIDE), check_classes(labels, layout.classes, path)


def _array(value: Any, path: Path) -> NDArray[Any]:
    try:
        return np.asarray(value)
    except ValueError as error:
        raise DataError(f"{path}: not a table", got=str(error), fix=FETCH) from error


_RECONSTRUCT, _MULTIARRAY = np.empty(0).__reduce__()[0], "numpy.core.multiarray"
_ALLOWED: dict[tuple[str, str], Any] = {
    (_MULTIARRAY, "_reconstruct"): _RECONSTRUCT,
    (_MULTIARRAY.replace("core", "_core"), "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
"""The only globals a batch needs: numpy's array constructor, under its old and its new name."""


class _NumpyOnly(pickle.Unpickler):
    """Builds plain containers and numpy arrays and refuses every other global."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"refused to load {module}.{name}")
        return _ALLOWED[module, name]


def load_pickle(path: Path, title: str = "CIFAR-10") -> dict[str, Any]:
    """A pickled dict of numpy arrays and plain values; any other content is a DataError.

    No code of the file is ever run: of all globals only numpy's array constructor is resolved.
    """
    content = read_bytes(path)
    try:
        batch = _NumpyOnly(io.BytesIO(content), encoding="bytes").load()
        if not isinstance(batch, dict):
            raise pickle.UnpicklingError(f"holds a {type(batch).__name__}, not a dict")
    # A damaged pickle can raise nearly anything; all of it means the same to the user.
    except Exception as error:
        raise DataError(
            f"{path}: not a {title} python batch",
            got=f"{type(error).__name__}: {error}",
            expected="a pickled dict of numpy arrays and nothing else",
            fix=FETCH,
        ) from error
    return {_text(key): value for key, value in batch.items()}


def _text(key: Any) -> str:
    """Python 2 wrote its keys as bytes."""
    return key.decode("latin-1") if isinstance(key, bytes) else str(key)


def check_classes(labels: NDArray[Any], classes: int, path: Path) -> Labels:
    """Labels as int64 [N]; DataError unless they are whole numbers in 0 … classes - 1.

    >>> check_classes(np.array([3, 1], np.uint8), 10, Path("x"))
    array([3, 1])
    """
    wrong = (labels < 0) | (labels >= classes)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or wrong.any():
        got = f"{labels.dtype} {list(labels.shape)}"
        if labels.ndim == 1 and wrong.any():
            got = f"{labels[wrong][0]} at image {int(wrong.argmax())}"
        raise DataError(
            f"{path}: label out of range", got=got, expected=f"0 … {classes - 1}", fix=FETCH
        )
    return labels.astype(np.int64)


def _join(pairs: list[tuple[Pixels, Labels]]) -> tuple[Pixels, Labels]:
    return np.concatenate([p for p, _ in pairs]), np.concatenate([y for _, y in pairs])
