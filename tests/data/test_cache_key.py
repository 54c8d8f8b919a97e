"""Whatever changes the data changes the key, and nothing else does."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localspike.data import EventAugment, cache_key
from localspike.data.cache_key import call_settings, describe, digest, fingerprint, plain, watched
from localspike.errors import DataError

scalar = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, 0.5])
scalar |= st.sampled_from(["", "1", "true", "None", "1.0"])
value = st.recursive(
    scalar,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=4,
)


def typed(one: Any) -> Any:
    """Equal only for values of equal types."""
    if isinstance(one, list):
        return ["list", *map(typed, one)]
    if isinstance(one, dict):
        return {key: typed(inner) for key, inner in one.items()}
    return type(one).__name__, repr(one)


@settings(max_examples=150, deadline=None)
@given(value, value)
def test_two_settings_share_a_key_only_if_they_are_the_same(one: Any, other: Any) -> None:
    keys = [digest(describe({"x": given}, ())) for given in (one, other)]
    assert (keys[0] == keys[1]) == (typed(one) == typed(other))


def loader(split, data_root=None, limit=None, bin_ms=10, steps=None, *, counts=False): ...


BASE = {"split": "train"}


@pytest.mark.parametrize(
    "change",
    [
        {"split": "val"}, {"limit": 1}, {"bin_ms": 10.0}, {"bin_ms": 1}, {"steps": 10},
        {"counts": True}, {"counts": 0}, {"limit": "None"}, {"data_root": "x"},
    ],
)  # fmt: skip
def test_each_argument_of_a_loader_counts(change: dict[str, Any]) -> None:
    base = describe(call_settings(loader, **BASE), ())
    assert describe(call_settings(loader, **{**BASE, **change}), ()) != base


def test_a_default_given_by_hand_is_the_default() -> None:
    base = describe(call_settings(loader, "train"), ())
    assert describe(call_settings(loader, split="train", bin_ms=10, counts=False), ()) == base
    assert describe(call_settings(loader, "train", bin_ms=np.int64(10)), ()) == base


def test_version_and_code_count(monkeypatch: pytest.MonkeyPatch) -> None:
    base = describe({}, ())
    assert describe({}, (), 2) != base
    monkeypatch.setattr(cache_key, "code_digest", lambda: "other")
    assert describe({}, ()) != base


def test_the_code_digest_sees_every_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep").mkdir()
    seen = set()
    for name, text in (("a.py", "1"), ("a.py", "2"), ("deep/b.py", "2"), ("b.py", "2")):
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(cache_key, "__file__", str(tmp_path / "cache_key.py"))
        seen.add(cache_key.code_digest.__wrapped__())
    assert len(seen) == 4


@dataclass(frozen=True)
class Front:
    bands: int = 40
    inner: EventAugment = EventAugment()  # noqa: RUF009


@dataclass(frozen=True)
class Other:
    bands: int = 40
    inner: EventAugment = EventAugment()  # noqa: RUF009


def test_dataclasses_count_by_type_and_fields() -> None:
    forms = [Front(), Front(41), Front(inner=EventAugment(drop=0.2)), Other()]
    assert len({describe({"front": one}, ()) for one in forms}) == 4
    assert describe({"front": Front()}, ()) == describe({"front": Front(40)}, ())


@pytest.mark.parametrize("wrong", [object(), loader, {1: 2}, {1, 2}, np.zeros(2), b"x", Front])
def test_what_has_no_plain_form_is_refused(wrong: object) -> None:
    with pytest.raises(DataError, match=r"cannot be cached: got .*Pass cache=False"):
        plain({"x": [wrong]})


@pytest.fixture(params=[0, 1 << 62], ids=["by times", "by content"])
def tree(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose files count as old, or as just changed."""
    monkeypatch.setattr(cache_key, "YOUNG_NS", request.param)
    for name in ("one", "sub/two", "sub/deep/three"):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(b"12345678")
    return tmp_path / "set"


def test_every_change_of_a_file_shows(tree: Path) -> None:
    before = fingerprint(tree)
    assert fingerprint(tree) == before
    seen = {before}
    file = tree / "sub" / "deep" / "three"
    state = file.stat()
    file.write_bytes(b"12345679")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))  # as if nothing had happened
    seen.add(fingerprint(tree))
    file.write_bytes(b"123456790")
    seen.add(fingerprint(tree))
    (tree / "four").touch()
    seen.add(fingerprint(tree))
    file.rename(file.with_name("tree"))
    seen.add(fingerprint(tree))
    (tree / "one").unlink()
    seen.add(fingerprint(tree))
    assert len(seen) == 6


def test_one_file_and_another_place(tree: Path) -> None:
    assert fingerprint(tree / "one") != fingerprint(tree / "sub" / "two")
    before = fingerprint(tree / "one")
    (tree / "sub" / "two").write_bytes(b"other")
    assert fingerprint(tree / "one") == before


def test_reading_touching_hidden_files_and_the_cache_itself_change_nothing(tree: Path) -> None:
    before = fingerprint(tree, tree / "kept")
    (tree / "one").read_bytes()
    (tree / ".hidden").write_text("x")
    (tree / ".folder").mkdir()
    (tree / ".folder" / "in").write_text("x")
    (tree / "kept").mkdir()
    (tree / "kept" / "entry").write_text("x")
    assert fingerprint(tree, tree / "kept") == before
    assert fingerprint(tree) != before


def test_links_are_followed_and_end(tree: Path) -> None:
    (tree / "again").symlink_to(tree)
    (tree / "nowhere").symlink_to(tree / "missing")
    before = fingerprint(tree)
    assert fingerprint(tree) == before
    link = tree.parent / "link"
    link.symlink_to(tree)
    assert fingerprint(link) == before
    (tree / "missing").write_text("now it is there")
    assert fingerprint(tree) != before


def test_a_missing_source_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone: cannot be read: got No such file or directory"):
        fingerprint(tmp_path / "gone")


def test_the_folders_to_watch(tmp_path: Path) -> None:
    forms = ["toy/Train", "Train", "toy/raw/a.npz"]
    assert watched(tmp_path, forms) == [tmp_path]
    (tmp_path / "toy" / "raw").mkdir(parents=True)
    (tmp_path / "toy" / "raw" / "a.npz").touch()
    assert watched(tmp_path, forms) == [tmp_path / "toy" / "raw"]
    (tmp_path / "toy" / "Train").mkdir()
    assert watched(tmp_path, forms) == [tmp_path / "toy"]
    (tmp_path / "Train").mkdir()
    assert watched(tmp_path, forms) == [tmp_path / "Train", tmp_path / "toy"]
    (tmp_path / "Test").mkdir()
    assert watched(tmp_path, forms) == [tmp_path / name for name in ("Test", "Train", "toy")]
    (tmp_path / "a.npz").touch()
    assert watched(tmp_path, ["Train", "a.npz"]) == [tmp_path]
