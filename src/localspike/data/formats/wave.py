"""RIFF/WAVE: uncompressed sound, integers of 8, 16, 24 or 32 bits or floats of 32 or 64.

Layout (Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0", 1991, and
Microsoft's WAVEFORMATEXTENSIBLE): ``RIFF``, a size, ``WAVE``, then chunks of a name, a 32-bit size
and so many bytes, each padded to an even length. ``fmt `` describes the samples of ``data``, which
are little-endian and interleaved; 8 bits are unsigned, all wider integers signed.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from .clip import Clip, check_clip
from .source import bad, load, store

PCM, FLOAT, EXTENSIBLE = 0x0001, 0x0003, 0xFFFE
GUID = bytes.fromhex("000000001000800000aa00389b71")
"""What follows the two bytes of the tag in the GUID of an extensible format."""
DTYPES = {(PCM, 8): "u1", (PCM, 16): "<i2", (PCM, 24): "<i4", (PCM, 32): "<i4"}
DTYPES |= {(FLOAT, 32): "<f4", (FLOAT, 64): "<f8"}
MOST_CHUNKS = 4096  # before the samples; recorders write a handful
LARGEST = (1 << 32) - 256  # bytes of samples, so that every size fits its 32 bits


class Layout(NamedTuple):
    """What ``fmt `` says."""

    tag: int
    channels: int
    rate: int
    bits: int
    extra: dict[str, Any]

    @property
    def block(self) -> int:
        """Bytes of one sample of all channels."""
        return self.channels * self.bits // 8


def read_wave(path: str | os.PathLike[str]) -> Clip:
    """Sound of a WAVE file, in the dtype it is stored in (24 bits as int32, [N] for one channel).

    ``meta`` has ``format`` and ``bits``; ``valid_bits``, where fewer than are stored count, and
    ``channel_mask`` of an extensible file. Chunks other than ``fmt `` and ``data`` are passed over,
    and what comes after ``data`` is not looked at; the size of the whole file that its header gives
    is not used, since recorders that stream leave it unset. Raises DataError for files that are
    damaged, cut short, compressed (A-law, ADPCM, …) or of another kind.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_wave(f"{folder}/a.wav", Clip(np.array([3, -2], np.int16), 16_000))
    ...     read_wave(f"{folder}/a.wav").samples.tolist()
    [3, -2]
    """
    source = str(path)
    content = load(Path(path))
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise bad(
            source, 0, "not a WAVE file", got=repr(content[:12]),
            expected="b'RIFF', a size and b'WAVE'", fix="Convert the file to WAVE",
        )  # fmt: skip
    return _clip(content, *_found(content, source), source)


def _found(content: bytes, source: str) -> tuple[int, int, Layout]:
    """Start and size of the samples, and their layout."""
    layout = None
    for name, start, size in _chunks(content, source):
        if name == (b"fmt " if layout else b"data"):
            raise bad(
                source, start - 8, "chunk out of place", got=repr(name),
                expected="b'fmt ', once, and then b'data'",
            )  # fmt: skip
        if name == b"fmt ":
            layout = _layout(content[start : start + size], start, source)
        elif name == b"data" and layout is not None:
            return start, size, layout
    raise bad(
        source, len(content), "no samples", got="the end of the file",
        expected="a chunk b'data'" if layout else "chunks b'fmt ' and b'data'",
    )  # fmt: skip


def _chunks(content: bytes, source: str) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and size of each chunk; every size is held against what is there."""
    at = 12
    for _ in range(MOST_CHUNKS):
        if at >= len(content):
            return
        head = content[at : at + 8]
        if len(head) < 8:
            raise bad(source, at, "half a chunk header", got=f"{len(head)} bytes", expected="8")
        size = int.from_bytes(head[4:], "little")
        if size > len(content) - at - 8:
            raise bad(
                source, at, f"chunk {head[:4]!r} cut short",
                got=f"{len(content) - at - 8} bytes of it", expected=f"{size}",
            )  # fmt: skip
        yield head[:4], at + 8, size
        at += 8 + size + size % 2
    raise bad(source, at, "too many chunks", got=f"more than {MOST_CHUNKS}", expected="b'data'")


def _layout(body: bytes, at: int, source: str) -> Layout:
    if len(body) < 16:
        raise bad(source, at, "format cut short", got=f"{len(body)} bytes", expected="16 or more")
    tag, channels, rate, _, block, bits = struct.unpack_from("<HHIIHH", body)
    extra: dict[str, Any] = {}
    if tag == EXTENSIBLE:
        tag, extra = _extension(body, bits, at, source)
    if (tag, bits) not in DTYPES:
        raise bad(
            source, at, "sound of a kind that is not read here",
            got=f"format tag {tag:#06x} with {bits} bits",
            expected="integers of 8, 16, 24 or 32 bits (tag 1) or floats of 32 or 64 (tag 3)",
            fix="Convert the file to uncompressed PCM",
        )  # fmt: skip
    if channels == 0 or rate == 0:
        raise bad(source, at, "no sound in this format", got=f"{channels} channels at {rate} Hz",
                  expected="at least one channel and 1 Hz")  # fmt: skip
    layout = Layout(tag, channels, rate, bits, extra)
    if block != layout.block:
        raise bad(
            source, at + 12, "block that does not fit its samples", got=f"{block} bytes",
            expected=f"{layout.block}, {channels} channels of {bits} bits",
        )  # fmt: skip
    return layout


