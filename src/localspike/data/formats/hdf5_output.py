"""Starts ``hdf5_child.py`` on a file and reads what it writes while it is still writing.

The child writes to a temporary file: neither process waits for the other's memory, and on two cores
they work at the same time. A refusal, a crash or too long a time come back as DataError.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO

from ...errors import DataError
from .source import DAMAGED, bad

CHILD = Path(__file__).with_name("hdf5_child.py")
START_SECONDS = 60.0
"""Wall time the child may take to start on a busy machine; its own clock starts after that."""

REFUSED, OUT_OF_TIME = 3, -27  # hdf5_child.REFUSED; SIGPROF, the child's own clock
NAP, STEP = 0.002, 1 << 20


class Output:
    """What the child writes about the file ``path`` of ``size`` bytes, in a ``with`` statement.

    The child may take 1 s of processor time and 1 s more for every 2 MB, and 64 MiB and four times
    the file's size of memory. Everything raises DataError once the child refused or died.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path, self._seconds, self._memory = path, 1 + size / 2e6, (64 << 20) + 4 * size
        self._at = 0

    def __enter__(self) -> Output:
        self._file: IO[bytes] = tempfile.TemporaryFile()
        self._said: IO[bytes] = tempfile.TemporaryFile()
        limits = [str(self._seconds), str(self._memory)]
        command = [sys.executable, "-P", str(CHILD), str(self._path.resolve()), *limits]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"}
        self._end = time.monotonic() + START_SECONDS + 4 * self._seconds
        try:
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=self._file, stderr=self._said,
                env=environment,
            )  # fmt: skip
        except OSError as error:
            raise self._died(f"it did not start ({error.strerror})") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._child.kill()
        self._child.wait()
        self._file.close()
        self._said.close()

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
            raise self._died(f"{len(content)} of {count} bytes from it")
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
        if self._child.poll() is None and left == 0:
            if time.monotonic() > self._end:
                raise self._died(f"no end after {START_SECONDS + 4 * self._seconds:.0f} s")
            time.sleep(NAP)
        code = self._child.poll()
        if code:
            raise self._judged(code)
        return code is not None

    def _judged(self, code: int) -> DataError:
        self._said.seek(0)
        said = self._said.read(1 << 16).decode("utf-8", "replace").strip().splitlines()
        if code == REFUSED:
            return bad(
                str(self._path), 0, "not a whole SHD or SSC file", got=(said or [""])[-1][:200],
                expected="spikes/times and spikes/units, one array per recording",
            )  # fmt: skip
        if code == OUT_OF_TIME:
            return self._died(f"no end after {self._seconds:.0f} s of processor time")
        return self._died(f"signal {-code}" if code < 0 else f"exit status {code}")

    def _died(self, how: str) -> DataError:
        return DataError(
            f"{self._path}: the HDF5 reader died of the file",
            got=how,
            expected="a file that h5py reads within its limits of time and memory",
            fix=DAMAGED,
        )
