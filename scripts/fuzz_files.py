"""What fuzz_formats.py feeds to the readers: whole files of every format, bombs, mutations."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import lz4.frame
import numpy as np
import zstandard

from localspike.data import Sensor, formats, make_events

CHEAP = ("aedat2", "aedat3", "aedat4", "aedat4-lz4", "aedat4-zstd", "dat", "evt2", "evt3")
CHEAP += ("nmnist", "npz", "npz-inside", "wave")
BOMBS = ("npz-bomb", "aedat4-lz4-bomb", "aedat4-zstd-bomb")
COSTLY = ("shd", "flac", "shd-bomb")
"""Read in a process of their own each, which takes a hundred times as long as the others."""

EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 1 << 40)
TEXTS = (b"0", b"-1", b"65536", b"99999999999999999999", b"\xff\xfe", b"1e9", b"")
BOMB = 1 << 27  # bytes that a bomb of the kind that must not be unpacked grows to
DECODED = 1 << 20  # events of a bomb that is true to its word

Rng = np.random.Generator


def seed_file(rng: Rng, kind: str, folder: Path) -> bytes:
    """A whole file of that kind."""
    if kind.endswith("-bomb"):
        return BUILDERS[kind](rng, folder)
    path, (name, _, packed) = folder / "seed", kind.partition("-")
    what = clip(rng, name) if name in ("wave", "flac") else recording(rng, name)
    options: dict[str, object] = {"compression": packed} if packed else {}
    if name == "npz":
        options = {"compress": bool(rng.integers(0, 2))}
    getattr(formats, f"write_{name}")(path, what, **options)
    return path.read_bytes()


def recording(rng: Rng, name: str) -> formats.Recording:
    """A small recording that the format can hold."""
    sensor = formats.CHANNELS if name == "shd" else Sensor(2, 34, 34)
    number = int(rng.integers(0, 40))
    gaps = rng.choice([0, 0, 1, 9, 5000, 20_000_000], number)
    p = rng.integers(0, sensor.polarities, number)
    x, y = rng.integers(0, sensor.width, number), rng.integers(0, sensor.height, number)
    if rng.random() < 0.5:  # neighbours, which EVT 3 puts into vectors
        x = np.arange(number) % sensor.width
        y, gaps = np.zeros(number, int), gaps * (np.arange(number) % 7 == 0)
    return formats.Recording(make_events(np.cumsum(gaps), x, p, y), sensor)


def clip(rng: Rng, name: str) -> formats.Clip:
    """A little noise."""
    kinds = ("int16",) if name == "flac" else ("uint8", "int16", "int32", "float32")
    kind = np.dtype(kinds[int(rng.integers(0, len(kinds)))])
    channels = int(rng.integers(1, 3))
    shape = (int(rng.integers(1, 60)), channels) if channels > 1 else int(rng.integers(1, 60))
    return formats.Clip((rng.random(shape) * 100).astype(kind), 16_000)


def damage(rng: Rng, kind: str, content: bytes, other: bytes) -> bytes:
    """The file with some changes; of "npz-inside", changes within an entry, its checksum right."""
    if kind != "npz-inside":
        return mutate(rng, content, other)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        changed = int(rng.integers(0, len(old.infolist())))
        for number, info in enumerate(old.infolist()):
            entry = old.read(info)
            new.writestr(info, mutate(rng, entry, other) if number == changed else entry)
    return out.getvalue()


def mutate(rng: Rng, content: bytes, other: bytes) -> bytes:
    """One to four changes, of the kinds that accidents and attackers make."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        MUTATIONS[int(rng.integers(0, len(MUTATIONS)))](rng, data, other)
    return bytes(data)


def _place(rng: Rng, data: bytearray) -> tuple[int, int]:
    """Where, more often near the beginning, and how much."""
    reach = len(data) if rng.random() < 0.6 else min(len(data), 300)
    return int(rng.integers(0, reach + 1)), int(rng.integers(1, 17))


def _cut(rng: Rng, data: bytearray, other: bytes) -> None:
    at, _ = _place(rng, data)
    del data[at:]


def _noise(rng: Rng, data: bytearray, other: bytes) -> None:
    at, size = _place(rng, data)
    data[at : at + size] = rng.bytes(size)


def _flip(rng: Rng, data: bytearray, other: bytes) -> None:
    at, _ = _place(rng, data)
    if at < len(data):
        data[at] ^= 1 << int(rng.integers(0, 8))


def _extreme(rng: Rng, data: bytearray, other: bytes) -> None:
    """A number in a header, of 2, 4 or 8 bytes in either order."""
    at, _ = _place(rng, data)
    size = (2, 4, 8)[int(rng.integers(0, 3))]
    number = EXTREMES[int(rng.integers(0, len(EXTREMES)))] & ((1 << 8 * size) - 1)
    order = "little" if rng.random() < 0.7 else "big"
    data[at : at + size] = number.to_bytes(size, order)  # type: ignore[arg-type]