def _extension(body: bytes, bits: int, at: int, source: str) -> tuple[int, dict[str, Any]]:
    """The format tag inside an extensible format, and what it adds."""
    if len(body) < 40 or int.from_bytes(body[16:18], "little") < 22:
        raise bad(source, at, "extensible format cut short", got=f"{len(body)} bytes",
                  expected="40, of which 22 of extension")  # fmt: skip
    valid, mask, tag = struct.unpack_from("<HIH", body, 18)
    if body[26:40] != GUID:
        raise bad(source, at + 24, "sound of an unknown kind", got=f"GUID {body[24:40].hex()}",
                  expected="that of integers or of floats",
                  fix="Convert the file to uncompressed PCM")  # fmt: skip
    if valid > bits:
        raise bad(source, at + 18, "more valid bits than stored", got=valid, expected=f"0 … {bits}")
    extra = {"channel_mask": mask}
    return tag, extra | ({"valid_bits": valid} if valid not in (0, bits) else {})


def _clip(content: bytes, start: int, size: int, layout: Layout, source: str) -> Clip:
    if size % layout.block:
        raise bad(
            source, start + size - size % layout.block, "half a sample",
            got=f"{size % layout.block} bytes", expected=f"samples of {layout.block} bytes",
        )  # fmt: skip
    raw = np.frombuffer(content, np.uint8, count=size, offset=start)
    dtype = np.dtype(DTYPES[layout.tag, layout.bits])
    values = _widened(raw) if layout.bits == 24 else raw.view(dtype)
    samples = values.astype(dtype.newbyteorder("="))
    if layout.channels > 1:
        samples = samples.reshape(-1, layout.channels)
    meta = {"format": "wave", "bits": layout.bits, **layout.extra}
    return Clip(samples, layout.rate, meta)


def _widened(raw: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Three bytes a sample -> int32; the bytes go to the top, the shift brings the sign down.

    >>> _widened(np.array([0xFE, 0xFF, 0xFF, 0, 0, 0x40], np.uint8)).tolist()
    [-2, 4194304]
    """
    wide = np.zeros((len(raw) // 3, 4), np.uint8)
    wide[:, 1:] = raw.reshape(-1, 3)
    values: NDArray[np.int32] = wide.view("<i4")[:, 0]
    return values >> 8


def write_wave(path: str | os.PathLike[str], clip: Clip) -> None:
    """Write sound as WAVE in its own dtype, int32 in 24 bits where ``meta["bits"]`` says so.

    ``valid_bits`` or ``channel_mask`` in ``meta`` make the file an extensible one. ``read_wave``
    gives the same samples back. Raises DataError for what WAVE cannot hold: int8, more than 65,535
    channels, 4 GiB.
    """
    source = str(path)
    check_clip(clip, source)
    body = _body(clip, source)
    tag = FLOAT if clip.samples.dtype.kind == "f" else PCM
    form = _format(clip, tag, source)
    fact = struct.pack("<4sII", b"fact", 4, len(clip.samples)) if tag != PCM else b""
    head = struct.pack("<4s4sI", b"WAVE", b"fmt ", len(form)) + form + fact
    head += struct.pack("<4sI", b"data", body.nbytes)
    pad = bytes(body.nbytes % 2)
    total = len(head) + body.nbytes + len(pad)
    store(Path(path), [b"RIFF", struct.pack("<I", total), head, body.tobytes(), pad])


def _body(clip: Clip, source: str) -> NDArray[Any]:
    """The samples as they are stored."""
    samples, size = clip.samples, clip.samples.size * clip.bits // 8
    if samples.dtype == np.int8 or clip.channels > 0xFFFF or size > LARGEST:
        raise DataError(
            f"{source}: WAVE cannot hold this sound",
            got=f"{samples.dtype}, {clip.channels} channels, {size} bytes",
            expected=f"no int8, up to 65535 channels and {LARGEST} bytes",
            fix="Write int8 as FLAC, or convert the samples and write parts",
        )
    stored = np.ascontiguousarray(samples, samples.dtype.newbyteorder("<"))
    if clip.bits != 24:
        return stored
    return np.ascontiguousarray(stored.reshape(-1, 1).view(np.uint8)[:, :3])


def _format(clip: Clip, tag: int, source: str) -> bytes:
    """The content of ``fmt ``."""
    block, bits, meta = clip.channels * clip.bits // 8, clip.bits, clip.meta
    second = clip.rate * block
    if second >= 1 << 32 or block >= 1 << 16:
        raise DataError(
            f"{source}: WAVE cannot hold this sound",
            got=f"{block} bytes a sample, {second} a second",
            expected="less than 65536 and 4294967296",
        )
    extended = "valid_bits" in meta or "channel_mask" in meta
    first = EXTENSIBLE if extended else tag
    plain = struct.pack("<HHIIHH", first, clip.channels, clip.rate, second, block, bits)
    if not extended:
        return plain if tag == PCM else plain + struct.pack("<H", 0)
    valid, mask = meta.get("valid_bits", bits), meta.get("channel_mask", 0)
    whole = all(isinstance(value, int) for value in (valid, mask))
    if not whole or not 1 <= valid <= bits or not 0 <= mask < 1 << 32:
        raise DataError(
            f"{source}: extension that cannot be",
            got=f"valid_bits = {valid!r}, channel_mask = {mask!r}",
            expected=f"1 … {bits} and 0 … {2**32 - 1}",
        )
    return plain + struct.pack("<HHIH", 22, valid, mask, tag) + GUID
