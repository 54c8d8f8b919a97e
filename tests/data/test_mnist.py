"""MNIST and Fashion-MNIST, and the IDX format: exact round trips, and no size is believed."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from localspike.data import Dataset, fashion_mnist, load, mnist, read_idx
from localspike.data.mnist import FASHION_CLASSES
from localspike.errors import DataError

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def idx(array: np.ndarray) -> bytes:
    """An array as the format's description has it."""
    sizes = b"".join(struct.pack(">I", size) for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


@given(arrays.arrays(np.uint8, arrays.array_shapes(max_dims=4, min_side=0, max_side=7)))
def test_whatever_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray
) -> None:
    path = tmp_path_factory.mktemp("idx") / "a"
    for content in (idx(array), gzip.compress(idx(array))):
        path.write_bytes(content)
        found = read_idx(path, array.ndim)
        assert found.shape == array.shape and np.array_equal(found, array)


def test_bytes_worked_out_by_hand(tmp_path: Path) -> None:
    """A table of 2 x 3: magic 00 00 08 02, sizes 2 and 3 big-endian, then row by row."""
    path = tmp_path / "a"
    path.write_bytes(bytes.fromhex("00000802 00000002 00000003 01020304 05ff"))
    assert read_idx(path, 2).tolist() == [[1, 2, 3], [4, 5, 255]]


@given(st.binary(max_size=80), st.booleans(), st.integers(1, 3))
def test_foreign_bytes_raise_only_our_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, zipped: bool, dimensions: int
) -> None:
    path = tmp_path_factory.mktemp("idx") / "a"
    path.write_bytes(gzip.compress(content) if zipped else content)
    try:
        found = read_idx(path, dimensions)
    except DataError as error:
        assert str(path) in str(error)
    else:
        assert idx(found) == content


@given(st.data())
def test_a_mutated_file_gives_an_array_of_its_length_or_our_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4)))
    if data.draw(st.booleans()):
        content = bytearray(gzip.compress(bytes(content)))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("idx") / "a"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        assert read_idx(path, 3).size <= 24
    except DataError as error:
        assert str(path) in str(error)


BOMB = struct.pack(">BBBBIII", 0, 0, 8, 3, 4_000_000_000, 4_000_000_000, 4_000_000_000)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file of 3 dimensions: got an empty file; expected 00 00 08 03, then 3"),
        (b"\0\0\x08\x03", "not an IDX file of 3 dimensions: got 00 00 08 03 at byte 0"),
        (idx(np.zeros(3)), "not an IDX file of 3 dimensions: got 00 00 08 01 at byte 0"),
        (b"\0\0\x0d\x03" + bytes(12), "got 00 00 0d 03 at byte 0; expected 00 00 08 03"),
        (BOMB, r"too large: got 64000000000000000000000000000 values \(4000000000 x 40"),
        (idx(np.zeros((2, 2, 2)))[:-1], r"its header: got 7 values at byte 16; expected 8 \(2 x 2"),
        (idx(np.zeros((2, 2, 2))) + b"1", "length does not match its header: got more values at"),
        (gzip.compress(idx(np.zeros((2, 2, 2))))[:-9], "not a whole gzip file: got EOFError"),
        (gzip.compress(idx(np.zeros((2, 2, 2))))[:-5] + b"12345", "not a whole gzip file"),
        (b"\x1f\x8bnonsense", "not a whole gzip file: got BadGzipFile"),
    ],
)
def test_damaged_idx_files(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DataError, match=rf"a: {message}|a: .*{message}"):
        read_idx(tmp_path / "a", 3)


