"""Numbers for TensorBoard, written while the caller waits, so that a full disk is the caller's."""

from __future__ import annotations

import time
from pathlib import Path

from ..errors import MissingDependencyError
from ..optional import require
from .atomic import writing

PURPOSE = "writing for TensorBoard"


class Board:
    """An event file in ``folder``; what earlier files hold behind ``step`` is not shown any more.

    tensorboardX's own writer has a thread, which prints a traceback where the disk is full.

    Raises
    ------
    MissingDependencyError
        If tensorboardX is not installed.
    CheckpointError
        If the file cannot be written.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        self._folder = folder
        require("tensorboardX", PURPOSE)
        events = require("tensorboardX.event_file_writer", PURPOSE)
        self._proto = require("tensorboardX.proto.event_pb2", PURPOSE)
        self._summary = require("tensorboardX.summary", PURPOSE)
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._writer = events.EventsWriter(str(folder / "events"))
        if step:
            start = self._proto.SessionLog(status=self._proto.SessionLog.START)
            # Points from there on are dropped by who reads; the one at this step is in the file.
            self._put(step=step + 1, session_log=start)

    def add(self, name: str, value: float, step: int) -> None:
        """One point of a curve."""
        self._put(step=step, summary=self._summary.scalar(name, value))

    def flush(self) -> None:
        """Give what was added to the disk."""
        with writing(self._folder):
            self._writer.flush()

    def close(self) -> None:
        """Write the rest and close the file."""
        with writing(self._folder):
            self._writer.close()

    def _put(self, **content: object) -> None:
        with writing(self._folder):
            self._writer.write_event(self._proto.Event(wall_time=time.time(), **content))


def board(folder: Path, step: int) -> Board | None:
    """A board, or None where tensorboardX is not installed."""
    try:
        return Board(folder, step)
    except MissingDependencyError:
        return None
