"""The three file forms of CIFAR-10, each read whole: images [N, 3, 32, 32] uint8 and labels [N]."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..optional import require
from .files import load_npz, numbered, read_bytes

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]

SIDE, PIXELS = 32, 3 * 32 * 32
RECORD = 1 + PIXELS
FETCH = "Get the file again; it is truncated or of another format"


def read_binary(folder: Path, part: str) -> tuple[Pixels, Labels]:
    """Binary batches: per image one label byte, then 1,024 red, green and blue bytes each."""
    pairs = [_one_binary(path) for path in _batch_files(folder, part, ".bin")]
    return _join(pairs)


def _one_binary(path: Path) -> tuple[Pixels, Labels]:
    content = read_bytes(path)
    if len(content) == 0 or len(content) % RECORD:
        raise DataError(
            f"{path}: not CIFAR-10 binary",
            got=f"{len(content)} bytes",
            expected=f"a multiple of {RECORD} bytes (30,730,000 in the official files)",
            fix=FETCH,
        )
    table = np.frombuffer(content, dtype=np.uint8).reshape(-1, RECORD)
    return table[:, 1:].reshape(-1, 3, SIDE, SIDE), _labels(table[:, 0], path)


def read_python(folder: Path, part: str) -> tuple[Pixels, Labels]:
    """Python batches: pickled dicts with ``data`` [N, 3072] uint8 and ``labels``."""
    pairs = [_one_python(path) for path in _batch_files(folder, part, "")]
    return _join(pairs)


def _one_python(path: Path) -> tuple[Pixels, Labels]:
    batch = load_pickle(path)
    if not {"data", "labels"} <= batch.keys():
        raise DataError(
            f"{path}: not a CIFAR-10 batch",
            got=f"keys {sorted(batch)}",
            expected="data and labels",
            fix=FETCH,
        )
    data, labels = _array(batch["data"], path), _array(batch["labels"], path)
    if data.dtype != np.uint8 or data.shape != (labels.size, PIXELS) or not labels.size:
        raise DataError(
            f"{path}: data of the wrong kind",
            got=f"{data.dtype} {list(data.shape)} for {labels.size} labels",
            expected=f"uint8 [N, {PIXELS}] and N labels",
            fix=FETCH,
        )
    return data.reshape(-1, 3, SIDE, SIDE), _labels(labels, path)


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


def load_pickle(path: Path) -> dict[str, Any]:
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
            f"{path}: not a CIFAR-10 python batch",
            got=f"{type(error).__name__}: {error}",
            expected="a pickled dict of numpy arrays and nothing else",
            fix=FETCH,
        ) from error
    return {_text(key): value for key, value in batch.items()}


def _text(key: Any) -> str:
    """Python 2 wrote its keys as bytes."""
    return key.decode("latin-1") if isinstance(key, bytes) else str(key)


def read_atlas(labels_file: Path, part: str) -> tuple[Pixels, Labels]:
    """Lossless atlases of 32 × 32 tiles beside ``labels_file``, checked against sha256.json."""
    folder, key = labels_file.parent, f"y_{part}"
    labels = _labels(load_npz(labels_file, [key])[key], labels_file)
    paths = numbered(folder, f"{part}_", ".webp")
    image = require("PIL.Image", "reading CIFAR-10 atlases")
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        tiles = np.concatenate(list(pool.map(lambda path: _one_atlas(path, image), paths)))
    if len(tiles) != len(labels):
        raise DataError(
            f"{folder}: atlases and labels do not match",
            got=f"{len(tiles)} tiles in {len(paths)} {part}_*.webp",
            expected=f"{len(labels)}, as in {labels_file.name}",
            fix="Get the missing atlases",
        )
    _check_digest(tiles, folder / "sha256.json", part)
    return np.ascontiguousarray(tiles.transpose(0, 3, 1, 2)), labels


def _one_atlas(path: Path, image: Any) -> Pixels:
    """Tiles [N, 32, 32, 3] of one atlas, row-major."""
    try:
        with image.open(path) as picture:
            atlas = np.asarray(picture.convert("RGB"))
    # Pillow's decoders raise OSError, SyntaxError and ValueError for damaged files.
    except Exception as error:
        raise DataError(
            f"{path}: cannot be decoded",
            got=f"{type(error).__name__}: {error}",
            expected="a lossless WebP atlas",
            fix=FETCH,
        ) from error
    rows, columns = atlas.shape[0] // SIDE, atlas.shape[1] // SIDE
    if atlas.shape[:2] != (rows * SIDE, columns * SIDE):
        raise DataError(
            f"{path}: not an atlas of {SIDE} × {SIDE} tiles",
            got=f"{atlas.shape[1]} × {atlas.shape[0]} pixels",
            expected=f"multiples of {SIDE}",
            fix=FETCH,
        )
    tiles = atlas.reshape(rows, SIDE, columns, SIDE, 3).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(tiles.reshape(-1, SIDE, SIDE, 3))


def _check_digest(tiles: Pixels, path: Path, part: str) -> None:
    key = f"{part}_sha256_uint8_NHWC"
    try:
        expected = str(json.loads(read_bytes(path))[key])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: no checksum", got=f"{type(error).__name__}: {error}", expected=f"key {key!r}"
        ) from error
    got = hashlib.sha256(tiles.data).hexdigest()
    if got != expected:
        raise DataError(
            f"{path.parent}: {part} images do not match their checksum",
            got=f"sha256 {got[:16]}…",
            expected=f"{expected[:16]}…",
            fix="Get the atlases again; one is damaged or out of order",
        )


def _batch_files(folder: Path, part: str, suffix: str) -> list[Path]:
    if part == "test":
        return [folder / f"test_batch{suffix}"]
    return [folder / f"data_batch_{number}{suffix}" for number in range(1, 6)]


def _labels(labels: NDArray[Any], path: Path) -> Labels:
    wrong = (labels < 0) | (labels > 9)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or wrong.any():
        got = f"{labels.dtype} {list(labels.shape)}"
        if labels.ndim == 1 and wrong.any():
            got = f"{labels[wrong][0]} at image {int(wrong.argmax())}"
        raise DataError(f"{path}: label out of range", got=got, expected="0 … 9", fix=FETCH)
    return labels.astype(np.int64)


def _join(pairs: list[tuple[Pixels, Labels]]) -> tuple[Pixels, Labels]:
    return np.concatenate([p for p, _ in pairs]), np.concatenate([y for _, y in pairs])
