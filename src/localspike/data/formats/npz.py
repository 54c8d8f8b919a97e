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
from ..files import first_line
from .collect import Columns, gathered
from .npz_array import KINDS as KINDS
from .npz_array import Array, damage
from .recording import Recording, check_recording, finished
from .source import bad, beginning, regular, store

MAGIC = b"PK\x03\x04"
MAX_META = 1 << 21  # JSON of many small things takes twenty times its size
MORE_RECORDINGS = 1 << 20
FREE = 48 << 20  # bytes that a header may ask for; more comes when events are there


def read_npz(path: str | os.PathLike[str], *, sort: bool = False) -> Recording:
    """What ``write_npz`` wrote. Raises DataError; nothing is ever unpickled."""
    source = str(path)
    size, start = regular(Path(path)), beginning(Path(path), len(MAGIC))
    if start != MAGIC:
        raise bad(
            source, 0, "not an npz file", got=repr(start), expected=repr(MAGIC),
            fix="Use read, which finds the format",
        )  # fmt: skip
    with Path(path).open("rb", buffering=0) as file:
        with damage(source, 0), zipfile.ZipFile(file) as archive:
            found = {name: archive.getinfo(f"{name}.npy") for name in KINDS}
        arrays = {name: Array(file, found[name], name, source) for name in KINDS}
        return _recording(arrays, size, source, sort)


def _recording(arrays: dict[str, Array], size: int, source: str, sort: bool) -> Recording:
    _check_counts(arrays, size, source)
    meta = _meta(arrays["meta"], source)
    sensor = Sensor(*arrays["sensor"].take(3).tolist())
    offsets = np.concatenate(list(arrays["offsets"].pieces()))
    room = min(arrays["t"].count, (FREE + 3 * size) // EVENT.itemsize)
    events, extent = gathered(_columns(arrays), room)
    for array in arrays.values():
        array.finish()
    return finished(source, Recording(events, sensor, meta, offsets), extent, sort)


def _check_counts(arrays: dict[str, Array], size: int, source: str) -> None:
    """Refuse arrays that do not fit each other before any of them is unpacked."""
    counts = {name: array.count for name, array in arrays.items()}
    most = counts["t"] + size // 4 + MORE_RECORDINGS
    cases = (
        ("t", len({counts[name] for name in "txyp"}) == 1, "t, x, y and p of one length"),
        ("sensor", counts["sensor"] == 3, "three numbers of the sensor"),
        ("offsets", counts["offsets"] >= 2, "two offsets or more"),
        ("offsets", counts["offsets"] <= most, f"at most {most} offsets"),
        ("meta", counts["meta"] <= MAX_META, f"at most {MAX_META} bytes of meta"),
    )
    for name, fine, expected in cases:
        if not fine:
            listed = ", ".join(f"{name} {count}" for name, count in counts.items())
            raise bad(
                source, arrays[name].at, "arrays of impossible lengths", got=listed,
                expected=expected,
            )  # fmt: skip


def _columns(arrays: dict[str, Array]) -> Iterator[Columns]:
    for t, x, y, p in zip(*(arrays[name].pieces() for name in "txyp"), strict=True):
        xy = y.astype(np.uint32)
        xy <<= np.uint32(16)
        xy |= x
        yield t, xy, p


def _meta(array: Array, source: str) -> dict[str, Any]:
    text, meta = array.take(array.count).tobytes(), None
    try:
        meta = json.loads(text.decode())
        got = type(meta).__name__
    except (ValueError, RecursionError) as error:
        got = first_line(error)
    if not isinstance(meta, dict):
        raise bad(source, array.at, "meta is not JSON", got=got, expected="a JSON object")
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
