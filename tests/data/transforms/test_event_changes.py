"""Events lost, disturbed and moved in time, against loops and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers_transforms import generator, packed, recording, recordings, rows
from localspike.data import Sensor
from localspike.data.transforms import events as tr
from localspike.errors import ConfigError, DataError

LINE = Sensor(2, 1, 1)


def is_part_of(part: list, whole: list) -> bool:
    rest = iter(whole)
    return all(row in rest for row in part)


def test_drop_loses_its_share_at_random() -> None:
    events, sensor = recording(20_000)
    kept, _ = tr.Drop(0.3)(events, sensor, generator())
    assert abs(len(kept) - 14_000) < 300  # 65 is one standard deviation
    assert is_part_of(rows(kept), rows(events))
    shares = [len(tr.Drop((0.2, 0.8))(events, sensor, generator(k))[0]) / 20_000 for k in range(80)]
    assert 0.19 < min(shares) < 0.3 and 0.7 < max(shares) < 0.81


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_drop_time_loses_one_interval_of_the_length_asked_for(share: float) -> None:
    events = packed([(100 + t, 0, 0, 0) for t in range(200)])
    starts = set()
    for seed in range(60):
        kept, _, lost = tr.DropTime(share).account(events, LINE, generator(seed))
        gone = sorted(set(events["t"].tolist()) - set(kept["t"].tolist()))
        assert len(gone) == lost["DropTime"] == round(200 * share)
        assert gone == list(range(gone[0], gone[-1] + 1)) if gone else share == 0
        starts |= set(gone[:1])
    spare = 200 - round(200 * share)
    if 0 < share < 1:
        assert min(starts) < 100 + 0.15 * spare and max(starts) > 100 + 0.85 * spare


def test_cutout_loses_one_rectangle() -> None:
    events = packed([(0, x, y, p) for y in range(7) for x in range(9) for p in range(2)])
    corners = set()
    for seed in range(200):
        kept, _ = tr.Cutout(3, 4)(events, Sensor(2, 7, 9), generator(seed))
        gone = set(rows(events)) - set(rows(kept))
        ys, xs = sorted({row[2] for row in gone}), sorted({row[1] for row in gone})
        assert (len(gone), len(ys), len(xs)) == (24, 3, 4)
        assert ys[-1] - ys[0] == 2 and xs[-1] - xs[0] == 3
        corners.add((ys[0], xs[0]))
    assert corners == {(y, x) for y in range(5) for x in range(6)}
    assert len(tr.Cutout(7, 9)(events, Sensor(2, 7, 9), generator())[0]) == 0
    assert rows(tr.Cutout(0, 9)(events, Sensor(2, 7, 9), generator())[0]) == rows(events)


def test_jitter_has_the_deviation_asked_for() -> None:
    n = 20_000
    events = packed([(10**6 + k * 1000, 50, 50, k % 2) for k in range(n)])
    moved, _ = tr.Jitter(time_us=40.0, pixels=3.0)(events, Sensor(2, 101, 101), generator())
    for axis, middle, deviation in (("t", events["t"], 40.0), ("x", 50, 3.0), ("y", 50, 3.0)):
        noise = moved[axis].astype(np.int64) - middle
        assert abs(noise.mean()) < 4 * deviation / n**0.5
        assert abs(noise.std() - deviation) < 0.03 * deviation
    assert abs(np.corrcoef(moved["x"], moved["y"])[0, 1]) < 0.04


def test_jitter_reflects_at_zero_and_sorts_stably() -> None:
    events = packed([(0, k, 0, 0) for k in range(500)])
    moved, _ = tr.Jitter(time_us=2.0)(events, Sensor(2, 1, 500), generator())
    assert len(moved) == 500 and moved["t"].min() == 0
    assert (np.diff(moved["t"]) >= 0).all()
    tied = np.diff(moved["t"]) == 0
    assert tied.sum() > 400
    assert (np.diff(moved["x"].astype(int))[tied] > 0).all()
    # Half of the mass of 0, all of that of each |n| > 0: 0.197, 0.350, …
    share = np.bincount(moved["t"])[:2] / 500
    assert abs(share[0] - 0.197) < 0.08 and abs(share[1] - 0.350) < 0.09


def test_jitter_loses_what_leaves_the_sensor_only() -> None:
    events = packed([(k, 0, 0, 0) for k in range(4000)])
    _, _, lost = tr.Jitter(pixels=1.0).account(events, Sensor(2, 1, 50), generator())
    assert abs(lost["Jitter"] / 4000 - 0.3085) < 0.03  # P(n < −½), in x alone on a line
    assert tr.Jitter(time_us=9.0).account(events, LINE, generator()).lost == {"Jitter": 0}


@given(recordings())
def test_polarity(given_) -> None:
    events, sensor = given_
    merged, on = tr.MergePolarity()(events, sensor, generator())
    assert rows(merged) == [(t, x, y, 0) for t, x, y, _ in rows(events)]
    assert (on.polarities, on.height, on.width) == (1, sensor.height, sensor.width)
    if sensor.polarities == 2:
        swapped, _ = tr.FlipPolarity(1.0)(events, sensor, generator())
        assert rows(swapped) == [(t, x, y, 1 - p) for t, x, y, p in rows(events)]


def test_flip_polarity_flips_its_share() -> None:
    events, sensor = recording(20_000)
    changed = (tr.FlipPolarity(0.2)(events, sensor, generator())[0]["p"] != events["p"]).mean()
    assert 0.185 < changed < 0.215


@given(recordings(), st.integers(1, 80), st.integers(0, 70))
def test_time_crop_from_a_start(given_, length: int, start: int) -> None:
    events, sensor = given_
    cut, _ = tr.TimeCrop(length, place=start)(events, sensor, generator())
    assert rows(cut) == [
        (t - start, x, y, p) for t, x, y, p in rows(events) if start <= t < start + length
    ]


def test_time_crop_places() -> None:
    events = packed([(1000 + t, t, 0, 0) for t in range(100)])

    def kept(place, seed: int = 0, length: int = 30) -> np.ndarray:
        return tr.TimeCrop(length, place)(events, Sensor(2, 1, 100), generator(seed))[0]

    assert kept("first")["t"].tolist() == list(range(30))
    assert kept("centre")["x"].tolist() == list(range(35, 65))
    assert rows(kept("centre")) == rows(kept(1035))
    # Every random window lies within the recording, so it is full.
    assert {len(kept("random", seed)) for seed in range(50)} == {30}
    assert len(kept("random", length=500)) == 100
    gaps = packed([(t * t, 0, 0, 0) for t in range(100)])
    found = {tuple(tr.TimeCrop(900)(gaps, LINE, generator(k))[0]["t"].tolist()) for k in range(40)}
    assert len(found) > 20


@given(recordings())
def test_reversal_is_its_own_inverse(given_) -> None:
    events, sensor = given_
    back, _ = tr.TimeReverse(1.0)(events, sensor, generator())
    if len(events):
        first, last = int(events["t"][0]), int(events["t"][-1])
        swap = sensor.polarities == 2
        expected = [(first + last - t, x, y, 1 - p if swap else p) for t, x, y, p in rows(events)]
        assert rows(back) == expected[::-1]
    again, _ = tr.TimeReverse(1.0)(back, sensor, generator())
    assert rows(again) == rows(events)
    same, _ = tr.TimeReverse(1.0, polarity=False)(events, sensor, generator())
    assert same["p"][::-1].tolist() == events["p"].tolist()


@given(recordings(), st.sampled_from([1, 2, 3, 7]))
def test_time_scale_stretches_from_the_first_event(given_, factor: int) -> None:
    events, sensor = given_
    longer, _ = tr.TimeScale(float(factor))(events, sensor, generator())
    first = int(events["t"][0]) if len(events) else 0
    assert longer["t"].tolist() == [first + factor * (t - first) for t in events["t"].tolist()]
    half, _ = tr.TimeScale(0.5)(events, sensor, generator())
    assert half["t"].tolist() == [first + (t - first) // 2 for t in events["t"].tolist()]


def test_time_scale_fills_its_range() -> None:
    events = packed([(0, 0, 0, 0), (10**6, 0, 0, 0)])
    ends = [
        int(tr.TimeScale((0.5, 2.0))(events, LINE, generator(k))[0]["t"][1]) for k in range(200)
    ]
    assert 500_000 <= min(ends) < 540_000 and 1_960_000 < max(ends) <= 2_000_000


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: tr.Drop(1.01), "impossible probability: got 1.01; expected a number or rising"),
        (lambda: tr.Drop((0.5, 0.4)), r"impossible probability: got \(0.5, 0.4\)"),
        (lambda: tr.DropTime(-0.1), "impossible share: got -0.1; .*0 … 1"),
        (lambda: tr.Cutout(-1, 2), "impossible height: got -1; expected 0 or more"),
        (
            lambda: tr.Cutout(10, 2)(*recording(), generator()),
            "cutout is larger than the sensor: got 10 × 2; expected up to 9 × 12",
        ),
        (lambda: tr.Jitter(-1.0), "impossible time_us: got -1.0; .*0 … 1000000000.0"),
        (lambda: tr.Jitter(0.0, float("nan")), "impossible pixels: got nan"),
        (lambda: tr.FlipPolarity(2.0), "impossible probability: got 2.0; expected 0 … 1"),
        (lambda: tr.TimeCrop(0), "impossible length_us: got 0; expected 1 or more"),
        (lambda: tr.TimeCrop(5, "last"), "impossible place: got 'last'; expected first, centre"),
        (lambda: tr.TimeCrop(5, -3), "impossible place: got -3; expected 0 or more"),
        (lambda: tr.TimeReverse(-1.0), "impossible probability"),
        (lambda: tr.TimeScale(0.0), "impossible factor: got 0.0"),
    ],
)
def test_refusals(call, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        call()


def test_times_that_cannot_be_stretched() -> None:
    events = packed([(0, 0, 0, 0), (2**61, 0, 0, 0)])
    with pytest.raises(DataError, match=r"stretched times are too large: .* below 2\^62 µs"):
        tr.TimeScale(3.0)(events, LINE, generator())
