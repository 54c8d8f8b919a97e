"""What the readers of sound return and its writers take: samples as they are stored, and a rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError

DTYPES = ("uint8", "int8", "int16", "int32", "float32", "float64")


@dataclass(frozen=True, eq=False)
class Clip:
    """Sound as its file stores it, nothing scaled.

    Parameters
    ----------
    samples:
        [N], or [N, C] for C ≥ 2 channels: uint8 (silence at 128), int8, int16, int32, float32 or
        float64. 24 bits come as int32 in −2²³ … 2²³ − 1.
    rate:
        Samples per second of each channel.
    meta:
        What else the file says: ``format``, ``bits`` (of a stored sample, if not those of the
        dtype), and what the readers add. Plain values.

    >>> clip = Clip(np.array([0, 16384], np.int16), 16_000)
    >>> clip.channels, clip.bits, clip.unit().tolist()
    (1, 16, [0.0, 0.5])
    """

    samples: NDArray[Any]
    rate: int
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def channels(self) -> int:
        """C."""
        return 1 if self.samples.ndim == 1 else int(self.samples.shape[1])

    @property
    def bits(self) -> int:
        """Bits of one stored sample."""
        return int(self.meta.get("bits", 8 * self.samples.dtype.itemsize))

    def unit(self) -> NDArray[np.float64]:
        """The samples as float64, full scale at ±1; floating samples are taken as they are."""
        values = self.samples.astype(np.float64)
        if self.samples.dtype == np.uint8:
            values -= 128.0
        if self.samples.dtype.kind in "iu":
            values /= 2.0 ** (self.bits - 1)
        return values


def check_clip(clip: Clip, source: str) -> None:
    """Raise DataError, naming ``source``, unless the clip is one: shape, dtype, rate, bits."""
    samples = clip.samples
    if samples.dtype.name not in DTYPES or samples.ndim not in (1, 2):
        raise DataError(
            f"{source}: not an array of samples",
            got=f"{samples.dtype} {list(samples.shape)}",
            expected=f"[samples] or [samples, channels] of {', '.join(DTYPES)}",
        )
    if samples.ndim == 2 and samples.shape[1] < 2:
        raise DataError(
            f"{source}: {samples.shape[1]} channels in two dimensions",
            got=f"shape {list(samples.shape)}",
            expected="[samples] for one channel, [samples, channels] for more",
            fix="Pass samples[:, 0]",
        )
    rate = clip.rate
    if isinstance(rate, bool) or not isinstance(rate, int) or not 1 <= rate < 1 << 32:
        raise DataError(f"{source}: impossible rate", got=repr(rate), expected=f"1 … {2**32 - 1}")
    _check_bits(clip, source)


def _check_bits(clip: Clip, source: str) -> None:
    """24 bits are kept in 32; whatever else is stored has the width of its dtype."""
    width = 8 * clip.samples.dtype.itemsize
    packed = clip.samples.dtype == np.int32 and clip.meta.get("bits") == 24
    if clip.bits != width and not packed:
        raise DataError(
            f"{source}: {clip.samples.dtype} samples do not have that many bits",
            got=f"bits = {clip.meta['bits']}",
            expected=f"{width}" + (" or 24" if width == 32 else ""),
        )
    if packed and clip.samples.size:
        low, high = int(clip.samples.min()), int(clip.samples.max())
        if low < -(1 << 23) or high >= 1 << 23:
            raise DataError(
                f"{source}: sample out of the range of 24 bits",
                got=f"{low} … {high}",
                expected=f"{-(1 << 23)} … {(1 << 23) - 1}",
            )
