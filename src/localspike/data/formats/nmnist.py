"""The 5-byte events of N-MNIST and N-Caltech101 (the ATIS "bin" format).

Layout (Orchard et al., "Converting static image datasets to spiking neuromorphic datasets using
saccades", Frontiers in Neuroscience 2015, and the code that goes with it): x, y, then 24 bits
big-endian: polarity in the highest, time in µs in the other 23. A record with y = 240 is no event:
it adds 2¹³ µs to all times from there on. There is no header.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from ..events import Sensor
from .collect import Columns, collected
from .extent import Extent, blocks
from .recording import Recording, single_camera
from .source import load, records, store

NMNIST = Sensor(2, 34, 34)
NCALTECH = Sensor(2, 240, 304)
OVERFLOW_Y, OVERFLOW_US, CLOCK = 240, 1 << 13, 23
MAX_OVERFLOWS = 1 << 20
WORD = np.dtype([("x", "u1"), ("word", ">u4")])


def read_nmnist(
    path: str | os.PathLike[str], *, sensor: Sensor = NMNIST, sort: bool = False
) -> Recording:
    """Events of a 5-byte file; ``sensor`` is N-MNIST's unless given, since the file cannot say.

    An empty file is an empty recording. Raises DataError.
    """
    source = str(path)
    content = load(Path(path))
    raw = records(content, 0, WORD, source)
    columns = map(Decoder(), blocks(raw))
    return collected(source, columns, len(raw), sensor, {"format": "nmnist"}, sort)


class Decoder:
    """Columns of one block of records after another; overflows are carried across blocks."""

    def __init__(self) -> None:
        self._overflows = 0

    def __call__(self, raw: NDArray[np.void]) -> Columns:
        """The columns of the next block, overflow records taken out."""
        x, word = raw["x"], raw["word"].astype(np.uint32)
        y = word >> np.uint32(24)
        overflow = y == OVERFLOW_Y
        late: int | NDArray[np.int64] = self._overflows * OVERFLOW_US
        if overflow.any():
            real = np.flatnonzero(~overflow)
            x, y, word = x[real], y[real], word[real]
            late = late + OVERFLOW_US * (real - np.arange(len(real)))
            self._overflows += len(overflow) - len(real)
        t = np.add(word & np.uint32((1 << CLOCK) - 1), late, dtype=np.int64)
        return t, x | (y << np.uint32(16)), (word >> np.uint32(CLOCK)) & np.uint32(1)


def decode(
    raw: NDArray[np.uint8],
) -> tuple[NDArray[np.integer], NDArray[np.uint16], NDArray[np.uint16], NDArray[np.integer]]:
    """Columns (t, x, y, p) of records [N, 5], overflow records taken out."""
    t, xy, p = Decoder()(np.ascontiguousarray(raw).view(WORD)[:, 0])
    return t, xy.astype(np.uint16), (xy >> np.uint32(16)).astype(np.uint16), p


def write_nmnist(path: str | os.PathLike[str], recording: Recording) -> None:
    """Write one camera recording in 5-byte events, with overflow records from 2²³ µs on.

    Raises DataError for a sensor wider than 256 or higher than 240, several recordings, or times
    that would need more than 2²⁰ overflow records.
    """
    source, events = str(path), recording.events
    single_camera(recording, source, "the 5-byte format", 256)
    if recording.sensor.height > OVERFLOW_Y:
        raise DataError(
            f"{source}: the 5-byte format cannot hold this sensor",
            got=f"height {recording.sensor.height}",
            expected=f"{OVERFLOW_Y} at most, since y = {OVERFLOW_Y} marks an overflow",
            fix="Use write_npz, which holds every sensor",
        )
    store(Path(path), [_encode(events, source).tobytes()])


def _encode(events: NDArray[np.void], source: str) -> NDArray[np.uint8]:
    t = events["t"]
    beyond = t - ((1 << CLOCK) - 1)
    overflows = np.maximum(0, -(-beyond // OVERFLOW_US))
    total = int(overflows[-1]) if len(t) else 0
    if total > MAX_OVERFLOWS:
        raise DataError(
            f"{source}: the 5-byte format cannot hold these times",
            got=f"t = {t[-1]} µs",
            expected=f"below {(1 << CLOCK) + MAX_OVERFLOWS * OVERFLOW_US} µs",
            fix="Subtract the start time, or use write_npz",
        )
    raw = np.zeros((len(t) + total, 5), np.uint8)
    raw[:, 1] = OVERFLOW_Y
    place = np.arange(len(t)) + overflows
    low = t - overflows * OVERFLOW_US
    raw[place, 0], raw[place, 1] = events["x"], events["y"]
    raw[place, 2] = (events["p"] << 7) | (low >> 16)
    raw[place, 3], raw[place, 4] = low >> 8 & 255, low & 255
    return raw


def looks_like(content: bytes) -> Sensor | None:
    """The sensor whose events the bytes may be, None where they make no sense as such."""
    if len(content) == 0 or len(content) % WORD.itemsize:
        return None
    extent, decode = Extent(), Decoder()
    for block in blocks(np.frombuffer(content, WORD)):
        extent.add(*decode(block))
        if not extent.ordered:
            return None
    fits = (sensor for sensor in (NMNIST, NCALTECH) if extent.within(sensor))
    return next(fits, None) if extent.height else None
