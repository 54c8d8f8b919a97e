"""The vectorised decoders of EVT 2 and EVT 3 against plain state machines, word by word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localspike.data import formats
from localspike.data.formats import raw
from localspike.errors import DataError

Row = tuple[int, int, int, int]
Found = tuple[list[Row], dict[str, int]]
OTHER = {0x7: "continued", 0xA: "trigger", 0xE: "other", 0xF: "continued"}


class Clock:
    """High bits of a time that start again from 0 when full."""

    def __init__(self, bits: int) -> None:
        self.bits, self.last, self.wraps = bits, -1, 0

    def see(self, high: int) -> int:
        if self.last - high > 1 << (self.bits - 1):
            self.wraps += 1
        self.last = high
        return high + (self.wraps << self.bits)


def slow_evt2(words: list[int]) -> Found:
    rows: list[Row] = []
    lost: dict[str, int] = {}
    clock, high = Clock(28), -1
    for word in words:
        kind = word >> 28
        if kind == 8:
            high = clock.see(word & 0xFFFFFFF)
        elif kind > 1:
            lost[OTHER[kind]] = lost.get(OTHER[kind], 0) + 1
        elif high < 0:
            lost["before_time"] = lost.get("before_time", 0) + 1
        else:
            t = high << 6 | (word >> 22 & 63)
            rows.append((t, word >> 11 & 2047, word & 2047, kind))
    return rows, lost


def slow_evt3(words: list[int]) -> Found:
    rows: list[Row] = []
    lost: dict[str, int] = {}
    clock, high, low, y, base, p = Clock(12), -1, 0, -1, -1, 0

    def shoot(x: int, polarity: int, placed: bool) -> None:
        if high < 0 or not placed:
            name = "before_time" if high < 0 else "before_place"
            lost[name] = lost.get(name, 0) + 1
            return
        if x > 2047:
            raise IndexError(x)
        rows.append(((high << 12) + low, x, y, polarity))

    for word in words:
        kind, value = word >> 12, word & 0xFFF
        if kind == 0:
            y = value & 2047
        elif kind == 2:
            shoot(value & 2047, value >> 11, y >= 0)
        elif kind == 3:
            base, p = value & 2047, value >> 11
        elif kind in (4, 5):
            width = 12 if kind == 4 else 8
            for bit in range(width):
                if value >> bit & 1:
                    shoot(base + bit, p, y >= 0 and base >= 0)
            base += width if base >= 0 else 0
        elif kind == 6:
            low = value
        elif kind == 8:
            new = clock.see(value)
            low, high = (low if new == high else 0), new
        else:
            lost[OTHER[kind]] = lost.get(OTHER[kind], 0) + 1
    return rows, lost


def word(bits: int, kinds: list[int]) -> st.SearchStrategy[int]:
    """Words of those kinds, with values that are often small or all ones."""
    top = (1 << bits) - 1
    value = st.one_of(st.integers(0, 3), st.integers(0, top), st.just(top))
    return st.builds(lambda kind, low: kind << bits | low, st.sampled_from(kinds), value)


def decoded(path: Path, name: str, content: bytes) -> Found:
    path.write_bytes(f"% evt {name[3]}.0\n% end\n".encode() + content)
    one = formats.READERS[name](path, sort=False)
    rows = [tuple(int(event[field]) for field in "txyp") for event in one.events]
    return rows, dict(one.meta["skipped"])  # type: ignore[return-value]


# Times that run backwards are refused; both machines are made to see rising ones.
def rising(words: list[int], time: int, bits: int) -> list[int]:
    """The same words, with the high times of every run in rising order."""
    places = [at for at, one in enumerate(words) if one >> bits == time]
    for at, value in zip(places, sorted(words[at] for at in places), strict=True):
        words[at] = value
    return words


@pytest.mark.parametrize("size", [1, 2, 5, 1 << 15])
@pytest.mark.parametrize(
    ("name", "bits", "kinds", "slow"),
    [
        ("evt2", 28, [0, 0, 1, 1, 8, 0xA, 0xE, 0xF], slow_evt2),
        ("evt3", 12, [0, 2, 2, 8, 8, 7, 0xA, 0xE], slow_evt3),
        ("evt3", 12, [0, 2, 3, 4, 4, 5, 8, 0xF], slow_evt3),
    ],
)
def test_words_in_any_order(
    size: int,
    name: str,
    bits: int,
    kinds: list[int],
    slow: Callable[[list[int]], Found],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(raw, "WORDS", size)

    @settings(max_examples=60, deadline=None)
    @given(st.lists(word(bits, kinds), max_size=40))
    def check(words: list[int]) -> None:
        words = rising(words, 8, bits)
        if name == "evt2":
            words = [one & ~(63 << 22) if one >> 28 < 2 else one for one in words]
        content = np.array(words, f"<u{(bits + 4) // 8}").tobytes()
        try:
            expected = slow(words)
        except IndexError as error:
            with pytest.raises(DataError, match=f"beyond the last column.*got x = {error}"):
                decoded(tmp_path / "file", name, content)
        else:
            assert decoded(tmp_path / "file", name, content) == expected

    check()


@pytest.mark.parametrize("size", [1, 3, 1 << 15])
def test_low_times_hold_until_a_new_high_one(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw, "WORDS", size)
    # low 5 before any high; high 1; low 7; high 1 again (said twice); low 9; high 2; high 4095; 0.
    times = [0x6005, 0x8001, 0x6007, 0x8001, 0x8001, 0x6009, 0x8002, 0x6001, 0x8FFF, 0x8000]
    words = [0x0003]
    for one in times:
        words += [one, 0x2001]
    expected = slow_evt3(words)
    assert [t for t, *_ in expected[0]] == [
        4096, 4103, 4103, 4103, 4105, 8192, 8193, 4095 << 12, 4096 << 12,
    ]  # fmt: skip
    assert decoded(tmp_path / "file", "evt3", np.array(words, "<u2").tobytes()) == expected
