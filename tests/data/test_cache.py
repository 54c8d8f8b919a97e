"""A cached data set is the same as one made anew, and the choice of a cache is the user's."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers_cache import KINDS, images, same
from localspike.data import (
    BinnedEvents,
    Dataset,
    EventAugment,
    ImageAugment,
    StaticImages,
    batches,
    cifar10,
    nmnist,
)
from localspike.data import cache as cache_module
from localspike.data.cache import Cache, CacheWarning, cached, choose, fetch, load_cached
from localspike.errors import ConfigError, DataError


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch):
    """No cache of the caller's, and a cache that works says nothing."""
    monkeypatch.delenv("LOCALSPIKE_CACHE", raising=False)
    monkeypatch.delenv("LOCALSPIKE_CACHE_GB", raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error", CacheWarning)
        yield


class Counted:
    """A builder that knows how often it was called."""

    def __init__(self, build: Callable[[], Dataset]) -> None:
        self.build, self.calls = build, 0

    def __call__(self, *args: object, **kwargs: object) -> Dataset:
        self.calls += 1
        return self.build(*args, **kwargs)


@pytest.mark.parametrize("kind", KINDS)
def test_cached_and_uncached_show_the_same(kind: str, tmp_path: Path) -> None:
    make, form = KINDS[kind]
    build = Counted(make)
    first, made = fetch(build, {"kind": kind}, cache=tmp_path)
    again, hit = fetch(build, {"kind": kind}, cache=tmp_path)
    assert build.calls == 1
    assert (made.outcome, hit.outcome) == ("made", "hit")
    assert same(first, make())
    assert same(again, make())
    assert Cache(tmp_path).kept()[0].about()["form"] == form


@pytest.mark.parametrize("kind", KINDS)
def test_epochs_resume_from_a_cached_set_bit_for_bit(kind: str, tmp_path: Path) -> None:
    make = KINDS[kind][0]
    cached(make, {}, cache=tmp_path)
    data = cached(make, {}, cache=tmp_path)
    still = data.inputs.static
    augment = ImageAugment(pad=1, cutout=2) if still else EventAugment(shift=1, groups=1)

    def run(source: Dataset, start: int):
        return list(batches(source, 2, shuffle=True, seed=3, epoch=4, start=start, augment=augment))

    whole = run(make(), 0)
    rest = run(data, len(whole) // 2)
    for a, b in zip(whole[len(whole) // 2 :], rest, strict=True):
        assert torch.equal(a.frames, b.frames)
        assert torch.equal(a.labels, b.labels)


def make_wide(spikes: int) -> Dataset:
    """Twenty samples of 6 steps of 4,000 places, about ``spikes`` of these on in a step."""
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand((20, 6, 4000), generator=generator) < spikes / 4000
    place = torch.cat([torch.nonzero(one.flatten()).flatten() for one in frames]).int()
    offsets = torch.tensor([0, *frames.flatten(1).sum(1).cumsum(0)])
    source = BinnedEvents(place, offsets, 6, (4000,))
    return Dataset("wide", "train", source, torch.arange(20) % 2, ("a", "b"))


def test_spikes_take_an_eighth_of_bytes_and_what_is_kept_is_reported(tmp_path: Path) -> None:
    def build() -> Dataset:
        return make_wide(400)

    data, note = fetch(build, {}, cache=tmp_path)
    assert note.dense == len(data) * data.steps * 4000
    assert note.nbytes == note.path.stat().st_size
    assert 7.5 < note.ratio <= 8.0
    assert f"{note.ratio:.1f} times smaller than bytes" in str(note)
    assert str(note).startswith(f"made: {note.path}: ")


def test_the_smaller_form_is_taken(tmp_path: Path) -> None:
    """At one spike in 32 places, 4 bytes each, both forms are as large."""
    for density, form in ((100, "places"), (150, "bits")):
        _, note = fetch(lambda d=density: make_wide(d), {"density": density}, cache=tmp_path)
        about = next(one for one in Cache(tmp_path).kept() if one.path == note.path).about()
        assert about["form"] == form
        assert note.ratio > 7.5


def test_what_a_subset_does_not_show_is_not_kept(tmp_path: Path) -> None:
    for make, form in (KINDS["images"], KINDS["counts"], KINDS["packed"]):
        data = cached(lambda m=make: m().subset([2, 4]), {"form": form}, cache=tmp_path)
        assert len(data.inputs) == 2


def test_writing_into_a_cached_set_reaches_nobody(tmp_path: Path) -> None:
    first, second = (cached(images, {}, cache=tmp_path) for _ in range(2))
    first.inputs.pixels.zero_()
    assert same(second, images())
    assert same(cached(images, {}, cache=tmp_path), images())


def test_frames_outlive_the_entry(tmp_path: Path) -> None:
    data, note = fetch(KINDS["dense spikes"][0], {}, cache=tmp_path)
    note.path.unlink()
    gc.collect()
    assert same(data, KINDS["dense spikes"][0]())


def test_off_by_default_and_where_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose(None) is None
    monkeypatch.setenv("LOCALSPIKE_CACHE", str(tmp_path))
    assert choose(None).folder == choose(True).folder == tmp_path
    assert choose(False) is None
    data, note = fetch(images, {}, cache=False)
    assert (note.outcome, note.reason, note.ratio) == ("uncached", "the cache is off", 0.0)
    assert same(data, images())
    assert list(tmp_path.iterdir()) == []
    for word in ("off", "0", ""):
        monkeypatch.setenv("LOCALSPIKE_CACHE", word)
        assert choose(None) is None
    assert choose(tmp_path).folder == tmp_path
    assert choose(Cache(tmp_path, 5)).limit == 5


def test_the_users_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALSPIKE_CACHE", "on")
    assert choose(None).folder == choose(True).folder == tmp_path / "localspike"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert choose(True).folder == tmp_path / ".cache" / "localspike"


def test_the_limit_is_set_in_gigabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose(tmp_path).limit == 10 * 10**9
    monkeypatch.setenv("LOCALSPIKE_CACHE_GB", "0.5")
    assert choose(tmp_path).limit == 5 * 10**8
    for wrong in ("much", "-1", "0", "nan", "inf"):
        monkeypatch.setenv("LOCALSPIKE_CACHE_GB", wrong)
        with pytest.raises(ConfigError, match=rf"impossible LOCALSPIKE_CACHE_GB: got '{wrong}'"):
            choose(tmp_path)


def test_errors_of_the_builder_come_through_and_nothing_is_kept(tmp_path: Path) -> None:
    def build() -> Dataset:
        raise DataError("no such file")

    with pytest.raises(DataError, match="no such file"):
        fetch(build, {}, cache=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_source_of_another_kind_goes_uncached_and_says_so(tmp_path: Path) -> None:
    class Own(StaticImages):
        """Might hold more than its parent does."""

    source = images().inputs
    data = Dataset("own", "val", Own(source.pixels, 3), torch.zeros(9, dtype=torch.long), ("a",))
    with pytest.warns(CacheWarning, match="kind of source cannot be cached: got Own") as said:
        kept, note = fetch(lambda: data, {}, cache=tmp_path)
    assert kept is data
    assert note.outcome == "uncached"
    assert len(said) == 1


@pytest.mark.parametrize(
    ("part", "dtype"),
    [("place", torch.int16), ("weight", torch.float32), ("weight", torch.bfloat16)],
)
def test_numbers_an_entry_cannot_hold_go_uncached_and_that_is_said(
    part: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    def build() -> Dataset:
        data = KINDS["weighted spikes"][0]()
        other = replace(data.inputs, **{part: getattr(data.inputs, part).to(dtype)})
        return replace(data, inputs=other)

    text = f"cannot hold this data set's {part}: got {dtype}; expected torch.uint8 or .*; going on"
    with pytest.warns(CacheWarning, match=text) as said:
        data, note = fetch(build, {}, cache=tmp_path)
    assert (len(said), note.outcome, len(data)) == (1, "uncached", 9)
    assert not Cache(tmp_path).kept()


def test_a_setting_that_cannot_be_told_apart_goes_uncached(tmp_path: Path) -> None:
    build = Counted(images)
    for _ in range(2):
        with pytest.warns(CacheWarning, match="setting cannot be cached: got function"):
            fetch(build, {"transform": lambda x: x}, cache=tmp_path)
    assert build.calls == 2


def test_a_loader_of_files(cifar_binary: Path, tmp_path: Path) -> None:
    forms = ["cifar-10-batches-bin"]
    loader = Counted(cifar10)

    def load(split: str, **options: object) -> Dataset:
        return load_cached(
            cifar_loader, forms, split, data_root=cifar_binary, cache=tmp_path / "c", **options
        )

    def cifar_loader(split: str, data_root=None, limit=None, steps: int = 6) -> Dataset:
        return loader(split, data_root, limit, steps)

    for split in ("train", "val", "test"):
        assert same(load(split), cifar10(split, cifar_binary))
    calls = loader.calls
    assert same(load("train", steps=6), cifar10("train", cifar_binary))
    assert loader.calls == calls == 3
    assert load("train", steps=2).steps == 2
    assert len(load("train", limit=3)) == 3
    assert loader.calls == 5


def test_a_changed_file_is_read_again(write_nmnist: Callable[..., Path], tmp_path: Path) -> None:
    recordings = [[(1, 0, 2, number)] for number in range(20)]
    root = write_nmnist(recordings)

    def load() -> Dataset:
        return load_cached(
            nmnist, ["nmnist/nmnist_1ms.npz"], "test", data_root=root, cache=tmp_path / "kept"
        )

    before = load()
    write_nmnist([[(1, 0, 2, number + 1)] for number in range(20)])
    after = load()
    assert same(after, nmnist("test", root))
    assert not same(after, before)
