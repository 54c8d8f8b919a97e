"""AEDAT 2.0: an address and a time of 32 bits each, big-endian, behind a text header.

Layout (docs.inivation.com, "AEDAT 2.0" and "AEDAT 1.0"): ``#!AER-DAT2.0``, lines that begin with
``#``, then events. What an address means depends on the chip: DVS128 has polarity in bit 0, x in
bits 1–7, y in bits 8–14; DAVIS has x in bits 12–21, y in bits 22–30, polarity in bit 11, and bits
10 and 31 mark what is no polarity event. Files of data sets differ in which corner is the origin
and which polarity is 1: ``layout`` says which reading is meant.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from ..events import Sensor
from .collect import Columns, collected, count_lost
from .extent import blocks
from .recording import Recording, single_camera
from .source import Counter, bad, load, records, size_in, store, text_header, wrapped

MAGIC = b"#!AER-DAT2.0"
END = "end of ascii header"
WORD = np.dtype([("address", ">u4"), ("t", ">u4")])


@dataclass(frozen=True)
class Layout:
    """Where an address keeps x, y and polarity; events have no bit of ``special`` set.

    ``mirror_x`` counts columns from the other side of the sensor, ``invert_p`` swaps polarities.
    """

    name: str
    sensor: Sensor
    x: tuple[int, int]
    y: tuple[int, int]
    p: int
    special: int
    mirror_x: bool = False
    invert_p: bool = False


LAYOUTS = {
    one.name: one
    for one in (
        Layout("dvs128", Sensor(2, 128, 128), (1, 7), (8, 7), 0, 1 << 15),
        Layout("cifar10dvs", Sensor(2, 128, 128), (1, 7), (8, 7), 0, 1 << 15, True, True),
        Layout("davis240", Sensor(2, 180, 240), (12, 10), (22, 9), 11, 1 << 31 | 1 << 10),
        Layout("davis346", Sensor(2, 260, 346), (12, 10), (22, 9), 11, 1 << 31 | 1 << 10),
    )
}
"""``cifar10dvs`` reads DVS128 addresses as jAER and CIFAR10-DVS mean them: x from the right, bit 0
clear for polarity 1."""


def read_aedat2(
    path: str | os.PathLike[str],
    *,
    layout: str | None = None,
    sensor: Sensor | None = None,
    sort: bool = False,
) -> Recording:
    """Polarity events of an AEDAT 2.0 file.

    ``layout`` is a name in ``LAYOUTS``; None takes the header's chip, or dvs128 where it names none
    (``meta["layout"]`` says which). Other events (frames, inertial, external) are counted in
    ``meta["skipped"]``. Times are unwrapped at 2³² µs. Raises DataError.
    """
    source = str(path)
    content = load(Path(path))
    lines, start = header(content, source)
    chosen = layout_of(layout, lines, source)
    raw = records(content, start, WORD, source)
    decode = Decoder(chosen)
    named = next((size_in(line) for line in lines if line.startswith("# localspike ")), None)
    about = {"format": "aedat2", "header": lines, "layout": chosen.name}
    meta = {**about, "skipped": decode.skipped}
    sensor = sensor or named or chosen.sensor
    return collected(source, map(decode, blocks(raw)), len(raw), sensor, meta, sort)


def header(content: bytes, source: str) -> tuple[list[str], int]:
    """The lines of the header and where the events begin; DataError."""
    if not content.startswith(MAGIC):
        raise bad(
            source, 0, "not an AEDAT 2.0 file", got=repr(content[:12]), expected=repr(MAGIC),
            fix="Use read, which finds the format",
        )  # fmt: skip
    return text_header(content, b"#", END, source)


def layout_of(name: str | None, lines: list[str], source: str) -> Layout:
    """The layout of that name, else of the header's chip; DataError for an unknown name."""
    if name is None:
        return LAYOUTS[_chip(lines)]
    if name not in LAYOUTS:
        raise DataError(
            f"{source}: no such layout", got=repr(name), expected=" or ".join(map(repr, LAYOUTS))
        )
    return LAYOUTS[name]


