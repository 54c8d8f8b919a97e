"""Cards: one for every data set, complete, and in agreement with the loaders."""

from __future__ import annotations

import inspect
import re
from math import prod
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from localspike.data import CARDS, Card, Citation, File, info, load, names
from localspike.data.cards.card import Kind

ISSUE = {
    "cifar10", "cifar100", "dvs_gesture", "cifar10dvs", "nmnist", "shd", "ssc", "speech_commands",
    "ncaltech101", "braille", "pokerdvs", "mnist", "fashion_mnist", "keywords",
}  # fmt: skip


def test_every_data_set_has_a_card_and_a_loader() -> None:
    assert set(CARDS) == set(names()) == ISSUE


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
def test_a_card_is_complete(card: Card) -> None:
    assert card.title and card.licence and card.splits and card.official
    assert card.kind in Kind.__args__
    assert urlsplit(card.homepage).scheme in ("http", "https") and urlsplit(card.homepage).netloc
    assert set(card.official) <= {"train", "val", "test", "all"}
    assert min(card.official.values()) > 0 and prod(card.shape) > 0
    assert (card.step_ms == 0) == (card.kind == "image")
    assert len(card.licence) < 80 and len(card.title) < 90


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
def test_a_card_can_be_cited(card: Card) -> None:
    cited = card.citation
    assert cited.authors and cited.title and cited.venue and 1990 < cited.year < 2030
    assert cited.doi or cited.url
    assert not cited.doi or re.fullmatch(r"10\.\d{4,}/\S+", cited.doi)
    text = cited.bibtex
    assert text.startswith(f"@{cited.kind}{{{cited.key},\n") and text.endswith("\n}")
    assert text.count("{") == text.count("}") and cited.short.split()[-1] == str(cited.year)


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
def test_files_lie_in_the_data_set_s_own_folder(card: Card) -> None:
    for file in card.files:
        for path in (file.path, file.result, file.unpack or card.name):
            assert path.split("/")[0] == card.name
            assert ".." not in path and not path.startswith("/")
        assert file.unpack is None or file.gives
        assert file.urls or card.manual
        assert all(urlsplit(url).scheme in ("http", "https") for url in file.urls)


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
def test_what_is_fetched_over_the_network_has_a_checksum(card: Card) -> None:
    for file in card.files:
        assert re.fullmatch(r"[0-9a-f]{64}|", file.sha256)
        assert re.fullmatch(r"[0-9a-f]{32}|", file.md5)
        assert not file.urls or file.checksum
    for md5 in card.listed.values():
        assert re.fullmatch(r"[0-9a-f]{32}", md5)


def test_no_checksum_is_given_twice() -> None:
    every = [
        value
        for card in CARDS.values()
        for file in card.files
        for value in (file.sha256, file.md5)
        if value
    ]
    every += [md5 for card in CARDS.values() for md5 in card.listed.values()]
    assert len(every) == len(set(every)) > 30


@pytest.mark.parametrize("name", names())
def test_a_loader_finds_what_get_leaves_behind(name: str) -> None:
    about = info(name)
    for file in about.card.files:
        places = [*about.files, *(form.rpartition("/")[0] for form in about.files)]
        assert any(place and file.result.startswith(place) for place in places), file.result


@pytest.mark.parametrize("name", names())
def test_forms_that_hold_a_part_are_forms(name: str) -> None:
    about = info(name)
    assert set(about.card.parts) <= set(about.files)
    assert len(about.classes) == len(set(about.classes)) == about.card.classes
    assert set(about.card.official) <= {*about.splits, "all"}


@pytest.mark.parametrize("name", ["keywords", "braille", "pokerdvs"])
def test_shape_and_steps_are_the_loader_s(name: str, real_root: Path) -> None:
    about, data = info(name), load(name, "val", data_root=real_root, limit=2)
    assert (data.sample_shape, data.steps) == (about.sample_shape, about.steps)
    assert data.classes == about.classes


@pytest.mark.parametrize("name", names())
def test_shape_and_bins_are_those_of_the_loader_s_defaults(name: str) -> None:
    about = info(name)
    parameters = inspect.signature(about.loader).parameters
    given = {key: parameters[key].default for key in about.options}
    assert about.with_options(given) == about
    assert given.get("bin_ms", about.card.step_ms) == about.card.step_ms


@pytest.mark.parametrize(
    ("name", "options", "shape", "classes"),
    [
        ("dvs_gesture", {"size": None}, (2, 128, 128), 11),
        ("cifar10dvs", {"size": 32}, (2, 32, 32), 10),
        ("ncaltech101", {"size": 120}, (2, 90, 120), 101),
        ("shd", {"channels": 70}, (70,), 20),
        ("ssc", {"channels": 140, "counts": True}, (140,), 35),
        ("speech_commands", {"words": 35}, (80,), 35),
        ("speech_commands", {"words": "12"}, (80,), 12),
        ("cifar100", {"labels": "coarse"}, (3, 32, 32), 20),
        ("cifar100", {"labels": "other"}, (3, 32, 32), 100),
        ("cifar10", {"steps": 3}, (3, 32, 32), 10),
    ],
)
def test_options_that_change_shape_or_classes(
    name: str, options: dict[str, object], shape: tuple[int, ...], classes: int
) -> None:
    about = info(name).with_options(options)
    assert (about.sample_shape, len(about.classes)) == (shape, classes)
    assert about.name == name and info(name).sample_shape == CARDS[name].shape


def test_the_stronger_checksum_is_asked() -> None:
    assert File("x", sha256="a", md5="b").checksum == ("sha256", "a")
    assert File("x").checksum is None
    assert Citation("k", "misc", ("A B",), "T", "V", 2000).bibtex.count("howpublished") == 1
