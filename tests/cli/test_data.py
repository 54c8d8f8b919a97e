"""`localspike data`: what its four parts print, and every refusal in one line."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers_cli import Said
from helpers_server import Site, serving
from localspike.data import info, names, registry

Command = Callable[..., Said]


@pytest.fixture(autouse=True)
def no_root(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOCALSPIKE_DATA", "http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(Site()) as served:
        yield served


def idx(array: np.ndarray) -> bytes:
    sizes = np.array(array.shape, ">u4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


@pytest.fixture
def offered(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A small MNIST on the site, and a card that says so."""
    rng = np.random.default_rng(0)
    entry = info("mnist")
    files = []
    for file in entry.card.files:
        count = 40 if file.name.startswith("train") else 10
        images = rng.integers(0, 256, (count, 28, 28))
        array = images if "images" in file.name else np.arange(count) % 10
        content = gzip.compress(idx(array), mtime=0)
        site.files[file.name] = content
        sha256 = hashlib.sha256(content).hexdigest()
        files.append(replace(file, urls=(site.at(file.name),), sha256=sha256, size=None))
    card = replace(entry.card, files=tuple(files), official={"train": 40, "test": 10})
    monkeypatch.setitem(registry._TABLE, "mnist", replace(entry, card=card))
    return site


def refused(said: Said, message: str) -> None:
    last = said.err.splitlines()[-1]
    assert said.code == 2 and last.startswith("localspike: error: ")
    assert "Traceback" not in said.err and re.search(message, last), said.err


