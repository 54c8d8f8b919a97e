"""Event files too long for memory, read and written piece by piece.

Formats: DAT, the 5-byte events of N-MNIST, npz as ``write_npz`` writes it (compressed or not), and
npy, one array of dtype ``EVENT``, which `save_chunks` writes. No file is mapped into memory: what
was read of a mapped file counts as resident until the system wants it back.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, DataError, os_advice, os_reason
from .arguments import check_positive, check_rising
from .events import EVENT, make_events
from .files import DAMAGE, NPY, first_line, unreadable
from .formats import dat, nmnist, npz, raw
from .formats.extent import PLACED
from .formats.source import DAMAGED, MAX_HEADER, bad, text_header

Chunks = Iterator[NDArray[np.void]]
CHUNK = 1 << 16
# What NumPy's parser of headers raises for some that are not its own.
_DAMAGE = (*DAMAGE, RecursionError, SyntaxError, TokenError, AttributeError, TypeError)


def chunks_of(
    path: str | os.PathLike[str], events: int = CHUNK, *, form: str | None = None
) -> Chunks:
    """The events of a file with one recording, at most ``events`` at a time, dtype ``EVENT``.

    ``form`` is "dat", "nmnist", "npz" or "npy"; None finds it by content, except for "nmnist",
    which has no header. Times are unwrapped across chunks; coordinates are checked by whoever
    knows the sensor (`stream_frames`). Raises ConfigError for an unknown form; DataError for a file
    that is missing or of another format now, for what is damaged when it is come to.
    """
    check_positive(events=events)
    if form is not None and form not in _READERS:
        raise ConfigError("form", got=repr(form), expected=" or ".join(map(repr, _READERS)))
    source = Path(path)
    head = _head(source)
    return _guarded(_READERS[form or _form(head, source)](source, head, events), source)


def save_chunks(path: str | os.PathLike[str], chunks: Iterable[NDArray[np.void]]) -> int:
    """Write the events of all chunks as one npy file of dtype ``EVENT``; how many there were.

    The file is whole or absent. Raises DataError for chunks of another dtype or whose times run
    backwards, and where the file cannot be written.
    """
    target = Path(path)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with os.fdopen(handle, "wb") as stream:
            count = _write_npy(stream, chunks, str(target))
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
        temporary = None
    except OSError as error:
        raise DataError(
            f"{target}: cannot be written", got=os_reason(error), fix=os_advice(error)
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
    return count


def _write_npy(stream: IO[bytes], chunks: Iterable[NDArray[np.void]], source: str) -> int:
    """NumPy leaves room in a header for the count to grow: it is written first and again last."""
    count = last = 0
    size = _write_header(stream, 0)
    for number, chunk in enumerate(chunks):
        if chunk.dtype != EVENT or chunk.ndim != 1:
            raise DataError(
                f"{source}: chunk {number} is no array of events",
                got=f"{chunk.dtype} {list(chunk.shape)}",
                expected=f"one dimension of {EVENT}",
                fix="Make it with make_events",
            )
        check_rising(chunk["t"], last, f"{source}: chunk {number}")
        last = int(chunk["t"][-1]) if len(chunk) else last
        count += len(chunk)
        stream.write(chunk.tobytes())
    stream.seek(0)
    if _write_header(stream, count) != size:
        raise OSError(f"no room for {count} in the header")
    return count


def _write_header(stream: IO[bytes], count: int) -> int:
    kind = np.lib.format.dtype_to_descr(EVENT)
    about = {"descr": kind, "fortran_order": False, "shape": (count,)}
    np.lib.format.write_array_header_1_0(stream, about)
    return stream.tell()


def _head(path: Path) -> bytes:
    """The beginning of a regular file: what names its format, and a text header."""
    if path.exists() and not path.is_file():
        raise DataError(
            f"{path}: cannot be read", got="no regular file", expected="a file of events",
            fix="Name the file itself",
        )  # fmt: skip
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_HEADER + 2)
    except OSError as error:
        raise unreadable(path, error) from error


def _form(head: bytes, path: Path) -> str:
    for magic, form in ((NPY, "npy"), (npz.MAGIC, "npz")):
        if head.startswith(magic):
            return form
    if head.startswith(b"%"):
        lines, start = text_header(head, b"%", "% end", str(path))
        if not raw.encoding(lines) and dat.is_dat(head, start):
            return "dat"
    raise DataError(
        f"{path}: not in a format that can be read in pieces",
        got=f"a file that begins with {head[:8]!r}" if head else "an empty file",
        expected="DAT, npz or npy; 5-byte events if form='nmnist' says so",
        fix="Read it whole with formats.read, and write it with save_chunks",
    )


def _guarded(chunks: Chunks, path: Path) -> Chunks:
    """What a damaged file makes NumPy and the zip reader raise, as DataError."""
    try:
        yield from chunks
    except DataError:
        raise
    except (*_DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise unreadable(path, error) from error
        raise DataError(
            f"{path}: not a whole file of events",
            got=f"{type(error).__name__}: {first_line(error)}"[:200].rstrip(": "),
            fix=DAMAGED,
        ) from error


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
        count, start = _npy_count(stream, EVENT), stream.tell()
    size = path.stat().st_size
    if size != start + count * EVENT.itemsize:
        raise bad(
            str(path), start, "array cut short or too long", got=f"{size - start} bytes",
            expected=f"{count} events of {EVENT.itemsize} bytes",
        )  # fmt: skip
    yield from _records(path, start, EVENT, events)


def _npy_count(stream: IO[bytes], dtype: str | np.dtype[Any]) -> int:
    """Elements of a one-dimensional array of ``dtype``, by its header; ValueError for others."""
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError(f"version {version} of the npy format")
    shape, _, found = np.lib.format.read_array_header_1_0(stream)
    if found != np.dtype(dtype) or len(shape) != 1 or shape[0] < 0:
        raise ValueError(f"{found} {list(shape)}, not {dtype} in one dimension")
    return int(shape[0])


def _npz(path: Path, head: bytes, events: int) -> Chunks:
    with ExitStack() as stack:
        archive = stack.enter_context(zipfile.ZipFile(path))
        with archive.open("offsets.npy") as stream:
            recordings = _npy_count(stream, npz.KINDS["offsets"]) - 1
            ends = _column(stream, "offsets", 2) if recordings == 1 else None
        if ends is None:
            raise DataError(
                f"{path}: holds several recordings", got=recordings, expected="one",
                fix="Read it whole with formats.read_npz",
            )  # fmt: skip
        columns = {name: stack.enter_context(archive.open(f"{name}.npy")) for name in "txyp"}
        counts = {name: _npy_count(columns[name], npz.KINDS[name]) for name in columns}
        if {*counts.values()} != {int(ends[1])} or ends[0] != 0:
            raise ValueError(f"columns {counts} for offsets {ends.tolist()}")
        for first in range(0, counts["t"], events):
            number = min(events, counts["t"] - first)
            t, x, y, p = (_column(columns[name], name, number) for name in columns)
            yield make_events(t, x, p, y)


def _column(stream: IO[bytes], name: str, count: int) -> NDArray[Any]:
    wanted = count * np.dtype(npz.KINDS[name]).itemsize
    content = stream.read(wanted)
    if len(content) != wanted:
        raise EOFError(f"array {name} cut short")
    return np.frombuffer(content, npz.KINDS[name])


_READERS: dict[str, Callable[[Path, bytes, int], Chunks]] = {
    "dat": _dat,
    "nmnist": _nmnist,
    "npz": _npz,
    "npy": _npy,
}
