"""Ctrl-C and SIGTERM as a request to stop after the current step."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop by signal ``number``, has saved its state, and can be resumed."""

    def __init__(self, what: str = "", number: int = signal.SIGINT) -> None:
        super().__init__(what)
        self.number = int(number)


class Paused(Exception):
    """A sitting's time is over after ``epoch`` of ``epochs``; all is saved, the run can go on."""

    def __init__(self, epoch: int, epochs: int) -> None:
        super().__init__(f"stopped in time, after epoch {epoch} of {epochs}, everything is saved")
        self.epoch, self.epochs = epoch, epochs


class StopRequest:
    """Within the block, the first SIGINT or SIGTERM only sets ``asked``; a second one interrupts.

    >>> with StopRequest() as stop:
    ...     stop.asked
    False
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.asked = False
        self.number: int = signal.SIGINT
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        # Python delivers signals to the main thread only and refuses handlers elsewhere.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in self.SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked, self.number = True, number
