"""Words that set a state which holds until the next of their kind: what EVT 2 and EVT 3 share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from .collect import count_lost
from .source import bad

MAX_BRIDGE = 1 << 20


class Kinds:
    """What the kinds of a word, its highest four bits, mean: ``known`` ones, of which ``other``
    (by name) hold no events and change no state.
    """

    def __init__(self, word: str, known: Iterable[int], other: dict[int, str]) -> None:
        self.dtype, self.known, self.other = np.dtype(word), sorted(known), other
        self.shift = self.dtype.type(8 * self.dtype.itemsize - 4)
        self._other = sum(1 << kind for kind in other)
        self._unknown = 0xFFFF & ~sum(1 << kind for kind in self.known)

    def among(self, words: NDArray[Any]) -> int:
        """The kinds there are, as bits: bit k for kind k."""
        bits = np.left_shift(self.dtype.type(1), words >> self.shift)
        return int(np.bitwise_or.reduce(bits)) if len(words) else 0

    def keep(
        self, words: NDArray[Any], start: int, source: str, skipped: dict[str, int]
    ) -> NDArray[np.int64] | None:
        """Places of all words but the other ones, which are counted; None where there are none.

        Raises DataError for the first word of a kind that the specification does not define.
        """
        found = self.among(words)
        if found & self._unknown:
            self._refuse(words, start, source)
        if not found & self._other:
            return None
        kind = words >> self.shift
        for number, name in self.other.items():
            count_lost(skipped, name, int((kind == number).sum()))
        return np.flatnonzero(~np.isin(kind, list(self.other)))

    def _refuse(self, words: NDArray[Any], start: int, source: str) -> None:
        kind = words >> self.shift
        at = int((~np.isin(kind, self.known)).argmax())
        raise bad(
            source, start + at * self.dtype.itemsize, "word of an unknown kind",
            got=f"kind {int(kind[at]):#x}",
            expected="one of " + ", ".join(f"{one:#x}" for one in self.known),
        )  # fmt: skip


def peel(taken: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
    """Which words are taken out, which are left, and for each of these how many went before it.

    >>> [one.tolist() for one in peel(np.array([True, False, True, False, False]))]
    [[0, 2], [1, 3, 4], [1, 2, 2]]
    """
    left = np.flatnonzero(~taken)
    return np.flatnonzero(taken), left, left - np.arange(len(left))


class Latest:
    """The value that words of one kind set last, across blocks.

    >>> latest = Latest()
    >>> latest.fill(np.array([7, 8]), np.array([0, 1, 2, 2]))
    (array([0, 7, 8, 8]), 1)
    >>> latest.fill(np.array([9]), np.array([0, 1]))
    (array([8, 9]), 0)
    """

    def __init__(self) -> None:
        self.value, self.known = 0, False

    def fill(self, values: NDArray[Any], before: NDArray[np.int64]) -> tuple[NDArray[Any], int]:
        """The value for words that have so many of ``values`` before them, ``before`` rising.

        The second is how many words come before any value is known.
        """
        early = 0 if self.known else int(np.searchsorted(before, 1))
        table = np.concatenate([np.array([self.value], values.dtype), values])
        self.value, self.known = int(table[-1]), self.known or len(values) > 0
        return table.take(before), early


def time_words(
    high: NDArray[np.int64], bits: int, source: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Before which event which high times must be written, so that ``Counter`` follows them.

    One wherever the high time changes, and more across gaps of half the range or longer. Raises
    DataError where these would be too many to be meant.

    >>> at, value = time_words(np.array([0, 1, 1, 8]), 3, "toy")
    >>> at.tolist(), value.tolist()
    ([0, 1, 3, 3, 3], [0, 1, 4, 7, 0])
    """
    changed = np.flatnonzero(np.diff(high, prepend=-1))
    before = np.where(changed > 0, high[changed - 1], 0) if len(changed) else high[:0]
    longest = (1 << (bits - 1)) - 1
    count = (high[changed] - before) // longest + 1
    if int(count.sum()) > len(high) + MAX_BRIDGE:
        raise DataError(
            f"{source}: gaps too long for this encoding",
            got=f"{int(count.sum())} time words for {len(high)} events",
            expected=f"at most {MAX_BRIDGE} more than events",
            fix="Subtract the start time, or use write_npz",
        )
    at, last = np.repeat(changed, count), np.cumsum(count) - 1
    step = np.arange(len(at)) - np.repeat(last + 1 - count, count) + 1
    value = np.repeat(before, count) + step * longest
    value[last] = high[changed]
    return at, value & ((1 << bits) - 1)
