"""CIFAR-10 as lossless atlases of 32 × 32 tiles, read whole and checked against their sha256."""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from ..optional import require
from .cifar_forms import FETCH, SIDE, Labels, Pixels, check_classes
from .files import load_npz, numbered, read_bytes


def read_atlas(labels_file: Path, part: str) -> tuple[Pixels, Labels]:
    """Lossless atlases of 32 × 32 tiles beside ``labels_file``, checked against sha256.json."""
    folder, key = labels_file.parent, f"y_{part}"
    labels = check_classes(load_npz(labels_file, [key])[key], 10, labels_file)
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
