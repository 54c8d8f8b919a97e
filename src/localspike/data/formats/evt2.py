"""Prophesee RAW in EVT 2.0: one 32-bit little-endian word per event.

Layout (docs.prophesee.ai, "EVT 2.0 Format"): kind in bits 28–31. 0x0 and 0x1 are events (the kind
is the polarity) with time bits 0–5 in bits 22–27, x in 11–21 and y in 0–10; 0x8 carries time bits
6–33; 0xA is a trigger, 0xE and 0xF are vendors' own.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..events import Sensor
from .collect import Columns, count_lost
from .extent import blocks
from .raw import read_raw, write_raw
from .recording import Recording, single_camera
from .source import Counter
from .words import Kinds, Latest, peel, time_words

OFF, ON, TIME_HIGH = 0x0, 0x1, 0x8
OTHER = {0xA: "trigger", 0xE: "other", 0xF: "continued"}
KINDS = Kinds("<u4", (OFF, ON, TIME_HIGH, *OTHER), OTHER)
FIRST_TIME = np.uint32(TIME_HIGH << 28)
SIDE, CLOCK, LOW = 1 << 11, 34, 6
HIGH_MASK, LOW_MASK = np.uint32((1 << (CLOCK - LOW)) - 1), np.uint32((1 << LOW) - 1)
X_MASK, Y_MASK = np.uint32(SIDE - 1), np.uint32((SIDE - 1) << 16)


class Decoder:
    """Events of one block of words after another; the time is carried from block to block."""

    def __init__(self, source: str) -> None:
        self.skipped: dict[str, int] = {}
        self._source, self._counter, self._high = source, Counter(CLOCK - LOW), Latest()

    def room(self, words: NDArray[np.uint32]) -> int:
        return sum(int(np.count_nonzero(block < FIRST_TIME)) for block in blocks(words))

    def __call__(self, start: int, words: NDArray[np.uint32]) -> Columns:
        keep = KINDS.keep(words, start, self._source, self.skipped)
        words = words if keep is None else words[keep]
        high, event, before = peel(words >= FIRST_TIME)
        times = self._counter(words[high] & HIGH_MASK).astype(np.int64) << LOW
        t, early = self._high.fill(times, before)
        count_lost(self.skipped, "before_time", early)
        word, t = words[event[early:]], t[early:]
        t |= (word >> np.uint32(22)) & LOW_MASK
        xy = (word >> np.uint32(11)) & X_MASK
        xy |= (word << np.uint32(16)) & Y_MASK
        return t, xy, word >> np.uint32(28)


def read_evt2(
    path: str | os.PathLike[str], *, sensor: Sensor | None = None, sort: bool = False
) -> Recording:
    """Events of a Prophesee RAW file in EVT 2.0.

    Times are unwrapped at 2³⁴ µs. Events before the first time word have no time and are left out;
    they, triggers and vendors' words are counted in ``meta["skipped"]``. ``sensor`` replaces the
    header's. Raises DataError.
    """
    return read_raw(Path(path), "evt2", "<u4", Decoder(str(path)), sensor, sort)


def write_evt2(path: str | os.PathLike[str], recording: Recording) -> None:
    """Write one camera recording as EVT 2.0, with a time word wherever the high time changes.

    Raises DataError for sides over 2048, several recordings, or gaps of years.
    """
    source, events = str(path), recording.events
    single_camera(recording, source, "EVT 2.0", SIDE)
    t = events["t"]
    words = (events["p"].astype(np.int64) << 28) | ((t & 0x3F) << 22)
    words |= (events["x"].astype(np.int64) << 11) | events["y"]
    at, high = time_words(t >> LOW, CLOCK - LOW, source)
    words = np.insert(words, at, (TIME_HIGH << 28) | high)
    write_raw(Path(path), "evt2", words.astype("<u4"), recording.sensor)
