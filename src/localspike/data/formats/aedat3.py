"""AEDAT 3.1: typed packets of events behind a text header, little-endian.

Layout (docs.inivation.com, "AEDAT 3.1"): ``#!AER-DAT3.1``, lines that begin with ``#`` up to
``#!END-HEADER``, then packets. A packet's 28 bytes: type u16, source u16, event size, offset of the
time, time overflow, capacity, number and number valid (i32 each). A polarity event (type 1) is 8
bytes: a word with valid in bit 0, polarity in bit 1, y in bits 2–16, x in bits 17–31, and 31 bits
of time in µs, to which the packet's overflow adds 2³¹ µs each.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..events import Sensor
from .collect import Columns, collected, count_lost
from .extent import BLOCK, blocks
from .recording import Recording, single_camera
from .source import Content, bad, load, size_in, store, text_header

MAGIC, END = b"#!AER-DAT3.1", "#!end-header"
HEADER = struct.Struct("<hhiiiiii")
POLARITY, SIZE, TIME_AT = 1, 8, 4
WORD = np.dtype([("data", "<u4"), ("t", "<u4")])
SIDE, CLOCK = 1 << 15, 31
PACKET = 1 << 16
CHIPS = {
    "DVS128": Sensor(2, 128, 128),
    "DAVIS128": Sensor(2, 128, 128),
    "DAVIS208": Sensor(2, 192, 208),
    "DAVIS240": Sensor(2, 180, 240),
    "DAVIS346": Sensor(2, 260, 346),
    "DAVIS640": Sensor(2, 480, 640),
    "DVS132": Sensor(2, 104, 132),
}


def read_aedat3(
    path: str | os.PathLike[str], *, sensor: Sensor | None = None, sort: bool = False
) -> Recording:
    """Valid polarity events of an AEDAT 3.1 file.

    Packets of other types and events marked invalid are counted in ``meta["skipped"]``. ``sensor``
    replaces the header's source; with neither, the smallest that fits. Raises DataError.
    """
    source = str(path)
    content = load(Path(path))
    lines, start = header(content, source)
    skipped: dict[str, int] = {}
    columns = decoded(memoryview(content), start, source, skipped)
    room = (len(content) - start) // SIZE
    meta = {"format": "aedat3", "header": lines, "skipped": skipped}
    return collected(source, columns, room, sensor or _sensor(lines), meta, sort)


def header(content: bytes, source: str) -> tuple[list[str], int]:
    """The lines of the header and where the packets begin; DataError."""
    if not content.startswith(MAGIC):
        raise bad(
            source, 0, "not an AEDAT 3.1 file", got=repr(content[:12]), expected=repr(MAGIC),
            fix="Use read, which finds the format",
        )  # fmt: skip
    lines, start = text_header(content, b"#", END, source)
    if not lines[-1].lower().startswith(END):
        raise bad(
            source, start, "header does not end", got=repr(lines[-1][:40]),
            expected="a line #!END-HEADER",
        )  # fmt: skip
    return lines, start


def decoded(
    content: Content, start: int, source: str, skipped: dict[str, int]
) -> Iterator[Columns]:
    """The columns of all polarity events behind byte ``start``, block by block; DataError."""
    for overflow, run in _runs(_packets(content, start, source, skipped)):
        for block in blocks(np.frombuffer(run, WORD)):
            t, xy, p = _decode(block, skipped)
            yield np.add(t, overflow << CLOCK, dtype=np.int64) if overflow else t, xy, p


def _packets(
    content: Content, start: int, source: str, skipped: dict[str, int]
) -> Iterator[tuple[int, bytes | memoryview]]:
    """(time overflow, events as they lie in the file) of polarity packets, of large ones piece by
    piece; others are counted."""
    while start < len(content):
        kind, overflow, size, number = _packet(content, start, source)
        start += HEADER.size
        end = start + size * number
        if kind == POLARITY:
            for first in range(start, end, BLOCK * SIZE):
                yield overflow, content[first : min(first + BLOCK * SIZE, end)]
        else:
            count_lost(skipped, f"packets of type {kind}", 1)
        start = end


def _packet(content: Content, start: int, source: str) -> tuple[int, int, int, int]:
    """(type, time overflow, event size, number of events) of a packet that is all there."""
    left = len(content) - start
    if left < HEADER.size:
        raise bad(
            source, start, "packet cut short", got=f"{left} bytes of its header",
            expected=f"{HEADER.size}",
        )  # fmt: skip
    kind, _, size, time_at, overflow, capacity, number, valid = HEADER.unpack(
        content[start : start + HEADER.size]
    )
    if kind < 0 or size <= 0 or overflow < 0 or not 0 <= valid <= number <= capacity:
        raise bad(
            source, start, "packet header that cannot be",
            got=f"type {kind}, event size {size}, overflow {overflow}, "
            f"{valid} valid of {number} of {capacity} events",
            expected="0 <= valid <= number <= capacity and a positive size",
        )  # fmt: skip
    if kind == POLARITY and (size, time_at) != (SIZE, TIME_AT):
        raise bad(
            source, start, "polarity events of another layout",
            got=f"{size} bytes, time at {time_at}", expected=f"{SIZE} bytes, time at {TIME_AT}",
        )  # fmt: skip
    if size * number > left - HEADER.size:
        raise bad(
            source, start, "packet cut short", got=f"{left - HEADER.size} bytes of its events",
            expected=f"{number} events of {size} bytes",
        )  # fmt: skip
    return kind, overflow, size, number


def _runs(
    packets: Iterable[tuple[int, bytes | memoryview]],
) -> Iterator[tuple[int, bytes | memoryview]]:
    """Packets of one time overflow: large ones as they lie in the file, small ones put together."""
    held: list[bytes | memoryview] = []
    size = current = 0
    for overflow, events in packets:
        if held and (overflow != current or size + len(events) > BLOCK * SIZE):
            yield current, b"".join(held) if len(held) > 1 else held[0]
            held, size = [], 0
        if events:
            held.append(events)
            size, current = size + len(events), overflow
    if held:
        yield current, b"".join(held) if len(held) > 1 else held[0]


def _decode(raw: NDArray[np.void], skipped: dict[str, int]) -> Columns:
    data = np.ascontiguousarray(raw["data"])
    t = raw["t"] & np.uint32((1 << CLOCK) - 1)
    if not int(np.bitwise_and.reduce(data)) & 1:
        valid = np.flatnonzero(data & np.uint32(1))
        count_lost(skipped, "invalid", len(data) - len(valid))
        data, t = data[valid], t[valid]
    xy = data >> np.uint32(17)
    xy |= (data << np.uint32(14)) & np.uint32((SIDE - 1) << 16)
    return t, xy, (data >> np.uint32(1)) & np.uint32(1)


def _sensor(lines: list[str]) -> Sensor | None:
    for line in lines:
        if line.startswith("# localspike "):
            return size_in(line)
    for line in lines:
        named = re.match(r"#Source \d+: *([A-Za-z]+\d+)", line, re.ASCII)
        if named and named[1].upper() in CHIPS:
            return CHIPS[named[1].upper()]
    return None


def write_aedat3(path: str | os.PathLike[str], recording: Recording) -> None:
    """Write one camera recording as AEDAT 3.1, in packets of up to 65,536 events.

    A header line keeps the sensor's size. Raises DataError for sides over 32768, several
    recordings, or times from 2⁶² µs on.
    """
    source, events, sensor = str(path), recording.events, recording.sensor
    single_camera(recording, source, "AEDAT 3.1", SIDE)
    t = events["t"]
    if len(t) and int(t[-1]) >> (2 * CLOCK):
        raise bad(
            source, 0, "AEDAT 3.1 cannot hold these times", got=f"t = {t[-1]} µs",
            expected="below 2^62 µs", fix="Subtract the start time",
        )  # fmt: skip
    raw = np.empty(len(events), WORD)
    raw["t"] = t & ((1 << CLOCK) - 1)
    data = events["x"].astype(np.uint32) << np.uint32(17)
    data |= events["y"].astype(np.uint32) << np.uint32(2)
    data |= (events["p"].astype(np.uint32) << np.uint32(1)) | np.uint32(1)
    raw["data"] = data
    text = (
        "#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: Unknown\r\n"
        "#Start-Time: 1970-01-01 00:00:00 (TZ+0000)\r\n"
        f"# localspike {sensor.width}x{sensor.height}\r\n#!END-HEADER\r\n"
    )
    store(Path(path), [text.encode(), *_pieces(raw, t >> CLOCK)])


def _pieces(raw: NDArray[np.void], overflow: NDArray[np.int64]) -> list[bytes]:
    """Packets, cut where the overflow changes and at least every ``PACKET`` events."""
    cuts = np.flatnonzero(np.diff(overflow)) + 1
    ends = np.union1d(np.union1d(cuts, np.arange(0, len(raw), PACKET)), [len(raw)])
    parts = []
    for first, last in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        number = last - first
        over = int(overflow[first])
        parts.append(HEADER.pack(POLARITY, 1, SIZE, TIME_AT, over, number, number, number))
        parts.append(raw[first:last].tobytes())
    return parts
