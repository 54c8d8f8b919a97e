"""Entries of a ZIP archive in memory, unpacked piece by piece: never more than is asked for.

Layout (PKWARE, "APPNOTE.TXT", 4.3.7): before its data an entry repeats its name behind a header of
30 bytes that has the lengths of the name and of an extra field at 26 and 28. Where entries begin,
their sizes and checksums come from the central directory, read by ``zipfile``.
"""

from __future__ import annotations

import zipfile
import zlib

STEP = 1 << 16  # packed bytes handed over at a time: what is left of them is copied
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
HEADER, SIGNATURE, ENCRYPTED = 30, b"PK\x03\x04", 1


class Entry:
    """The content of one entry, as a stream.

    Raises ValueError or zlib.error for an entry that is not whole or compressed in another way.
    """

    def __init__(self, content: bytes, info: zipfile.ZipInfo) -> None:
        if info.compress_type not in METHODS or info.flag_bits & ENCRYPTED:
            raise ValueError(f"{info.filename} is compressed in an unusual way")
        self._name, self._sum, self._expected = info.filename, 0, info.CRC
        self._packed = _packed(content, info)
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
            part, self._packed = bytes(self._packed[:most]), self._packed[most:]
            return part
        while not self._inflate.eof:
            packed = self._held or self._packed[:STEP]
            self._packed = self._packed[0 if self._held else STEP :]
            part = self._inflate.decompress(packed, most)
            self._held = self._inflate.unconsumed_tail
            if part or not (self._held or self._packed):
                return part
        return b""

    def finish(self) -> None:
        """Raise ValueError unless all has been read and is what was packed."""
        if self.read(1):
            raise ValueError(f"{self._name} is longer than its header says")
        if self._sum != self._expected:
            raise ValueError(f"{self._name} has checksum {self._sum:#x}, not {self._expected:#x}")


def _packed(content: bytes, info: zipfile.ZipInfo) -> memoryview:
    at = info.header_offset
    head = content[max(0, at) : at + HEADER]
    if len(head) < HEADER or not head.startswith(SIGNATURE):
        raise ValueError(f"{info.filename} is not where the archive says")
    start = (
        at + HEADER + int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:], "little")
    )
    packed = memoryview(content)[start : start + info.compress_size]
    if len(packed) < info.compress_size:
        raise ValueError(f"{info.filename} is cut short")
    return packed
