"""Bringing data sets under the root: fetched, verified, unpacked once; else what to put where."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from helpers_server import Site, serving
from localspike.data import CARDS, File, Got, cifar100, get, info, registry, survey
from localspike.data.claim import claimed
from localspike.errors import DataError


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(Site()) as served:
        yield served


def tar(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def a_zip(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def offer(
    monkeypatch: pytest.MonkeyPatch, site: Site, name: str, contents: dict[str, bytes]
) -> None:
    """Let the card's files be these, served by the site; the rest of the card as it is."""
    entry = info(name)
    files = []
    for file in entry.card.files:
        if file.name not in contents:
            continue
        content = contents[file.name]
        site.files[file.name] = content
        digest = hashlib.sha256(content).hexdigest()
        files.append(
            replace(file, urls=(site.at(file.name),), sha256=digest, md5="", size=len(content))
        )
    card = replace(entry.card, files=tuple(files))
    monkeypatch.setitem(registry._TABLE, name, replace(entry, card=card))


def listing(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


BINARY = {
    "cifar-100-binary/train.bin": bytes([3, 7]) * 1 + bytes(3072),
    "cifar-100-binary/test.bin": bytes([4, 9]) + bytes(3072),
}


def test_an_archive_is_fetched_verified_unpacked_and_removed(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, site, "cifar100", {"cifar-100-binary.tar.gz": tar(BINARY)})
    heard: list[str] = []
    done = get("cifar100", tmp_path, bar=False, say=heard.append)
    assert done == [Got("cifar100/cifar-100-binary", "unpacked", "sha256")]
    assert listing(tmp_path) == [f"cifar100/{name}" for name in sorted(BINARY)]
    assert cifar100("test", tmp_path).labels.tolist() == [9]
    assert "Licence: none stated" in heard[0] and "www.cs.toronto.edu" in heard[0]
    assert get("cifar100", tmp_path) == [Got("cifar100/cifar-100-binary", "there")]
    assert len(site.asked) == 1


def test_an_archive_may_be_kept(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, site, "cifar100", {"cifar-100-binary.tar.gz": tar(BINARY)})
    get("cifar100", tmp_path, keep=True, bar=False)
    assert "cifar100/cifar-100-binary.tar.gz" in listing(tmp_path)


def test_an_archive_brought_by_hand_is_verified_and_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = tar({"DvsGesture/trials_to_test.txt": b"user24_led.aedat\n"})
    entry = info("dvs_gesture")
    file = replace(entry.card.files[0], md5=hashlib.md5(content).hexdigest())
    changed = replace(entry, card=replace(entry.card, files=(file,)))
    monkeypatch.setitem(registry._TABLE, "dvs_gesture", changed)
    (tmp_path / "dvs_gesture").mkdir()
    (tmp_path / file.path).write_bytes(content)
    assert get("dvs_gesture", tmp_path) == [Got("dvs_gesture/DvsGesture", "unpacked", "md5")]
    assert listing(tmp_path) == ["dvs_gesture/DvsGesture/trials_to_test.txt"]


def test_a_damaged_archive_brought_by_hand_is_kept_and_refused(tmp_path: Path) -> None:
    (tmp_path / "dvs_gesture").mkdir()
    path = tmp_path / "dvs_gesture" / "DvsGesture.tar.gz"
    path.write_bytes(b"half of it")
    with pytest.raises(DataError, match=r"DvsGesture\.tar\.gz: not the published file: got md5 "):
        get("dvs_gesture", tmp_path)
    assert path.read_bytes() == b"half of it"


def test_files_that_are_used_as_they_are_stay_as_they_are(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = {file.name: gzip.compress(file.name.encode()) for file in CARDS["mnist"].files}
    offer(monkeypatch, site, "mnist", contents)
    done = get("mnist", tmp_path, bar=False)
    assert [(one.state, one.checksum) for one in done] == [("fetched", "sha256")] * 4
    assert listing(tmp_path) == sorted(f"mnist/{name}" for name in contents)


def test_only_what_is_missing_is_fetched(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = {
        f"{name}.zip": a_zip({f"{name}/cifar10_{name}_0.aedat": b"x"}) for name in ("bird", "cat")
    }
    offer(monkeypatch, site, "cifar10dvs", contents)
    (tmp_path / "cifar10dvs" / "bird").mkdir(parents=True)
    (tmp_path / "cifar10dvs" / "bird" / "cifar10_bird_0.aedat").write_bytes(b"x")
    states = [(one.path, one.state) for one in get("cifar10dvs", tmp_path, bar=False)]
    assert states == [("cifar10dvs/bird", "there"), ("cifar10dvs/cat", "unpacked")]
    assert [path for path, _ in site.asked] == ["cat.zip"]


def test_another_whole_form_is_enough(tmp_path: Path) -> None:
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10" / "labels.npz").write_bytes(b"PK")
    assert get("cifar10", tmp_path) == [Got("cifar10/labels.npz", "there")]


def test_a_form_that_holds_a_part_is_not_enough(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nmnist").mkdir()
    (tmp_path / "nmnist" / "nmnist_1ms.npz").write_bytes(b"PK")
    offer(monkeypatch, site, "nmnist", {"Train.zip": a_zip({"Train/0/1.bin": b"12345"})})
    assert get("nmnist", tmp_path, bar=False)[0].state == "unpacked"


def test_an_archive_of_another_data_set_is_refused(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, site, "cifar100", {"cifar-100-binary.tar.gz": tar({"else/x": b"1"})})
    message = r"holds another data set: got else; expected cifar100/cifar-100-binary\. Remove"
    with pytest.raises(DataError, match=message):
        get("cifar100", tmp_path, bar=False)


def test_a_hostile_archive_writes_nothing(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = tar({"cifar-100-binary/test.bin": b"1", "../../owned": b"2"})
    offer(monkeypatch, site, "cifar100", {"cifar-100-binary.tar.gz": evil})
    root = tmp_path / "deep" / "root"
    with pytest.raises(DataError, match=r"member's name cannot be trusted: got '\.\./\.\./owned'"):
        get("cifar100", root, bar=False)
    assert listing(tmp_path) == ["deep/root/cifar100/cifar-100-binary.tar.gz"]


@pytest.mark.parametrize("name", [name for name in CARDS if CARDS[name].files])
def test_in_a_closed_network_the_files_and_their_places_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Addresses that do not resolve stand for all there are."""
    entry = info(name)
    files = tuple(
        replace(file, urls=tuple(f"http://name.invalid/{file.name}" for _ in file.urls))
        for file in entry.card.files
    )
    changed = replace(entry, card=replace(entry.card, files=files))
    monkeypatch.setitem(registry._TABLE, name, changed)
    with pytest.raises(DataError) as error:
        get(name, tmp_path / "data", bar=False)
    said = str(error.value)
    assert str((tmp_path / "data" / files[0].path).parent) in said
    assert all(file.name in said for file in files)
    if entry.card.manual:
        assert f"{name} cannot be fetched from here: " in said
    else:
        assert f"{files[0].name} cannot be fetched: got http://name.invalid" in said
        assert entry.card.homepage in said
    again = f"run localspike data get {name} again"
    assert (again in said) == (files[0].unpack is not None)
    assert list(tmp_path.iterdir()) == []


def test_gestures_are_had_through_a_page(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        get("dvs_gesture", tmp_path)
    assert "https://ibm.ent.box.com/s/" in str(error.value)
    assert f"Put DvsGesture.tar.gz into {tmp_path}/dvs_gesture" in str(error.value)


def test_unknown_names_show_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unknown data set: got 'cifar'; expected 'cifar10'"):
        get("cifar", tmp_path)


def test_a_file_without_checksum_says_so(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.files["x.npz"] = b"PK"
    entry = info("braille")
    file = File("braille/braille_th10.npz", (site.at("x.npz"),))
    changed = replace(entry, card=replace(entry.card, files=(file,)))
    monkeypatch.setitem(registry._TABLE, "braille", changed)
    assert get("braille", tmp_path, bar=False) == [Got("braille/braille_th10.npz", "fetched", "")]


def here(root: Path) -> dict[str, str]:
    return {entry["name"]: entry["here"] for entry in survey(root)["data"]}


@pytest.mark.parametrize(
    ("name", "files", "lacking"),
    [
        ("mnist", [f"mnist/{file.name}" for file in CARDS["mnist"].files], 3),
        ("mnist", [f"MNIST/raw/{file.name[:-3]}" for file in CARDS["mnist"].files], 1),
        ("shd", ["shd_train.h5", "shd_test.h5"], 1),
        ("nmnist", ["Train/1.bin", "Test/1.bin"], 1),
        ("cifar10dvs", [f"CIFAR10DVS/{file.name[:-4]}/x" for file in CARDS["cifar10dvs"].files], 9),
        ("cifar100", ["cifar-100-python/train"], 0),
        ("dvs_gesture", ["DvsGesture/trials_to_test.txt"], 0),
    ],
)
def test_a_form_counts_only_when_it_is_whole(
    tmp_path: Path, name: str, files: list[str], lacking: int
) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(b"x")
    assert here(tmp_path)[name] == "yes"
    last = tmp_path / files[lacking]
    last.unlink()
    assert here(tmp_path)[name] == "no"
    if name in ("mnist", "shd"):
        last.touch()
        assert here(tmp_path)[name] == "no"
        last.unlink()
        (last / "inside").mkdir(parents=True)
        assert here(tmp_path)[name] == "no"
    else:
        last.parent.rmdir()
        last.parent.write_bytes(b"a file in a folder's place")
        assert here(tmp_path)[name] == "no"


def test_an_archive_yet_to_be_unpacked_is_no_form(tmp_path: Path) -> None:
    (tmp_path / "dvs_gesture" / "DvsGesture").mkdir(parents=True)
    (tmp_path / "dvs_gesture" / "DvsGesture.tar.gz.part").write_bytes(b"half")
    assert here(tmp_path)["dvs_gesture"] == "no"
    (tmp_path / "dvs_gesture" / "user01_led.aedat").write_bytes(b"x")
    assert here(tmp_path)["dvs_gesture"] == "yes"


def test_an_empty_folder_is_filled(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, site, "cifar100", {"cifar-100-binary.tar.gz": tar(BINARY)})
    (tmp_path / "cifar100" / "cifar-100-binary").mkdir(parents=True)
    (tmp_path / "cifar-100-python").touch()
    assert get("cifar100", tmp_path, bar=False)[0].state == "unpacked"
    assert cifar100("test", tmp_path).labels.tolist() == [9]


def test_an_empty_file_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "braille").mkdir()
    (tmp_path / "braille" / "braille_th10.npz").touch()
    with pytest.raises(DataError, match=r"braille cannot be fetched from here: .* Put braille_th"):
        get("braille", tmp_path)


def test_nobody_unpacks_what_another_process_is_at(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, site, "cifar100", {"cifar-100-binary.tar.gz": tar(BINARY)})
    path = tmp_path / "cifar100" / "cifar-100-binary.tar.gz"
    path.parent.mkdir()
    path.write_bytes(tar(BINARY))
    with (
        claimed(path.with_name(f"{path.name}.part.lock")),
        pytest.raises(DataError, match=r"another process is fetching cifar-100-binary\.tar\.gz"),
    ):
        get("cifar100", tmp_path, bar=False)
    assert listing(tmp_path) == ["cifar100/cifar-100-binary.tar.gz"]


def test_a_folder_in_an_archives_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "cifar100" / "cifar-100-binary.tar.gz" / "x").mkdir(parents=True)
    with pytest.raises(DataError, match=r"binary\.tar\.gz: cannot be read: got Is a directory"):
        get("cifar100", tmp_path, bar=False)
