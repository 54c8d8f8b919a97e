"""Decodes one FLAC file for ``flac.py`` in the process of ``child_main.py``, with libsndfile.

Output: a line of JSON with rate, channels and bits, then the samples, interleaved: int8, int16, or
int32 for 24 bits. The file's own numbers of samples are not used.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

BITS = {"PCM_S8": 8, "PCM_16": 16, "PCM_24": 24}
BLOCK = 1 << 18  # samples of all channels, read at once


class Refusal(Exception):
    """Why the file is not read."""


class Straight(soundfile.SoundFile):
    """Read from the beginning to the end, without the seeking after every block that soundfile does
    and that ends in an error where a file does not say how long it is."""

    def seekable(self) -> bool:
        """Never."""
        return False


def allowed(size: int) -> int:
    """Bytes of samples a file of ``size`` bytes may hold; silence can be packed 9000-fold."""
    return (64 << 20) + 100 * size


def stored(block: NDArray[Any], bits: int) -> NDArray[Any]:
    """The integers of the file; libsndfile moves those of 8 and 24 bits to the top of its own."""
    if bits == 16:
        return block
    return (block >> 8).astype(np.int8 if bits == 8 else np.int32)


def send(path: str, out: Any) -> None:
    """Everything that is wanted of the file."""
    left = allowed(Path(path).stat().st_size)
    with Straight(path) as file:
        bits = BITS.get(file.subtype)
        if file.format != "FLAC" or bits is None:
            raise Refusal(f"{file.format} of {file.subtype}")
        info = {"rate": file.samplerate, "channels": file.channels, "bits": bits}
        out.write(json.dumps(info).encode() + b"\n")
        dtype = "int32" if bits == 24 else "int16"
        count = max(1, BLOCK // file.channels)
        while len(block := file.read(count, dtype=dtype, always_2d=True)):
            samples = stored(block, bits)
            left -= samples.nbytes
            if left < 0:
                raise Refusal("samples a hundred times larger than the file")
            out.write(samples.tobytes())
