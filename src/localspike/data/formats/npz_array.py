"""Arrays of an npz file, taken piece by piece. (NumPy's "npy format" page.)"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..files import DAMAGE, first_line
from .extent import BLOCK
from .source import bad
from .zipped import Entry

KINDS = {
    "t": "<i8", "x": "<u2", "y": "<u2", "p": "|u1", "offsets": "<i8", "sensor": "<i8",
    "meta": "|u1",
}  # fmt: skip
MAGIC = b"\x93NUMPY\x01\x00"
HEADER = re.compile(
    r"\{'descr': '([<|a-z0-9]+)', 'fortran_order': (?:False|True), 'shape': \((\d+),\),? ?\} *\n",
    re.ASCII,
)


@contextmanager
def damage(source: str, at: int) -> Iterator[None]:
    """What the zip reader raises for an archive that is not whole, as DataError."""
    try:
        yield
    except (*DAMAGE, OSError) as error:
        raise bad(
            source, at, "not a whole npz file of events",
            got=f"{type(error).__name__}: {first_line(error)}"[:200].rstrip(": "),
            expected=f"the arrays {', '.join(KINDS)}",
        ) from error  # fmt: skip


class Array:
    """One array of the archive open as ``file``; nothing is allocated on its header's word.

    ``at`` is where its entry begins. Raises DataError.
    """

    def __init__(self, file: IO[bytes], info: zipfile.ZipInfo, name: str, source: str) -> None:
        self.at, self._name, self._source = info.header_offset, name, source
        self._dtype = np.dtype(KINDS[name])
        with damage(source, self.at):
            self._stream = Entry(file, info)
            self.count = self._announced()

    def _announced(self) -> int:
        """Elements of a one-dimensional array of the right kind, from its header.

        NumPy evaluates a header as Python; here it has to be as NumPy writes it.
        """
        start = self._stream.read(len(MAGIC) + 2)
        if not start.startswith(MAGIC):  # later versions allow headers of any size
            raise ValueError(f"{self._name} begins with {start!r}, not {MAGIC!r}")
        text = self._stream.read(int.from_bytes(start[-2:], "little")).decode("latin-1")
        found = HEADER.fullmatch(text)
        if found is None or found[1] != self._dtype.str:
            said = repr(text.strip()[:80])
            raise ValueError(f"{self._name} is {said}, not {self._dtype} in one dimension")
        return int(found[2])

    def take(self, count: int) -> NDArray[Any]:
        """The next ``count`` elements."""
        wanted = count * self._dtype.itemsize
        with damage(self._source, self.at):
            data = self._stream.read(wanted)
        if len(data) != wanted:
            raise bad(
                self._source, self.at, f"array {self._name} cut short",
                got=f"{len(data)} bytes for {count} elements", expected=f"{wanted}",
            )  # fmt: skip
        return np.frombuffer(data, self._dtype)

    def pieces(self) -> Iterator[NDArray[Any]]:
        """All elements, so many at a time that they stay in the processor's cache."""
        for first in range(0, self.count, BLOCK):
            yield self.take(min(BLOCK, self.count - first))

    def finish(self) -> None:
        """Refuse the array unless all of it was taken and its checksum is right."""
        with damage(self._source, self.at):
            self._stream.finish()
