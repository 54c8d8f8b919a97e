"""Prophesee RAW in EVT 3.0: 16-bit little-endian words that change the state of a decoder.

Layout (docs.prophesee.ai, "EVT 3.0 Format"): kind in bits 12–15. 0x0 sets y (bits 0–10); 0x2 is one
event with x in bits 0–10 and polarity in bit 11; 0x3 sets base x and polarity; 0x4 and 0x5 are up
to 12 and 8 events at base x + n for each set bit n, after which base x moves on by 12 or 8; 0x6 and
0x8 set time bits 0–11 and 12–23. When the high bits change, the low ones start from 0, as the
maker's own decoder has it.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from ..events import Sensor
from .collect import Columns, count_lost
from .evt3_vectors import ADDR_X, BASE_X, SIDE, VECT_8, VECT_12, Base, Shots, spread
from .extent import blocks
from .raw import read_raw, write_raw
from .recording import Recording, single_camera
from .source import Counter, bad
from .words import Kinds, Latest, peel, time_words

ADDR_Y, TIME_LOW, TIME_HIGH = 0, 6, 8
OTHER = {0x7: "continued", 0xA: "trigger", 0xE: "other", 0xF: "continued"}
KINDS = Kinds("<u2", (ADDR_Y, ADDR_X, BASE_X, VECT_12, VECT_8, TIME_LOW, TIME_HIGH, *OTHER), OTHER)
FIRST_X, FIRST_TIME, FIRST_HIGH = (np.uint16(kind << 12) for kind in (ADDR_X, TIME_LOW, TIME_HIGH))
CLOCK, LOW = 24, 12


class _Time:
    """The time that time words set: low bits, and high ones that start again from 0 when full."""

    def __init__(self) -> None:
        self._counter, self._high, self._low, self._known = Counter(CLOCK - LOW), 0, 0, False

    def fill(
        self, words: NDArray[np.uint16], before: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], int]:
        """As ``Latest.fill``; the time is known once its high bits are."""
        high = np.flatnonzero(words >= FIRST_HIGH)
        first = int(high[0]) if len(high) else len(words)
        early = 0 if self._known else int(np.searchsorted(before, first + 1))
        table = np.concatenate([np.array([self._low]), words & np.uint16((1 << LOW) - 1)])
        highs = np.concatenate([np.array([self._high]), self._counter(table[high + 1])])
        self._settle(table, high + 1, np.diff(highs) != 0)
        self._low, self._high = int(table[-1]), int(highs[-1])
        self._known |= len(high) > 0
        table += np.repeat(highs, np.diff(high + 1, prepend=0, append=len(table))) << LOW
        return table.take(before), early

    def _settle(
        self, table: NDArray[np.int64], high: NDArray[np.int64], changed: NDArray[np.bool_]
    ) -> None:
        """Low times where a high one is told: 0 if it is the first or a new one, else as before."""
        changed[: 0 if self._known else 1] = True
        table[high[changed]] = 0
        if not changed.all():
            latest = np.arange(len(table))
            latest[high[~changed]] = 0
            np.maximum.accumulate(latest, out=latest)
            table[:] = table[latest]


class Decoder:
    """Events of one block of words after another; the state is carried from block to block.

    Time words are taken out first, then those of y, then those of base x: how many of each went
    before a word tells which of them holds for it.
    """

    def __init__(self, source: str) -> None:
        self.skipped: dict[str, int] = {}
        self._source, self._time, self._y, self._base = source, _Time(), Latest(), Base()

    def room(self, words: NDArray[np.uint16]) -> int:
        return sum(self._base.events(block) for block in blocks(words))

    def __call__(self, start: int, words: NDArray[np.uint16]) -> Columns:
        keep = KINDS.keep(words, start, self._source, self.skipped)
        words = words if keep is None else words[keep]
        timing, placing, times = peel(words >= FIRST_TIME)
        rest = words[placing]
        rows, event, before = peel(rest < FIRST_X)
        shots = self._base(rest[event])
        t, untimed = self._time.fill(words[timing], times[event][shots.place])
        y = (rest[rows] & np.uint16(SIDE - 1)).astype(np.uint32) << np.uint32(16)
        y, unplaced = self._y.fill(y, before[shots.place])
        if untimed or unplaced or shots.based is not None:
            shots = self._known(shots, untimed, unplaced)
        if shots.mask is None:
            return t, y | shots.x.astype(np.uint32), shots.p
        owner, x = spread(shots.mask, shots.x)
        if len(x) and x.max() >= SIDE:
            at = int((x >= SIDE).argmax())
            places = (shots.place, event, placing, keep)
            raise self._beyond(int(x[at]), start + 2 * _outer(int(owner[at]), places))
        return t[owner], y[owner] | x.astype(np.uint32), shots.p[owner]

    def _known(self, shots: Shots, untimed: int, unplaced: int) -> Shots:
        """Only events with a time and a place; the others are counted."""
        order = np.arange(len(shots.x))
        mask = np.ones(len(order), "<u2") if shots.mask is None else shots.mask
        based = np.True_ if shots.based is None else shots.based
        for name, fine in (
            ("before_time", order >= untimed),
            ("before_place", (order >= unplaced) & based),
        ):
            lost = mask[~fine]
            count_lost(self.skipped, name, int(np.unpackbits(lost.view(np.uint8)).sum()))
            mask[~fine] = 0
        return shots._replace(mask=mask)

    def _beyond(self, x: int, at: int) -> DataError:
        return bad(
            self._source, at, "event beyond the last column", got=f"x = {x}",
            expected=f"0 … {SIDE - 1}",
        )  # fmt: skip


def _outer(at: int, places: tuple[NDArray[np.int64] | slice | None, ...]) -> int:
    """Where an element lies in the array from which ``places`` were taken, innermost first."""
    for place in places:
        at = int(place[at]) if isinstance(place, np.ndarray) else at
    return at


def read_evt3(
    path: str | os.PathLike[str], *, sensor: Sensor | None = None, sort: bool = False
) -> Recording:
    """Events of a Prophesee RAW file in EVT 3.0.

    Times are unwrapped at 2²⁴ µs. Events before the first time word, y or base x are left out;
    they, triggers and vendors' words are counted in ``meta["skipped"]``. ``sensor`` replaces the
    header's. Raises DataError.
    """
    return read_raw(Path(path), "evt3", "<u2", Decoder(str(path)), sensor, sort)


def write_evt3(path: str | os.PathLike[str], recording: Recording) -> None:
    """Write one camera recording as EVT 3.0.

    Time and y words only where they change; neighbouring events of one row, time and polarity
    whose x rise go into vectors of 12. Raises DataError for sides over 2048, several recordings, or
    gaps of months.
    """
    source, events = str(path), recording.events
    single_camera(recording, source, "EVT 3.0", SIDE)
    words = _encode(events, source)
    write_raw(Path(path), "evt3", words.astype("<u2"), recording.sensor)


def _encode(events: NDArray[np.void], source: str) -> NDArray[np.uint16]:
    t, x, y, p = (events[name] for name in "txyp")
    low = np.diff(t, prepend=-1) != 0
    row = np.diff(y.astype(np.int32), prepend=-1) != 0
    first = _vector_starts(x.astype(np.int32), p, low | row)
    mask, size = _vectors(x, first)
    table, wanted = np.zeros((len(t), 4), np.uint16), np.zeros((len(t), 4), bool)
    table[:, 0] = (TIME_LOW << 12) | (t & 0xFFF)
    table[:, 1] = y
    place = x[first] | (p[first].astype(np.uint16) << np.uint16(11))
    table[first, 2] = np.where(size == 1, ADDR_X << 12, BASE_X << 12) | place
    table[first, 3] = (VECT_12 << 12) | mask
    wanted[:, 0], wanted[:, 1] = low, row
    wanted[first, 2], wanted[first, 3] = True, size > 1
    begin = np.cumsum(wanted.sum(axis=1)) - wanted.sum(axis=1)
    at, high = time_words(t >> LOW, CLOCK - LOW, source)
    return np.insert(table[wanted], begin[at], ((TIME_HIGH << 12) | high).astype(np.uint16))


def _vector_starts(
    x: NDArray[np.int32], p: NDArray[np.uint8], broken: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Events that begin a vector: all but those in the same 12 columns, in rising x, as before."""
    apart = broken | (np.diff(p.astype(np.int8), prepend=-1) != 0)
    apart |= (np.diff(x, prepend=-1) <= 0) | (np.diff(x // 12, prepend=-1) != 0)
    return np.flatnonzero(apart)


def _vectors(
    x: NDArray[np.uint16], first: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bits (relative to the first event's x) and number of events of every vector."""
    size = np.diff(first, append=len(x))
    start = np.repeat(x[first].astype(np.int64), size)
    bit = np.int64(1) << (x - start)
    return (np.add.reduceat(bit, first) if len(first) else bit), size
