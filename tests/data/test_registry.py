"""Loading by name, and the errors of a missing or wrong data root."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from localspike.data import info, load, names, resolve_root
from localspike.errors import DataError


def test_what_info_says_is_what_load_gives() -> None:
    data, about = load("keywords", "val", limit=5), info("keywords")
    assert (data.classes, data.sample_shape, data.steps) == (
        about.classes,
        about.sample_shape,
        about.steps,
    )
    assert about.licence == "CC BY 4.0"
    assert about.files == ()


@pytest.mark.parametrize("name", names())
def test_every_entry_knows_its_splits(name: str) -> None:
    assert info(name).splits == ("train", "val", "test")
    with pytest.raises(DataError, match=f"{name} has no such split: got 'dev'; expected 'train'"):
        load(name, "dev", data_root="anywhere")


def test_load_passes_root_limit_and_options(cifar_binary: Path) -> None:
    data = load("cifar10", "test", data_root=cifar_binary, limit=2, steps=3)
    assert (len(data), data.steps) == (2, 3)


def test_unknown_name_and_option_show_the_nearest() -> None:
    with pytest.raises(DataError, match="unknown data set: got 'cifar'; expected 'cifar10'"):
        load("cifar", "train")
    with pytest.raises(DataError, match="unknown data set: got 'x'; expected 'keywords' or 'cif"):
        info("x")
    with pytest.raises(DataError, match="nmnist has no such option: got 'bin'; expected 'bin_ms'"):
        load("nmnist", "train", bin=3)


@pytest.mark.parametrize("name", [None, 3, ["keywords"]])
def test_what_is_no_name_is_said_to_be_none(name) -> None:
    with pytest.raises(
        DataError, match=r"no name of a data set: got .*; expected 'keywords' or 'c"
    ):
        load(name, "train")


def test_whole_numbers_of_numpy_are_taken() -> None:
    data = load("keywords", "val", limit=np.int64(6), steps=np.uint8(25))
    assert (len(data), data.steps, type(data.inputs.steps)) == (6, 25, int)
    assert data.labels.tolist() == load("keywords", "val", limit=6, steps=25).labels.tolist()
    assert info("shd").with_options({"channels": np.int16(70)}).sample_shape == (70,)
    for wrong in ({"limit": 2.0}, {"steps": 2.0}, {"limit": True}):
        with pytest.raises(
            DataError, match=r"impossible .*: got (2.0|True); expected .*a whole num"
        ):
            load("keywords", "val", **wrong)


def test_no_root_names_both_ways_and_the_files() -> None:
    with pytest.raises(DataError) as error:
        load("nmnist", "train")
    for part in ("data_root (--data-root)", "LOCALSPIKE_DATA", "nmnist/nmnist_1ms.npz", "Train"):
        assert part in str(error.value)


def test_a_root_that_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"no such folder: .*absent: got data_root \(--data-root\)"):
        load("cifar10", "train", data_root=tmp_path / "absent")
    monkeypatch.setenv("LOCALSPIKE_DATA", str(tmp_path / "gone"))
    with pytest.raises(DataError, match=r"no such folder: .*gone: got LOCALSPIKE_DATA = "):
        load("cifar10", "train")


def test_the_argument_beats_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCALSPIKE_DATA", "/nowhere")
    assert resolve_root(str(tmp_path)) == tmp_path
    monkeypatch.setenv("LOCALSPIKE_DATA", str(tmp_path))
    assert resolve_root(None) == tmp_path


def test_an_empty_root_names_every_layout_once(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no data files under") as error:
        load("cifar10", "train", data_root=tmp_path)
    for form in ("cifar-10-batches-bin", "cifar-10-batches-py", "labels.npz"):
        assert str(error.value).count(f"cifar10/{form}") == 1
        assert str(error.value).count(form) == 1
