"""One file per format worked out by hand from its specification, byte by byte, both ways.

HDF5 and npz, which are archives, have a file of their own.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from localspike.data import Sensor, formats, make_events

Row = tuple[int, int, int, int]


def rows(one: formats.Recording) -> list[Row]:
    """(t, x, y, p) of every event."""
    return [tuple(int(event[name]) for name in "txyp") for event in one.events]  # type: ignore


def recording(sensor: Sensor, *events: Row) -> formats.Recording:
    t, x, y, p = np.array(events, np.int64).T
    return formats.Recording(make_events(t, x, p, y), sensor)


def put(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "by hand"
    path.write_bytes(content)
    return path


def test_aedat2_dvs128(tmp_path: Path) -> None:
    # Address: polarity bit 0, x bits 1-7, y bits 8-14; big-endian; then µs.
    # x = 5, y = 3, ON: 3 << 8 | 5 << 1 | 1 = 0x030B.   x = 127, y = 0, OFF: 0x00FE.
    body = bytes.fromhex("0000030b 00000064  000000fe 00010000")
    header = b"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n"
    one = formats.read_aedat2(put(tmp_path, header + body))
    assert rows(one) == [(100, 5, 3, 1), (65536, 127, 0, 0)]
    assert one.sensor == Sensor(2, 128, 128)
    assert one.meta["layout"] == "dvs128"
    # CIFAR10-DVS counts x from the right and has 0 for ON: x = 127 - 5, p = 1 - 1.
    other = formats.read_aedat2(tmp_path / "by hand", layout="cifar10dvs")
    assert rows(other) == [(100, 122, 3, 0), (65536, 0, 0, 1)]
    formats.write_aedat2(tmp_path / "written", one)
    assert (tmp_path / "written").read_bytes().endswith(body)


def test_aedat2_davis(tmp_path: Path) -> None:
    # y bits 22-30, x bits 12-21, polarity bit 11. y = 2, x = 300, ON:
    # 2 << 22 = 0x00800000, 300 << 12 = 0x0012C000, 1 << 11 = 0x800 -> 0x0092C800.
    # Bit 31 (a frame's sample) and bit 10 (an external event) are no polarity events.
    body = bytes.fromhex("0092c800 00000001  8092c800 00000002  0092cc00 00000003")
    header = b"#!AER-DAT2.0\r\n# AEChip: eu.seebetter.ini.chips.davis.DAVIS346B\r\n"
    one = formats.read_aedat2(put(tmp_path, header + body))
    assert rows(one) == [(1, 300, 2, 1)]
    assert (one.sensor, one.meta["skipped"]) == (Sensor(2, 260, 346), {"special": 2})


def test_aedat2_clock_wraps(tmp_path: Path) -> None:
    # 0xFFFFFFFE, then 1: three µs later, past 2^32.
    body = bytes.fromhex("00000000 fffffffe  00000000 00000001")
    one = formats.read_aedat2(put(tmp_path, b"#!AER-DAT2.0\r\n" + body))
    assert one.events["t"].tolist() == [2**32 - 2, 2**32 + 1]


AEDAT3 = (
    b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n"
    b"#Start-Time: 2016-01-01 00:00:00 (TZ+0000)\r\n#!END-HEADER\r\n"
)


def test_aedat3(tmp_path: Path) -> None:
    # A special packet (type 0, one event of 8 bytes) to be skipped, then a polarity packet: type 1,
    # source 1, size 8, time at 4, overflow 1, capacity 3, number 3, valid 2.
    special = bytes.fromhex("0000 0100 08000000 04000000 00000000 01000000 01000000 01000000")
    polarity = bytes.fromhex("0100 0100 08000000 04000000 01000000 03000000 03000000 02000000")
    # x << 17 | y << 2 | p << 1 | valid: x = 1, y = 1, ON: 0x00020007; the next with valid clear;
    # x = 127, y = 64, OFF: 127 << 17 = 0x00FE0000, 64 << 2 = 0x100 -> 0x00FE0101.
    events = bytes.fromhex("07000200 05000000  06000200 06000000  0101fe00 07000000")
    content = AEDAT3 + special + bytes(8) + polarity + events
    one = formats.read_aedat3(put(tmp_path, content))
    # Overflow 1 adds 2^31 µs.
    assert rows(one) == [(2**31 + 5, 1, 1, 1), (2**31 + 7, 127, 64, 0)]
    assert one.sensor == Sensor(2, 128, 128)
    assert one.meta["skipped"] == {"packets of type 0": 1, "invalid": 1}
    formats.write_aedat3(tmp_path / "written", one)
    assert (
        (tmp_path / "written")
        .read_bytes()
        .endswith(
            bytes.fromhex("0100 0100 08000000 04000000 01000000 02000000 02000000 02000000")
            + events[:8]
            + events[16:]
        )
    )


XML = (
    b'<dv version="2.0"><node name="outInfo" path="/"><node name="1" path="/1/">'
    b'<attr key="typeIdentifier" type="string">EVTS</attr><node name="info" path="/1/info/">'
    b'<attr key="sizeX" type="int">346</attr><attr key="sizeY" type="int">260</attr></node></node>'
    b'<node name="0" path="/0/"><attr key="typeIdentifier" type="string">FRME</attr></node>'
    b"</node></dv>"
)


def test_aedat4(tmp_path: Path) -> None:
    # IOHeader: root at 20; name; vtable at 8: 10 bytes, a table of 8, fields 0 and 1 left at their
    # defaults (no compression, no packet table), field 2 at 4. Table: 12 back to the vtable, 4 on
    # to the string: length, text, NUL.
    root = bytes.fromhex("14000000") + b"IOHE" + bytes.fromhex("0a00 0800 0000 0000 0400 0000")
    root += bytes.fromhex("0c000000 04000000") + struct.pack("<I", len(XML)) + XML + b"\0"
    content = b"#!AER-DAT4.0\r\n" + struct.pack("<I", len(root)) + root
    # A packet of stream 0 (3 bytes, never looked into), then one of stream 1.
    content += bytes.fromhex("00000000 03000000 ffffff")
    # FlatBuffer: size 60; root at 16; "EVTS"; vtable at 8: 6 bytes, table of 8, field at 4, pad;
    # table: 8 back, 4 on to the vector of 2; t i64, x i16, y i16, on u8, 3 of padding.
    packet = bytes.fromhex("3c000000 10000000 45565453 0600 0800 0400 0000 08000000 04000000")
    events = bytes.fromhex(
        "02000000"
        "40420f0000000000 0500 0300 01 000000"  # 1,000,000 µs, x = 5, y = 3, ON
        "41420f0000000000 5901 0301 00 000000"  # 1,000,001 µs, x = 345, y = 259, OFF
    )
    body = packet + events
    content += bytes.fromhex("01000000") + struct.pack("<I", len(body)) + body
    one = formats.read_aedat4(put(tmp_path, content))
    assert rows(one) == [(1_000_000, 5, 3, 1), (1_000_001, 345, 259, 0)]
    assert one.sensor == Sensor(2, 260, 346)
    assert one.meta["streams"] == {1: "EVTS", 0: "FRME"}
    formats.write_aedat4(tmp_path / "written", one)
    assert (tmp_path / "written").read_bytes().endswith(body)


def test_dat(tmp_path: Path) -> None:
    # p << 28 | y << 14 | x, little-endian. x = 639, y = 479, ON:
    # 1 << 28 = 0x10000000, 479 << 14 = 0x0077C000, 639 = 0x27F -> 0x1077C27F.
    header = b"% Data file containing CD events\n% Version 2\n% Width 640\n% Height 480\n"
    body = bytes.fromhex("0c08  0a000000 7fc27710  0b000000 01400000")
    one = formats.read_dat(put(tmp_path, header + body))
    assert rows(one) == [(10, 639, 479, 1), (11, 1, 1, 0)]
    assert one.sensor == Sensor(2, 480, 640)
    formats.write_dat(tmp_path / "written", one)
    assert (tmp_path / "written").read_bytes().endswith(body)


def test_evt2(tmp_path: Path) -> None:
    # Time high 2 (so 128 µs on), then ON, low 5, x = 3, y = 4:
    # 1 << 28 | 5 << 22 | 3 << 11 | 4 = 0x10000000 + 0x01400000 + 0x1800 + 4 = 0x11401804.
    # Before the first time word an event has no time. 0xA... is a trigger.
    body = bytes.fromhex("04180010  02000080  04184011  000000a0  03000080  04180000")
    header = b"% date 2023-03-29 16:37:46\n% evt 2.0\n% geometry 640x480\n% end\n"
    one = formats.read_evt2(put(tmp_path, header + body))
    assert rows(one) == [(133, 3, 4, 1), (192, 3, 4, 0)]
    assert one.sensor == Sensor(2, 480, 640)
    assert one.meta["skipped"] == {"trigger": 1, "before_time": 1}
    formats.write_evt2(tmp_path / "written", one)
    assert (tmp_path / "written").read_bytes().endswith(body[4:12] + body[16:])


def test_evt3(tmp_path: Path) -> None:
    words = [
        0x8001,  # time high 1: 4096 µs
        0x6002,  # time low 2
        0x0005,  # y = 5
        0x2803,  # single event x = 3, ON
        0x3010,  # base x = 16, OFF
        0x4801,  # 12 bits: events at 16 and 27; base moves to 28
        0x5002,  # 8 bits: event at 29; base moves to 36
        0x5001,  # event at 36
        0xA000,  # a trigger
        0x8002,  # time high 2: low starts from 0
        0x0006,  # y = 6
        0x5001,  # event at 44, since the base moved by 8 again
    ]
    header = b"% evt 3.0\n% format EVT3;height=720;width=1280\n% end\n"
    one = formats.read_evt3(put(tmp_path, header + struct.pack(f"<{len(words)}H", *words)))
    assert rows(one) == [
        (4098, 3, 5, 1),
        (4098, 16, 5, 0),
        (4098, 27, 5, 0),
        (4098, 29, 5, 0),
        (4098, 36, 5, 0),
        (8192, 44, 6, 0),
    ]
    assert (one.sensor, one.meta["skipped"]) == (Sensor(2, 720, 1280), {"trigger": 1})


def test_evt3_clock_wraps_and_counts_what_has_no_place(tmp_path: Path) -> None:
    words = [
        0x6FFF,  # a time low before any high is forgotten
        0x2001,  # no time yet
        0x8FFF,  # time high 4095
        0x2001,  # no y yet
        0x0000,  # y = 0
        0x4003,  # no base yet: two events lost
        0x2001,  # 4095 << 12
        0x8000,  # overflow: 2^24
        0x6001,  # low 1
        0x8000,  # the same again changes nothing
        0x2002,
    ]
    content = b"% evt 3.0\n% end\n" + struct.pack(f"<{len(words)}H", *words)
    one = formats.read_evt3(put(tmp_path, content))
    assert rows(one) == [(4095 << 12, 1, 0, 0), (2**24 + 1, 2, 0, 0)]
    assert one.meta["skipped"] == {"before_time": 1, "before_place": 3}


def test_evt3_writer_makes_vectors(tmp_path: Path) -> None:
    one = recording(Sensor(2, 8, 64), (4098, 24, 5, 0), (4098, 26, 5, 0), (4098, 35, 5, 0))
    formats.write_evt3(tmp_path / "file", one)
    # x = 24 … 35 are one block of 12: bits 0, 2 and 11.
    words = struct.pack("<5H", 0x8001, 0x6002, 0x0005, 0x3018, 0x4805)
    assert (tmp_path / "file").read_bytes().endswith(b"% end\n" + words)


def test_nmnist(tmp_path: Path) -> None:
    # x, y, polarity bit and 23 bits of µs, big-endian; y = 240 adds 8192 µs.
    body = bytes.fromhex("0a 0b 80 00 ff   00 f0 00 00 00   21 21 00 01 00")
    one = formats.read_nmnist(put(tmp_path, body))
    assert rows(one) == [(255, 10, 11, 1), (8192 + 256, 33, 33, 0)]
    # The writer needs overflow records from 2^23 µs on only: 2^23 = 0x7FE000 + 8192.
    late = recording(formats.NMNIST, (2**23 - 1, 1, 2, 1), (2**23, 1, 2, 0))
    formats.write_nmnist(tmp_path / "late", late)
    expected = bytes.fromhex("01 02 ff ff ff   00 f0 00 00 00   01 02 7f e0 00")
    assert (tmp_path / "late").read_bytes() == expected
