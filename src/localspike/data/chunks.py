"""Event files too long for memory, read and written piece by piece.

Formats: AEDAT 2.0, 3.1 and 4, DAT, EVT2, EVT3, the 5-byte events of N-MNIST, npz as ``write_npz``
writes it (compressed or not), and npy, one array of dtype ``EVENT``, which `save_chunks` writes. No
file is mapped into memory: what was read of a mapped file counts as resident until the system wants
it back.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from tokenize import TokenError
from typing import IO

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, DataError, os_advice, os_reason
from .arguments import check_positive, check_rising
from .chunk_readers import RAW, READERS, Chunks
from .events import EVENT
from .files import DAMAGE, NPY, first_line, unreadable
from .formats import aedat2, aedat3, aedat4, dat, npz, raw
from .formats.source import DAMAGED, MAX_HEADER, text_header

CHUNK = 1 << 16
MAGICS = (
    (NPY, "npy"), (npz.MAGIC, "npz"), (aedat2.MAGIC, "aedat2"), (aedat3.MAGIC, "aedat3"),
    (aedat4.MAGIC, "aedat4"),
)  # fmt: skip
# What NumPy's parser of headers raises for some that are not its own.
_DAMAGE = (*DAMAGE, RecursionError, SyntaxError, TokenError, AttributeError, TypeError)


def chunks_of(
    path: str | os.PathLike[str], events: int = CHUNK, *, form: str | None = None
) -> Chunks:
    """The events of a file with one recording, at most ``events`` at a time, dtype ``EVENT``.

    ``form`` is "aedat2", "aedat3", "aedat4", "dat", "evt2", "evt3", "nmnist", "npz" or "npy"; None
    finds it by content, except for "nmnist", which has no header. Times are unwrapped across
    chunks; coordinates are checked by whoever knows the sensor (`stream_frames`). What is no event,
    or has no time or place, is left out as by the readers of whole files; AEDAT 4 must have one
    event stream, of which a packet at a time is held. Raises ConfigError for an unknown form;
    DataError for a file that is missing or of another format now, for what is damaged when it is
    come to.
    """
    check_positive(events=events)
    if form is not None and form not in READERS:
        raise ConfigError("form", got=repr(form), expected=" or ".join(map(repr, READERS)))
    source = Path(path)
    head = _head(source)
    return _guarded(READERS[form or _form(head, source)](source, head, events), source)


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
    for magic, form in MAGICS:
        if head.startswith(magic):
            return form
    if head.startswith(b"%"):
        lines, start = text_header(head, b"%", "% end", str(path))
        named = raw.encoding(lines)
        if named in RAW or (not named and dat.is_dat(head, start)):
            return named or "dat"
    raise DataError(
        f"{path}: not in a format that can be read in pieces",
        got=f"a file that begins with {head[:8]!r}" if head else "an empty file",
        expected="AEDAT, DAT, EVT2, EVT3, npz or npy; 5-byte events if form='nmnist' says so",
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
            expected="events to the end, as their header announces them",
            fix=DAMAGED,
        ) from error
