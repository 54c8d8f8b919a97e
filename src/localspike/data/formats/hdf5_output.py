"""What ``hdf5_child.py`` says about a file, read while it is still writing.

The child writes to a temporary file: neither process waits for the other's memory, and on two cores
they work at the same time.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO

from .child import Child, Decoder

DECODER = Decoder(
    Path(__file__).with_name("hdf5_child.py"),
    "HDF5",
    "not a whole SHD or SSC file",
    "spikes/times and spikes/units, one array per recording",
)
NAP, STEP = 0.002, 1 << 20


class Output:
    """What the child writes about the file ``path`` of ``size`` bytes, in a ``with`` statement.

    Everything raises DataError once the child refused or died (see `Child`).
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path, self._size, self._at = path, size, 0

    def __enter__(self) -> Output:
        self._file: IO[bytes] = tempfile.TemporaryFile()
        self._child = Child(DECODER, self._path, self._size, self._file)
        self._end = time.monotonic() + self._child.patience
        try:
            self._child.__enter__()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._child.__exit__(kind, error, trace)
        self._file.close()

    def read(self, count: int) -> bytes:
        """The next ``count`` bytes, fewer only where the child has ended as it should."""
        parts, left = [], count
        while left:
            ended = self._ended()
            # The position of the file itself is the child's.
            part = os.pread(self._file.fileno(), min(left, STEP), self._at)
            parts.append(part)
            self._at, left = self._at + len(part), left - len(part)
            if not part and ended:
                break
        return b"".join(parts)

    def exactly(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        content = self.read(count)
        if len(content) < count:
            raise self._child.died(f"{len(content)} of {count} bytes from it")
        return content

    def line(self) -> bytes:
        """The next line, which is short."""
        line = b""
        while not line.endswith(b"\n"):
            line += self.exactly(1)
        return line

    def _ended(self) -> bool:
        """Whether all is written; waits a little if nothing is there to be read."""
        left = os.fstat(self._file.fileno()).st_size - self._at
        if left == 0 and not self._child.ended():
            if time.monotonic() > self._end:
                raise self._child.died(f"no end after {self._child.patience:.0f} s")
            time.sleep(NAP)
        return self._child.ended()
