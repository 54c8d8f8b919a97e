"""Refractory period and denoising, against loops that follow the documented rule event by event."""

from __future__ import annotations

from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from helpers_transforms import Row, generator, packed, recording, recordings, rows
from localspike.data import Sensor, make_events
from localspike.data.transforms import events as tr
from localspike.data.transforms.events import denoise
from localspike.errors import ConfigError, DataError


def rested(events: list[Row], interval: int, per_polarity: bool) -> list[Row]:
    last: dict[tuple[int, ...], int] = {}
    kept = []
    for t, x, y, p in events:
        pixel = (x, y, p) if per_polarity else (x, y)
        if pixel not in last or t - last[pixel] >= interval:
            last[pixel] = t
            kept.append((t, x, y, p))
    return kept


@given(recordings(side=2, most=60), st.integers(0, 70), st.booleans())
def test_refractory_is_the_plain_loop(given_, interval: int, per_polarity: bool) -> None:
    events, sensor = given_
    kept, _ = tr.Refractory(interval, per_polarity)(events, sensor, generator())
    assert rows(kept) == rested(rows(events), interval, per_polarity)


@pytest.mark.parametrize("interval", [1, 2, 7, 100, 10**6])
def test_refractory_in_one_long_burst(interval: int) -> None:
    """A hot pixel that fires each µs: the chain of kept events is as long as it can be."""
    events = packed([(t, 0, 0, 0) for t in range(5000)])
    kept, _ = tr.Refractory(interval)(events, Sensor(2, 1, 1), generator())
    assert kept["t"].tolist() == list(range(0, 5000, interval))


def test_refractory_on_many_events() -> None:
    events, sensor = recording(5000, last=20_000)
    for interval in (50, 500, 3000):
        kept, _ = tr.Refractory(interval)(events, sensor, generator())
        assert rows(kept) == rested(rows(events), interval, False)
        again, _ = tr.Refractory(interval)(kept, sensor, generator())
        assert rows(again) == rows(kept)


def supported(events: list[Row], within: int, radius: int, support: int) -> list[Row]:
    kept = []
    for t, x, y, p in events:
        near = {
            (b, c)
            for s, b, c, _ in events
            if 0 <= t - s <= within and max(abs(b - x), abs(c - y)) <= radius and (b, c) != (x, y)
        }
        if len(near) >= support:
            kept.append((t, x, y, p))
    return kept


SEARCH, TABLES = {"CROWD": 10**9}, {"CROWD": 0}
WAYS = {"search": SEARCH, "tables": TABLES, "bin by bin": {**TABLES, "CELLS": 1}}


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=40)
@given(recordings(), st.integers(0, 20), st.integers(1, 2), st.integers(1, 4))
@example((packed([(0, 4, 0, 0), (0, 0, 1, 0)]), Sensor(1, 2, 5)), 5, 1, 1)
def test_denoise_is_the_plain_loop(
    way: str, given_, within: int, radius: int, support: int
) -> None:
    events, sensor = given_
    with pytest.MonkeyPatch.context() as patch:
        for name, value in WAYS[way].items():
            patch.setattr(denoise, name, value)
        kept, _ = tr.Denoise(within, radius, support)(events, sensor, generator())
    assert rows(kept) == supported(rows(events), within, radius, support)


def test_many_events_in_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables filled many times over, with bins at their edges."""
    events, sensor = recording(30_000, Sensor(2, 30, 40), last=400_000)
    kept = []
    for settings_ in (SEARCH, {**TABLES, "CELLS": 5000}):
        for name, value in settings_.items():
            monkeypatch.setattr(denoise, name, value)
        kept.append(tr.Denoise(700)(events, sensor, generator())[0])
    assert rows(kept[0]) == rows(kept[1])
    assert 3000 < len(kept[0]) < 27_000


def last_times(events: list[Row], within: int, sensor: Sensor) -> list[Row]:
    """A plane of last times, written for all events of a moment before any of them is judged."""
    last = np.full((sensor.height + 2, sensor.width + 2), -(10**15))
    kept = []
    for _, group in groupby(events, key=lambda row: row[0]):
        moment = list(group)
        for t, x, y, _ in moment:
            last[y + 1, x + 1] = t
        for t, x, y, p in moment:
            near = last[y : y + 3, x : x + 3].copy()
            near[1, 1] = -(10**15)
            kept += [(t, x, y, p)] if near.max() >= t - within else []
    return kept


@pytest.mark.parametrize("way", WAYS)
def test_filters_on_real_recordings(
    way: str, real_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in WAYS[way].items():
        monkeypatch.setattr(denoise, name, value)
    with np.load(real_root / "nmnist" / "nmnist_raw_us.npz") as file:
        offsets = file["test_offsets"][:4]
        t, x, y, p = (file[f"test_{key}"][: offsets[-1]] for key in ("t_us", "x", "y", "p"))
    sensor = Sensor(2, 34, 34)
    for begin, end in pairwise(offsets):
        part = slice(begin, end)
        events = make_events(t[part].astype(np.int64), x[part], p[part], y[part])
        kept = rows(tr.Denoise(3000)(events, sensor, generator())[0])
        assert kept == last_times(rows(events), 3000, sensor)
        assert 0.5 * len(events) < len(kept) < len(events)
        rest = rows(tr.Refractory(10_000)(events, sensor, generator())[0])
        assert rest == rested(rows(events), 10_000, False)


def test_denoise_keeps_an_edge_and_loses_noise() -> None:
    edge = [(100 * k + y, k, y, 0) for k in range(30) for y in range(20)]
    rng = np.random.default_rng(0)
    noise = [(int(t), int(x), int(y), 1) for t, x, y in rng.integers(0, (3000, 30, 20), (100, 3))]
    events = packed(sorted(edge + noise))
    kept = rows(tr.Denoise(5)(events, Sensor(2, 20, 30), generator())[0])
    assert sum(p == 0 for *_, p in kept) > 0.94 * len(
        edge
    )  # the first pixel of each column has none
    assert sum(p == 1 for *_, p in kept) < 0.25 * len(noise)


def test_gaps_of_years_do_not_matter() -> None:
    far = 10**15
    events = packed([(0, 1, 0, 0), (far, 2, 0, 0), (far + 3, 1, 0, 0), (4 * far, 1, 0, 0)])
    sensor = Sensor(1, 720, 1280)
    assert tr.Denoise(5)(events, sensor, generator())[0]["t"].tolist() == [far + 3]
    assert len(tr.Refractory(5)(events, sensor, generator())[0]) == 4


def test_what_cannot_be_counted_is_refused() -> None:
    sensor = Sensor(1, 65536, 65536)
    events = packed([(t, 5, 5, 0) for t in range(0, 2**40, 2**38)])
    text = r"recording is too long to denoise on this sensor: .*less than 2\^62"
    with pytest.raises(DataError, match=text):
        tr.Denoise(2**40)(events, sensor, generator())
    with pytest.raises(DataError, match="recording is too long to pause"):
        tr.Refractory(2**61)(packed([(0, 0, 0, 0), (0, 1, 0, 0)]), sensor, generator())


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: tr.Refractory(-1), "impossible interval_us: got -1; expected 0 or more"),
        (lambda: tr.Denoise(-1), "impossible within_us: got -1; expected 0 or more"),
        (lambda: tr.Denoise(5, radius=0), "impossible radius: got 0; expected 1 or more"),
        (lambda: tr.Denoise(5, support=0), "impossible support: got 0; expected 1 or more"),
    ],
)
def test_refusals(call, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        call()
