"""One process at a time on one file."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import DataError

# The system gives a lock back when its process ends, however it ends: none is ever stale.
if sys.platform == "win32":
    import msvcrt

    def _take(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _take(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


HELD = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Within the block no other process, and no other block of this one, may claim ``path``.

    A file system that knows no locks gives the claim to everybody. Raises DataError if another
    process has it.

    >>> import tempfile
    >>> with claimed(Path(tempfile.mkdtemp()) / "x.lock"):
    ...     pass
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _take(handle)
    except OSError as error:
        if error.errno in HELD:
            os.close(handle)
            raise DataError(
                f"another process is fetching {path.name.removesuffix('.part.lock')}",
                fix="Wait until it has ended",
            ) from error
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(handle)