def _chip(lines: list[str]) -> str:
    for line in lines:
        named = re.match(r"# localspike (\w+) ", line)
        if named and named[1] in LAYOUTS:
            return named[1]
        if "AEChip:" in line and "davis" in line.lower():
            return "davis346" if "346" in line else "davis240"
    return "dvs128"


class Decoder:
    """Columns of one block of records after another; what is no polarity event is counted."""

    def __init__(self, layout: Layout) -> None:
        self.skipped: dict[str, int] = {}
        self._layout, self._counter = layout, Counter(32)

    def __call__(self, raw: NDArray[np.void]) -> Columns:
        address, t = raw["address"].astype(np.uint32), self._counter(raw["t"].astype(np.uint32))
        special = address & np.uint32(self._layout.special)
        if special.any():
            event = np.flatnonzero(special == 0)
            count_lost(self.skipped, "special", len(address) - len(event))
            address, t = address[event], t[event]
        layout = self._layout
        x, y = _field(address, *layout.x), _field(address, *layout.y)
        x, p = _meant(x, _field(address, layout.p, 1), layout)
        return t, x | (y << np.uint32(16)), p


def _field(address: NDArray[np.uint32], shift: int, bits: int) -> NDArray[np.uint32]:
    return (address >> np.uint32(shift)) & np.uint32((1 << bits) - 1)


def _meant(
    x: NDArray[np.uint32], p: NDArray[np.uint32], layout: Layout
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """x and polarity from address bits to what is meant, and back (it is its own inverse)."""
    if layout.mirror_x:
        x = np.uint32(layout.sensor.width - 1) - x
    return x, p ^ np.uint32(1) if layout.invert_p else p


def write_aedat2(
    path: str | os.PathLike[str], recording: Recording, *, layout: str | None = None
) -> None:
    """Write one camera recording as AEDAT 2.0.

    ``layout`` None takes dvs128 for sensors up to 128×128, else davis346. A header line keeps the
    sensor's size. Raises DataError for a sensor beyond the layout's address bits, several
    recordings, a first time from 2³² µs on, or a gap of 2³¹ µs or more.
    """
    source, events, sensor = str(path), recording.events, recording.sensor
    single_camera(recording, source, "AEDAT 2.0", 1024)
    small = sensor.width <= 128 and sensor.height <= 128
    chosen = layout_of(layout or ("dvs128" if small else "davis346"), [], source)
    _check_room(sensor, chosen, source)
    raw = np.empty(len(events), WORD)
    x, y, p = (events[name].astype(np.uint32) for name in "xyp")
    x, p = _meant(x, p, chosen)
    shifts = (chosen.x[0], chosen.y[0], chosen.p)
    x, y, p = (one << np.uint32(shift) for one, shift in zip((x, y, p), shifts, strict=True))
    raw["address"] = x | y | p
    raw["t"] = wrapped(events["t"], 32, source, "AEDAT 2.0")
    text = (
        "#!AER-DAT2.0\r\n# Timestamps tick is 1 us\r\n"
        f"# localspike {chosen.name} {sensor.width}x{sensor.height}\r\n#End Of ASCII Header\r\n"
    )
    store(Path(path), [text.encode(), raw.tobytes()])


def _check_room(sensor: Sensor, layout: Layout, source: str) -> None:
    room = (1 << layout.x[1], 1 << layout.y[1])
    if layout.mirror_x:
        room = (layout.sensor.width, layout.sensor.height)
    if sensor.width > room[0] or sensor.height > room[1]:
        raise DataError(
            f"{source}: the layout {layout.name} cannot hold this sensor",
            got=f"{sensor.width}x{sensor.height}",
            expected=f"{room[0]}x{room[1]} at most",
            fix="Use another layout, or write_npz",
        )
