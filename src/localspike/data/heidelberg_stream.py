"""SHD and SSC files read recording by recording, so that a file larger than memory can be used.

The reader of ``formats`` gives a whole file at once. Here the same child process (HDF5 is a large C
library, and the file may be hostile) writes into a pipe, and the events pass through.
"""

from __future__ import annotations

import json
import select
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..optional import require
from .events import EVENT
from .files import unreadable
from .formats.child import Child
from .formats.hdf5_output import DECODER
from .formats.shd import CHANNELS, MAGIC, announced, microseconds
from .formats.source import DAMAGED

PIECE = 1 << 20


@contextmanager
def open_shd(path: Path) -> Iterator[Stream]:
    """The file at ``path``: its labels and speakers, then its recordings once each, in order.

    Leaving early ends the child (see `Child`, also for its limits). Raises DataError, also when it
    dies of the file; MissingDependencyError without h5py.
    """
    size = _check_magic(path)
    require("h5py", "reading SHD and SSC files")
    with Child(DECODER, path, size, subprocess.PIPE) as child:
        yield Stream(path, child)


def _check_magic(path: Path) -> int:
    try:
        regular = stat.S_ISREG(path.stat().st_mode)  # to open a pipe might never end
        start = b""
        if regular:
            with path.open("rb") as stream:
                start = stream.read(len(MAGIC))
        size = path.stat().st_size
    except OSError as error:
        raise unreadable(path, error) from error
    if start != MAGIC:
        raise DataError(
            f"{path}: not an HDF5 file",
            got=_first(start, regular),
            expected=f"{MAGIC!r}",
            fix=DAMAGED,
        )
    return size


def _first(start: bytes, regular: bool) -> str:
    if not regular:
        return "a folder, pipe or device"
    return f"a file that begins with {start!r}" if start else "an empty file"


class Stream:
    """What comes from the child: ``labels``, ``speakers`` and ``keys``, the names of the classes
    (each None where the file or its reader has none), then one recording after another."""

    def __init__(self, path: Path, child: Child) -> None:
        self._path, self._child = path, child
        self._held = bytearray()
        self._output: IO[bytes] = child.process.stdout  # type: ignore[assignment]  # it is a pipe
        self._ready = select.poll()
        self._ready.register(self._output, select.POLLIN)
        info: dict[str, Any] = json.loads(self._line())
        self.count: int = info["count"]
        self.labels: list[int] | None = info.get("labels")
        self.speakers: list[int] | None = info.get("speaker")
        self.keys: list[str] | None = info.get("keys")

    def recordings(self) -> Iterator[NDArray[np.void]]:
        """Events of each recording: t in µs, x = channel."""
        number = 0
        while head := self._some(8):
            group, kind = announced(head)
            lengths = np.frombuffer(self._exactly(8 * group), np.int64)
            total = int(lengths.sum())
            events = np.zeros(total, EVENT)
            seconds: NDArray[Any] = np.frombuffer(self._exactly(kind.itemsize * total), kind)
            events["t"] = microseconds(seconds, str(self._path))
            events["x"] = np.frombuffer(self._exactly(2 * total), np.uint16)
            for one in np.split(events, np.cumsum(lengths)[:-1]):
                self._check(one, number)
                yield one
                number += 1
        self._child.wait()

    def _check(self, events: NDArray[np.void], number: int) -> None:
        off, early = events["x"] >= CHANNELS.width, events["t"] < 0
        if off.any() or early.any():
            at = int((off | early).argmax())
            raise DataError(
                f"{self._path}: impossible spike in recording {number}",
                got=f"channel {events['x'][at]} at {events['t'][at]} µs",
                expected=f"channels 0 … {CHANNELS.width - 1}, times >= 0",
                fix=DAMAGED,
            )

    def _line(self) -> bytes:
        while (end := self._held.find(b"\n")) < 0:
            if not self._more():
                raise self._cut_short()
        return self._take(end + 1)

    def _some(self, count: int) -> bytes:
        """``count`` bytes, or none at the end of the output."""
        while len(self._held) < count:
            if not self._more():
                if self._held:
                    raise self._cut_short()
                return b""
        return self._take(count)

    def _exactly(self, count: int) -> bytes:
        data = self._some(count)
        if len(data) < count:
            raise self._cut_short()
        return data

    def _take(self, count: int) -> bytes:
        taken = bytes(self._held[:count])
        del self._held[:count]
        return taken

    def _more(self) -> bool:
        """Wait for output; False at its end. Time that nobody reads is not the child's fault."""
        if not self._ready.poll(1000 * self._child.patience):
            raise self._child.died(f"no output for {self._child.patience:.0f} s")
        part = self._output.read(PIECE)
        self._held += part
        return bool(part)

    def _cut_short(self) -> DataError:
        self._child.wait()
        return self._child.died("its output ends too early")
