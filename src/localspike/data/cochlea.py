"""A small cochlea: sound in, ON/OFF level-crossing events per frequency band out (numpy only).

    e_b(t) = 10 log10 sum_f W_bf |STFT(x - c x_delayed)(t, f)|^2        band level, dB
    v_b(t) = max(0, (h * e_b)(t) - P + R)                               R dB below its loudest
    ON at t  while v_b(t) - r_b >= step:  r_b += step
    OFF at t while r_b - v_b(t) >= step:  r_b -= step                   level crossing, hysteresis

P is a high percentile of the smoothed level over the whole clip, so the code does not depend on
the loudness of the recording. Delta events of a silicon cochlea: Chan, Liu and van Schaik,
"AER EAR", IEEE TCAS-I 54(1), 2007; mel bands: Davis and Mermelstein, IEEE TASSP 28(4), 1980.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, DataError
from .arguments import check_positive
from .events import EVENT, Sensor

Floats = NDArray[np.float64]
VERSION = 1
"""Raised whenever the same clips and parameters would give other events; part of a cache's key."""
TOGETHER = 8  # clips in one pass: their frames just fit a processor's cache


@dataclass(frozen=True)
class FrontEnd:
    """Parameters of the front end; the defaults are those of the embedded keywords.

    ``window``, ``hop`` and ``fft`` are in samples, ``low_hz`` and ``high_hz`` bound the bands,
    ``smooth`` is the width in frames of the Hann filter over time, ``range_db`` is R,
    ``percentile`` gives P, ``step_db`` is the distance between two levels. Raises ConfigError for
    settings that make no sense together, such as a band between two frequencies of the FFT.

    >>> FrontEnd().channels
    80
    """

    rate: int = 16_000
    bands: int = 40
    low_hz: float = 100.0
    high_hz: float = 7600.0
    pre_emphasis: float = 0.97
    window: int = 400
    hop: int = 80
    fft: int = 512
    smooth: int = 9
    range_db: float = 45.0
    percentile: float = 99.0
    step_db: float = 4.0

    def __post_init__(self) -> None:
        check_positive(
            rate=self.rate, bands=self.bands, window=self.window, hop=self.hop, fft=self.fft,
            smooth=self.smooth,
        )  # fmt: skip
        _require(self.window % 2 == 0, "window", self.window, "an even number of samples")
        _require(self.window <= self.fft, "window", self.window, f"up to fft = {self.fft}")
        _require(self.tick_us > 0, "hop", self.hop, f"1 µs or more at rate = {self.rate}")
        heard = f"0 < low_hz < high_hz <= rate / 2 = {self.rate / 2:g}"
        edges = (self.low_hz, self.high_hz)
        _require(0 < edges[0] < edges[1] <= self.rate / 2, "low_hz, high_hz", edges, heard)
        _require(0 < self.step_db < np.inf, "step_db", self.step_db, "a number above 0")
        _require(0 < self.range_db < np.inf, "range_db", self.range_db, "a number above 0")
        _require(0 <= self.percentile <= 100, "percentile", self.percentile, "0 … 100")
        empty = int((_triangles(self).sum(axis=1) == 0).sum())
        _require(
            empty == 0, "bands", self.bands,
            f"a frequency of the FFT in each, and {empty} have none: fewer bands or a longer fft",
        )  # fmt: skip

    @property
    def channels(self) -> int:
        """ON and OFF of every band."""
        return 2 * self.bands

    @property
    def sensor(self) -> Sensor:
        """Events of this front end have p = ON and x = band."""
        return Sensor(2, 1, self.bands)

    @property
    def tick_us(self) -> int:
        """Time between two frames in µs, the resolution of the events."""
        return self.hop * 1_000_000 // self.rate


def _require(holds: bool, name: str, got: object, expected: str) -> None:
    if not holds:
        raise ConfigError(f"front end: impossible {name}", got=got, expected=expected)


def mel_bands(front: FrontEnd) -> Floats:
    """Triangular filters [bands, fft / 2 + 1], equally spaced in mel, each of area one.

    >>> mel_bands(FrontEnd()).sum(axis=1).round(6).min()
    np.float64(1.0)
    """
    weight = _triangles(front)
    normalised: Floats = weight / weight.sum(axis=1, keepdims=True)
    return normalised


