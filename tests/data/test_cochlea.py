"""The front end hears what it should: the right band, the right moment, no loudness."""

from __future__ import annotations

import numpy as np
import pytest

from localspike.data import FrontEnd, encode
from localspike.data.cochlea import levels, mel_bands
from localspike.errors import ConfigError, DataError

RATE = 16_000


def burst(hertz: float, start: float = 0.3, stop: float = 0.6, gain: float = 0.3) -> np.ndarray:
    time = np.arange(RATE) / RATE
    noise = 1e-3 * np.random.default_rng(0).standard_normal(RATE)
    return gain * (np.sin(2 * np.pi * hertz * time) * ((time >= start) & (time < stop)) + noise)


@pytest.mark.parametrize("hertz", [300.0, 1000.0, 4000.0])
def test_a_tone_is_heard_in_its_band_when_it_sounds(hertz: float) -> None:
    front = FrontEnd()
    bands = mel_bands(front)
    centre = (bands @ (np.arange(257) * RATE / 512))[:, None].ravel()
    nearest = int(np.abs(centre - hertz).argmin())
    events = encode(burst(hertz))
    mine = events[events["x"] == nearest]
    on, off = mine[mine["p"] == 1]["t"], mine[mine["p"] == 0]["t"]
    assert abs(np.median(on) - 300_000) < 30_000
    assert abs(np.median(off) - 600_000) < 30_000
    assert levels(burst(hertz), front)[90].argmax() in (nearest - 1, nearest, nearest + 1)


def test_loudness_does_not_matter() -> None:
    quiet, loud = encode(burst(800.0, gain=0.01)), encode(burst(800.0, gain=0.5))
    assert np.array_equal(quiet, loud)


def test_int16_and_float_are_the_same_sound() -> None:
    samples = (burst(800.0) * 32767).astype(np.int16)
    assert np.array_equal(encode(samples), encode(samples / 32768.0))


def test_events_follow_the_level_to_within_one_step() -> None:
    """Adding the events up again gives the level, off by less than the distance of two levels."""
    front = FrontEnd()
    value, events = levels(burst(1000.0), front), encode(burst(1000.0))
    signed = np.zeros((len(value) - 1, front.bands))
    np.add.at(signed, (events["t"] // front.tick_us, events["x"]), 2.0 * events["p"] - 1.0)
    rebuilt = value[0] + front.step_db * np.cumsum(signed, axis=0)
    assert np.abs(rebuilt - value[1:]).max() < front.step_db + 1e-6


def test_events_are_sorted_and_silence_has_none() -> None:
    events = encode(burst(500.0))
    key = events["t"] * 80 + events["p"] * 40 + events["x"]
    assert (np.diff(key) >= 0).all()
    assert len(encode(np.zeros(RATE, np.int16))) == 0


@pytest.mark.parametrize("kind", [np.int32, np.uint8, np.int8, np.int64, bool])
def test_integers_of_unknown_scale_are_refused(kind: type) -> None:
    text = rf"full scale is not known: got {np.dtype(kind)}; expected int16.*Pass Clip.unit\(\)"
    with pytest.raises(DataError, match=text):
        encode(np.ones(RATE, kind))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"low_hz": 0.0},
            r"low_hz, high_hz: got \(0.0, 7600.0\); expected 0 < low_hz < high_hz <=",
        ),
        ({"low_hz": 7600.0}, "impossible low_hz, high_hz"),
        ({"high_hz": 8000.1}, r"high_hz <= rate / 2 = 8000"),
        ({"window": 401}, "impossible window: got 401; expected an even number of samples"),
        ({"window": 514}, "impossible window: got 514; expected up to fft = 512"),
        ({"hop": 0}, "hop: got 0; expected a whole number of 1 or more"),
        ({"hop": 80.0}, "hop: got 80.0"),
        ({"bands": 0}, "bands: got 0"),
        ({"smooth": 0}, "smooth: got 0"),
        ({"rate": 16e3}, "rate: got 16000.0"),
        ({"hop": 1, "rate": 2_000_000, "high_hz": 9e5}, "impossible hop: got 1; expected 1 µs"),
        ({"step_db": 0.0}, "impossible step_db: got 0.0; expected a number above 0"),
        ({"range_db": -1.0}, "impossible range_db"),
        ({"percentile": 101.0}, "impossible percentile: got 101.0; expected 0 … 100"),
        (
            {"bands": 200},
            r"impossible bands: got 200; expected a frequency of the FFT in each, and",
        ),
    ],
)
def test_front_ends_that_cannot_be(settings: dict, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        FrontEnd(**settings)


@pytest.mark.parametrize(
    ("wave", "text"),
    [
        (np.zeros((2, 10)), r"a clip must be one channel of samples: got shape \[2, 10\]; expect"),
        (np.zeros(0), r"one channel of samples: got shape \[0\]"),
        (np.array([0.0, np.nan] * 500), "a clip holds NaN or infinity: expected finite samples"),
    ],
)
def test_what_is_not_a_clip(wave: np.ndarray, text: str) -> None:
    with pytest.raises(DataError, match=text):
        encode(wave)
