"""The IDX format of MNIST, plain or gzipped, read without trusting a size it states.

Big-endian: two zero bytes, one byte for the type (0x08: unsigned byte), one for the number of
dimensions d, then d sizes of 4 bytes, then the values, last index fastest. Source: the format's
description beside the MNIST files.
"""

from __future__ import annotations

import gzip
import zlib
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .files import unreadable

GZIP = b"\x1f\x8b"
UNSIGNED_BYTE = 8
LIMIT = 1 << 28
"""Values a file may hold: 256 MiB, five times Fashion-MNIST's training images."""
CHUNK = 1 << 20
FETCH = "Get the file again; it is damaged or of another format"


def read_idx(path: Path, dimensions: int, limit: int = LIMIT) -> NDArray[np.uint8]:
    """The array of unsigned bytes in an IDX file, which may be gzipped.

    At most ``limit`` values are ever read, and memory is taken as they come, whatever the header
    promises. Raises DataError for a file that is missing, damaged, foreign, too large, truncated,
    longer than its header says, or not of so many ``dimensions``.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "labels"
    >>> _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 5]))
    >>> read_idx(path, 1)
    array([7, 5], dtype=uint8)
    """
    try:
        with path.open("rb") as stream:
            zipped = stream.read(2) == GZIP
            stream.seek(0)
            if not zipped:
                return _read(path, stream, dimensions, limit)
            with gzip.GzipFile(fileobj=stream) as unzipped:
                return _read(path, unzipped, dimensions, limit)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path}: not a whole gzip file",
            got=f"{type(error).__name__}: {error}",
            expected="the file as it was published",
            fix=FETCH,
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error


def _read(
    path: Path, stream: BinaryIO | gzip.GzipFile, dimensions: int, limit: int
) -> NDArray[np.uint8]:
    shape = _shape(path, _exactly(stream, 4 + 4 * dimensions), dimensions)
    count = prod(shape)
    if count > limit:
        raise DataError(
            f"{path}: too large",
            got=f"{count} values ({' x '.join(map(str, shape))})",
            expected=f"at most {limit}",
            fix=FETCH,
        )
    # One byte more than promised tells a file that goes on.
    content = _exactly(stream, count + 1)
    if len(content) != count:
        held = "more" if len(content) > count else f"{len(content)}"
        raise DataError(
            f"{path}: length does not match its header",
            got=f"{held} values at byte {4 + 4 * dimensions}",
            expected=f"{count} ({' x '.join(map(str, shape))})",
            fix=FETCH,
        )
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def _shape(path: Path, header: bytes, dimensions: int) -> tuple[int, ...]:
    magic = bytes([0, 0, UNSIGNED_BYTE, dimensions])
    if len(header) < 4 + 4 * dimensions or header[:4] != magic:
        raise DataError(
            f"{path}: not an IDX file of {dimensions} dimensions",
            got=f"{header[:4].hex(' ')} at byte 0" if header else "an empty file",
            expected=f"{magic.hex(' ')}, then {dimensions} sizes of 4 bytes",
            fix=FETCH,
        )
    sizes = np.frombuffer(header, dtype=">u4", offset=4)
    return tuple(int(size) for size in sizes)


def _exactly(stream: BinaryIO | gzip.GzipFile, count: int) -> bytes:
    """``count`` bytes, or all there are; never a buffer for bytes that do not come."""
    content = bytearray()
    while len(content) < count:
        piece = stream.read(min(CHUNK, count - len(content)))
        if not piece:
            break
        content += piece
    return bytes(content)
