"""Archives nobody has to trust: whole ones are unpacked, hostile ones leave nothing anywhere."""

from __future__ import annotations

import gzip
import io
import shutil
import stat
import tarfile
import zipfile
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localspike.data.archive import unpack
from localspike.errors import DataError

Write = Callable[[Path, dict[str, bytes]], Path]


def as_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def as_tar(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            add(archive, name, content)
    return path


def as_tgz(path: Path, files: dict[str, bytes]) -> Path:
    return as_tar(path, files, "w:gz")


def add(archive: tarfile.TarFile, name: str, content: bytes = b"", **fields: object) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    for field, value in fields.items():
        setattr(entry, field, value)
    archive.addfile(entry, io.BytesIO(content))


def as_pax(path: Path, files: dict[str, bytes]) -> Path:
    """With extended headers, as names of many letters have."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            add(archive, name, content, pax_headers={"comment": "ü" * 300})
    return path


KINDS: dict[str, Write] = {"zip": as_zip, "tar": as_tar, "tgz": as_tgz, "pax": as_pax}


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("write", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("sizes", [(0, 1, 511), (512, 513), (1024, 3_000_000), (512, 512, 1536)])
def test_what_was_packed_is_unpacked(tmp_path: Path, write: Write, sizes: tuple[int, ...]) -> None:
    files = {f"top/{'n' * 99}{i}/f.bin": bytes([i]) * size for i, size in enumerate(sizes)}
    files["./readme.txt"] = b"hello"
    archive = write(tmp_path / "a.archive", files)
    assert unpack(archive, tmp_path / "out") == ["readme.txt", "top"]
    expected = {name.removeprefix("./"): content for name, content in files.items()}
    assert tree(tmp_path / "out") == expected


names = st.text(st.sampled_from("ab.-_é "), min_size=1, max_size=6)
trees = st.dictionaries(
    st.lists(names.filter(lambda n: n.strip(". ") == n), min_size=1, max_size=3).map("/".join),
    st.binary(max_size=1500),
    min_size=1,
    max_size=6,
)


@given(trees, st.sampled_from(sorted(KINDS)))
def test_any_tree_comes_back_or_is_refused_whole(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], kind: str
) -> None:
    folder = tmp_path_factory.mktemp("tree")
    archive = KINDS[kind](folder / "a", files)
    paths = {name.casefold() for name in files}
    clash = len(paths) < len(files) or any(
        other.startswith(f"{name}/") for name in paths for other in paths
    )
    if clash:
        with pytest.raises(DataError):
            unpack(archive, folder / "out")
        assert tree(folder / "out") == {}
    else:
        unpack(archive, folder / "out")
        assert tree(folder / "out") == files


def test_one_gzipped_file_takes_the_archive_s_name(tmp_path: Path) -> None:
    (tmp_path / "shd.h5.gz").write_bytes(gzip.compress(b"spikes" * 1000))
    assert unpack(tmp_path / "shd.h5.gz", tmp_path) == ["shd.h5"]
    assert (tmp_path / "shd.h5").read_bytes() == b"spikes" * 1000


def test_folders_that_are_there_take_in_what_is_new(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "cats").mkdir(parents=True)
    (out / "cats" / "old").write_bytes(b"old")
    (out / "cats" / "one").write_bytes(b"stale")
    unpack(as_zip(tmp_path / "a.zip", {"cats/one": b"1", "dogs/two": b"2"}), out)
    assert tree(out) == {"cats/old": b"old", "cats/one": b"1", "dogs/two": b"2"}


HOSTILE = [
    "/etc/owned", "../owned", "a/../../owned", "a/..", "..", "a//../b", "C:/owned", "C:owned",
    "\\\\host\\share", "..\\owned", "a\nb", "a\x1b[2J", "con:", "~/owned", "a./b", "a /b", ".",
    "./", "a" * 256, "/".join("d" * 40), "a\u202ecod",
]  # fmt: skip


@pytest.mark.parametrize("write", [as_zip, as_tar, as_tgz], ids=["zip", "tar", "tgz"])
@pytest.mark.parametrize("name", HOSTILE, ids=repr)
def test_a_name_that_cannot_be_trusted_stops_everything(
    tmp_path: Path, write: Write, name: str
) -> None:
    out = tmp_path / "deep" / "out"
    archive = write(tmp_path / "a", {"good/first": b"1", name: b"2", "good/last": b"3"})
    with pytest.raises(DataError, match=r"a: member's name cannot be trusted: got .*expected pl"):
        unpack(archive, out)
    assert tree(tmp_path) == {"a": archive.read_bytes()}
    assert list(out.iterdir()) == []


@given(st.text(min_size=1, max_size=12).map(lambda n: n.replace("\0", "")), st.booleans())
def test_whatever_the_name_nothing_is_written_outside(
    tmp_path_factory: pytest.TempPathFactory, name: str, zipped: bool
) -> None:
    folder = tmp_path_factory.mktemp("names")
    try:
        archive = (as_zip if zipped else as_tar)(folder / "a", {name: b"x"})
    except (UnicodeEncodeError, ValueError):
        return
    out = folder / "deep" / "out"
    try:
        unpack(archive, out)
    except DataError:
        assert tree(out) == {}
    outside = {name for name in tree(folder) if not name.startswith("deep/out/")}
    assert outside == {"a"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "member is a link: got 'evil'"),
        ({"type": tarfile.LNKTYPE, "linkname": "../x"}, "member is a link"),
        ({"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}, "member is neither file nor"),
        ({"type": tarfile.BLKTYPE}, "member is neither file nor folder"),
        ({"type": tarfile.FIFOTYPE}, "member is neither file nor folder"),
        ({"type": tarfile.CONTTYPE}, "member is neither file nor folder"),
        ({"type": tarfile.GNUTYPE_SPARSE}, "a file with holes|not a whole archive"),
    ],
)
def test_only_files_and_folders_come_out_of_a_tar(
    tmp_path: Path, fields: dict[str, object], message: str
) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        add(archive, "good", b"1")
        add(archive, "evil", **fields)
        add(archive, "evil/below", b"2")
    with pytest.raises(DataError, match=message):
        unpack(tmp_path / "a.tar", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (stat.S_IFLNK, "member is a link"),
        (stat.S_IFCHR, "member is neither file nor folder"),
        (stat.S_IFIFO, "member is neither file nor folder"),
    ],
)
def test_only_files_and_folders_come_out_of_a_zip(tmp_path: Path, kind: int, message: str) -> None:
    entry = zipfile.ZipInfo("evil")
    entry.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(DataError, match=rf"{message}: got 'evil'"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("members", "message"),
    [
        (["a", "a"], "two members of one name: got 'a'"),
        (["a/b", "A/B"], "two members of one name: got 'A/B'"),
        (["a", "./a"], r"two members of one name: got '\./a'"),
        (["a", "a/b"], "a file has members below it: got 'a/b'"),
        (["a/b", "a"], "two members of one name: got 'a'"),
    ],
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_no_member_takes_another_s_place(
    tmp_path: Path, kind: str, members: list[str], message: str
) -> None:
    path = tmp_path / "a"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as zipped:
            for name in members:
                zipped.writestr(name, "x")
    else:
        with tarfile.open(path, "w") as archive:
            for name in members:
                add(archive, name, b"x")
    with pytest.raises(DataError, match=message):
        unpack(path, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("write", [as_zip, as_tgz], ids=["zip", "tgz"])
def test_a_bomb_is_stopped_at_the_limit(tmp_path: Path, write: Write) -> None:
    archive = write(tmp_path / "bomb", {f"f{i}": bytes(1_000_000) for i in range(3)})
    with pytest.raises(DataError, match="unpacks to more than it may: got more than 2000000 bytes"):
        unpack(archive, tmp_path / "out", limit=2_000_000)
    assert tree(tmp_path / "out") == {}
    unpack(archive, tmp_path / "out", limit=3_000_000)


def test_a_gzipped_bomb_is_stopped_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("localspike.data.archive.FLOOR", 1 << 20)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bytes(4 << 20), 9))
    with pytest.raises(DataError, match="unpacks to more than it may"):
        unpack(tmp_path / "bomb.gz", tmp_path / "out")


def test_a_disk_too_small_is_told_apart_from_a_bomb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = as_zip(tmp_path / "a.zip", {"f": bytes(2000)})
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1, 1, 1000))
    with pytest.raises(DataError, match="not enough room to unpack it: got 1000 bytes free"):
        unpack(archive, tmp_path / "out")


def header(size: bytes, kind: bytes = b"0") -> bytes:
    """A tar header whose size field is given as it is."""
    block = bytearray(tarfile.TarInfo("x").tobuf())
    block[124:136], block[156:157] = size, kind
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block)


NEGATIVE = (b"\xff" * 12)[:12]
HUGE = b"\x80" + (1 << 60).to_bytes(11, "big")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header(NEGATIVE, b"L") + bytes(2048), "end of file header"),
        (header(HUGE) + bytes(2048), "unexpected end of data|before byte"),
        (header(HUGE, b"L") + bytes(2048), "a header of 1152921504606846976 bytes at byte 512"),
        (header(HUGE, b"x") + bytes(2048), "a header of"),
        (header(NEGATIVE, b"x") + bytes(2048), "size|header"),
        (header(b"00000000010\0") + b"eight", "unexpected end of data"),
        (header(b"00000000000\0"), "no header and no end mark before byte 512"),
        (header(b"00000000000\0") + b"\1" * 512, "no header and no end mark before byte 1024"),
        (b"\1" * 1024, r"begins with b'\\x01"),
        (b"", "an empty file"),
        (b"PK\x03\x04 cut", "BadZipFile"),
        (gzip.compress(header(b"00000000000\0") + bytes(5000))[:60], "EOFError"),
        (gzip.compress(b"x" * 5000)[:-6] + b"123456", "CRC|BadGzipFile"),
    ],
)
def test_a_damaged_or_lying_archive(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DataError, match=rf"a: not a whole archive: got .*({message})"):
        unpack(tmp_path / "a", tmp_path / "out")
    assert tree(tmp_path / "out") == {}


def test_a_member_of_negative_size(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(header(NEGATIVE) + bytes(2048))
    with pytest.raises(DataError, match="member is of negative size: got 'x'"):
        unpack(tmp_path / "a", tmp_path / "out")


def test_a_zip_that_lies_about_its_content(tmp_path: Path) -> None:
    path = as_zip(tmp_path / "a.zip", {"f": b"x" * 5000})
    damaged = bytearray(path.read_bytes())
    damaged[40] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(DataError, match="not a whole archive"):
        unpack(path, tmp_path / "out")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_only_plain_ways_of_compressing(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr("f", b"x" * 100)
    with pytest.raises(DataError, match=rf"compressed by method {method}, not stored or deflated"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


@given(st.binary(max_size=30), st.integers(0, 5000), st.sampled_from(sorted(KINDS)))
def test_mutated_archives_raise_only_our_error(
    tmp_path_factory: pytest.TempPathFactory, patch: bytes, place: int, kind: str
) -> None:
    folder = tmp_path_factory.mktemp("mutated")
    archive = KINDS[kind](folder / "a", {"one/two": b"2" * 700, "three": b"3"})
    content = bytearray(archive.read_bytes())
    place %= len(content)
    content[place : place + len(patch)] = patch
    archive.write_bytes(content)
    try:
        unpack(archive, folder / "out")
    except DataError as error:
        assert str(archive) in str(error) and tree(folder / "out") == {}
    assert {name for name in tree(folder) if not name.startswith("out/")} == {"a"}


def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localspike.data.archive.MOST_MEMBERS", 3)
    archive = as_zip(tmp_path / "a.zip", {f"f{i}": b"" for i in range(4)})
    with pytest.raises(DataError, match="too many members: got more than 3"):
        unpack(archive, tmp_path / "out")


def test_an_archive_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.zip: cannot be read: got No such file"):
        unpack(tmp_path / "absent.zip", tmp_path)
