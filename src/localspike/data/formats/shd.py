"""SHD and SSC: spikes of 700 cochlear channels in HDF5, many recordings in one file.

Layout (Cramer et al., "The Heidelberg Spiking Data Sets", IEEE TNNLS 2020): ``spikes/times`` in
seconds and ``spikes/units``, one array per recording; ``labels``; ``extra/speaker``. Needs h5py.
Files are read by ``hdf5_child.py`` in a process of its own with limits of time and memory.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from ...optional import require
from ..events import Sensor
from .collect import Columns, gathered
from .extent import blocks
from .hdf5_output import DECODER, Output
from .recording import Recording, check_recording, finished
from .source import bad, beginning, regular, store

MAGIC = b"\x89HDF\r\n\x1a\n"
CHANNELS = Sensor(1, 1, 700)
LATEST = 1 << 50
SPIKE = 6  # bytes of one in a file, mostly


def read_shd(path: str | os.PathLike[str], *, sort: bool = False) -> Recording:
    """All recordings of an SHD or SSC file: x is the channel, y and p are 0.

    Times are rounded to µs. ``meta["labels"]`` and ``meta["speaker"]`` are lists of int and
    ``meta["keys"]`` the names of the classes, where the file has them. Reading may take 1 s of
    processor time and 1 s more for every 2 MB, and 64 MiB and four times the file's size of memory.
    Raises DataError, also when the reader dies of the file; MissingDependencyError without h5py.
    """
    source = str(path)
    size, start = regular(Path(path)), beginning(Path(path), len(MAGIC))
    if start != MAGIC:
        raise bad(
            source, 0, "not an HDF5 file", got=repr(start), expected=repr(MAGIC),
            fix="Use read, which finds the format",
        )  # fmt: skip
    require("h5py", "reading SHD and SSC files")
    with Output(Path(path), size) as output:
        return _received(output, source, sort)


def _received(output: Output, source: str, sort: bool) -> Recording:
    meta: dict[str, Any] = {"format": "shd", **json.loads(output.line())}
    if meta.pop("count") == 0:
        raise bad(source, 0, "no recordings", got="none", expected="at least one")
    lengths: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]
    events, extent = gathered(_columns(output, lengths, source), regular(Path(source)) // SPIKE)
    offsets = np.cumsum(np.concatenate(lengths))
    return finished(source, Recording(events, CHANNELS, meta, offsets), extent, sort)


def _columns(output: Output, lengths: list[NDArray[np.int64]], source: str) -> Iterator[Columns]:
    """Columns of one group of recordings after another, whose lengths are added to ``lengths``."""
    while head := output.read(8):
        number, kind = announced(head)
        one = np.frombuffer(output.exactly(8 * number), np.int64)
        lengths.append(one)
        total = int(one.sum())
        seconds: NDArray[Any] = np.frombuffer(output.exactly(kind.itemsize * total), kind)
        x = np.frombuffer(output.exactly(2 * total), np.uint16)
        for times, channels in zip(blocks(seconds), blocks(x), strict=True):
            t = microseconds(times, source)
            yield t, channels.astype(np.uint32), np.zeros(len(t), np.uint8)


def announced(head: bytes) -> tuple[int, np.dtype[Any]]:
    """How many recordings come from the child, and how their times are stored."""
    kind: np.dtype[Any] = np.dtype(np.float32 if head[7:] == b"\4" else np.float64)
    return int.from_bytes(head[:7], "little"), kind


def microseconds(seconds: NDArray[np.floating[Any]], source: str) -> NDArray[np.int64]:
    """Times in µs, rounded; DataError for what is no time."""
    exact = np.multiply(seconds, 1e6, dtype=np.float64)
    if exact.size and not (exact.min() > -LATEST and exact.max() < LATEST):
        raise bad(
            source, 0, DECODER.what, got="spikes/times holds what is no time in seconds",
            expected=DECODER.expected,
        )  # fmt: skip
    return np.rint(exact, out=exact).astype(np.int64)


def write_shd(path: str | os.PathLike[str], recording: Recording) -> None:
    """Write recordings of 700 channels as SHD does, times in double precision.

    ``meta["labels"]`` and ``meta["speaker"]``, if there, must have one int per recording;
    ``meta["keys"]`` are written as they are. Raises
    DataError for another sensor or times from 2⁵⁰ µs on; MissingDependencyError without h5py.
    """
    source = str(path)
    check_recording(recording, source)
    _check_holds(recording, source)
    h5py = require("h5py", "writing SHD files")
    with tempfile.TemporaryDirectory(dir=Path(path).parent, prefix=".localspike-") as folder:
        inside = Path(folder) / "file.h5"
        with h5py.File(inside, "w") as file:
            _fill(h5py, file, recording, source)
        store(Path(path), [inside.read_bytes()])


def _check_holds(recording: Recording, source: str) -> None:
    events = recording.events
    if recording.sensor != CHANNELS or (len(events) and int(events["t"].max()) >= LATEST):
        raise DataError(
            f"{source}: SHD cannot hold this recording",
            got=f"{recording.sensor}, times up to {events['t'].max(initial=0)} µs",
            expected=f"{CHANNELS}, times below {LATEST} µs",
            fix="Use write_npz, which holds every sensor",
        )


def _fill(h5py: Any, file: Any, recording: Recording, source: str) -> None:
    count = len(recording.offsets) - 1
    ends = recording.offsets.tolist()
    for name, column, kind in (("times", "t", np.float64), ("units", "x", np.uint16)):
        rows = np.empty(count, dtype=object)
        values = recording.events[column]
        values = values / 1e6 if column == "t" else values
        for at in range(count):
            rows[at] = values[ends[at] : ends[at + 1]].astype(kind)
        file.create_dataset(f"spikes/{name}", data=rows, dtype=h5py.vlen_dtype(np.dtype(kind)))
    for name, place in (("labels", "labels"), ("speaker", "extra/speaker")):
        if name in recording.meta:
            file.create_dataset(place, data=_one_each(recording.meta[name], name, count, source))
    if "keys" in recording.meta:
        words = [str(word).encode() for word in recording.meta["keys"]]
        file.create_dataset("extra/keys", data=words, dtype=h5py.string_dtype())


def _one_each(values: Any, name: str, count: int, source: str) -> NDArray[np.integer]:
    array = np.asarray(values)
    if array.shape != (count,) or array.dtype.kind not in "iu":
        raise DataError(
            f"{source}: {name} do not fit the recordings",
            got=f"{array.dtype} {list(array.shape)}",
            expected=f"{count} integers",
        )
    return array
