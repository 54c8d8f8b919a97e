"""Bytes in and out: bounded reading, text headers, wrapped clocks, atomic writing."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Protocol

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError, os_advice, os_reason
from ..events import Sensor
from ..files import read_bytes, unreadable

MAX_HEADER = 1 << 20
DAMAGED = "Get the file again; it is damaged, truncated or of another format"


def bad(
    source: str, offset: int, what: str, *, got: object, expected: object, fix: str = DAMAGED
) -> DataError:
    """The error for bytes that cannot be: file, offset, what, expected, what to do.

    >>> print(bad("a.raw", 7, "odd word", got=3, expected=4, fix="Look"))
    a.raw: odd word at byte 7: got 3; expected 4. Look.
    """
    return DataError(f"{source}: {what} at byte {offset}", got=got, expected=expected, fix=fix)


def load(path: Path) -> bytes:
    """The content of a regular file; DataError for anything else (a pipe would never end)."""
    regular(path)
    return read_bytes(path)


def beginning(path: Path, count: int) -> bytes:
    """The first ``count`` bytes of a regular file, or all of a shorter one; DataError."""
    regular(path)
    try:
        with path.open("rb") as stream:
            return stream.read(count)
    except OSError as error:
        raise unreadable(path, error) from error


def regular(path: Path) -> int:
    """The size of a regular file in bytes; DataError for anything else."""
    try:
        found = path.stat()
    except OSError as error:
        raise unreadable(path, error) from error
    if not stat.S_ISREG(found.st_mode):
        raise DataError(
            f"{path}: cannot be read",
            got="a folder" if stat.S_ISDIR(found.st_mode) else "a pipe or device",
            expected="a regular file",
            fix="Name the file itself",
        )
    return found.st_size


class Content(Protocol):
    """The bytes of a file, held (a memoryview) or read where they are asked for (`OnDisk`)."""

    def __len__(self) -> int: ...
    def __getitem__(self, part: slice, /) -> bytes | memoryview: ...


class OnDisk:
    """A file of which only what is sliced is read, with two ends given.

    >>> handle, name = tempfile.mkstemp()
    >>> os.write(handle, b"abcdef"), os.close(handle)
    (6, None)
    >>> with open(name, "rb") as stream:
    ...     len(OnDisk(stream)), OnDisk(stream)[2:4]
    (6, b'cd')
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._size = stream, os.fstat(stream.fileno()).st_size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice, /) -> bytes:
        self._stream.seek(part.start)
        return self._stream.read(part.stop - part.start)


def store(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write a file that is whole or absent: into a temporary name beside it, then renamed."""
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as stream:
            for part in parts:
                stream.write(part)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written", got=os_reason(error), fix=os_advice(error)
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def text_header(content: bytes, prefix: bytes, end: str, source: str) -> tuple[list[str], int]:
    """The lines at the start that begin with ``prefix``, and where the data begin.

    A line that holds ``end`` (in any case) is the last one. Raises DataError for a line without an
    end, and for a header of more than ``MAX_HEADER`` bytes, which no recorder writes.
    """
    lines: list[str] = []
    start = 0
    while content.startswith(prefix, start):
        stop = content.find(b"\n", start, start + MAX_HEADER)
        if stop < 0 or stop > MAX_HEADER:
            raise bad(
                source, start, "header does not end", got=f"{len(lines)} whole lines",
                expected=f"lines that end, {MAX_HEADER} bytes in all",
            )  # fmt: skip
        line = content[start:stop].decode("utf-8", "replace").rstrip("\r")
        lines.append(line)
        start = stop + 1
        if end in line.lower():
            break
    return lines, start


def records(
    content: bytes, start: int, dtype: np.dtype[np.void] | str, source: str
) -> NDArray[np.void]:
    """All whole records of ``dtype`` from ``start`` to the end; DataError if some bytes are left.

    >>> records(bytes([1, 0, 2, 0]), 0, "<u2", "toy").tolist()
    [1, 2]
    """
    size = np.dtype(dtype).itemsize
    extra = (len(content) - start) % size
    if extra:
        raise bad(
            source, len(content) - extra, "half a record", got=f"{extra} bytes",
            expected=f"records of {size} bytes",
        )  # fmt: skip
    if len(content) == start:
        return np.zeros(0, dtype)
    array: NDArray[np.void] = np.frombuffer(content, dtype, offset=start)
    return array


def unwrap(clock: NDArray[np.integer], bits: int, before: int = -1) -> NDArray[np.int64]:
    """Times of a counter of ``bits`` bits that starts again from 0 when full.

    A step back of more than half the range is an overflow; a smaller one is kept, since it is a
    fault of the file. ``before`` is the counter's last value before these, -1 for none.

    >>> unwrap(np.array([250, 3, 2]), 8).tolist()
    [250, 259, 258]
    """
    wide = clock.astype(np.int64)
    step = np.diff(wide, prepend=before if before >= 0 else wide[:1])
    wraps = np.cumsum(step < -(1 << (bits - 1)), dtype=np.int64)
    wraps <<= bits
    wide += wraps
    return wide


class Counter:
    """``unwrap`` for a counter that is read block by block.

    >>> counter = Counter(8)
    >>> counter(np.array([250, 3], np.uint8)).tolist(), counter(np.array([2, 1])).tolist()
    ([250, 259], [258, 257])
    """

    def __init__(self, bits: int) -> None:
        self.bits, self._last, self._base = bits, -1, 0

    def __call__(self, clock: NDArray[np.integer]) -> NDArray[np.integer]:
        """The times of the next block."""
        if len(clock) == 0:
            return clock.astype(np.int64)
        before, self._last = self._last, int(clock[-1])
        if int(clock[0]) >= before and not (clock[1:] < clock[:-1]).any():
            return np.add(clock, self._base, dtype=np.int64) if self._base else clock
        times = unwrap(clock, self.bits, before)
        times += self._base
        self._base = int(times[-1]) - self._last
        return times


def wrapped(t: NDArray[np.int64], bits: int, source: str, name: str) -> NDArray[np.int64]:
    """Times as a counter of ``bits`` bits shows them; DataError unless ``unwrap`` gives them back.

    >>> wrapped(np.array([250, 259]), 8, "toy", "toy").tolist()
    [250, 3]
    """
    gap = np.diff(t, prepend=0)
    limit = np.full(len(t), 1 << (bits - 1), np.int64)
    limit[:1] = 1 << bits
    long = gap >= limit
    if long.any():
        at = int(long.argmax())
        raise DataError(
            f"{source}: {name} cannot hold these times",
            got=f"t = {t[at]} µs at event {at}, {gap[at]} µs after the one before",
            expected=f"steps below {limit[at]} µs",
            fix="Subtract the start time, or use write_npz",
        )
    low: NDArray[np.int64] = t & ((1 << bits) - 1)
    return low


def size_in(text: str) -> Sensor | None:
    """The camera of a size written as 640x480, None where there is none or it is absurd.

    >>> size_in("% geometry 640x480")
    Sensor(polarities=2, height=480, width=640)
    """
    found = re.search(r"\b(\d{1,5})x(\d{1,5})\b", text, re.ASCII)
    if found is None:
        return None
    return camera(int(found[1]), int(found[2]))


def camera(width: int, height: int) -> Sensor | None:
    """A camera of two polarities, None unless both sides are 1 … 65536."""
    return Sensor(2, height, width) if 1 <= width <= 65536 and 1 <= height <= 65536 else None