def test_list_shows_every_data_set_in_columns(command: Command, tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    for file in info("mnist").card.files:
        (tmp_path / file.path).write_bytes(b"x")
    (tmp_path / "nmnist").mkdir()
    (tmp_path / "nmnist" / "nmnist_1ms.npz").write_bytes(b"x")
    said = command("data", "list", "--data-root", tmp_path)
    lines = said.out.splitlines()
    assert said.code == 0 and said.err == ""
    assert lines[0].split() == ["name", "what", "it", "is", "shape", "T", "official", "licence", "here"]  # fmt: skip # noqa: E501
    assert [line.split()[0] for line in lines[1 : 1 + len(names())]] == list(names())
    assert max(map(len, lines[: 1 + len(names())])) <= 100
    place = lines[0].index("here")
    here = {line.split()[0]: line[place:] for line in lines[1 : 1 + len(names())]}
    assert here["keywords"] == "inside" and here["mnist"] == "yes"
    assert here["nmnist"] == "part" and here["shd"] == "no"
    assert f"data root: {tmp_path}" in said.out
    assert "data root: not set: set LOCALSPIKE_DATA or" in command("data", "list").out
    absent = command("data", "list", "--data-root", tmp_path / "absent")
    refused(absent, r"no such folder: .*absent: got data_root \(--data-root\) = ")


def test_list_as_json_has_the_whole_card(command: Command) -> None:
    found = json.loads(command("data", "list", "--json").out)
    assert found["data_root"] is None
    by_name = {entry["name"]: entry for entry in found["data"]}
    assert by_name["shd"]["official"] == {"train": 8156, "test": 2264}
    assert by_name["shd"]["cite"].startswith("@article{cramer2022heidelberg")
    assert by_name["cifar10"]["classes"][3] == "cat" and by_name["mnist"]["here"] == "no"


def test_get_fetches_and_says_what_it_did(command: Command, offered: Site, tmp_path: Path) -> None:
    said = command("data", "get", "mnist", "--out", tmp_path / "new")
    assert said.code == 0
    assert "Licence: CC BY-SA 3.0" in said.out
    assert re.search(r"mnist/t10k-labels-idx1-ubyte\.gz +fetched +sha256", said.out)
    assert len(list((tmp_path / "new" / "mnist").iterdir())) == 4
    said = command("data", "get", "mnist", "--data-root", tmp_path / "new", "--json")
    found = json.loads(said.out)
    assert {file["state"] for file in found["files"]} == {"there"}
    assert "Licence: CC BY-SA 3.0" in said.err
    said = command("data", "get", "mnist", "--data-root", tmp_path / "new")
    assert len(re.findall(r"there +not checked\n", said.out)) == 4


def test_get_of_what_is_in_the_package_needs_no_root(command: Command) -> None:
    said = command("data", "get", "keywords", "--json")
    assert said.code == 0 and json.loads(said.out)["root"] is None
    said = command("data", "get", "keywords")
    assert re.search(r"in the package +there +not checked\n", said.out)


def test_get_uses_the_data_root_of_the_environment(
    command: Command, offered: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCALSPIKE_DATA", str(tmp_path))
    assert command("data", "get", "mnist", "--json").code == 0
    assert (tmp_path / "mnist").is_dir()


def test_get_is_refused_where_it_cannot_be_done(
    command: Command, offered: Site, tmp_path: Path
) -> None:
    refused(command("data", "get", "mnist"), r"no data root is set")
    refused(command("data", "get", "mnsit", "--out", tmp_path), r"unknown data set: got 'mnsit'")
    refused(command("data", "get", "dvs_gesture", "--out", tmp_path), r"Put DvsGesture\.tar\.gz in")
    refused(command("data", "get", "mnist", "--patience", "0"), r"impossible patience: got 0\.0")
    refused(command("data", "get", "mnist", "--patience", "nan"), r"impossible patience: got nan")
    refused(command("data", "get", "mnist", "--patience", "inf"), r"impossible patience: got inf")
    offered.files.clear()
    said = command("data", "get", "mnist", "--out", tmp_path, "--json")
    refused(said, r"train-images-idx3-ubyte\.gz cannot be fetched: got .* it says 404 Not Found")
    assert said.out == "" and list(tmp_path.iterdir()) == []


def test_check_prints_a_table_and_its_verdict(
    command: Command, offered: Site, tmp_path: Path
) -> None:
    command("data", "get", "mnist", "--out", tmp_path)
    said = command("data", "check", "mnist", "--data-root", tmp_path)
    assert said.code == 0
    assert re.search(r"\ntrain \+ val +40 +40 +ok\n", said.out)
    assert said.out.endswith("mnist: all as it should be\n")
    assert max(map(len, said.out.splitlines())) <= 100
    assert "reading mnist test" in said.err
    labels = tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(idx(np.zeros(10))))
    said = command("data", "check", "mnist", "--data-root", tmp_path)
    assert said.code == 1 and "something is WRONG" in said.out
    assert max(map(len, said.out.splitlines())) <= 100
    said = command("data", "check", "mnist", "--data-root", tmp_path, "--json")
    found = json.loads(said.out)
    wrong = [line["what"] for line in found["findings"] if line["ok"] is False]
    assert said.code == 1 and found["ok"] is False
    assert wrong == ["checksum of t10k-labels-idx1-ubyte.gz"]


def test_check_of_what_is_in_the_package(command: Command) -> None:
    said = command("data", "check", "keywords", "--json")
    assert said.code == 0 and json.loads(said.out)["ok"] is True


def test_show_draws_one_sample(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    said = command("data", "show", "keywords", "--split", "val", "--index", 3)
    assert said.code == 0
    assert said.out == "keywords val 3 (down): keywords-val-3.png\n"
    assert (tmp_path / "keywords-val-3.png").read_bytes().startswith(b"\x89PNG")
    out = tmp_path / "new" / "word.png"
    found = json.loads(command("data", "show", "keywords", "--out", out, "--json").out)
    assert found["file"] == str(out) and out.exists()
    assert (found["steps"], found["label"]) == (50, "down") and found["events"] > 100


def test_show_is_refused_where_there_is_nothing(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    message = r"keywords val has no sample 237: got 237; expected 0 … 236"
    refused(command("data", "show", "keywords", "--split", "val", "--index", "237"), message)
    refused(command("data", "show", "keywords", "--index=-1"), r"keywords train has no sample -1")
    refused(command("data", "show", "mnist"), r"no data root is set")
    pytest.importorskip("matplotlib")
    (tmp_path / "file").touch()
    out = os.path.join("file", "x.png")
    refused(command("data", "show", "keywords", "--out", out), r"cannot write file/x\.png: got")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]
    (tmp_path / "folder.png").mkdir()
    for name in (".", "..", "folder.png", "p.txt", "p.jpg", "p"):
        said = command("data", "show", "keywords", "--out", name)
        refused(said, r"cannot draw there: got .*; expected a file that ends in \.png\.")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data"], r"Expected one of {list, get, check, show}"),
        (["data", "lst"], r"Unrecognized options: lst\. Available subcommands: list, get"),
        (["data", "get"], r"Missing from localspike data get: NAME"),
        (["data", "check"], r"Missing from localspike data check: NAME"),
        (["data", "get", "mnist", "--kep"], r"unknown option --kep of localspike data get\. Nea"),
        (["data", "list", "--index", "1"], r"unknown option --index of localspike data list"),
        (["data", "show", "mnist", "--split", "dev"], r"invalid choice 'dev' for argument"),
        (["data", "show", "mnist", "--index", "two"], r"--index"),
        (["data", "check", ""], r"empty argument"),
        (["data", "get", "mnist", "--out", ""], r"the value of --out is empty"),
    ],
)  # fmt: skip
def test_what_cannot_be_parsed_is_refused(
    command: Command, arguments: list[str], message: str
) -> None:
    said = command(*arguments)
    refused(said, message)
    assert said.out == "" and said.err.count("\n") == 1
