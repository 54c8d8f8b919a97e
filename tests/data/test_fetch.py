"""Downloads from a server of the test's own: whole, cut, resumed, wrong, refused, unreachable."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import urllib.request
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers_server import Handler, Site, serving
from localspike.data import File
from localspike.data.claim import claimed
from localspike.data.fetch import Progress, fetch, verify
from localspike.data.reach import Unreachable, _FewRedirects, reach
from localspike.errors import DataError

CONTENT = bytes(range(256)) * 4096
SHA = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(Site({"toy.bin": CONTENT})) as served:
        yield served


def wanted(site: Site, **changes: object) -> File:
    return File(**{"path": "toy/toy.bin", "urls": (site.at("toy.bin"),), "sha256": SHA} | changes)


def left(root: Path) -> list[str]:
    return sorted(path.name for path in root.rglob("*") if path.is_file())


def test_a_whole_file_comes_and_nothing_else_stays(site: Site, tmp_path: Path) -> None:
    path = fetch(wanted(site), tmp_path)
    assert path == tmp_path / "toy" / "toy.bin" and path.read_bytes() == CONTENT
    assert left(tmp_path) == ["toy.bin"]
    fetch(wanted(site), tmp_path)
    assert site.asked == [("toy.bin", None)]


@pytest.mark.parametrize("lengths", [True, False])
def test_a_file_of_unknown_length_is_whole_when_its_checksum_is(
    site: Site, tmp_path: Path, lengths: bool
) -> None:
    site.lengths = lengths
    assert fetch(wanted(site, sha256="", md5=MD5), tmp_path).read_bytes() == CONTENT


def test_a_cut_is_taken_up_where_it_was(site: Site, tmp_path: Path) -> None:
    site.cuts = [300_000, 400_000]
    assert fetch(wanted(site), tmp_path).read_bytes() == CONTENT
    assert [span for _, span in site.asked] == [None, "bytes=300000-", "bytes=700000-"]
    assert left(tmp_path) == ["toy.bin"]


def test_a_second_call_goes_on_where_the_first_gave_up(site: Site, tmp_path: Path) -> None:
    site.cuts = [1000, 0]
    with pytest.raises(DataError, match=r"toy\.bin cannot be fetched: .*was cut, and again where"):
        fetch(wanted(site), tmp_path)
    assert left(tmp_path) == ["toy.bin.part", "toy.bin.part.json"]
    assert fetch(wanted(site), tmp_path).read_bytes() == CONTENT
    assert site.asked[-1] == ("toy.bin", "bytes=1000-")


def test_a_server_that_cuts_for_ever_is_given_up(site: Site, tmp_path: Path) -> None:
    site.cuts = [10] * 20
    with pytest.raises(DataError, match=r"the connection was cut 5 times"):
        fetch(wanted(site), tmp_path)
    assert len(site.asked) == 5


def test_a_server_without_parts_gives_all_of_it_again(site: Site, tmp_path: Path) -> None:
    site.parts, site.cuts = False, [500_000]
    assert fetch(wanted(site), tmp_path).read_bytes() == CONTENT
    assert site.asked[-1] == ("toy.bin", "bytes=500000-")


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_parts_are_joined_only_by_a_strong_version(site: Site, tmp_path: Path, etag: str) -> None:
    site.etag, site.cuts = etag, [500_000]
    assert fetch(wanted(site), tmp_path).read_bytes() == CONTENT
    assert [span for _, span in site.asked] == [None, None]


def test_another_version_is_begun_afresh(site: Site, tmp_path: Path) -> None:
    site.cuts = [1000, 0]
    with pytest.raises(DataError):
        fetch(wanted(site), tmp_path)
    newer = CONTENT[::-1]
    site.files["toy.bin"], site.etag = newer, '"two"'
    file = wanted(site, sha256=hashlib.sha256(newer).hexdigest())
    assert fetch(file, tmp_path).read_bytes() == newer


def test_a_part_that_is_whole_already_needs_no_more(site: Site, tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "toy.bin.part").write_bytes(CONTENT)
    (tmp_path / "toy" / "toy.bin.part.json").write_text(json.dumps({"version": '"one"'}))
    assert fetch(wanted(site), tmp_path).read_bytes() == CONTENT
    assert len(site.asked) == 1 and left(tmp_path) == ["toy.bin"]


@pytest.mark.parametrize("note", ['{"version": "\\"one\\""}', "[]", "{", ""])
def test_a_part_longer_than_the_file_or_of_no_known_version_is_thrown_away(
    site: Site, tmp_path: Path, note: str
) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "toy.bin.part").write_bytes(CONTENT + b"more")
    (tmp_path / "toy" / "toy.bin.part.json").write_text(note)
    assert fetch(wanted(site), tmp_path).read_bytes() == CONTENT


def test_a_part_that_begins_elsewhere_is_refused(site: Site, tmp_path: Path) -> None:
    site.cuts, site.shift = [1000], 5
    with pytest.raises(DataError, match=r"gives another part than was asked for \('bytes 1005-"):
        fetch(wanted(site), tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "0" * 64}, rf"is not the published file \(sha256 {SHA}, not 0{{64}}\)"),
        ({"sha256": "", "md5": "1" * 32}, rf"not the published file \(md5 {MD5}, not 1{{32}}\)"),
        ({"sha256": "", "size": 2_000_000}, r"not the published file \(1048576 bytes, not 2000000"),
        ({"size": 1000}, r"sends more than the 1000 bytes of the file"),
    ],
)
def test_another_file_than_published_is_refused(
    site: Site, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message) as error:
        fetch(wanted(site, **changes), tmp_path)
    assert str(error.value).endswith(f"Put the file at {tmp_path / 'toy' / 'toy.bin'}.")
    assert "toy.bin" not in left(tmp_path)
    site.asked.clear()
    with pytest.raises(DataError):
        fetch(wanted(site, **changes), tmp_path)
    assert site.asked[0][1] is None or "sends more" in message


def test_the_next_address_is_tried_where_one_fails(site: Site, tmp_path: Path) -> None:
    site.files["wrong.bin"] = b"<html>Please log in</html>"
    urls = (site.at("absent"), site.at("wrong.bin"), site.at("toy.bin"))
    assert fetch(wanted(site, urls=urls), tmp_path).read_bytes() == CONTENT


def test_every_address_is_named_with_its_fault(site: Site, tmp_path: Path) -> None:
    site.redirects = {"a": "/b", "b": "/a", "file": "file:///etc/passwd", "ftp": "ftp://x/y"}
    urls = tuple(site.at(name) for name in ("absent", "a", "file", "ftp"))
    with pytest.raises(DataError) as error:
        fetch(wanted(site, urls=urls), tmp_path)
    for part in (
        "absent: it says 404 Not Found",
        "/a: it leads in a circle",
        "/file: it leads away from http",
        "/ftp: it leads from http to ftp",
    ):
        assert part in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_https_never_leads_to_http() -> None:
    request = urllib.request.Request("https://a.invalid/x")
    with pytest.raises(Unreachable, match=r"a\.invalid/x: it leads from https to http"):
        _FewRedirects().redirect_request(request, None, 302, "", {}, "http://b.invalid/x")


def test_a_long_way_round_is_not_followed_to_its_end(site: Site, tmp_path: Path) -> None:
    site.redirects = {str(n): f"/{n + 1}" for n in range(50)}
    with pytest.raises(DataError, match="it leads in a circle"):
        fetch(wanted(site, urls=(site.at("0"),)), tmp_path)
    assert len(site.asked) < 10


def test_a_redirect_to_the_file_is_followed(site: Site, tmp_path: Path) -> None:
    site.redirects = {"moved": "/toy.bin"}
    file = wanted(site, urls=(site.at("moved"),))
    assert fetch(file, tmp_path).read_bytes() == CONTENT


def test_a_silent_server_is_given_up(site: Site, tmp_path: Path) -> None:
    site.silent = True
    with pytest.raises(DataError, match=r"toy\.bin: no answer"):
        fetch(wanted(site), tmp_path, patience=0.2)


def test_names_that_do_not_resolve_and_closed_ports(tmp_path: Path) -> None:
    with serving(Site()) as gone:
        url = gone.at("toy.bin")
    file = File("toy.bin", ("http://name.invalid/toy.bin", url, "http://[bad/toy.bin"))
    with pytest.raises(DataError) as error:
        fetch(file, tmp_path)
    said = str(error.value)
    assert "name.invalid/toy.bin: no answer" in said
    assert "no answer (Connection refused)" in said
    assert "http://[bad/toy.bin: no answer" in said


def test_a_resolver_that_hangs_does_not_hold_us(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Site(silent=True)) as site:
        monkeypatch.setattr(
            "localspike.data.reach._open", lambda url, headers, patience: site.closing.wait()
        )
        with pytest.raises(Unreachable, match=r"no answer in 0\.1 s"):
            reach(site.at("toy.bin"), patience=0.1)


def test_a_file_that_lies_there_is_verified_and_kept(site: Site, tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    path = tmp_path / "toy" / "toy.bin"
    path.write_bytes(b"mine")
    with pytest.raises(DataError, match=r"toy\.bin: not the published file: got sha256 .* Remove"):
        fetch(wanted(site), tmp_path)
    assert path.read_bytes() == b"mine" and site.asked == []


def test_verify_says_by_what(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(CONTENT)
    assert verify(path, File("x", sha256=SHA.upper(), md5="0")) == "sha256"
    assert verify(path, File("x", md5=MD5)) == "md5"
    assert verify(path, File("x", size=len(CONTENT))) == ""
    assert verify(path, File("x")) == ""


def test_a_full_disk_is_told_before_anything_is_written(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 5, 5_000_000))
    message = r"not enough room for toy\.bin in .*: got 0\.01 GB free; expected 0\.07 GB"
    with pytest.raises(DataError, match=message):
        fetch(wanted(site), tmp_path)
    assert "toy.bin" not in left(tmp_path)


def test_a_disk_that_fills_up_on_the_way_is_told_in_one_line(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    message = r"cannot write .*toy\.bin: got No space left on device\. Free some space there or"
    with pytest.raises(DataError, match=message):
        fetch(wanted(site), tmp_path)


def test_a_folder_that_cannot_be_made_is_told(site: Site, tmp_path: Path) -> None:
    (tmp_path / "toy").write_bytes(b"a file")
    with pytest.raises(DataError, match=r"cannot write .*toy\.bin: got (File exists|Not a dir)"):
        fetch(wanted(site), tmp_path)


def test_two_processes_do_not_write_one_file(site: Site, tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    with (
        claimed(tmp_path / "toy" / "toy.bin.part.lock"),
        pytest.raises(DataError, match=r"another process is fetching toy\.bin\. Wait until it"),
    ):
        fetch(wanted(site), tmp_path)
    assert site.asked == []
    assert fetch(wanted(site), tmp_path).read_bytes() == CONTENT


def test_progress_goes_to_standard_error_only_where_it_is_wanted(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(wanted(site), tmp_path, shown=Progress(bar=False))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("part", [b"", b"half of it"])
def test_a_server_that_refuses_every_part_is_given_up(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: bytes
) -> None:
    monkeypatch.setattr(
        Handler, "give", lambda self, *_: self.answer(416, b"", {"Content-Range": "bytes */0"})
    )
    (tmp_path / "toy").mkdir()
    if part:
        (tmp_path / "toy" / "toy.bin.part").write_bytes(part)
        (tmp_path / "toy" / "toy.bin.part.json").write_text(json.dumps({"version": "x"}))
    with pytest.raises(DataError, match=r"toy\.bin: it says 416 though no part was asked for"):
        fetch(wanted(site), tmp_path)
    assert [span for _, span in site.asked] == (["bytes=10-"] if part else []) + [None]


@pytest.mark.parametrize("patience", [0.0, float("inf"), float("nan"), 86_401.0])
def test_a_patience_that_cannot_be_is_refused(site: Site, tmp_path: Path, patience: float) -> None:
    with pytest.raises(DataError, match=r"impossible patience: got .*; expected 0 < seconds <= 86"):
        fetch(wanted(site), tmp_path, patience=patience)
    assert site.asked == [] and list(tmp_path.iterdir()) == []
