"""The words of EVT 3.0 that hold events: single ones, and vectors that share a base x."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .words import Latest, peel

ADDR_X, BASE_X, VECT_12, VECT_8 = 2, 3, 4, 5
FIRST_BASE, FIRST_VECTOR = np.uint16(BASE_X << 12), np.uint16(VECT_12 << 12)
SIDE, ON = 1 << 11, 11
WIDTH = np.zeros(16, np.int64)
WIDTH[VECT_12], WIDTH[VECT_8] = 12, 8
PAYLOAD = np.zeros(16, "<u2")
PAYLOAD[VECT_12], PAYLOAD[VECT_8] = 0xFFF, 0xFF


class Shots(NamedTuple):
    """Words that hold events: their ``place`` among all, x of bit 0, polarity, and the events.

    Bit n of ``mask`` is an event at x + n; None stands for bit 0 of every word. ``based`` is
    whether the base of each is known; None stands for yes.
    """

    place: NDArray[np.int64] | slice
    x: NDArray[np.integer]
    p: NDArray[np.integer]
    mask: NDArray[np.uint16] | None = None
    based: NDArray[np.bool_] | None = None


def spread(
    mask: NDArray[np.uint16], x: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.integer]]:
    """For every event, every bit that is set: which word it is in, and its x.

    >>> [one.tolist() for one in spread(np.array([1, 5], "<u2"), np.array([10, 20]))]
    [[0, 1, 1], [10, 20, 22]]
    """
    bits = np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little"))
    owner = bits >> 4
    return owner, x[owner] + (bits & 15)


class Base:
    """Base x and its polarity, which one word sets and every vector moves on."""

    def __init__(self) -> None:
        self._latest, self._moved = Latest(), 0

    def events(self, words: NDArray[np.uint16]) -> int:
        """How many events these words hold, if none of them lacks a time or a place."""
        kind = words >> np.uint16(12)
        vectors = words[(kind == VECT_12) | (kind == VECT_8)]
        bits = np.unpackbits((vectors & PAYLOAD[VECT_12]).view(np.uint8))
        return int(np.count_nonzero(kind == ADDR_X)) + int(np.count_nonzero(bits))

    def __call__(self, words: NDArray[np.uint16]) -> Shots:
        """What is shot by words of the kinds X, BASE_X, VECT_12 and VECT_8."""
        if len(words) == 0 or words.max() < FIRST_BASE:
            return Shots(slice(None), words & np.uint16(SIDE - 1), words >> np.uint16(ON) & 1)
        sets, place, before = peel((words >= FIRST_BASE) & (words < FIRST_VECTOR))
        width = WIDTH[words >> np.uint16(12)]
        moved, total = self._moves(width, sets)
        state, early = self._latest.fill(words[sets].astype(np.int64), before)
        word, moved = words[place], (total - width)[place] - moved[before]
        return _shots(place, word, state, moved, early)

    def _moves(
        self, width: NDArray[np.int64], sets: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """What the base had moved by when it was set (first: before these words), and up to each
        word, that included."""
        total = np.cumsum(width)
        reached = np.concatenate([np.array([-self._moved]), total[sets]])
        self._moved = int(total[-1] - reached[-1])
        return reached, total


def _shots(
    place: NDArray[np.int64],
    word: NDArray[np.uint16],
    state: NDArray[np.int64],
    moved: NDArray[np.int64],
    early: int,
) -> Shots:
    single = word < FIRST_BASE
    state = np.where(single, word, state)
    mask: NDArray[Any] = word & PAYLOAD[word >> np.uint16(12)]
    mask[single] = 1
    based = single | (np.arange(len(word)) >= early) if early else None
    x = (state & (SIDE - 1)) + np.where(single, 0, moved)
    return Shots(place, x, state >> ON & 1, mask, based)
