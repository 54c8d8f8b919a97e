"""Who uses a file now: locks that belong to an open file and end with its process."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

HELD = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES)

if sys.platform == "win32":
    # Windows itself refuses to remove a file that anybody has open.
    def share(handle: int) -> bool:
        """Mark the open file as used; False when it is being removed."""
        return True

    def _unlink(path: Path) -> bool:
        path.unlink()
        return True

else:
    import fcntl

    def share(handle: int) -> bool:
        """Mark the open file as used, until its last handle (a mapping has one) is closed.

        False when another is removing it.
        """
        return _taken(handle, fcntl.LOCK_SH)

    def _taken(handle: int, kind: int) -> bool:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except OSError as error:
            # A file system without locks: removing is safe all the same, since the system keeps
            # what is open or mapped; it only is no longer found.
            return error.errno not in HELD
        return True

    def _unlink(path: Path) -> bool:
        handle = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        try:
            # What is at the path may have been replaced since: then it is not what we hold.
            ours = _taken(handle, fcntl.LOCK_EX) and os.path.samestat(os.fstat(handle), path.stat())
            if ours:
                path.unlink()
            return ours
        finally:
            os.close(handle)


def remove_unused(path: Path) -> bool:
    """Remove a file nobody uses; False when somebody does, or it cannot be removed.

    >>> import tempfile
    >>> handle, name = tempfile.mkstemp()
    >>> share(handle), remove_unused(Path(name))
    (True, False)
    >>> os.close(handle)
    >>> remove_unused(Path(name))
    True
    """
    try:
        return _unlink(path)
    except OSError:
        return False
