"""CIFAR-100: both official forms, both kinds of labels, and what is wrong with damaged files."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from localspike.data import cifar100, info, load
from localspike.data.cifar import COARSE_CLASSES, FINE_CLASSES
from localspike.errors import DataError


class Files:
    """20 random images to train on and 4 to test, and their two labels each."""

    def __init__(self, root: Path) -> None:
        rng = np.random.default_rng(3)
        self.root = root
        self.images = {
            "train": rng.integers(0, 256, (20, 3, 32, 32), dtype=np.uint8),
            "test": rng.integers(0, 256, (4, 3, 32, 32), dtype=np.uint8),
        }
        self.fine = {"train": np.arange(20) * 5 % 100, "test": np.array([99, 0, 7, 42])}
        self.coarse = {"train": np.arange(20) % 20, "test": np.array([19, 0, 3, 11])}

    def write_binary(self) -> None:
        (self.root / "cifar-100-binary").mkdir()
        for part, images in self.images.items():
            rows = np.concatenate(
                [self.coarse[part][:, None], self.fine[part][:, None], images.reshape(-1, 3072)],
                axis=1,
            )
            path = self.root / "cifar-100-binary" / f"{part}.bin"
            path.write_bytes(rows.astype(np.uint8).tobytes())

    def write_python(self) -> None:
        (self.root / "cifar100" / "cifar-100-python").mkdir(parents=True)
        for part, images in self.images.items():
            batch = {
                b"data": images.reshape(-1, 3072),
                b"fine_labels": self.fine[part].tolist(),
                b"coarse_labels": self.coarse[part].tolist(),
            }
            path = self.root / "cifar100" / "cifar-100-python" / part
            path.write_bytes(pickle.dumps(batch, protocol=3))


@pytest.fixture(params=["binary", "python"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    made = Files(tmp_path)
    getattr(made, f"write_{request.param}")()
    return made


def test_both_forms_give_the_same_images_and_both_labels(files: Files) -> None:
    fine, coarse = (cifar100("test", files.root, labels=kind) for kind in ("fine", "coarse"))
    assert torch.equal(fine.inputs.pixels, torch.from_numpy(files.images["test"]))
    assert fine.labels.tolist() == files.fine["test"].tolist()
    assert coarse.labels.tolist() == files.coarse["test"].tolist()
    assert (fine.classes, coarse.classes) == (FINE_CLASSES, COARSE_CLASSES)
    assert cifar100("test", files.root).labels.tolist() == fine.labels.tolist()


def test_train_and_val_share_the_training_images(files: Files) -> None:
    train, val = cifar100("train", files.root), cifar100("val", files.root)
    assert (len(train), len(val)) == (18, 2)
    both = torch.cat([train.inputs.pixels, val.inputs.pixels]).flatten(1).tolist()
    assert sorted(both) == sorted(files.images["train"].reshape(20, -1).tolist())
    pairs = {tuple(p): int(y) for p, y in zip(
        files.images["train"].reshape(20, -1).tolist(), files.fine["train"], strict=True
    )}  # fmt: skip
    for split in (train, val):
        for image, label in zip(split.inputs.pixels.flatten(1).tolist(), split.labels, strict=True):
            assert pairs[tuple(image)] == int(label)


def test_frames_are_normalised_by_cifar_100_s_own_statistics(files: Files) -> None:
    frames = cifar100("test", files.root, steps=2).batch([1]).frames
    red = (files.images["test"][1, 0] / 255 - 0.5071) / 0.2673
    assert frames.shape == (2, 1, 3, 32, 32)
    torch.testing.assert_close(frames[0, 0, 0], torch.from_numpy(red).float())


def test_the_card_knows_the_groups() -> None:
    assert len(set(FINE_CLASSES)) == 100 and list(FINE_CLASSES) == sorted(FINE_CLASSES)
    assert len(set(COARSE_CLASSES)) == 20
    assert info("cifar100").with_options({"labels": "coarse"}).classes == COARSE_CLASSES


def test_labels_of_another_name_are_refused(files: Files) -> None:
    message = "cifar100 has no such labels: got 'both'; expected 'fine' or 'coarse'"
    with pytest.raises(DataError, match=message):
        load("cifar100", "test", data_root=files.root, labels="both")


def record(coarse: int, fine: int) -> bytes:
    return bytes([coarse, fine]) + bytes(3072)


@pytest.mark.parametrize(
    ("content", "labels", "message"),
    [
        (b"", "fine", "not CIFAR-100 binary: got 0 bytes; expected a multiple of 3074 bytes"),
        (bytes(3073), "fine", r"not CIFAR-100 binary: got 3073 bytes; .*\(153,700,000 and 30,740"),
        (record(0, 100), "fine", "label out of range: got 100 at image 0; expected 0 … 99"),
        (record(0, 1) + record(20, 1), "coarse", "got 20 at image 1; expected 0 … 19"),
    ],
)
def test_damaged_binary_files(tmp_path: Path, content: bytes, labels: str, message: str) -> None:
    Files(tmp_path).write_binary()
    (tmp_path / "cifar-100-binary" / "test.bin").write_bytes(content)
    with pytest.raises(DataError, match=rf"test\.bin: {message}|test\.bin: label.*{message}"):
        cifar100("test", tmp_path, labels=labels)


class Payload:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return eval, ("1 + 1",)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"data": np.zeros((1, 3072), np.uint8), "labels": [1]}, r"not a CIFAR-100 batch: got key"),
        (
            {"data": np.zeros((2, 3072), np.uint8), "fine_labels": [1]},
            r"data of the wrong kind: got uint8 \[2, 3072\] for 1 labels",
        ),
        ({"data": np.zeros((1, 3072), np.uint8), "fine_labels": [100]}, "label out of range: got"),
        (Payload(), r"not a CIFAR-100 python batch: got UnpicklingError: refused to load built"),
        ([], r"not a CIFAR-100 python batch: got UnpicklingError: holds a list, not a dict"),
    ],
)
def test_python_files_of_the_wrong_content(tmp_path: Path, batch: object, message: str) -> None:
    Files(tmp_path).write_python()
    path = tmp_path / "cifar100" / "cifar-100-python" / "test"
    path.write_bytes(pickle.dumps(batch))
    with pytest.raises(DataError, match=message):
        cifar100("test", tmp_path)
