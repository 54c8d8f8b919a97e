"""AEDAT 4.0: FlatBuffers, mostly compressed, as iniVation's DV software writes them.

Layout (docs.inivation.com, "AEDAT 4.0"): ``#!AER-DAT4.0\\r\\n``; a size (u32) and the FlatBuffer
IOHeader: compression (0 none, 1 and 2 LZ4, 3 and 4 zstd), position of the packet table (i64, −1
for none), and XML that names the streams; then packets of stream number (i32), size (i32) and that
many bytes, which unpacked are a size (u32) and a FlatBuffer. An event packet ("EVTS") is a vector
of 16 bytes each: time i64 in µs, x i16, y i16, polarity u8, 3 bytes unused.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from ..events import Sensor
from .aedat4_header import Stream, build_header, streams_of
from .collect import Columns, collected
from .extent import BLOCK, PLACED, blocks
from .flat import Table
from .packed import NAMES, Unpacker, pack
from .recording import Recording, single_camera
from .source import DAMAGED, Content, bad, load, store

MAGIC = b"#!AER-DAT4.0\r\n"
WORD = np.dtype([("t", "<i8"), ("xy", "<u4"), ("p", "u1"), ("unused", "V3")])
SIGNS = 0x80008000
SIDE = 1 << 15
PACKET = 1 << 16
PACKED = 5  # bytes that a compressed event takes at least, mostly
PEEK = 4096
PIECE = BLOCK * WORD.itemsize
PROLOGUE = struct.Struct("<II4sHHHHiII")


@dataclass(frozen=True)
class Head:
    compression: int
    stop: int  # where the packets end
    first: int  # where they begin
    streams: list[Stream]


def read_aedat4(
    path: str | os.PathLike[str],
    *,
    stream: int | None = None,
    sensor: Sensor | None = None,
    sort: bool = False,
) -> Recording:
    """Events of one stream of an AEDAT 4.0 file; LZ4 and zstd need the extra ``formats``.

    ``stream`` may be None where the file has one event stream only. ``meta`` lists all streams.
    ``sensor`` replaces the stream's own. Raises DataError, and MissingDependencyError where the
    file's compression needs a package that is not installed.
    """
    source = str(path)
    content = memoryview(load(Path(path)))
    head = read_head(content, source)
    chosen = choose(head.streams, stream, source)
    columns = decoded(content, head, chosen.number, source)
    room = (head.stop - head.first) // (WORD.itemsize if head.compression == 0 else PACKED)
    meta = {
        "format": "aedat4",
        "compression": NAMES[head.compression],
        "stream": chosen.number,
        "streams": {one.number: one.kind for one in head.streams},
    }
    return collected(source, columns, room, sensor or chosen.sensor, meta, sort)


def read_head(content: Content, source: str) -> Head:
    """Compression, streams and where the packets lie; DataError."""
    start = len(MAGIC) + 4
    begin = bytes(content[0:start])
    if not begin.startswith(MAGIC):
        raise bad(
            source, 0, "not an AEDAT 4.0 file", got=repr(begin[:14]), expected=repr(MAGIC),
            fix="Use read, which finds the format",
        )  # fmt: skip
    size = int.from_bytes(begin[len(MAGIC) :], "little")
    if len(content) < start or size > len(content) - start:
        raise bad(
            source, len(MAGIC), "header cut short", got=f"{len(content) - len(MAGIC)} bytes",
            expected=f"{size + 4}",
        )  # fmt: skip
    table = Table(bytes(content[0 : start + size]), start, start + size, b"IOHE", source)
    compression = table.number(0, "<i", 0)
    if compression not in NAMES:
        raise bad(
            source, start, "unknown compression", got=compression,
            expected="0 (none), 1, 2 (LZ4), 3 or 4 (zstd)",
        )  # fmt: skip
    stop = table.number(1, "<q", -1)
    stop = stop if start + size <= stop <= len(content) else len(content)
    return Head(compression, stop, start + size, streams_of(table.text(2), start, source))


def choose(streams: list[Stream], wanted: int | None, source: str) -> Stream:
    found = [one for one in streams if one.kind == "EVTS" and wanted in (None, one.number)]
    if len(found) != 1:
        listed = ", ".join(f"{one.number}: {one.kind}" for one in streams[:8]) or "none"
        raise bad(
            source, len(MAGIC) + 4, "several event streams" if found else "no such event stream",
            got=f"streams {listed}", expected="one stream of events (EVTS)",
            fix="Pass stream= with the number of an event stream" if streams else DAMAGED,
        )  # fmt: skip
    return found[0]


def decoded(content: Content, head: Head, wanted: int, source: str) -> Iterator[Columns]:
    """The columns of all events of the stream ``wanted``, block by block; DataError."""
    return map(_Decoder(source), _events(content, head, wanted, source))


def _events(content: Content, head: Head, wanted: int, source: str) -> Iterator[NDArray[np.void]]:
    """The raw events of one stream, block by block; other streams' packets stay packed."""
    at = head.first
    while at < head.stop:
        if head.stop - at < 8:
            raise bad(
                source, at, "packet cut short", got=f"{head.stop - at} bytes of its header",
                expected="8",
            )  # fmt: skip
        number, size = struct.unpack("<ii", content[at : at + 8])
        at += 8
        if not 0 <= size <= head.stop - at:
            raise bad(
                source, at - 4, "packet cut short", got=f"{head.stop - at} bytes",
                expected=f"{size}, as its header says",
            )  # fmt: skip
        if number == wanted:
            packet = memoryview(content[at : at + size])
            named = f"{source}, packet at byte {at}"
            if NAMES[head.compression] == "none":
                yield from blocks(_plain(packet, named))
            else:
                yield from _unpacked(Unpacker(head.compression, packet, source, at), named)
        at += size


