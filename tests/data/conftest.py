"""Small files in every official format, made on the fly, and the real data where present."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from localspike.data import Dataset, StaticImages


@pytest.fixture(autouse=True)
def no_environment_root(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only tests of real data see the caller's LOCALSPIKE_DATA."""
    if "real_root" not in request.fixturenames:
        monkeypatch.delenv("LOCALSPIKE_DATA", raising=False)


@pytest.fixture
def real_root() -> Path:
    given = os.environ.get("LOCALSPIKE_DATA")
    if not given:
        pytest.skip("real data: LOCALSPIKE_DATA is not set")
    return Path(given)


@dataclass
class Cifar:
    """Random images of the five training batches and the test batch, in file order."""

    images: np.ndarray
    labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    def parts(self) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        step = len(self.images) // 5
        for number in range(5):
            cut = slice(number * step, (number + 1) * step)
            yield f"data_batch_{number + 1}", self.images[cut], self.labels[cut]
        yield "test_batch", self.test_images, self.test_labels


@pytest.fixture
def cifar() -> Cifar:
    rng = np.random.default_rng(0)

    def images(n: int) -> np.ndarray:
        return rng.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8)

    return Cifar(images(20), np.arange(20) % 10, images(4), np.array([3, 1, 4, 9]))


@pytest.fixture
def cifar_binary(tmp_path: Path, cifar: Cifar) -> Path:
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for name, images, labels in cifar.parts():
        rows = np.concatenate([labels.astype(np.uint8)[:, None], images.reshape(-1, 3072)], axis=1)
        (folder / f"{name}.bin").write_bytes(rows.tobytes())
    return tmp_path


@pytest.fixture
def cifar_python(tmp_path: Path, cifar: Cifar) -> Path:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name, images, labels in cifar.parts():
        batch = {b"data": images.reshape(-1, 3072), b"labels": labels.tolist()}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=3))
    return tmp_path


@pytest.fixture
def cifar_atlas(tmp_path: Path, cifar: Cifar) -> Path:
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path / "cifar10"
    folder.mkdir()
    digests = {}
    for part, images in (("train", cifar.images), ("test", cifar.test_images)):
        tiles = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        digests[f"{part}_sha256_uint8_NHWC"] = hashlib.sha256(tiles.tobytes()).hexdigest()
        for number, four in enumerate(tiles.reshape(-1, 2, 2, 32, 32, 3)):
            atlas = four.transpose(0, 2, 1, 3, 4).reshape(64, 64, 3)
            path = folder / f"{part}_{number:02d}.webp"
            image.fromarray(np.ascontiguousarray(atlas)).save(path, lossless=True)
    (folder / "sha256.json").write_text(json.dumps(digests))
    np.savez(folder / "labels.npz", y_train=cifar.labels, y_test=cifar.test_labels)
    return tmp_path


Recordings = list[list[tuple[int, int, int, int]]]
"""Per recording (t in ms, p, y, x), in time order."""


def pack_1ms(recordings: Recordings) -> dict[str, np.ndarray]:
    """Arrays of one part of nmnist_1ms.npz."""
    dlin: list[int] = []
    big: list[int] = []
    offsets, ends = [0], []
    for events in recordings:
        last = 0
        for t, p, y, x in events:
            linear = ((t * 2 + p) * 34 + y) * 34 + x
            step, last = linear - last, linear
            dlin.append(min(step, 65535))
            big += [step] if step >= 65535 else []
        offsets.append(len(dlin))
        ends.append(events[-1][0] + 1 if events else 1)
    return {
        "dlin": np.array(dlin, np.uint16),
        "big": np.array(big, np.uint32),
        "count": np.arange(1, len(dlin) + 1).astype(np.uint8),
        "offsets": np.array(offsets, np.int64),
        "n_steps": np.array(ends, np.uint16),
        "labels": np.arange(len(recordings)).astype(np.uint8) % 10,
        "mnist_index": np.arange(len(recordings), dtype=np.int32),
    }


@pytest.fixture
def write_nmnist(tmp_path: Path) -> Callable[..., Path]:
    """Write nmnist_1ms.npz with the same recordings in both parts; keywords replace arrays."""

    def write(recordings: Recordings, **changes: np.ndarray) -> Path:
        arrays = {**pack_1ms(recordings), **changes}
        named = {
            f"{part}_{name}": value
            for part in ("train", "heldout")
            for name, value in arrays.items()
            if value is not None
        }
        (tmp_path / "nmnist").mkdir(exist_ok=True)
        np.savez(tmp_path / "nmnist" / "nmnist_1ms.npz", **named)
        return tmp_path

    return write


@pytest.fixture
def images() -> Dataset:
    """Ten images of which image i is filled with the value i."""
    pixels = torch.arange(10, dtype=torch.uint8).view(-1, 1, 1, 1).expand(10, 3, 8, 8)
    return Dataset(
        "toy", "train", StaticImages(pixels, steps=4), torch.arange(10) % 2, ("even", "odd")
    )