def _text(rng: Rng, data: bytearray, other: bytes) -> None:
    """Another number where a text has one."""
    digits = [at for at in range(min(len(data), 600)) if 48 <= data[at] <= 57]
    if digits:
        at = digits[int(rng.integers(0, len(digits)))]
        data[at : at + 1] = TEXTS[int(rng.integers(0, len(TEXTS)))]


def _again(rng: Rng, data: bytearray, other: bytes) -> None:
    at, size = _place(rng, data)
    data[at:at] = data[max(0, at - 4 * size) : at]


def _foreign(rng: Rng, data: bytearray, other: bytes) -> None:
    at, size = _place(rng, data)
    data[at:at] = other[at : at + 8 * size]


def _less(rng: Rng, data: bytearray, other: bytes) -> None:
    at, size = _place(rng, data)
    del data[at : at + size]


def _more(rng: Rng, data: bytearray, other: bytes) -> None:
    """A longer end, of zeros or of noise."""
    size = int(rng.integers(1, 300))
    data += bytes(size) if rng.random() < 0.5 else rng.bytes(size)


def _swap(rng: Rng, data: bytearray, other: bytes) -> None:
    """Two neighbouring chunks in the other order."""
    at, size = _place(rng, data)
    size *= int(rng.integers(1, 20))
    data[at : at + 2 * size] = data[at + size : at + 2 * size] + data[at : at + size]


MUTATIONS: tuple[Callable[[Rng, bytearray, bytes], None], ...] = (
    _cut, _noise, _flip, _flip, _extreme, _extreme, _text, _again, _foreign, _less, _more, _swap,
)  # fmt: skip


def _npz_bomb(rng: Rng, folder: Path) -> bytes:
    """An archive of which one array is far larger than the file, or all are."""
    which = ("t", "offsets", "meta", "header", "all")[int(rng.integers(0, 5))]
    counts = {"t": 1, "x": 1, "y": 1, "p": 1, "offsets": 2, "sensor": 3, "meta": 2}
    kinds = {"t": "<i8", "x": "<u2", "y": "<u2", "p": "|u1", "offsets": "<i8", "sensor": "<i8"}
    for name in "txyp" if which == "all" else (which,):
        counts[name] = DECODED if which == "all" else BOMB // 8
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in ("t", "x", "y", "p", "offsets", "sensor", "meta"):
            kind = kinds.get(name, "|u1")
            head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': ({counts[name]},)}}"
            head = head.ljust(BOMB if which == "header" and name == "t" else 117) + "\n"
            version = b"\x01\x00" + struct.pack("<H", len(head) & 0xFFFF)
            if len(head) > 0xFFFF:
                version = b"\x02\x00" + struct.pack("<I", len(head))
            body = b"{}" if name == "meta" and counts[name] == 2 else None
            if name == "sensor":
                body = np.array([2, 34, 34]).tobytes()
            if name == "offsets" and counts[name] == 2:
                body = np.array([0, counts["t"]]).tobytes()
            body = bytes(np.dtype(kind).itemsize * counts[name]) if body is None else body
            archive.writestr(f"{name}.npy", b"\x93NUMPY" + version + head.encode() + body)
    return out.getvalue()


def _aedat4_bomb(rng: Rng, folder: Path, packed: str) -> bytes:
    """A packet that grows into nothing, into more than its events, or into events."""
    nothing = make_events(*(np.zeros(0, int) for _ in "txp"))
    empty = formats.Recording(nothing, Sensor(2, 34, 34))
    formats.write_aedat4(folder / "seed", empty, compression=packed)
    events, size = ((0, BOMB), (1, 44), (DECODED, 28 + 16 * DECODED))[int(rng.integers(0, 3))]
    head = struct.pack("<II4sHHHHiII", size, 16, b"EVTS", 6, 8, 4, 0, 8, 4, events)
    body = head + bytes(16 * events if events > 1 else BOMB)
    pack = lz4.frame.compress if packed == "lz4" else zstandard.compress
    packet = pack(body)
    return (folder / "seed").read_bytes() + struct.pack("<ii", 0, len(packet)) + packet


def _shd_bomb(rng: Rng, folder: Path) -> bytes:
    """A file whose labels or rows are a great many zeros, in chunks that are packed."""
    rows = int(rng.integers(0, 2)) == 1
    with h5py.File(folder / "seed", "w") as file:
        count = BOMB // 16 if rows else 3
        for name, kind in (("times", np.float32), ("units", np.uint16)):
            file.create_dataset(
                f"spikes/{name}", (count,), h5py.vlen_dtype(kind), chunks=(min(count, 1 << 16),),
                compression="gzip",
            )  # fmt: skip
        file.create_dataset("labels", (BOMB // 8,), "i8", chunks=(1 << 20,), compression="gzip")
    return (folder / "seed").read_bytes()


BUILDERS: dict[str, Callable[[Rng, Path], bytes]] = {
    "npz-bomb": _npz_bomb,
    "aedat4-lz4-bomb": lambda rng, folder: _aedat4_bomb(rng, folder, "lz4"),
    "aedat4-zstd-bomb": lambda rng, folder: _aedat4_bomb(rng, folder, "zstd"),
    "shd-bomb": _shd_bomb,
}