def test_a_gzip_bomb_is_not_inflated_beyond_its_header(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(idx(np.zeros((1, 1, 1))) + bytes(50_000_000)))
    with pytest.raises(DataError, match="got more values at byte 16; expected 1 "):
        read_idx(path, 3)
    path.write_bytes(gzip.compress(idx(np.zeros((10, 10, 10)))))
    with pytest.raises(DataError, match=r"too large: got 1000 values .*expected at most 999"):
        read_idx(path, 3, limit=999)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent: cannot be read: got No such file"):
        read_idx(tmp_path / "absent", 1)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """The four files in a folder, 20 images to train on and 4 to test."""

    def written(folder: str, zipped: bool = True) -> Path:
        rng = np.random.default_rng(7)
        place = tmp_path / folder
        place.mkdir(parents=True, exist_ok=True)
        for split, count in (("train", 20), ("test", 4)):
            arrays = rng.integers(0, 256, (count, 28, 28)), np.arange(count) % 10
            for name, array in zip(FILES[split], arrays, strict=True):
                content = idx(array)
                ending = ".gz" if zipped else ""
                (place / f"{name}{ending}").write_bytes(
                    gzip.compress(content) if zipped else content
                )
        return tmp_path

    return written


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("loader", "folder"),
    [
        (mnist, "mnist"),
        (mnist, "MNIST/raw"),
        (fashion_mnist, "fashion_mnist"),
        (fashion_mnist, "FashionMNIST/raw"),
    ],
)
def test_every_layout_gives_the_images_in_order(
    write: Callable[..., Path], loader: Callable[..., Dataset], folder: str, zipped: bool
) -> None:
    root = write(folder, zipped)
    rng = np.random.default_rng(7)
    images = rng.integers(0, 256, (20, 28, 28))
    test = loader("test", root)
    assert torch.equal(
        test.inputs.pixels[:, 0], torch.from_numpy(rng.integers(0, 256, (4, 28, 28))).byte()
    )
    assert test.labels.tolist() == [0, 1, 2, 3]
    train, val = loader("train", root), loader("val", root)
    assert (len(train), len(val)) == (18, 2)
    both = torch.cat([train.inputs.pixels, val.inputs.pixels]).flatten(1).tolist()
    assert sorted(both) == sorted(images.reshape(20, -1).tolist())


def test_a_folder_in_the_place_of_the_zipped_file(write: Callable[..., Path]) -> None:
    root = write("mnist", zipped=False)
    (root / "mnist" / "train-images-idx3-ubyte.gz").mkdir()
    assert len(mnist("train", root)) == 18
    (root / "mnist" / "train-images-idx3-ubyte").unlink()
    with pytest.raises(
        DataError, match=r"train-images-idx3-ubyte\.gz: cannot be read: got Is a di"
    ):
        mnist("train", root)


def test_frames_are_normalised_and_static(write: Callable[..., Path]) -> None:
    data = mnist("test", write("mnist"), steps=5)
    frames = data.batch([1]).frames
    pixels = data.inputs.pixels[1].double() / 255
    assert frames.shape == (5, 1, 1, 28, 28) and frames.stride(0) == 0
    torch.testing.assert_close(frames[3, 0], ((pixels - 0.1307) / 0.3081).float())


def test_the_two_sets_do_not_take_each_other_s_files(write: Callable[..., Path]) -> None:
    root = write("mnist")
    with pytest.raises(DataError, match=r"no data files under .*expected fashion_mnist/train-im"):
        fashion_mnist("test", root)
    assert load("mnist", "test", data_root=root, limit=2).steps == 6
    write("fashion_mnist")
    assert fashion_mnist("test", root).classes == FASHION_CLASSES


def damage(name: str, array: np.ndarray) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(gzip.compress(idx(array)))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda folder: (folder / "t10k-labels-idx1-ubyte.gz").unlink(),
            r"t10k-labels-idx1-ubyte\.gz: cannot be read: got No such file",
        ),
        (
            damage("t10k-labels-idx1-ubyte.gz", np.arange(5)),
            r"images of the wrong kind: got 4 x 28 x 28 for 5 labels; expected N x 28 x 28 and N",
        ),
        (
            damage("t10k-images-idx3-ubyte.gz", np.zeros((4, 14, 28))),
            r"images of the wrong kind: got 4 x 14 x 28 for 4 labels",
        ),
        (
            damage("t10k-labels-idx1-ubyte.gz", np.array([0, 1, 10, 3])),
            r"label out of range: got 10 at image 2; expected 0 … 9",
        ),
    ],
)
def test_files_that_do_not_fit(
    write: Callable[..., Path], spoil: Callable[[Path], None], message: str
) -> None:
    root = write("mnist")
    spoil(root / "mnist")
    with pytest.raises(DataError, match=message):
        mnist("test", root)


def test_no_images_at_all(write: Callable[..., Path]) -> None:
    root = write("mnist")
    damage("t10k-labels-idx1-ubyte.gz", np.zeros(0))(root / "mnist")
    damage("t10k-images-idx3-ubyte.gz", np.zeros((0, 28, 28)))(root / "mnist")
    with pytest.raises(DataError, match="images of the wrong kind: got 0 x 28 x 28 for 0 labels"):
        mnist("test", root)
