"""The package's own container: every column of every sensor, in a NumPy archive without pickles.

Arrays ``t`` int64, ``x`` and ``y`` uint16, ``p`` uint8, ``offsets`` int64, ``sensor`` (polarities,
height, width) int64, and ``meta``, JSON in UTF-8 as uint8. (NumPy's "npy format" page; ZIP.)
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from ..events import EVENT, Sensor
from ..files import DAMAGE, first_line
from .collect import Columns, gathered
from .extent import BLOCK
from .recording import Recording, check_recording, finished
from .source import DAMAGED, bad, load, store
from .zipped import Entry

MAGIC = b"PK\x03\x04"
KINDS = {
    "t": "<i8", "x": "<u2", "y": "<u2", "p": "|u1", "offsets": "<i8", "sensor": "<i8",
    "meta": "|u1",
}  # fmt: skip
MAX_META = 1 << 21  # JSON of many small things takes twenty times its size
MORE_RECORDINGS = 1 << 20
FREE = 48 << 20  # bytes that a header may ask for; more comes when events are there


def read_npz(path: str | os.PathLike[str], *, sort: bool = False) -> Recording:
    """What ``write_npz`` wrote. Raises DataError; nothing is ever unpickled."""
    source = str(path)
    content = load(Path(path))
    if not content.startswith(MAGIC):
        raise bad(
            source, 0, "not an npz file", got=repr(content[:4]), expected=repr(MAGIC),
            fix="Use read, which finds the format",
        )  # fmt: skip
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            found = {name: archive.getinfo(f"{name}.npy") for name in KINDS}
        arrays = {name: _Array(content, found[name], name, source) for name in KINDS}
        return _recording(arrays, len(content), source, sort)
    except (*DAMAGE, OSError, RecursionError, SyntaxError, AttributeError, TypeError) as error:
        raise DataError(
            f"{source}: not a whole npz file of events",
            got=f"{type(error).__name__}: {first_line(error)}"[:200].rstrip(": "),
            expected=f"the arrays {', '.join(KINDS)}",
            fix=DAMAGED,
        ) from error


class _Array:
    """One array of the archive, taken piece by piece: nothing is allocated for a header's word."""

    def __init__(self, content: bytes, info: zipfile.ZipInfo, name: str, source: str) -> None:
        self.name, self.dtype, self.source = name, np.dtype(KINDS[name]), source
        self.at, self.stream = info.header_offset, Entry(content, info)
        self.count = self._announced()

    def _announced(self) -> int:
        """Elements of a one-dimensional array of the right kind, from its header."""
        version = np.lib.format.read_magic(self.stream)
        if version != (1, 0):  # later ones allow headers of any size
            raise ValueError(f"{self.name} is in version {version} of the npy format")
        shape, _, kind = np.lib.format.read_array_header_1_0(self.stream)
        if len(shape) != 1 or shape[0] < 0 or kind != self.dtype:
            raise ValueError(
                f"{self.name} is {kind} {list(shape)}, not {KINDS[self.name]} in one dimension"
            )
        return int(shape[0])

    def take(self, count: int) -> NDArray[Any]:
        """The next ``count`` elements."""
        wanted = count * self.dtype.itemsize
        data = self.stream.read(wanted)
        if len(data) != wanted:
            raise bad(
                self.source, self.at, f"array {self.name} cut short",
                got=f"{len(data)} bytes for {count} elements", expected=f"{wanted}",
            )  # fmt: skip
        return np.frombuffer(data, self.dtype)


def _recording(arrays: dict[str, _Array], size: int, source: str, sort: bool) -> Recording:
    count, recordings = arrays["t"].count, arrays["offsets"].count
    _check_counts({name: array.count for name, array in arrays.items()}, size, source)
    meta = _meta(arrays["meta"].take(arrays["meta"].count), source)
    sensor = Sensor(*arrays["sensor"].take(3).tolist())
    offsets = np.concatenate(list(_pieces(arrays["offsets"], recordings)))
    room = min(count, (FREE + 3 * size) // EVENT.itemsize)
    events, extent = gathered(_columns(arrays, count), room)
    for array in arrays.values():
        array.stream.finish()
    return finished(source, Recording(events, sensor, meta, offsets), extent, sort)


def _check_counts(counts: dict[str, int], size: int, source: str) -> None:
    """Refuse arrays that do not fit each other before any of them is unpacked."""
    listed = ", ".join(f"{name} {count}" for name, count in counts.items())
    if len({counts[name] for name in "txyp"}) != 1 or counts["sensor"] != 3:
        raise DataError(
            f"{source}: arrays of different lengths",
            got=listed,
            expected="t, x, y, p of one length, and three numbers of the sensor",
            fix=DAMAGED,
        )
    if counts["offsets"] < 2:
        raise DataError(f"{source}: no recordings", expected="two offsets or more", fix=DAMAGED)
    most = counts["t"] + size // 4 + MORE_RECORDINGS
    if counts["offsets"] > most or counts["meta"] > MAX_META:
        raise DataError(
            f"{source}: offsets or meta too long",
            got=listed,
            expected=f"at most {most} offsets and {MAX_META} bytes of meta",
            fix=DAMAGED,
        )


def _pieces(array: _Array, count: int) -> Iterator[NDArray[Any]]:
    for first in range(0, count, BLOCK):
        yield array.take(min(BLOCK, count - first))


def _columns(arrays: dict[str, _Array], count: int) -> Iterator[Columns]:
    for t, x, y, p in zip(*(_pieces(arrays[name], count) for name in "txyp"), strict=True):
        xy = y.astype(np.uint32)
        xy <<= np.uint32(16)
        xy |= x
        yield t, xy, p


def _meta(text: NDArray[np.uint8], source: str) -> dict[str, Any]:
    try:
        meta = json.loads(text.tobytes().decode())
    except (ValueError, RecursionError) as error:
        raise bad(
            source, 0, "meta is not JSON", got=first_line(error), expected="a JSON object"
        ) from error
    if not isinstance(meta, dict):
        raise bad(source, 0, "meta is not JSON", got=type(meta).__name__, expected="a JSON object")
    return meta


def write_npz(path: str | os.PathLike[str], recording: Recording, *, compress: bool = True) -> None:
    """Write any recording, with its ``meta`` (which must be plain values, as JSON has them).

    Raises DataError for a recording that makes no sense or a ``meta`` that JSON cannot hold.
    """
    source = str(path)
    check_recording(recording, source)
    sensor = recording.sensor
    arrays: dict[str, NDArray[Any]] = {name: recording.events[name] for name in "txyp"}
    arrays["offsets"] = recording.offsets.astype(np.int64)
    arrays["sensor"] = np.array([sensor.polarities, sensor.height, sensor.width], np.int64)
    arrays["meta"] = np.frombuffer(_json(recording.meta, source), np.uint8)
    buffer = io.BytesIO()
    save = np.savez_compressed if compress else np.savez
    save(buffer, **arrays)  # type: ignore[arg-type]  # numpy names its own keyword in the stub
    store(Path(path), [buffer.getbuffer()])


def _json(meta: Any, source: str) -> bytes:
    try:
        text = json.dumps(dict(meta), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(
            f"{source}: meta cannot be written",
            got=first_line(error),
            expected="strings, finite numbers, lists and dictionaries",
        ) from error
    if len(text) > MAX_META:
        raise DataError(f"{source}: meta too long", got=len(text), expected=f"up to {MAX_META}")
    return text
