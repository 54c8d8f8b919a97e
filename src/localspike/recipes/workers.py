"""Jobs in worker processes, as many at a time as there are cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from tqdm import tqdm

from ..errors import BasisWarning, LocalspikeError
from ..learn.interrupt import Interrupted
from ..learn.progress import bar_format, columns
from .plugin import load_plugins

JobT = TypeVar("JobT")
DoneT = TypeVar("DoneT")

TICK, SAID, DONE = "tick", "said", "done"
_report: Connection | None = None


class Failure(NamedTuple):
    """Why a job gave no result: the name of the error's class, and one line."""

    kind: str
    reason: str

    @property
    def interrupted(self) -> bool:
        """Whether the job was asked to stop and has saved its state."""
        return self.kind == Interrupted.__name__


class Running(NamedTuple, Generic[JobT]):
    """A job and the process that does it."""

    job: JobT
    process: Any


class Workers:
    """Runs jobs and counts their epochs on one progress bar.

    Unless told otherwise every job has a process of its own, so that its peak memory is its own;
    a crash costs one job only. ``most`` jobs run at a time, by default one a core. Left by an
    exception, the workers are asked to save and stop, and waited for.

    >>> with Workers(total=0) as workers:
    ...     list(workers.run(print, []))
    []
    """

    def __init__(self, total: int, plugins: Sequence[Path] = (), most: int | None = None) -> None:
        self._most = cores() if most is None else most
        self._context = multiprocessing.get_context("spawn")
        self._plugins = tuple(plugins)
        self._running: dict[Any, Running[Any]] = {}
        self._said: set[str] = set()
        self._bar = tqdm(
            total=total,
            unit="epoch",
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
            bar_format=bar_format(columns()),
        )

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()
        self._bar.close()

    def _stop(self) -> None:
        for pipe, entry in self._running.items():
            entry.process.terminate()
            pipe.close()  # or a worker that has stopped would wait for its next job
        for entry in self._running.values():
            entry.process.join()
        self._running.clear()

    def run(
        self,
        work: Callable[[JobT], DoneT],
        jobs: Sequence[JobT],
        what: str = "",
        fresh: bool = True,
    ) -> Iterator[tuple[JobT, DoneT | Failure]]:
        """Every job with its result or failure, as they come; ``work`` is a module's function.

        Without ``fresh`` a worker takes one job after another, which saves starting processes.
        """
        self._bar.set_description(what)
        waiting, running = deque(jobs), self._running
        while waiting or running:
            while waiting and len(running) < self._most:
                self._give(*self._start(work), waiting.popleft())
            for pipe in connection.wait(list(running)):
                kind, value = _received(pipe)
                if kind == TICK:
                    self._bar.update()
                    continue
                if kind == SAID:
                    self._warn(value)
                    continue
                job, process = running.pop(pipe)
                if value is not None and waiting and not fresh:
                    self._give(pipe, process, waiting.popleft())
                else:
                    pipe.close()  # type: ignore[union-attr]
                    process.join()
                yield job, _crash(process) if value is None else value

    def _warn(self, text: str) -> None:
        """Say once what a worker has to say of what it trains."""
        if text not in self._said:
            self._said.add(text)
            with tqdm.external_write_mode():
                warnings.warn(text, BasisWarning, stacklevel=1)

    def _start(self, work: Callable[[JobT], DoneT]) -> tuple[Any, Any]:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_serve, args=(theirs, self._plugins, work), daemon=True
        )
        with _no_interrupts():
            process.start()
        theirs.close()  # or the end of the worker would not be seen
        return ours, process

    def _give(self, pipe: Any, process: Any, job: Any) -> None:
        self._running[pipe] = Running(job, process)
        with suppress(OSError):  # a worker that is dead already is found when it is listened to
            pipe.send(job)


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Workers inherit a blocked SIGINT: Ctrl-C reaches the parent alone, which stops them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Started now, or its own start within the block would lift the block.
    multiprocessing.resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _received(pipe: Any) -> tuple[str, Any]:
    try:
        message: tuple[str, Any] = pipe.recv()
        return message
    except (EOFError, OSError):
        return DONE, None


def _crash(process: Any) -> Failure:
    code = process.exitcode
    why = f"exit code {code}"
    if code is not None and code < 0:
        why = f"killed by {signal.Signals(-code).name}"
    return Failure("Crash", f"its process ended without a result, {why} (out of memory?).")


def _serve(report: Connection, plugins: Sequence[Path], work: Callable[[Any], Any]) -> None:
    """A worker's life: one thread; jobs come in, results or failures go back, until none come."""
    global _report
    _report = report
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    # Where SIGINT cannot be blocked it is ignored, but by a trainer, which saves.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A worker's figures and warnings must not draw over the parent's progress bar.
    os.environ.setdefault("TQDM_DISABLE", "1")
    warnings.showwarning = _pass_on(report, warnings.showwarning)
    warnings.simplefilter("always", BasisWarning)  # the parent's filters decide
    # The parent wants no more; or it was asked twice to stop, and so was this.
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            report.send((DONE, _attempt(plugins, work, report.recv())))


def _pass_on(report: Connection, usual: Callable[..., None]) -> Callable[..., None]:
    """How a worker shows warnings: the parent says those of bases, once for all workers."""

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if not issubclass(category, BasisWarning):
            usual(message, category, *place, **more)
            return
        with suppress(OSError):  # a parent that is stopping listens no more
            report.send((SAID, str(message)))

    return show


def _end_with_parent() -> None:
    """A killed parent must not leave workers behind; their runs go on from the last checkpoint."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _attempt(plugins: Sequence[Path], work: Callable[[Any], Any], job: Any) -> Any:
    try:
        load_plugins(plugins)
        return work(job)
    except Interrupted as error:
        return Failure(Interrupted.__name__, str(error))
    except LocalspikeError as error:
        return Failure(type(error).__name__, str(error))
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        said = " ".join(str(error).split())
        return Failure("Error", f"{type(error).__name__}: {said} ({last.filename}:{last.lineno}).")


def tick(line: str) -> None:
    """Count an epoch on the parent's progress bar; other lines of the trainer are dropped."""
    if _report is not None and line.startswith("epoch "):
        with suppress(OSError):  # a parent that is stopping does not count any more
            _report.send((TICK, None))


def cores() -> int:
    """How many processors this process may use.

    >>> cores() >= 1
    True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
