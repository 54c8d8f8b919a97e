"""Bounds-checked reading of the few FlatBuffers shapes that event files use.

A buffer begins with the offset of its root table and a four-letter name; a table begins with the
(signed) way back to its vtable, which holds the places of its fields; vectors and strings begin
with their length. (flatbuffers.dev, "FlatBuffer Internals".) All little-endian.
"""

from __future__ import annotations

import struct

from .source import bad


class Table:
    """The root table of the buffer ``content[start:stop]``; every step is checked."""

    def __init__(
        self, content: bytes | memoryview, start: int, stop: int, name: bytes, source: str
    ) -> None:
        self.content, self.start, self.stop, self.source = content, start, stop, source
        found = bytes(content[start + 4 : start + 8]) if stop - start >= 8 else b""
        if found != name:
            raise bad(
                source, start, "not the FlatBuffer that belongs here", got=repr(found),
                expected=repr(name),
            )  # fmt: skip
        self.table = start + self._number("<I", start)
        self.vtable = self.table - self._number("<i", self.table)
        self.size = self._number("<H", self.vtable)

    def _number(self, form: str, at: int) -> int:
        if not self.start <= at <= self.stop - struct.calcsize(form):
            raise bad(
                self.source, at, "FlatBuffer points outside itself",
                got=f"position {at - self.start}", expected=f"0 … {self.stop - self.start}",
            )  # fmt: skip
        return int(struct.unpack_from(form, self.content, at)[0])

    def _field(self, index: int) -> int:
        """Where field ``index`` lies, 0 where it is left at its default."""
        slot = 4 + 2 * index
        if slot + 2 > self.size:
            return 0
        inside = self._number("<H", self.vtable + slot)
        return self.table + inside if inside else 0

    def number(self, index: int, form: str, default: int) -> int:
        """The integer field ``index``, of struct format ``form``."""
        at = self._field(index)
        return self._number(form, at) if at else default

    def vector(self, index: int, size: int, stop: int | None = None) -> tuple[int, int]:
        """(first byte, number of elements) of the vector field ``index``; (start, 0) if absent.

        ``stop`` is where the buffer ends, if not all of it is at hand.
        """
        at, stop = self._field(index), self.stop if stop is None else stop
        if not at:
            return self.start, 0
        first = at + self._number("<I", at)
        count = self._number("<I", first)
        if count * size > stop - first - 4:
            raise bad(
                self.source, first, "FlatBuffer vector longer than its buffer",
                got=f"{count} elements of {size} bytes",
                expected=f"at most {stop - first - 4} bytes",
            )  # fmt: skip
        return first + 4, count

    def text(self, index: int) -> str:
        """The string field ``index``, "" where it is absent."""
        first, count = self.vector(index, 1)
        return bytes(self.content[first : first + count]).decode("utf-8", "replace")
