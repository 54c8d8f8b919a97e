"""Runs a decoder written in C on a file of unknown origin, in a process of its own with limits.

What a hostile file does to the decoder happens in that process and ends with it: a refusal, a
crash, an endless loop or a demand for memory come back as DataError. The other side is
``child_main.py``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
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
        """Decode the file ``path`` of ``size`` bytes into ``output``.

        The decoder may take 1 s of processor time and 1 s more for every 2 MB, and 64 MiB and four
        times the file's size of memory. Raises DataError when it refuses the file or dies of it.
        """
        seconds, memory = 1 + size / 2e6, (64 << 20) + 4 * size
        command = [sys.executable, "-P", str(MAIN), str(self.script), str(path.resolve())]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"}
        try:
            done = subprocess.run(
                [*command, str(seconds), str(memory)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE, env=environment,
                timeout=START_SECONDS + 4 * seconds, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise self._died(path, f"no end after {error.timeout:.0f} s") from error
        except OSError as error:
            raise self._died(path, f"it did not start ({error.strerror})") from error
        self._judge(path, done.returncode, done.stderr.decode("utf-8", "replace"), seconds)

    def _judge(self, path: Path, code: int, said: str, seconds: float) -> None:
        reason = (said.strip().splitlines() or ["no reason"])[-1][:200]
        if code == REFUSED:
            raise bad(str(path), 0, self.what, got=reason, expected=self.expected)
        if code == OUT_OF_TIME:
            raise self._died(path, f"no end after {seconds:.0f} s of processor time")
        if code:
            raise self._died(path, f"signal {-code}" if code < 0 else f"exit status {code}")

    def _died(self, path: Path, how: str) -> DataError:
        return DataError(
            f"{path}: the {self.name} reader died of the file",
            got=how,
            expected="a file that it reads within its limits of time and memory",
            fix=DAMAGED,
        )