def _plain(packet: memoryview, source: str) -> NDArray[np.void]:
    """The events of a packet that is not compressed."""
    size = int.from_bytes(packet[:4], "little")
    if len(packet) < max(size, 8) + 4:
        raise bad(source, 0, "packet cut short", got=f"{len(packet)} bytes", expected=f"{size + 4}")
    first, count = Table(packet, 4, 4 + size, b"EVTS", source).vector(0, WORD.itemsize)
    return np.frombuffer(packet, WORD, count, first) if count else np.zeros(0, WORD)


def _unpacked(rest: Unpacker, source: str) -> Iterator[NDArray[np.void]]:
    """The events of a compressed packet, piece by piece: what it claims is never held whole."""
    start = rest.take(PEEK)
    size = int.from_bytes(start[:4], "little")
    stop, at = size + 4, len(start)
    table = Table(start, 4, min(at, stop), b"EVTS", source)
    first, count = table.vector(0, WORD.itemsize, stop)
    end = first + count * WORD.itemsize
    if stop > end + PEEK:  # a small file must not grow into anything but events
        raise bad(
            source, 0, "packet larger than its events", got=f"{size} bytes for {count} events",
            expected=f"{end} bytes and a little more",
        )  # fmt: skip
    held = start[first:end]
    while held or at < end:
        part = rest.take(min(end - at, PIECE - len(held))) if at < end else b""
        at += len(part)
        if at < end and len(held) + len(part) < PIECE:
            break
        yield np.frombuffer(held + part, WORD)
        held = b""
    at += len(rest.take(stop - at)) if end <= at < stop else 0
    if at < stop or rest.take(1):  # the latter also has the frame's own checksum looked at
        what = "packet cut short" if at < stop else "packet larger than its events"
        raise bad(source, 0, what, got=f"{at} bytes" if at < stop else "more", expected=f"{stop}")


class _Decoder:
    """Columns of the raw events of one packet after another."""

    def __init__(self, source: str) -> None:
        self._source, self._count = source, 0

    def __call__(self, raw: NDArray[np.void]) -> Columns:
        xy = np.ascontiguousarray(raw["xy"])
        if int(np.bitwise_or.reduce(xy)) & SIGNS:
            self._refuse_signs(xy)
        self._count += len(raw)
        return raw["t"], xy, raw["p"] & 1

    def _refuse_signs(self, xy: NDArray[np.uint32]) -> None:
        at = int(((xy & np.uint32(SIGNS)) != 0).argmax())
        x, y = xy[at : at + 1].view(np.int16).tolist()
        name, value = ("x", x) if x < 0 else ("y", y)
        raise DataError(
            f"{self._source}: event coordinate {name!r} out of range",
            got=f"{value} at event {self._count + at}",
            expected=f"0 … {SIDE - 1}",
            fix="Get the file again; it is damaged",
        )


def write_aedat4(
    path: str | os.PathLike[str], recording: Recording, *, compression: str = "none"
) -> None:
    """Write one camera recording as AEDAT 4.0 with one event stream, number 0.

    ``compression`` is "none", "lz4" or "zstd" (the latter two need the extra ``formats``). Packets
    hold up to 65,536 events; there is no packet table, which is optional. Raises DataError for
    sides over 32768 or several recordings.
    """
    source, events = str(path), recording.events
    single_camera(recording, source, "AEDAT 4.0", SIDE)
    if compression not in NAMES.values():
        raise DataError(
            f"{source}: no such compression", got=repr(compression), expected="none, lz4 or zstd"
        )
    code = {name: number for number, name in reversed(NAMES.items())}[compression]
    raw = np.zeros(len(events), WORD)
    for name in ("t", "xy", "p"):
        raw[name] = events.view(PLACED)[name]
    parts = [MAGIC, build_header(code, compression.upper(), recording.sensor)]
    for first in range(0, len(raw), PACKET):
        body = pack(compression, _flatbuffer(raw[first : first + PACKET]))
        parts += [struct.pack("<ii", 0, len(body)), body]
    store(Path(path), parts)


def _flatbuffer(raw: NDArray[np.void]) -> bytes:
    """A size-prefixed event packet: root at 16, vtable at 8, vector at 24, elements 8-aligned."""
    start = PROLOGUE.pack(28 + raw.nbytes, 16, b"EVTS", 6, 8, 4, 0, 8, 4, len(raw))
    return start + raw.tobytes()
