"""How `chunks_of` reads each format: the decoders of whole files, a few records at a time."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .events import EVENT, make_events
from .files import NPY
from .formats import aedat2, aedat3, aedat4, dat, evt2, evt3, nmnist, raw
from .formats.extent import PLACED
from .formats.npz_array import Array, damage
from .formats.source import OnDisk, bad, text_header

Chunks = Iterator[NDArray[np.void]]
VERSION = NPY + b"\x01\x00"
HEADER = re.compile(
    re.escape(f"{{'descr': {np.lib.format.dtype_to_descr(EVENT)!r}, 'fortran_order': False,")
    + r" 'shape': \((\d+),\), \} *\n",
    re.ASCII,
)


def _records(path: Path, start: int, dtype: str | np.dtype[Any], events: int) -> Chunks:
    """Whole records from byte ``start`` to the end; DataError if some bytes are left."""
    size = np.dtype(dtype).itemsize
    with path.open("rb") as stream:
        stream.seek(start)
        while content := stream.read(events * size):
            if len(content) % size:
                at = stream.tell() - len(content) % size
                raise bad(
                    str(path), at, "half a record", got=f"{len(content) % size} bytes",
                    expected=f"records of {size} bytes",
                )  # fmt: skip
            yield np.frombuffer(content, dtype)


def _dat(path: Path, head: bytes, events: int) -> Chunks:
    source = str(path)
    lines, start = text_header(head, b"%", "% end", source)
    version = ["%", "version", "2"] in [line.lower().split() for line in lines]
    if not version or not dat.is_dat(head, start):
        raise bad(
            source, start, "not a DAT file of version 2", got=repr(head[start : start + 2]),
            expected="'% Version 2' and CD events", fix="Convert it with its maker's tools",
        )  # fmt: skip
    decode = dat.Decoder()
    for words in _records(path, start + 2, dat.WORD, events):
        yield _events(*decode(words))


def _raw(name: str, path: Path, head: bytes, events: int) -> Chunks:
    _, at = raw.header(head, name, str(path))
    decoder, word = RAW[name]
    decode = decoder(str(path))
    for words in _records(path, at, word, raw.WORDS):
        yield from _split(_events(*decode(at, words)), events)
        at += words.nbytes


def _aedat2(path: Path, head: bytes, events: int) -> Chunks:
    lines, start = aedat2.header(head, str(path))
    decode = aedat2.Decoder(aedat2.layout_of(None, lines, str(path)))
    for words in _records(path, start, aedat2.WORD, events):
        yield _events(*decode(words))


def _aedat3(path: Path, head: bytes, events: int) -> Chunks:
    _, start = aedat3.header(head, str(path))
    with path.open("rb") as stream:
        for columns in aedat3.decoded(OnDisk(stream), start, str(path), {}):
            yield from _split(_events(*columns), events)


def _aedat4(path: Path, head: bytes, events: int) -> Chunks:
    with path.open("rb") as stream:
        content, source = OnDisk(stream), str(path)
        found = aedat4.read_head(content, source)
        chosen = aedat4.choose(found.streams, None, source)
        for columns in aedat4.decoded(content, found, chosen.number, source):
            yield from _split(_events(*columns), events)


def _split(found: NDArray[np.void], events: int) -> Chunks:
    """Blocks have sizes of their own, and one word of EVT 3 may be twelve events."""
    for first in range(0, len(found), events):
        yield found[first : first + events]


def _nmnist(path: Path, head: bytes, events: int) -> Chunks:
    decode = nmnist.Decoder()
    for words in _records(path, 0, nmnist.WORD, events):
        yield _events(*decode(words))


def _events(t: NDArray[Any], xy: NDArray[np.uint32], p: NDArray[Any]) -> NDArray[np.void]:
    events = np.empty(len(t), EVENT)
    placed = events.view(PLACED)
    placed["t"], placed["xy"], placed["p"] = t, xy, p
    return events


def _npy(path: Path, head: bytes, events: int) -> Chunks:
    with path.open("rb") as stream:
        count, start = _npy_count(stream), stream.tell()
    size = path.stat().st_size
    if size != start + count * EVENT.itemsize:
        raise bad(
            str(path), start, "array cut short or too long", got=f"{size - start} bytes",
            expected=f"{count} events of {EVENT.itemsize} bytes",
        )  # fmt: skip
    yield from _records(path, start, EVENT, events)


def _npy_count(stream: IO[bytes]) -> int:
    """Elements of a one-dimensional array of events, by its header; ValueError for others.

    NumPy evaluates a header as Python; here it has to be as NumPy writes it.
    """
    start = stream.read(len(VERSION) + 2)
    if not start.startswith(VERSION):
        raise ValueError(f"begins with {start!r}")
    text = stream.read(int.from_bytes(start[-2:], "little")).decode("latin-1")
    found = HEADER.fullmatch(text)
    if found is None:
        raise ValueError(f"{text.strip()[:120]!r}, not {EVENT} in one dimension")
    return int(found[1])


def _npz(path: Path, head: bytes, events: int) -> Chunks:
    source = str(path)
    with path.open("rb", buffering=0) as file:
        with damage(source, 0), zipfile.ZipFile(file) as archive:
            found = {name: archive.getinfo(f"{name}.npy") for name in (*"txyp", "offsets")}
        arrays = {name: Array(file, one, name, source) for name, one in found.items()}
        recordings, count = arrays["offsets"].count - 1, arrays["t"].count
        if recordings != 1:
            raise DataError(
                f"{path}: holds several recordings", got=recordings, expected="one",
                fix="Read it whole with formats.read_npz",
            )  # fmt: skip
        ends = arrays["offsets"].take(2).tolist()
        if {arrays[name].count for name in "txyp"} != {count} or ends != [0, count]:
            counts = {name: arrays[name].count for name in "txyp"}
            raise bad(
                source, arrays["t"].at, "columns of different lengths", got=counts,
                expected=f"as many as offsets tell, {ends[1]}",
            )  # fmt: skip
        for first in range(0, count, events):
            number = min(events, count - first)
            t, x, y, p = (arrays[name].take(number) for name in "txyp")
            yield make_events(t, x, p, y)
        for array in arrays.values():
            array.finish()


RAW: dict[str, tuple[Callable[[str], raw.Decoder], str]] = {
    "evt2": (evt2.Decoder, "<u4"),
    "evt3": (evt3.Decoder, "<u2"),
}
READERS: dict[str, Callable[[Path, bytes, int], Chunks]] = {
    "aedat2": _aedat2,
    "aedat3": _aedat3,
    "aedat4": _aedat4,
    **{name: partial(_raw, name) for name in RAW},
    "dat": _dat,
    "nmnist": _nmnist,
    "npz": _npz,
    "npy": _npy,
}
