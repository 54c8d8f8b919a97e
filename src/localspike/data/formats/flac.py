"""FLAC: sound packed without loss, 8, 16 or 24 bits, decoded by libsndfile (package soundfile).

Layout of what is read here (RFC 9639, "Free Lossless Audio Codec"): ``fLaC``, then the metadata
block STREAMINFO, big-endian: rate (20 bits), channels − 1 (3), bits − 1 (5), number of samples
(36), MD5 of the samples as little-endian integers. The rest is decoded in a process of its own with
limits of time and memory, and held against those numbers.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from ...optional import require
from .child import Decoder
from .clip import Clip, check_clip
from .source import bad, load, store

MAGIC = b"fLaC\x00\x00\x00\x22"
SUBTYPES = {8: "PCM_S8", 16: "PCM_16", 24: "PCM_24"}
DECODER = Decoder(
    Path(__file__).with_name("flac_child.py"),
    "FLAC",
    "not a whole FLAC file",
    "frames that decode, of 8, 16 or 24 bits",
)


class StreamInfo(NamedTuple):
    """The first metadata block; ``length`` is samples per channel, 0 where not known."""

    rate: int
    channels: int
    bits: int
    length: int
    md5: bytes


def read_flac(path: str | os.PathLike[str]) -> Clip:
    """Sound of a FLAC file: int8, int16, or int32 of 24 bits; [N] for one channel, else [N, C].

    ``meta`` has ``format``, ``bits`` and ``md5`` (of the samples, as the file gives it, verified).
    Decoding may take 1 s of processor time and 1 s more for every 2 MB of file, and samples may be
    64 MiB and a hundred times the file's size; a file whose samples are not the announced ones, by
    number or MD5, is refused. Raises DataError, also when the decoder dies of the file;
    MissingDependencyError without soundfile.
    """
    source = str(path)
    content = load(Path(path))
    size, info = len(content), _stream_info(content, source)
    del content
    require("soundfile", "reading FLAC")
    with tempfile.TemporaryFile() as output:
        DECODER.run(Path(path), size, output)
        samples = _received(output, info, source)
    _check_whole(samples, info, source)
    meta = {"format": "flac", "bits": info.bits, "md5": info.md5.hex()}
    return Clip(samples, info.rate, meta)


def _stream_info(content: bytes, source: str) -> StreamInfo:
    if (
        content[:4] != MAGIC[:4]
        or content[5:8] != MAGIC[5:]
        or content[4:5] not in (b"\0", b"\x80")
    ):
        raise bad(source, 0, "not a FLAC file", got=repr(content[:8]), expected=repr(MAGIC))
    if len(content) < 42:
        raise bad(source, 8, "STREAMINFO cut short", got=f"{len(content) - 8} bytes", expected=34)
    word = int.from_bytes(content[18:26], "big")
    info = StreamInfo(
        rate=word >> 44, channels=(word >> 41 & 7) + 1, bits=(word >> 36 & 31) + 1,
        length=word & ((1 << 36) - 1), md5=content[26:42],
    )  # fmt: skip
    if info.bits not in SUBTYPES or info.rate == 0:
        raise bad(source, 18, "sound of a kind that is not read here",
                  got=f"{info.bits} bits at {info.rate} Hz",
                  expected="8, 16 or 24 bits at 1 Hz or more")  # fmt: skip
    return info


def _received(output: IO[bytes], info: StreamInfo, source: str) -> NDArray[Any]:
    """The samples the decoder wrote; their number is that of the bytes there are."""
    output.seek(0)
    told = json.loads(output.readline())
    announced = {"rate": info.rate, "channels": info.channels, "bits": info.bits}
    if told != announced:
        raise bad(source, 18, "frames that are not as announced", got=told, expected=announced)
    dtype = np.dtype({8: np.int8, 16: np.int16, 24: np.int32}[info.bits])
    samples: NDArray[Any] = np.fromfile(output, dtype)
    return samples if info.channels == 1 else samples.reshape(-1, info.channels)


def _check_whole(samples: NDArray[Any], info: StreamInfo, source: str) -> None:
    if info.length not in (0, len(samples)):
        raise bad(source, 18, "samples cut short", got=f"{len(samples)} a channel",
                  expected=f"{info.length}")  # fmt: skip
    found = _md5(samples, info.bits)
    if any(info.md5) and found != info.md5:
        raise bad(source, 26, "samples that do not match their MD5", got=found.hex(),
                  expected=info.md5.hex())  # fmt: skip


def _md5(samples: NDArray[Any], bits: int) -> bytes:
    """MD5 of the samples, little-endian, in as few bytes as hold them."""
    plain = np.ascontiguousarray(samples, samples.dtype.newbyteorder("<"))
    packed = plain.reshape(-1, 1).view(np.uint8)[:, : bits // 8]
    return hashlib.md5(np.ascontiguousarray(packed).data, usedforsecurity=False).digest()


def write_flac(path: str | os.PathLike[str], clip: Clip) -> None:
    """Write sound as FLAC: int8, int16, or int32 with ``meta["bits"]`` = 24.

    ``read_flac`` gives the same samples back. Raises DataError for other samples, none at all, more
    than 8 channels, or a rate that FLAC cannot hold; MissingDependencyError without soundfile.
    """
    source = str(path)
    check_clip(clip, source)
    _check_holds(clip, source)
    soundfile = require("soundfile", "writing FLAC")
    samples = clip.samples
    if clip.bits != 16:
        wide = np.int16 if clip.bits == 8 else np.int32
        samples = np.left_shift(samples.astype(wide), 8)
    packed = io.BytesIO()
    soundfile.write(packed, samples, clip.rate, format="FLAC", subtype=SUBTYPES[clip.bits])
    store(Path(path), [packed.getvalue()])


def _check_holds(clip: Clip, source: str) -> None:
    """A frame's header has 16 bits for a rate in Hz or in tens of Hz, and 3 for the channels."""
    samples, bits, rate = clip.samples, clip.bits, clip.rate
    whole = samples.dtype.kind == "i" and bits in SUBTYPES and samples.size > 0
    slow = rate < 1 << 16 or (rate < 10 << 16 and rate % 10 == 0)
    if not whole or not slow or clip.channels > 8:
        raise DataError(
            f"{source}: FLAC cannot hold this sound",
            got=f"{samples.dtype} {list(samples.shape)} of {bits} bits at {rate} Hz",
            expected="some samples of int8, int16 or 24 bits in int32, up to 8 channels, up to "
            "65535 Hz or ten times that in tens",
            fix="Use write_wave",
        )
