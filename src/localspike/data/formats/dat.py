"""Prophesee DAT: decoded events of 8 bytes behind a text header.

Layout (docs.prophesee.ai, "DAT File Format", version 2): lines that begin with ``%``; two bytes,
event type and event size; then per event, little-endian, a 32-bit time in µs and a 32-bit word with
x in bits 0–13, y in bits 14–27 and the polarity in bits 28–31.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..events import Sensor
from .collect import Columns, collected
from .extent import blocks
from .recording import Recording, single_camera
from .source import Counter, bad, camera, load, records, store, text_header, wrapped

EVENT_2D, EVENT_CD, SIZE = 0x00, 0x0C, 8
WORD = np.dtype([("t", "<u4"), ("data", "<u4")])
SIDE = 1 << 14


def read_dat(
    path: str | os.PathLike[str], *, sensor: Sensor | None = None, sort: bool = False
) -> Recording:
    """Events of a Prophesee DAT file, version 2.

    Times are unwrapped: a step back of more than 2³¹ µs is an overflow of the 32-bit counter.
    ``sensor`` replaces the header's Width and Height; with neither, the smallest that fits.
    Raises DataError.
    """
    source = str(path)
    content = load(Path(path))
    lines, start = text_header(content, b"%", "% end", source)
    header = _keywords(lines)
    _check_kind(content, start, header, source)
    raw = records(content, start + 2, WORD, source)
    columns = map(Decoder(), blocks(raw))
    meta = {"format": "dat", "header": lines}
    return collected(source, columns, len(raw), sensor or _sensor(header), meta, sort)


class Decoder:
    """Columns of one block of records after another; the time is unwrapped across blocks."""

    def __init__(self) -> None:
        self._counter = Counter(32)

    def __call__(self, raw: NDArray[np.void]) -> Columns:
        """The columns of the next block."""
        data = np.ascontiguousarray(raw["data"])
        xy = data & np.uint32(0x3FFF)
        xy |= (data << np.uint32(2)) & np.uint32(0x3FFF << 16)
        return self._counter(np.ascontiguousarray(raw["t"])), xy, data >> np.uint32(28)


def _keywords(lines: list[str]) -> dict[str, str]:
    pairs = (line[1:].strip().rpartition(" ") for line in lines)
    return {key.lower(): value for key, _, value in pairs}


def _check_kind(content: bytes, start: int, header: dict[str, str], source: str) -> None:
    version = header.get("version", "none")
    if version != "2":
        raise bad(
            source, 0, "not a DAT file of version 2", got=f"version {version[:20]!r}",
            expected="a header line '% Version 2'", fix="Convert the file with its maker's tools",
        )  # fmt: skip
    kind = tuple(content[start : start + 2])
    if kind not in ((EVENT_2D, SIZE), (EVENT_CD, SIZE)):
        raise bad(
            source, start, "no DAT events of a kind known here",
            got=f"event type and size {kind}",
            expected=f"({EVENT_CD}, {SIZE}) or ({EVENT_2D}, {SIZE})",
        )  # fmt: skip


def _sensor(header: dict[str, str]) -> Sensor | None:
    sides = (header.get("width", ""), header.get("height", ""))
    if not all(side.isascii() and side.isdigit() and len(side) < 6 for side in sides):
        return None
    return camera(int(sides[0]), int(sides[1]))


def write_dat(path: str | os.PathLike[str], recording: Recording) -> None:
    """Write one camera recording as Prophesee DAT, version 2.

    Raises DataError for what the format cannot hold: sides over 16384, several recordings, a first
    time from 2³² µs on, or a gap of 2³¹ µs or more.
    """
    source, events = str(path), recording.events
    single_camera(recording, source, "DAT", SIDE)
    raw = np.empty(len(events), WORD)
    raw["t"] = wrapped(events["t"], 32, source, "DAT")
    wide = events["x"].astype(np.uint32)
    wide |= events["y"].astype(np.uint32) << np.uint32(14)
    wide |= events["p"].astype(np.uint32) << np.uint32(28)
    raw["data"] = wide
    header = (
        "% Data file containing CD events\n% Version 2\n"
        f"% Width {recording.sensor.width}\n% Height {recording.sensor.height}\n% end\n"
    )
    store(Path(path), [header.encode(), bytes([EVENT_CD, SIZE]), raw.tobytes()])


def is_dat(content: bytes, start: int) -> bool:
    """Whether a text header that ends at ``start`` is followed by the kind of DAT events."""
    return tuple(content[start : start + 2]) in ((EVENT_2D, SIZE), (EVENT_CD, SIZE))
