"""Files that are either whole or not there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import CheckpointError, os_advice, os_reason


@contextmanager
def writing(path: Path, instead: str = "choose another folder with --out") -> Iterator[None]:
    """Turn what the system says of a failed write into one line that names the file.

    ``instead`` is what to do where the place is at fault.

    >>> with writing(Path("x")):
    ...     pass
    """
    try:
        yield
    except OSError as error:
        raise CheckpointError(
            f"cannot write {path}",
            got=os_reason(error),
            fix=f"{os_advice(error)} or {instead}",
        ) from error


def write_atomically(
    path: Path, content: bytes, instead: str = "choose another folder with --out"
) -> None:
    """Replace ``path`` by ``content``, or leave it untouched: temporary file, fsync, rename.

    Raises
    ------
    CheckpointError
        If the folder cannot be written to or the disk is full; nothing half-written stays.
    """
    with writing(path, instead):
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` survive a power cut, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
