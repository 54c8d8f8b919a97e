"""The readers of this package, and plain ones in NumPy to hold them against. Run by formats.py.

python formats_plain.py ARM, which is "localspike" or "plain".

A plain reader does what its format needs to give the same events, and nothing else: whole columns,
np.frombuffer and bit operations, no checks, no blocks.
"""

from __future__ import annotations

import struct
import sys
from functools import partial
from pathlib import Path

import h5py
import lz4.frame
import numpy as np
import zstandard
from numpy.typing import NDArray
from serve import Reader, serve

from localspike.data import EVENT, formats

Events = NDArray[np.void]


def events_of(t: object, x: object, y: object, p: object) -> Events:
    """Columns as one structured array."""
    events = np.empty(len(t), EVENT)  # type: ignore[arg-type]
    events["t"], events["x"], events["y"], events["p"] = t, x, y, p
    return events


def after(content: bytes, mark: bytes) -> int:
    """Where the data begin."""
    return content.index(mark) + len(mark)


def aedat2(path: str) -> Events:
    """AEDAT 2.0 with DAVIS addresses."""
    content = Path(path).read_bytes()
    raw = np.frombuffer(content, ">u4", offset=after(content, b"Header\r\n")).reshape(-1, 2)
    address = raw[:, 0].astype(np.uint32)
    return events_of(raw[:, 1], (address >> 12) & 1023, (address >> 22) & 511, (address >> 11) & 1)


def aedat3(path: str) -> Events:
    """AEDAT 3.1: one view per packet, put together."""
    content = Path(path).read_bytes()
    at, parts = after(content, b"#!END-HEADER\r\n"), []
    while at < len(content):
        number = struct.unpack_from("<hhiiiiii", content, at)[6]
        parts.append(np.frombuffer(content, "<u4", 2 * number, at + 28))
        at += 28 + 8 * number
    raw = np.concatenate(parts).reshape(-1, 2)
    data, t = raw[:, 0], raw[:, 1]
    return events_of(t, data >> 17, (data >> 2) & 0x7FFF, (data >> 1) & 1)


def aedat4(path: str, unpack: Reader) -> Events:
    """AEDAT 4.0 with event packets of our own writer: their vectors begin at byte 32."""
    content = Path(path).read_bytes()
    at = 18 + int.from_bytes(content[14:18], "little")
    kind, parts = [("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "u1"), ("unused", "V3")], []
    while at < len(content):
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        parts.append(np.frombuffer(unpack(content[at + 8 : at + 8 + size]), kind, offset=32))
        at += 8 + size
    raw = np.concatenate(parts)
    return events_of(raw["t"], raw["x"], raw["y"], raw["p"])


def dat(path: str) -> Events:
    """Prophesee DAT."""
    content = Path(path).read_bytes()
    raw = np.frombuffer(content, "<u4", offset=after(content, b"% end\n") + 2).reshape(-1, 2)
    data = raw[:, 1]
    return events_of(raw[:, 0], data & 0x3FFF, (data >> 14) & 0x3FFF, data >> 28)


def evt2(path: str) -> Events:
    """EVT 2.0: the number of the latest time word, counted along."""
    content = Path(path).read_bytes()
    words = np.frombuffer(content, "<u4", offset=after(content, b"% end\n"))
    is_time, is_event = words >> 28 == 8, words >> 28 <= 1
    high = (words[is_time] & 0x0FFFFFFF).astype(np.int64) << 6
    latest, word = np.cumsum(is_time)[is_event] - 1, words[is_event]
    t = high[latest] | ((word >> 22) & 63)
    return events_of(t, (word >> 11) & 2047, word & 2047, word >> 28)


def evt3(path: str) -> Events:
    """EVT 3.0: the place of the latest word of every kind, carried along."""
    content = Path(path).read_bytes()
    words = np.frombuffer(content, "<u2", offset=after(content, b"% end\n"))
    kind = words >> 12

    def latest(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        place = np.where(mask, np.arange(len(words)), 0)
        return np.maximum.accumulate(place, out=place)

    high = np.flatnonzero(kind == 8)
    value = (words[high] & 0xFFF).astype(np.int64)
    value += np.cumsum(np.diff(value, prepend=0) < -2048) << 12
    high_of = np.zeros(len(words), np.int64)
    high_of[high] = value << 12
    width = np.where(kind == 4, 12, 0) + np.where(kind == 5, 8, 0)
    moved, base = np.cumsum(width) - width, latest(kind == 3)
    bits = np.where(kind == 2, 1, 0) | np.where(width > 0, words & 0xFFF, 0)
    shot = np.flatnonzero(bits)
    each = np.unpackbits(bits[shot].astype("<u2").view(np.uint8), bitorder="little")
    flat = np.flatnonzero(each)
    owner, n = shot[flat >> 4], flat & 15
    state = np.where(kind[owner] == 2, words[owner], words[base[owner]])
    x = (state & 2047) + np.where(kind[owner] == 2, 0, moved[owner] - moved[base[owner]] + n)
    low, y = words[latest(kind == 6)[owner]] & 0xFFF, words[latest(kind == 0)[owner]]
    t = high_of[latest(kind == 8)[owner]] + low
    return events_of(t, x, y & 2047, (state >> 11) & 1)


def nmnist(path: str) -> Events:
    """5-byte events."""
    raw = np.frombuffer(Path(path).read_bytes(), np.uint8).reshape(-1, 5)
    time = (raw[:, 2] & 127).astype(np.int64) << 16 | raw[:, 3].astype(np.int64) << 8 | raw[:, 4]
    overflow = raw[:, 1] == 240
    time += np.cumsum(overflow) << 13
    real = ~overflow
    return events_of(time[real], raw[real, 0], raw[real, 1], raw[real, 2] >> 7)


def npz(path: str) -> Events:
    """Columns of an npz file."""
    with np.load(path) as file:
        return events_of(*(file[name] for name in "txyp"))


def shd(path: str) -> Events:
    """SHD with h5py in this process, which a hostile file could take down."""
    with h5py.File(path) as file:
        times = np.concatenate(file["spikes/times"][:])
        units = np.concatenate(file["spikes/units"][:])
    return events_of(np.rint(times.astype(np.float64) * 1e6), units, 0, 0)


def none(packet: bytes) -> bytes:
    """A packet that is not compressed."""
    return packet


def zstd(packet: bytes) -> bytes:
    """A zstd frame."""
    return zstandard.ZstdDecompressor().decompress(packet, max_output_size=1 << 22)


PLAIN: dict[str, Reader] = {
    "aedat2": aedat2,
    "aedat3": aedat3,
    "aedat4": partial(aedat4, unpack=none),
    "aedat4-lz4": partial(aedat4, unpack=lz4.frame.decompress),
    "aedat4-zstd": partial(aedat4, unpack=zstd),
    "dat": dat,
    "evt2": evt2,
    "evt3": evt3,
    "evt3-rows": evt3,
    "nmnist": nmnist,
    "npz": npz,
    "npz-stored": npz,
    "shd-small": shd,
    "shd": shd,
}


def ours(name: str, path: str) -> Events:
    """The package's own reader, with all its checks."""
    more = {"sensor": formats.NCALTECH} if name == "nmnist" else {}
    return formats.READERS[name.partition("-")[0]](path, **more).events


OURS: dict[str, Reader] = {name: partial(ours, name) for name in PLAIN}

if __name__ == "__main__":
    serve(OURS if sys.argv[1] == "localspike" else PLAIN)
