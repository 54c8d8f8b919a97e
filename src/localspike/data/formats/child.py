"""Runs a decoder written in C on a file of unknown origin, in a process of its own with limits.

What a hostile file does to the decoder happens in that process and ends with it: a refusal, a
crash, an endless loop or a demand for memory come back as DataError. The other side is
``child_main.py``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from ...errors import DataError
from .source import DAMAGED, bad

MAIN = Path(__file__).with_name("child_main.py")
REFUSED, OUT_OF_TIME = 3, -27  # child_main.REFUSED; SIGPROF, the child's own clock
START_SECONDS = 60.0
"""Wall time the child may take to start on a busy machine; its own clock starts after that."""


@dataclass(frozen=True)
class Decoder:
    """A script with ``send(path, out)`` and ``Refusal`` (see ``child_main.py``), and its words.

    ``name`` is the library ("HDF5", "FLAC"), ``what`` the fault when the script refuses a file,
    ``expected`` what would have been accepted.
    """

    script: Path
    name: str
    what: str
    expected: str

    def run(self, path: Path, size: int, output: IO[bytes]) -> None:
        """Decode the file ``path`` of ``size`` bytes into ``output`` (see `Child`)."""
        with Child(self, path, size, output) as child:
            child.wait()


class Child:
    """A decoder at work on ``path`` of ``size`` bytes, in a ``with`` statement.

    It writes to ``output`` (a file, or subprocess.PIPE), and may take 1 s of processor time and 1 s
    more for every 2 MB, and 64 MiB and four times the file's size of memory. Whoever asks after it
    gets DataError once it refused the file or died of it. The end of the statement is its end.
    """

    def __init__(self, decoder: Decoder, path: Path, size: int, output: IO[bytes] | int) -> None:
        self._decoder, self._path, self._output = decoder, path, output
        self._seconds, self._memory = 1 + size / 2e6, (64 << 20) + 4 * size
        self.patience = START_SECONDS + 4 * self._seconds
        """Wall time in which it should have ended on a busy machine."""

    def __enter__(self) -> Child:
        command = [sys.executable, "-P", str(MAIN), str(self._decoder.script)]
        arguments = [str(self._path.resolve()), str(self._seconds), str(self._memory)]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"}
        self._said: IO[bytes] = tempfile.TemporaryFile()
        try:
            self.process = subprocess.Popen(
                [*command, *arguments],
                stdin=subprocess.DEVNULL, stdout=self._output, stderr=self._said, env=environment,
                bufsize=0,
            )  # fmt: skip
        except OSError as error:
            self._said.close()
            raise self.died(f"it did not start ({error.strerror})") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        with self.process:  # waits, and closes a pipe
            self._said.close()

    def wait(self) -> None:
        """Wait for the end."""
        try:
            self.process.wait(self.patience)
        except subprocess.TimeoutExpired as error:
            raise self.died(f"no end after {self.patience:.0f} s") from error
        self.ended()

    def ended(self) -> bool:
        """Whether it has come to a good end; False while it works."""
        code = self.process.poll()
        if code == REFUSED:
            words = self._decoder
            raise bad(str(self._path), 0, words.what, got=self._reason(), expected=words.expected)
        if code == OUT_OF_TIME:
            raise self.died(f"no end after {self._seconds:.0f} s of processor time")
        if code:
            raise self.died(f"signal {-code}" if code < 0 else f"exit status {code}")
        return code is not None

    def _reason(self) -> str:
        self._said.seek(0)
        said = self._said.read(1 << 16).decode("utf-8", "replace").strip().splitlines()
        return (said or ["no reason"])[-1][:200]

    def died(self, how: str) -> DataError:
        """The error for a decoder that did not do its work."""
        return DataError(
            f"{self._path}: the {self._decoder.name} reader died of the file",
            got=how,
            expected="a file that it reads within its limits of time and memory",
            fix=DAMAGED,
        )