def _triangles(front: FrontEnd) -> Floats:
    """The filters of `mel_bands`, each of height one at its centre."""
    low, high = (2595.0 * np.log10(1.0 + f / 700.0) for f in (front.low_hz, front.high_hz))
    edges = 700.0 * (10.0 ** (np.linspace(low, high, front.bands + 2) / 2595.0) - 1.0)
    freq = np.arange(front.fft // 2 + 1) * front.rate / front.fft
    rise = (freq - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - freq) / (edges[2:] - edges[1:-1])[:, None]
    weight: Floats = np.maximum(0.0, np.minimum(rise, fall))
    return weight


def levels(wave: NDArray[np.generic], front: FrontEnd) -> Floats:
    """Loudness-free band levels v in dB: clips [..., samples] -> [..., frames, bands].

    Frames are centred at 0, hop, 2 hop, …; each clip has a P of its own. Raises DataError.
    """
    sound = _as_unit(wave)
    emphasised = sound.copy()
    emphasised[..., 0] = 0.0
    emphasised[..., 1:] -= front.pre_emphasis * sound[..., :-1]
    half = (front.window // 2, front.window // 2)
    padded = np.pad(emphasised, [(0, 0)] * (sound.ndim - 1) + [half])
    start = np.arange(sound.shape[-1] // front.hop + 1)[:, None] * front.hop
    frames = padded[..., start + np.arange(front.window)]
    frames *= np.hanning(front.window + 1)[:-1]
    power = np.abs(np.fft.rfft(frames, front.fft))
    power *= power
    level = _smooth(10.0 * np.log10(power @ mel_bands(front).T + 1e-12), front.smooth)
    top = np.percentile(level, front.percentile, axis=(-2, -1), keepdims=True)
    return np.maximum(0.0, level - top + front.range_db)


def encode(wave: NDArray[np.generic], front: FrontEnd | None = None) -> NDArray[np.void]:
    """Encode one clip [samples] (int16, or float in -1 … 1) as events sorted by (time, p, x).

    Returns an array of dtype ``EVENT``: t in µs, x = band, y = 0, p = 1 for ON and 0 for OFF.
    Raises DataError for a clip that is not one-dimensional, is empty, is not finite, or is of other
    integers (24 or 32 bits: see `formats.Clip.unit`).

    >>> tone = np.sin(np.arange(16000) * 0.4) * (np.arange(16000) > 8000)
    >>> events = encode(tone)
    >>> bool((events["p"] == 1).any()), int(events["t"].min()) > 400_000
    (True, True)
    """
    sound = np.asarray(wave)
    if sound.ndim != 1 or sound.size == 0:
        raise DataError(
            "a clip must be one channel of samples",
            got=f"shape {list(sound.shape)}",
            expected="[samples]",
            fix="Mix to mono and pass one clip at a time",
        )
    return encode_clips(sound[None], front)[0]


def encode_clips(
    waves: NDArray[np.generic], front: FrontEnd | None = None
) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """Encode clips [N, samples]: all their events end to end, and offsets [N + 1].

    Clip i owns ``events[offsets[i]:offsets[i + 1]]``, the same as ``encode(waves[i])``; a silent
    clip has none. A pure function of its arguments under one ``VERSION``. Raises DataError.

    >>> tone = np.sin(np.arange(16000) * 0.4) * (np.arange(16000) > 8000)
    >>> events, offsets = encode_clips(np.stack([tone, 0 * tone]))
    >>> bool((events == encode(tone)).all()), offsets.tolist() == [0, len(events), len(events)]
    (True, True)
    """
    front = front or FrontEnd()
    sounds = np.asarray(waves)
    if sounds.ndim != 2 or sounds.size == 0:
        raise DataError(
            "clips must be rows of samples", got=f"shape {list(sounds.shape)}",
            expected="[clips, samples]", fix="Pad or cut the clips to one length and stack them",
        )  # fmt: skip
    parts = []
    for first in range(0, len(sounds), TOGETHER):
        parts.append(_to_events(_crossings(sounds[first : first + TOGETHER], front), front))
    lengths = np.concatenate([np.zeros(1, np.int64), *(count for _, count in parts)])
    return np.concatenate([events for events, _ in parts]), np.cumsum(lengths)


def _crossings(sounds: NDArray[np.generic], front: FrontEnd) -> NDArray[np.int64]:
    """How many levels are crossed, upward positive: [clips, frames - 1, bands]."""
    value = levels(sounds, front)
    steps = np.zeros((len(value), value.shape[1] - 1, front.bands), dtype=np.int64)
    reference = value[:, 0].copy()
    for frame in range(1, value.shape[1]):
        crossed = np.trunc((value[:, frame] - reference) / front.step_db)
        steps[:, frame - 1] = crossed
        reference += crossed * front.step_db
    return steps


def _to_events(
    steps: NDArray[np.int64], front: FrontEnd
) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """Signed crossings [clips, frames, bands] -> one event per crossing, and how many a clip."""
    counts = np.stack([np.maximum(-steps, 0), np.maximum(steps, 0)], axis=2)
    clip, frame, polarity, band = np.nonzero(counts)
    times = counts[clip, frame, polarity, band]
    events = np.zeros(int(times.sum()), dtype=EVENT)
    events["t"] = np.repeat(frame * front.tick_us, times)
    events["p"] = np.repeat(polarity, times)
    events["x"] = np.repeat(band, times)
    return events, counts.sum(axis=(1, 2, 3))


def _as_unit(wave: NDArray[np.generic]) -> Floats:
    sound = np.asarray(wave)
    of_16 = sound.dtype.kind == "i" and sound.dtype.itemsize == 2  # in any byte order
    if not of_16 and sound.dtype.kind != "f":
        raise DataError(
            "a clip of numbers whose full scale is not known",
            got=sound.dtype,
            expected="int16, or floats in -1 … 1",
            fix="Pass Clip.unit() of what read_wave or read_flac gives, or divide by full scale",
        )
    scale = 32768.0 if of_16 else 1.0
    sound = sound.astype(np.float64) / scale
    if not np.isfinite(sound).all():
        raise DataError("a clip holds NaN or infinity", expected="finite samples")
    return sound


def _smooth(level: Floats, width: int) -> Floats:
    """Centred Hann filter over time, the second last axis, the edges held."""
    if width < 2:
        return level
    kernel = np.hanning(width + 2)[1:-1]
    half, frames = width // 2, level.shape[-2]
    around = [(0, 0)] * (level.ndim - 2) + [(half, width - 1 - half), (0, 0)]
    padded = np.pad(level, around, mode="edge")
    filtered = np.zeros_like(level)
    for k, weight in enumerate(kernel):
        filtered += weight * padded[..., k : k + frames, :]
    return filtered / kernel.sum()
