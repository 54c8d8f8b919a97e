"""Splits are fixed for ever, their members are written down here; files that are none are named."""

from __future__ import annotations

import errno
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from localspike.data.files import (
    carve,
    choose,
    find,
    fixed_permutation,
    load_arrays,
    load_npz,
    present,
)
from localspike.errors import DataError


def test_members_of_the_splits_never_change() -> None:
    assert carve(50_000, "val", "cifar10")[:6].tolist() == [17, 24, 33, 43, 49, 52]
    assert carve(5_000, "val", "nmnist")[:6].tolist() == [3, 5, 6, 11, 15, 26]
    assert choose(torch.arange(45_000), 3, "cifar10").tolist() == [34_015, 25_087, 10_513]


@pytest.mark.parametrize("n", [0, 1, 2, 1000])
def test_fixed_permutation_permutes(n: int) -> None:
    assert sorted(fixed_permutation(n, "a").tolist()) == list(range(n))


def test_fixed_permutation_is_spread_evenly() -> None:
    """Where the first tenth comes from: a mean near the middle, no run of neighbours."""
    tenth = fixed_permutation(50_000, "b")[:5_000].double()
    assert abs(float(tenth.mean()) / 50_000 - 0.5) < 0.02
    assert abs(float(tenth.diff().abs().mean()) / 50_000 - 1 / 3) < 0.02
    assert not torch.equal(fixed_permutation(100, "a"), fixed_permutation(100, "b"))


def test_train_and_val_are_a_partition() -> None:
    train, val = carve(1003, "train", "x"), carve(1003, "val", "x")
    assert len(val) == 100
    assert sorted(torch.cat([train, val]).tolist()) == list(range(1003))


def test_arrays_come_back_from_both_kinds_of_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", a=np.arange(3), b=np.ones(2))
    np.save(tmp_path / "one.npy", np.arange(4))
    assert load_arrays(tmp_path / "two.npz").keys() == {"a", "b"}
    assert load_arrays(tmp_path / "two.npz", ["b", "c"]).keys() == {"b"}
    assert load_arrays(tmp_path / "one.npy")[""].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"x: not a \.npy or \.npz file: got an empty file"),
        (b"some text\n", r"x: not a \.npy or \.npz file: got a file that begins with b'some t'"),
        (b"\x89PNG\r\n", r"not a \.npy or \.npz file: .*Check that this is the file you mean"),
        (b"PK\x03\x04 cut", r"x: not a whole npz file: got BadZipFile: .*damaged or truncated"),
        (b"\x93NUMPY\x01\x00", r"x: not a whole npy file: got ValueError"),
    ],
)
def test_a_file_of_another_kind_is_named_without_advice_to_unpickle_it(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "x").write_bytes(content)
    for read in (load_arrays, lambda path: load_npz(path, ["a"])):
        with pytest.raises(DataError, match=message) as caught:
            read(tmp_path / "x")
        assert "pickle" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_header_that_promises_too_much_is_damage(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(4))
    content = (tmp_path / "x.npy").read_bytes()
    wide = content.replace(b"'shape': (4,), }" + b" " * 15, b"'shape': (99999999999999999,), }")
    (tmp_path / "x.npy").write_bytes(wide[: len(content)])
    with pytest.raises(DataError, match=r"not a whole npy file"):
        load_arrays(tmp_path / "x.npy")


def test_objects_are_refused_as_such(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.array([{}], dtype=object))
    with pytest.raises(DataError, match=r"x\.npz: holds Python objects: expected plain numbers"):
        load_npz(tmp_path / "x.npz", ["a"])


def test_a_missing_array_names_those_there_are(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.zeros(1))
    with pytest.raises(
        DataError, match=r"x\.npz: no array b: got a; expected an npz file with a, b"
    ):
        load_npz(tmp_path / "x.npz", ["a", "b"])
    np.save(tmp_path / "x.npy", np.zeros(1))
    with pytest.raises(DataError, match=r"x\.npy: no array a: got one bare array"):
        load_npz(tmp_path / "x.npy", ["a"])


@pytest.mark.parametrize("when", ["open", "load"])
def test_an_unreadable_file_is_not_called_truncated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    def deny(*arguments: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    np.savez(tmp_path / "x.npz", a=np.zeros(1))
    monkeypatch.setattr(*((Path, "open") if when == "open" else (zipfile, "ZipFile")), deny)
    message = r"x\.npz: cannot be read: got Permission denied; .*Change its permissions"
    with pytest.raises(DataError, match=message) as caught:
        load_npz(tmp_path / "x.npz", ["a"])
    assert "truncated" not in str(caught.value)


def test_what_is_there_in_name_only_is_found_and_then_named(tmp_path: Path) -> None:
    """A link that leads nowhere, or a folder of a file's name, is the user's file gone wrong."""
    (tmp_path / "link.npz").symlink_to(tmp_path / "gone.npz")
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "loop.npz").symlink_to(tmp_path / "loop.npz")
    for name, said in (
        ("link", "No such file"), ("folder", "Is a directory"), ("loop", "Too many levels")
    ):  # fmt: skip
        assert find(tmp_path, ["absent.npz", f"{name}.npz"]) == f"{name}.npz"
        with pytest.raises(DataError, match=rf"{name}\.npz: cannot be read: got {said}"):
            load_npz(tmp_path / f"{name}.npz", ["a"])
    with pytest.raises(DataError, match=r"no data files under .*: expected a/b\.npz"):
        find(tmp_path, ["a/b.npz", "b.npz"])
    assert not present(tmp_path / "folder.npz" / "x")


def test_a_folder_that_cannot_be_looked_into_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "lstat", deny)
    with pytest.raises(DataError, match=r"a\.npz: cannot be read: got Permission denied"):
        find(tmp_path, ["a.npz"])
