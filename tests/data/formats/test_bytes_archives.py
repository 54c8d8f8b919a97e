"""HDF5 and npz files put together byte by byte from their specifications."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from localspike.data import Sensor, formats

UNDEFINED = b"\xff" * 8


def message(kind: int, body: bytes) -> bytes:
    """HDF5, "Version 1 Data Object Header": type, size of the data (in eights), flags, reserved."""
    body += bytes(-len(body) % 8)
    return struct.pack("<HHB3x", kind, len(body), 0) + body


def header(*messages: bytes) -> bytes:
    """Version 1, number of messages, one reference, size; padded to 16 bytes."""
    body = b"".join(messages)
    return struct.pack("<BxHII4x", 1, len(messages), 1, len(body)) + body


def group(**links: int) -> bytes:
    """Link info without an index (type 2), then hard links (type 6): name and where it leads."""
    info = message(2, struct.pack("<BB", 0, 0) + UNDEFINED + UNDEFINED)
    return header(
        info,
        *(
            message(6, struct.pack("<BBB", 1, 0, len(name)) + name.encode() + struct.pack("<Q", at))
            for name, at in links.items()
        ),
    )


# Class 1 (float), version 1; mantissa normalised (0x20), sign in bit 31; 4 bytes; from bit 0, 32
# bits; exponent from bit 23, 8 bits; mantissa from bit 0, 23 bits; bias 127.
FLOAT32 = bytes.fromhex("11 20 1f 00  04000000  0000 2000  17 08 00 17  7f000000")
# Class 0 (integer), version 1, little-endian, without sign; 2 bytes; from bit 0, 16 bits.
UINT16 = bytes.fromhex("10 00 00 00  02000000  0000 1000")
# Class 9 (of varying length), version 1, a sequence; 16 bytes: length, heap, index; of what.
SEQUENCE = bytes.fromhex("19 00 00 00  10000000")


def dataset(kind: bytes, count: int, at: int, size: int) -> bytes:
    """A simple space of one dimension (1), a type (3), contiguous layout version 3 (8)."""
    space = struct.pack("<BBBx4xQ", 1, 1, 0, count)
    layout = struct.pack("<BBQQ", 3, 1, at, size)
    return header(message(1, space), message(3, kind), message(8, layout))


def heap_object(index: int, body: bytes) -> bytes:
    """Index, one reference, size, data padded to eights."""
    return struct.pack("<HH4xQ", index, 1, len(body)) + body + bytes(-len(body) % 8)


def test_shd(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    # Two recordings: 1 ms on channel 699 and 250 ms on channel 0; none. Labels 7 and 3.
    # 0.001 in single precision is 0x3A83126F, 0.25 is 0x3E800000.
    times, units = bytes.fromhex("6f12833a 0000803e"), bytes.fromhex("bb02 0000")
    parts = {
        "root": group(spikes=0, labels=0),
        "spikes": group(times=0, units=0),
        "times": dataset(SEQUENCE + FLOAT32, 2, 0, 32),
        "units": dataset(SEQUENCE + UINT16, 2, 0, 32),
        "labels": dataset(UINT16, 2, 0, 4),
        "time rows": bytes(32),
        "unit rows": bytes(32),
        "label rows": struct.pack("<HH4x", 7, 3),
    }
    at, end = {}, 96
    for name, part in parts.items():
        at[name], end = end, end + len(part)
    parts["root"] = group(spikes=at["spikes"], labels=at["labels"])
    parts["spikes"] = group(times=at["times"], units=at["units"])
    parts["times"] = dataset(SEQUENCE + FLOAT32, 2, at["time rows"], 32)
    parts["units"] = dataset(SEQUENCE + UINT16, 2, at["unit rows"], 32)
    parts["labels"] = dataset(UINT16, 2, at["label rows"], 4)
    # A row: how many, which heap, which object in it; an empty row has none.
    parts["time rows"] = struct.pack("<IQI16x", 2, end, 1)
    parts["unit rows"] = struct.pack("<IQI16x", 2, end, 2)
    objects = heap_object(1, times) + heap_object(2, units)
    free = (
        4096 - 16 - len(objects)
    )  # a collection has 4096 bytes at least; object 0 is what is free
    heap = b"GCOL" + struct.pack("<B3xQ", 1, 4096) + objects
    heap += struct.pack("<HH4xQ", 0, 0, free) + bytes(free - 16)
    # Superblock version 0: offsets and lengths of 8 bytes, K of 4 and 16; base, no free space, end,
    # no driver; the root's entry: name, object header, nothing cached.
    start = b"\x89HDF\r\n\x1a\n" + struct.pack("<BBBxBBBxHHI", 0, 0, 0, 0, 8, 8, 4, 16, 0)
    start += struct.pack("<Q8sQ8s", 0, UNDEFINED, end + 4096, UNDEFINED)
    start += struct.pack("<QQI4x16x", 0, at["root"], 0)
    assert len(start) == 96
    path = tmp_path / "by hand"
    path.write_bytes(start + b"".join(parts.values()) + heap)
    one = formats.read(path)
    assert one.events.tolist() == [(1000, 699, 0, 0), (250_000, 0, 0, 0)]
    assert one.offsets.tolist() == [0, 2, 2]
    assert one.meta == {"format": "shd", "labels": [7, 3]}


def npy(kind: str, body: bytes, count: int) -> bytes:
    """NumPy's format 1.0: magic, version, length of the header, the header, the data."""
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': ({count},), }}"
    text = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode("ascii") + body


def test_npz(tmp_path: Path) -> None:
    entries = {
        "t": npy("<i8", bytes.fromhex("0500000000000000"), 1),
        "x": npy("<u2", bytes.fromhex("0100"), 1),
        "y": npy("<u2", bytes.fromhex("0200"), 1),
        "p": npy("|u1", bytes.fromhex("01"), 1),
        "offsets": npy("<i8", struct.pack("<QQ", 0, 1), 2),
        "sensor": npy("<i8", struct.pack("<QQQ", 2, 3, 4), 3),
        "meta": npy("|u1", b'{"a": 1}', 8),
    }
    content, central = b"", b""
    for name, body in entries.items():
        title = f"{name}.npy".encode()
        # Version 2.0, no flags, stored, 1980-01-01, checksum, sizes, lengths of name and extra.
        about = struct.pack(
            "<HHHHHIIIHH", 20, 0, 0, 0, 33, zlib.crc32(body), len(body), len(body), len(title), 0
        )
        # In the directory: made by version 2.0; no comment, disk 0, no attributes, where it begins.
        central += b"PK\1\2" + struct.pack("<H", 20) + about
        central += struct.pack("<HHHII", 0, 0, 0, 0, len(content)) + title
        content += b"PK\3\4" + about + title + body
    # The end: disk 0, entries here and in all, size and place of the directory, no comment.
    count = len(entries)
    end = struct.pack("<HHHHIIH", 0, 0, count, count, len(central), len(content), 0)
    path = tmp_path / "by hand"
    path.write_bytes(content + central + b"PK\5\6" + end)
    one = formats.read(path)
    assert one.events.tolist() == [(5, 1, 2, 1)]
    assert (one.sensor, one.meta, one.offsets.tolist()) == (Sensor(2, 3, 4), {"a": 1}, [0, 1])
    formats.write_npz(tmp_path / "written", one, compress=False)
    with np.load(tmp_path / "written") as file:
        assert {name: file[name].tobytes() for name in "txyp"} == {
            name: body[128:] for name, body in entries.items() if name in "txyp"
        }
