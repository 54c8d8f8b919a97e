"""The real files, where LOCALSPIKE_DATA has them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from localspike.data import Dataset, batches, cifar10, nmnist, read_keywords
from localspike.data.cochlea import encode
from localspike.optional import require


def needs(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"real data: {path} is not there")
    return path


@pytest.fixture(scope="module")
def loaded() -> dict[str, Dataset]:
    return {}


def test_cifar10_splits(real_root: Path, loaded: dict[str, Dataset]) -> None:
    needs(real_root / "cifar10")
    for split, size in (("val", 5_000), ("test", 10_000)):
        data = cifar10(split, real_root)
        assert len(data) == size
        assert int(data.labels.bincount(minlength=10).min()) > size // 13
        loaded[split] = data
    pixels = {s: d.inputs.pixels.flatten(1).numpy() for s, d in loaded.items()}
    rows = {s: {hashlib.sha256(row.tobytes()).digest() for row in p} for s, p in pixels.items()}
    assert not rows["val"] & rows["test"]


def test_cifar10_frames_are_centred(real_root: Path) -> None:
    needs(real_root / "cifar10")
    data = cifar10("test", real_root, limit=2000)
    frames = data.batch(range(2000)).frames[0]
    assert torch.allclose(frames.mean((0, 2, 3)), torch.zeros(3), atol=0.05)
    assert torch.allclose(frames.std((0, 2, 3)), torch.ones(3), atol=0.05)


def test_nmnist_splits(real_root: Path) -> None:
    needs(real_root / "nmnist" / "nmnist_1ms.npz")
    for split, size in (("val", 500), ("test", 1_000)):
        data = nmnist(split, real_root)
        assert (len(data), data.steps, data.sample_shape) == (size, 30, (2, 34, 34))
        assert int(data.labels.bincount(minlength=10).min()) > size // 20
    frames, labels, lengths = next(batches(data, 32, shuffle=True))
    assert frames.shape == (30, 32, 2, 34, 34)
    assert 0.01 < float(frames.mean()) < 0.1
    assert lengths is None
    assert labels.shape == (32,)


def test_embedded_keywords_are_these_sounds(real_root: Path) -> None:
    """The first clip of the archive, encoded again, is the first recording of the package."""
    sound, _ = require("soundfile", "reading FLAC").read(
        needs(real_root / "speech_commands" / "down.flac"), frames=16_000, dtype="int16"
    )
    file = read_keywords()
    first = file.events()[: file.arrays["offsets"][1]]
    again = encode(sound, file.front)
    assert first.tolist() == again.tolist()
