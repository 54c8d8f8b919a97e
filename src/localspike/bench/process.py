"""The driver's end of a worker process: start, ask, end; what a death says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

from ..errors import LocalspikeError

_LAST = 8  # lines of standard error that are shown of a worker that died
_PATIENCE = 5.0
_ANSWER_S = 1800.0  # compiling included; what takes longer hangs


class WorkerError(LocalspikeError):
    """A worker died, or says that it cannot do its job."""


class Worker:
    """One method in a process of its own, idle unless asked.

    It is in a process group of its own: Ctrl-C reaches the driver alone, which ends all workers
    when the block is left.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        answer_s: float = _ANSWER_S,
    ) -> None:
        self.name, self.ready = name, {}  # type: tuple[str, dict[str, Any]]
        self._answer_s, self._late = answer_s, False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - read when the process has died
        alone: dict[str, Any] = {"process_group": 0} if os.name == "posix" else {}
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                env=dict(environment),
                **alone,
            )
        except OSError as error:
            self._errors.close()
            raise WorkerError(f"{name} cannot be started", got=error.strerror) from error

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(_PATIENCE if self.ready and error is None else 0.0)

    def wait_until_ready(self) -> dict[str, Any]:
        """Its first line: the check, the versions, the first step's time.

        Raises
        ------
        WorkerError
            If it cannot do its job, or dies.
        """
        found = self._answer()
        if not found.get("ready"):
            reason = str(found.get("reason") or found.get("error") or "without a reason")
            raise WorkerError(f"{self.name} refuses: {reason.rstrip('.')}")
        self.ready = found
        return found

    def steps(self, count: int) -> list[float]:
        """Seconds of each of ``count`` training steps."""
        return [float(x) for x in self._ask(f"steps {count}", "seconds")["seconds"]]

    def peak(self) -> dict[str, float]:
        """Memory in MiB before the first step, and the highest since."""
        found = self._ask("peak", "peak_mib")
        return {key: float(found[key]) for key in ("baseline_mib", "peak_mib")}

    def _ask(self, request: str, key: str) -> dict[str, Any]:
        assert self._process.stdin is not None  # it was asked for
        with suppress(OSError):  # a dead worker is found when it is listened to
            self._process.stdin.write(request + "\n")
            self._process.stdin.flush()
        found = self._answer()
        if key not in found:
            said = found.get("error", found)
            raise WorkerError(f"{self.name}: no {key} in its answer to {request!r}", got=said)
        return found

    def _answer(self) -> dict[str, Any]:
        """The next line that is a JSON object; a library's greetings are passed over."""
        assert self._process.stdout is not None  # it was asked for
        watch = threading.Timer(self._answer_s, self._give_up)
        watch.daemon = True
        watch.start()
        try:
            for line in self._process.stdout:
                with suppress(ValueError):
                    found = json.loads(line)
                    if isinstance(found, dict):
                        return found
        finally:
            watch.cancel()
        if self._late:
            raise WorkerError(f"{self.name}: no answer within {self._answer_s:g} s")
        raise WorkerError(f"{self.name}: its process ended, {self._end()}", got=self._said())

    def _end(self) -> str:
        code = self._process.wait()
        if code < 0:
            known = {int(one): one.name for one in signal.Signals}
            return f"killed by {known.get(-code, f'signal {-code}')}"
        return f"exit code {code}"

    def _give_up(self) -> None:
        self._late = True
        self._kill()

    def _kill(self) -> None:
        """End the process and what it has started: a child would hold its output open."""
        if os.name == "posix":
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        if self._process.poll() is None:
            self._process.kill()

    def _said(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return " | ".join(line.strip() for line in lines[-_LAST:]) or "nothing on standard error"

    def close(self, patience: float = _PATIENCE) -> None:
        """End the process, after ``patience`` seconds by force."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=patience)
        self._kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()
