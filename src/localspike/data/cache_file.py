"""One cache entry in one file: a digest, a header and arrays, whole or refused.

    magic 8 · version u32 · length of the header u32 · blake2b-256 of these three and the header
    header: JSON, padded with spaces to a multiple of 64 bytes
    arrays, each at a multiple of 64 bytes, their blake2b-256 in the header

All numbers are little-endian. Every byte is under one of the two digests.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cache_lock import share

MAGIC, VERSION, ALIGN = b"\x93LSCACHE", 1, 64
PROLOGUE = struct.Struct("<8sII32s")
KINDS = ("|u1", "<i4", "<i8")
"""The dtypes an entry may hold."""

Arrays = Mapping[str, NDArray[Any]]


class Damaged(Exception):
    """A file that is not, byte for byte, an entry as it was written; the text says in what."""


@dataclass(frozen=True)
class Entry:
    """What an entry holds: ``about`` (plain JSON), and arrays mapped from the file.

    The arrays may be written to; that reaches neither the file nor other readers.
    """

    about: dict[str, Any]
    arrays: Arrays
    nbytes: int


def compose(about: Mapping[str, Any], arrays: Arrays) -> list[memoryview]:
    """An entry as the pieces to be written one after the other.

    >>> sum(map(len, compose({}, {"labels": np.zeros(3, np.int64)}))) % 64
    24
    """
    table: dict[str, tuple[str, tuple[int, ...], int]] = {}
    body: list[memoryview] = []
    size = 0
    for name, array in arrays.items():
        solid = np.ascontiguousarray(array)
        body.append(memoryview(bytes(-size % ALIGN)))
        size += len(body[-1])
        table[name] = (solid.dtype.str, solid.shape, size)
        body.append(solid.reshape(-1).view(np.uint8).data)
        size += solid.nbytes
    total = _digest()
    for piece in body:
        total.update(piece)
    header = _header({"about": about, "arrays": table, "size": size, "digest": total.hexdigest()})
    return [memoryview(header), *body]


def _header(content: Mapping[str, Any]) -> bytes:
    text = json.dumps(content).encode()
    text += b" " * (-(PROLOGUE.size + len(text)) % ALIGN)
    return PROLOGUE.pack(MAGIC, VERSION, len(text), _signed(VERSION, text)) + text


def _digest() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=32)


def _signed(version: int, text: bytes) -> bytes:
    start = struct.pack("<8sII", MAGIC, version, len(text))
    return hashlib.blake2b(start + text, digest_size=32).digest()


def read_entry(path: Path) -> Entry:
    """Verify every byte of an entry, then map its arrays.

    The file counts as used (see cache_lock) as long as any of the arrays lives.
    Raises Damaged, and OSError when the file is not there, is being removed or cannot be opened.
    """
    with _opened(path) as stream:
        header, start = _read_header(stream)
        size = os.fstat(stream.fileno()).st_size
        if size - start != header["size"]:
            raise Damaged(f"{size} bytes instead of {start + header['size']}")
        digest = hashlib.file_digest(stream, _digest)
        if digest.hexdigest() != header["digest"]:
            raise Damaged("its arrays do not match their digest")
        # Read before it is mapped: a bad disk is an error here and the end of the process there.
        mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
    arrays = {name: _array(mapped, start, *place) for name, place in header["arrays"].items()}
    return Entry(header["about"], arrays, size)


def read_about(path: Path) -> dict[str, Any]:
    """What an entry says of itself, its header verified, its arrays not. Raises as `read_entry`."""
    with _opened(path) as stream:
        about: dict[str, Any] = _read_header(stream)[0]["about"]
        return about


def _opened(path: Path) -> FileIO:
    # Not to wait for a writer, should someone have put a pipe there.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise Damaged("not a file")
        if not share(handle):
            raise FileNotFoundError(path)
        return os.fdopen(handle, "rb", buffering=0)
    except BaseException:
        os.close(handle)
        raise


def _read_header(stream: FileIO) -> tuple[dict[str, Any], int]:
    """The header and where the arrays begin; the stream stands there."""
    start = stream.read(PROLOGUE.size)
    if len(start) < PROLOGUE.size or not start.startswith(MAGIC):
        raise Damaged("not a cache entry")
    _, version, length, digest = PROLOGUE.unpack(start)
    if version != VERSION:
        raise Damaged(f"of version {version} instead of {VERSION}")
    # The length is not to be trusted yet, and no file is asked for more than it has.
    left = os.fstat(stream.fileno()).st_size - PROLOGUE.size
    text = stream.read(length) if length <= left else b""
    if _signed(version, text) != digest:
        raise Damaged("its header does not match its digest")
    header: dict[str, Any] = json.loads(text)
    return header, PROLOGUE.size + length


def _array(mapped: mmap.mmap, start: int, kind: str, shape: list[int], offset: int) -> NDArray[Any]:
    if kind not in KINDS:
        raise Damaged(f"numbers of type {kind}")
    flat = np.frombuffer(mapped, np.dtype(kind), math.prod(shape), start + offset)
    return flat.reshape(shape)
