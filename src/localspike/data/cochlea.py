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

from ..errors import DataError
from .events import EVENT, Sensor

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FrontEnd:
    """Parameters of the front end; the defaults are those of the embedded keywords.

    ``window``, ``hop`` and ``fft`` are in samples, ``low_hz`` and ``high_hz`` bound the bands,
    ``smooth`` is the width in frames of the Hann filter over time, ``range_db`` is R,
    ``percentile`` gives P, ``step_db`` is the distance between two levels.

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


def mel_bands(front: FrontEnd) -> Floats:
    """Triangular filters [bands, fft / 2 + 1], equally spaced in mel, each of area one.

    >>> mel_bands(FrontEnd()).sum(axis=1).round(6).min()
    np.float64(1.0)
    """
    low, high = (2595.0 * np.log10(1.0 + f / 700.0) for f in (front.low_hz, front.high_hz))
    edges = 700.0 * (10.0 ** (np.linspace(low, high, front.bands + 2) / 2595.0) - 1.0)
    freq = np.arange(front.fft // 2 + 1) * front.rate / front.fft
    rise = (freq - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - freq) / (edges[2:] - edges[1:-1])[:, None]
    weight = np.maximum(0.0, np.minimum(rise, fall))
    normalised: Floats = weight / weight.sum(axis=1, keepdims=True)
    return normalised


def levels(wave: NDArray[np.generic], front: FrontEnd) -> Floats:
    """Loudness-free band levels v [frames, bands] in dB of one clip, frames at 0, hop, 2 hop, …"""
    sound = _as_unit(wave)
    emphasised = sound.copy()
    emphasised[0] = 0.0
    emphasised[1:] -= front.pre_emphasis * sound[:-1]
    padded = np.pad(emphasised, front.window // 2)
    start = np.arange(len(sound) // front.hop + 1)[:, None] * front.hop
    frames = padded[start + np.arange(front.window)] * np.hanning(front.window + 1)[:-1]
    power = np.abs(np.fft.rfft(frames, front.fft)) ** 2
    level = _smooth(10.0 * np.log10(power @ mel_bands(front).T + 1e-12), front.smooth)
    top = np.percentile(level, front.percentile)
    return np.maximum(0.0, level - top + front.range_db)


def encode(wave: NDArray[np.generic], front: FrontEnd | None = None) -> NDArray[np.void]:
    """Encode one clip [samples] (int16, or float in -1 … 1) as events sorted by (time, p, x).

    Returns an array of dtype ``EVENT``: t in µs, x = band, y = 0, p = 1 for ON and 0 for OFF.
    Raises DataError for a clip that is not one-dimensional, is empty, or is not finite.

    >>> tone = np.sin(np.arange(16000) * 0.4) * (np.arange(16000) > 8000)
    >>> events = encode(tone)
    >>> bool((events["p"] == 1).any()), int(events["t"].min()) > 400_000
    (True, True)
    """
    front = front or FrontEnd()
    value = levels(wave, front)
    steps = np.zeros((len(value) - 1, front.bands), dtype=np.int64)
    reference = value[0].copy()
    for frame in range(1, len(value)):
        steps[frame - 1] = np.trunc((value[frame] - reference) / front.step_db)
        reference += steps[frame - 1] * front.step_db
    return _to_events(steps, front)


def _to_events(steps: NDArray[np.int64], front: FrontEnd) -> NDArray[np.void]:
    """Signed crossings [frames, bands] -> one event per crossing."""
    counts = np.stack([np.maximum(-steps, 0), np.maximum(steps, 0)], axis=1)
    frame, polarity, band = np.nonzero(counts)
    times = counts[frame, polarity, band]
    events = np.zeros(int(times.sum()), dtype=EVENT)
    events["t"] = np.repeat(frame * front.tick_us, times)
    events["p"] = np.repeat(polarity, times)
    events["x"] = np.repeat(band, times)
    return events


def _as_unit(wave: NDArray[np.generic]) -> Floats:
    sound = np.asarray(wave)
    if sound.ndim != 1 or sound.size == 0:
        raise DataError(
            "a clip must be one channel of samples",
            got=f"shape {list(sound.shape)}",
            expected="[samples]",
            fix="Mix to mono and pass one clip at a time",
        )
    scale = 32768.0 if sound.dtype.kind in "iu" else 1.0
    sound = sound.astype(np.float64) / scale
    if not np.isfinite(sound).all():
        raise DataError("a clip holds NaN or infinity", expected="finite samples")
    return sound


def _smooth(level: Floats, width: int) -> Floats:
    """Centred Hann filter over time, the edges held."""
    if width < 2:
        return level
    kernel = np.hanning(width + 2)[1:-1]
    half = width // 2
    padded = np.pad(level, ((half, width - 1 - half), (0, 0)), mode="edge")
    shifted = [weight * padded[k : k + len(level)] for k, weight in enumerate(kernel)]
    filtered: Floats = np.sum(shifted, axis=0) / kernel.sum()
    return filtered
