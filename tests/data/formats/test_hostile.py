"""Damaged and hostile files: a DataError with file, place and what to do, in bounded memory."""

from __future__ import annotations

import io
import os
import re
import struct
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from localspike.data import formats
from localspike.errors import DataError, MissingDependencyError

KINDS = ["aedat2", "aedat3", "aedat4", "aedat4-lz4", "aedat4-zstd", "dat", "evt2", "evt3"]
KINDS += ["nmnist", "npz"]
Whole = Callable[[str], bytes]


def refusal(tmp_path: Path, name: str, content: bytes) -> str:
    """What the reader of a format says of these bytes."""
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        formats.READERS[name](path)
    said = str(caught.value)
    assert said.startswith(str(path)), said
    return said.removeprefix(str(path))


@pytest.mark.parametrize("kind", KINDS)
def test_cut_anywhere_it_is_refused_or_its_beginning_is_read(
    kind: str, whole: Whole, tmp_path: Path, small: formats.Recording
) -> None:
    content, name, path = whole(kind), kind.partition("-")[0], tmp_path / "cut"
    refused = 0
    lengths = range(0, len(content), max(1, len(content) // 150))
    for length in lengths:
        path.write_bytes(content[:length])
        try:
            events = formats.READERS[name](path).events
        except DataError as error:
            assert str(path) in str(error)
            refused += 1
        else:
            assert np.array_equal(events, small.events[: len(events)])
    assert refused > len(lengths) // 4


@pytest.mark.parametrize("name", formats.READERS)
def test_no_file_a_folder_and_a_pipe(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, got in ((tmp_path / "none", "No such file"), (tmp_path, "a folder")):
        with pytest.raises(DataError, match=f"cannot be read: got {got}"):
            formats.READERS[name](path)
    with pytest.raises(DataError, match="got a pipe or device; expected a regular file"):
        formats.READERS[name](tmp_path / "pipe")


def edit(content: bytes, at: int, new: bytes) -> bytes:
    return content[:at] + new + content[at + len(new) :]


def test_aedat2(whole: Whole, tmp_path: Path) -> None:
    content = whole("aedat2")
    said = refusal(tmp_path, "aedat2", content + b"\1\2\3")
    assert f": half a record at byte {len(content)}: got 3 bytes; expected records of 8" in said
    assert "header does not end at byte 0" in refusal(tmp_path, "aedat2", b"#!AER-DAT2.0 and on")
    with pytest.raises(DataError, match="no such layout: got 'eye'; expected 'dvs128' or"):
        formats.read_aedat2(tmp_path / "whole", layout="eye")


def test_aedat3(whole: Whole, tmp_path: Path) -> None:
    content = whole("aedat3")
    at = content.index(b"END-HEADER\r\n") + len(b"END-HEADER\r\n")
    huge = struct.pack("<i", 2**31 - 1)
    cases = [
        (edit(content, at + 20, huge), "packet header that cannot be"),
        (edit(content, at + 16, huge * 3), "packet cut short at byte .* 2147483647 events of 8"),
        (edit(content, at + 4, b"\0"), "packet header that cannot be .* event size 0"),
        (edit(content, at + 8, b"\0"), "polarity events of another layout .* 8 bytes, time at 0"),
        (content[: at + 20], "packet cut short .* got 20 bytes of its header; expected 28"),
        (content.replace(b"!END", b"!OND"), "header does not end"),
    ]
    for damaged, text in cases:
        assert re.search(text, refusal(tmp_path, "aedat3", damaged)), text


def head4(xml: bytes, compression: int = 0) -> bytes:
    """An AEDAT 4.0 header with that XML."""
    body = struct.pack("<I4sHHHHHHiIqiI", 20, b"IOHE", 10, 20, 16, 8, 4, 0, 12, 16, -1,
                       compression, len(xml)) + xml + b"\0"  # fmt: skip
    return b"#!AER-DAT4.0\r\n" + struct.pack("<I", len(body)) + body


def stream(number: int, kind: str = "EVTS") -> str:
    return f'<node name="{number}"><attr key="typeIdentifier">{kind}</attr></node>'


def xml4(*streams: str) -> bytes:
    return f'<dv><node name="outInfo">{"".join(streams)}</node></dv>'.encode()


def test_aedat4_headers(whole: Whole, tmp_path: Path) -> None:
    content = whole("aedat4")
    cases = [
        (edit(content, 14, b"\xff" * 4), "header cut short at byte 14: got"),
        (edit(content, 22, b"XXXX"), "not the FlatBuffer that belongs here at byte 18"),
        (edit(content, 18, b"\xff\xff\xff\x7f"), "FlatBuffer points outside itself"),
        (head4(xml4(stream(0)), 9), "unknown compression at byte 18: got 9"),
        (head4(b'<!DOCTYPE a [<!ENTITY b "c">]><dv/>'), "header XML with declarations"),
        (head4(b"<dv>"), "header XML does not parse"),
        (head4(b"<a>" * 100_000), "header XML too long"),
        (head4(xml4()), "no such event stream at byte 18: got streams none"),
        (head4(xml4(stream(3, "FRME"))), "no such event stream at byte 18: got streams 3: FRME"),
        (
            head4(xml4(stream(0), stream(1))),
            "several event streams at byte 18: got streams 0: EVTS, 1: EVTS",
        ),
        (head4(b"<dv/>")[:-2], "header cut short"),
    ]
    for damaged, text in cases:
        assert text in refusal(tmp_path, "aedat4", damaged), text


def packet4(events: int, claimed: int | None = None, size: int | None = None) -> bytes:
    count = events if claimed is None else claimed
    size = 28 + 16 * events if size is None else size
    head = struct.pack("<II4sHHHHiII", size, 16, b"EVTS", 6, 8, 4, 0, 8, 4, count)
    return head + bytes(16 * events)


def file4(packet: bytes, compression: int = 0, size: int | None = None) -> bytes:
    length = len(packet) if size is None else size
    return head4(xml4(stream(0)), compression) + struct.pack("<ii", 0, length) + packet


def test_aedat4_packets(tmp_path: Path) -> None:
    cases = [
        (file4(packet4(2), size=999), "packet cut short at byte .*: got 64 bytes; expected 999"),
        (file4(packet4(2), size=-1), "packet cut short"),
        (file4(packet4(2, claimed=2**31)), "FlatBuffer vector longer than its buffer"),
        (file4(packet4(2, size=4000)), "packet cut short"),
        (file4(packet4(1)[:9]), "packet cut short"),
        (
            file4(edit(packet4(2), 40, b"\xff\xff")),
            "coordinate 'x' out of range: got -1 at event 0",
        ),
    ]
    for damaged, text in cases:
        assert re.search(text, refusal(tmp_path, "aedat4", damaged)), text
    with pytest.raises(DataError, match="no such event stream"):
        formats.read_aedat4(tmp_path / "file", stream=5)


@pytest.mark.parametrize(("name", "code"), [("lz4.frame", 1), ("zstandard", 3)])
def test_compression_bombs_are_refused_unopened(name: str, code: int, tmp_path: Path) -> None:
    library = pytest.importorskip(name)
    bomb = library.compress(packet4(0, size=1 << 28) + bytes(1 << 28))
    grown = library.compress(packet4(1) + bytes(1 << 26))
    damaged = bytearray(library.compress(packet4(1000)))
    damaged[len(damaged) // 2] ^= 0xFF
    damaged[6:12] = bytes(6)
    peaks = []
    for packet, text in (
        (bomb, "packet larger than its events"),
        (grown, "packet larger than its events"),
        (bytes(damaged), r"damaged \w+ packet|packet"),
    ):
        content = file4(packet, code)
        tracemalloc.start()
        said = refusal(tmp_path, "aedat4", content)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert re.search(text, said), said
    assert max(peaks) < (8 << 20) + 4 * len(bomb)


@pytest.mark.parametrize(("name", "code"), [("lz4", 1), ("zstandard", 3)])
def test_without_the_package_the_message_says_what_to_install(
    name: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(file4(packet4(1), code))
    for module in (name, "lz4.frame"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=f"packets needs the package '{name}'"):
        formats.read(path)


def test_dat(whole: Whole, tmp_path: Path) -> None:
    content = whole("dat")
    at = content.index(b"% end\n") + 6
    cases = [
        (content.replace(b"Version 2", b"Version 1"), "not a DAT file of version 2 at byte 0"),
        (edit(content, at, b"\x0e"), f"no DAT events of a kind known here at byte {at}: got event"),
        (content[:-1], "half a record"),
        (content[: at + 1], "no DAT events"),
        (content.replace(b"Width 34", b"Width 09"), "event coordinate 'x' out of range: got 10"),
    ]
    for damaged, text in cases:
        assert text in refusal(tmp_path, "dat", damaged), text


@pytest.mark.parametrize(("name", "size", "bad"), [("evt2", 4, 0x7), ("evt3", 2, 0x9)])
def test_raw(name: str, size: int, bad: int, whole: Whole, tmp_path: Path) -> None:
    content = whole(name)
    at = content.index(b"% end\n") + 6
    damaged = edit(content, at + 3 * size - 1, bytes([bad << 4]))
    said = refusal(tmp_path, name, damaged)
    assert f"word of an unknown kind at byte {at + 2 * size}: got kind {bad:#x}; expected" in said
    assert f"half a record at byte {len(content)}" in refusal(tmp_path, name, content + b"\0")
    other = {"evt2": "evt3", "evt3": "evt2"}[name]
    said = refusal(tmp_path, name, whole(other))
    assert f"not a RAW file in {name.upper()} at byte 0: got a header that names" in said
    assert "no header that names it" in refusal(tmp_path, name, b"% end\n")


def test_evt3_vectors_cannot_leave_the_sensor(tmp_path: Path) -> None:
    words = struct.pack("<6H", 0x8000, 0x0000, 0x3000 | 2047, 0x4000, 0x4001, 0x2001)
    said = refusal(tmp_path, "evt3", b"% evt 3.0\n% end\n" + words)
    assert "event beyond the last column at byte 24: got x = 2059; expected 0 … 2047" in said


def test_nmnist(whole: Whole, tmp_path: Path) -> None:
    content = whole("nmnist")
    assert "half a record" in refusal(tmp_path, "nmnist", content + b"\0")
    said = refusal(tmp_path, "nmnist", edit(content, 5, b"\x22"))
    assert "event coordinate 'x' out of range: got 34 at event 1; expected 0 … 33" in said


def npz(**changes: np.ndarray | bytes) -> bytes:
    """An npz file of one event, with other arrays or raw entries in place of some."""
    arrays: dict[str, np.ndarray | bytes] = {
        "t": np.array([5], np.int64), "x": np.array([1], np.uint16), "y": np.array([2], np.uint16),
        "p": np.array([1], np.uint8), "offsets": np.array([0, 1]), "sensor": np.array([2, 3, 4]),
        "meta": np.frombuffer(b"{}", np.uint8),
    }  # fmt: skip
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, value in {**arrays, **changes}.items():
            entry = io.BytesIO()
            if isinstance(value, np.ndarray):
                np.save(entry, value)
            archive.writestr(f"{name}.npy", entry.getvalue() or value)
    return out.getvalue()


def npy(shape: str, kind: str = "<i8", data: bytes = b"") -> bytes:
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + data


def huge(count: int) -> dict[str, np.ndarray | bytes]:
    """Headers of columns that agree on a number of events that is not there."""
    kinds = {"t": "<i8", "x": "<u2", "y": "<u2", "p": "|u1"}
    return {name: npy(f"({count},)", kind) for name, kind in kinds.items()}


def test_npz(tmp_path: Path) -> None:
    objects = np.empty(1, object)
    cases = [
        (npz(t=objects), "not a whole npz file"),
        (npz(t=np.array([5.0])), "'shape': (1,), }\", not int64 in one dimension"),
        (npz(t=np.array([[5]])), "'shape': (1, 1), }\", not int64 in one dimension"),
        (
            npz(t=npy("(1099511627776,)")),
            "arrays of impossible lengths at byte 0: got t 1099511627776, x 1",
        ),
        (npz(**huge(1 << 40)), "array t cut short"),
        (npz(**huge(10**20)), "array t cut short"),
        (npz(offsets=npy("(4000000,)")), "; expected at most 10"),
        (npz(meta=npy("(4000000,)", "|u1")), "at most 2097152 bytes of meta"),
        (npz(t=npy("(1,)", data=bytes(9))), "t.npy is longer than its header says"),
        (npz(t=b"\x93NUMPY\x02\x00" + bytes(9)), "t begins with b'\\x93NUMPY\\x02"),
        (npz(t=npy("(-4,)")), "not a whole npz file"),
        (npz(t=b"nonsense"), "not a whole npz file"),
        (npz(t=np.array([1, 2])), "expected t, x, y and p of one length"),
        (npz(offsets=np.array([0])), "expected two offsets or more"),
        (npz(offsets=np.array([0, 3])), "offsets do not cut the events"),
        (npz(sensor=np.array([2, 3, -4])), "impossible sensor"),
        (npz(meta=np.frombuffer(b"[1]", np.uint8)), ": got list; expected a JSON object"),
        (npz(meta=np.frombuffer(b"[" * 90_000, np.uint8)), "meta is not JSON"),
        (npz()[:-30], "not a whole npz file"),
        (b"PK\x03\x04", "not a whole npz file"),
    ]
    for damaged, text in cases:
        tracemalloc.start()
        said = refusal(tmp_path, "npz", damaged)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert text in said, (text, said)
        assert peak < 64 << 20


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("evt3", b"% evt 3.0\n% end\n" + struct.pack("<2H", 0x8001, 0x6002) * 2_000_000),
        ("evt2", b"% evt 2.0\n% end\n" + struct.pack("<I", 0x80000001) * 2_000_000),
        ("evt3", b"% evt 3.0\n% end\n" + bytes.fromhex("0080 0000")
         + struct.pack("<2H", 0x3000, 0x4FFF) * 100_000),
        ("aedat3", b"#!AER-DAT3.1\r\n#!END-HEADER\r\n"
         + struct.pack("<hhiiiiii", 1, 1, 8, 4, 0, 0, 0, 0) * 100_000),
        ("nmnist", bytes.fromhex("00f0000000") * 1_000_000),
    ],
    ids=["evt3 times", "evt2 times", "evt3 vectors", "aedat3 empty packets", "nmnist overflows"],
)  # fmt: skip
def test_memory_follows_what_is_there(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    tracemalloc.start()
    events = formats.READERS[name](path).events
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (64 << 20) + 4 * (len(content) + events.nbytes)
    assert len(events) == (1_200_000 if b"\xff\x4f" in content else 0)
