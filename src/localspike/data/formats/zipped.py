"""Entries of a ZIP archive, unpacked piece by piece: never more than is asked for.

Layout (PKWARE, "APPNOTE.TXT", 4.3.7): before its data an entry repeats its name behind a header of
30 bytes that has the lengths of the name and of an extra field at 26 and 28. Where entries begin,
their sizes and checksums come from the central directory, read by ``zipfile``.
"""

from __future__ import annotations

import zipfile
import zlib
from typing import IO

STEP = 1 << 16  # packed bytes handed over at a time: what is left of them is copied
LARGEST = 1 << 20  # bytes read at once
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
HEADER, SIGNATURE, ENCRYPTED = 30, b"PK\x03\x04", 1


class Entry:
    """The content of one entry of the archive that is open as ``file``, as a stream.

    Raises ValueError or zlib.error for an entry that is not whole or compressed in another way.
    """

    def __init__(self, file: IO[bytes], info: zipfile.ZipInfo) -> None:
        if info.compress_type not in METHODS or info.flag_bits & ENCRYPTED:
            raise ValueError(f"{info.filename} is compressed in an unusual way")
        self._name, self._sum, self._expected = info.filename, 0, info.CRC
        self._file, self._at = file, _start(file, info)
        self._end = self._at + info.compress_size
        self._inflate = zlib.decompressobj(-15) if info.compress_type else None
        self._held = b""

    def read(self, count: int = STEP, /) -> bytes:
        """The next ``count`` bytes, fewer at the end."""
        parts, left = [], count
        while left > 0 and (part := self._next(left)):
            self._sum = zlib.crc32(part, self._sum)
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def _next(self, most: int) -> bytes:
        """Some further bytes, b"" at the end."""
        if self._inflate is None:
            return self._packed(min(most, LARGEST))
        while not self._inflate.eof:
            packed = self._held or self._packed(STEP)
            part = self._inflate.decompress(packed, most)
            self._held = self._inflate.unconsumed_tail
            if part or not packed:
                return part
        return b""

    def _packed(self, most: int) -> bytes:
        """Some further bytes as they lie in the archive, b"" at the end."""
        self._file.seek(self._at)
        part = self._file.read(min(most, self._end - self._at))
        self._at += len(part)
        return part

    def finish(self) -> None:
        """Raise ValueError unless all has been read and is what was packed."""
        if self.read(1):
            raise ValueError(f"{self._name} is longer than its header says")
        if self._sum != self._expected:
            raise ValueError(f"{self._name} has checksum {self._sum:#x}, not {self._expected:#x}")


def _start(file: IO[bytes], info: zipfile.ZipInfo) -> int:
    """Where the data of an entry begin."""
    at = info.header_offset
    file.seek(max(0, at))
    head = file.read(HEADER) if at >= 0 else b""
    if len(head) < HEADER or not head.startswith(SIGNATURE):
        raise ValueError(f"{info.filename} is not where the archive says")
    return at + HEADER + int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:], "little")
