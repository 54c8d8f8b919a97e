"""A folder of cache entries: written whole or not at all, kept below a size by last use."""

from __future__ import annotations

import errno
import os
import re
import secrets
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from ..errors import os_reason
from .cache_file import Arrays, Damaged, Entry, compose, read_about, read_entry
from .cache_lock import remove_unused, share

SUFFIX, TEMPORARY = ".lscache", ".part"
OURS = re.compile(r"[0-9a-f]{40}\.lscache(\.[0-9a-f]{16}\.part)?")
GIGABYTE = 10**9
DEFAULT_LIMIT = 10 * GIGABYTE
TRIES, BINARY = 5, getattr(os, "O_BINARY", 0)


class Full(Exception):
    """There is no room for an entry below the limit; the text says what takes it."""


@dataclass(frozen=True)
class Kept:
    """A file of the cache: how large it is and when it was last used (ns since 1970)."""

    path: Path
    nbytes: int
    used: int

    @property
    def complete(self) -> bool:
        """Not what a writer is at, or left when it was killed."""
        return self.path.suffix == SUFFIX

    def about(self) -> dict[str, Any] | None:
        """What the entry says of itself; None when it is damaged or gone."""
        try:
            return read_about(self.path)
        except (OSError, Damaged):
            return None


@dataclass(frozen=True)
class Cache:
    """Entries in the files of one folder, at most ``limit`` bytes of them.

    Any number of processes may use the folder: an entry is written under a name of its own and
    renamed, so that of two writers one wins and readers see one or the other, whole. An entry's
    modification time is set at each use and says which has not been used for longest (access
    times are not kept on many systems). Entries mapped by a living process are never removed, nor
    is any file the cache has not written. Processes that write at the same moment may exceed the
    limit by what they write, until the next write.

    >>> import tempfile
    >>> Cache(Path(tempfile.mkdtemp())).kept()
    []
    """

    folder: Path
    limit: int = DEFAULT_LIMIT

    def path(self, key: str) -> Path:
        """Where the entry ``key`` (40 hexadecimal digits) is or would be."""
        return self.folder / f"{key}{SUFFIX}"

    def read(self, key: str) -> Entry | None:
        """The entry, verified, and from now on the one used last; None when there is none.

        Raises Damaged when the file is not what was written.
        """
        try:
            entry = read_entry(self.path(key))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise Damaged(f"cannot be read: {os_reason(error)}") from error
        with suppress(OSError):  # of a folder we may only read: whoever may write there decides
            os.utime(self.path(key))
        return entry

    def write(self, key: str, about: Mapping[str, Any], arrays: Arrays) -> None:
        """Keep an entry, in place of what has its name. Raises OSError, and Full without room."""
        pieces = compose(about, arrays)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.make_room(sum(map(len, pieces)), self.path(key))
        handle, temporary = self._begin(key)
        try:
            with os.fdopen(handle, "wb", buffering=0) as stream:
                for piece in pieces:
                    _write(stream, piece)
                if sys.platform != "win32":  # there no open file can be renamed
                    os.replace(temporary, self.path(key))
            if sys.platform == "win32":
                os.replace(temporary, self.path(key))
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise

    def _begin(self, key: str) -> tuple[int, Path]:
        """A new file of a name nobody has, open and marked as used."""
        for _ in range(TRIES):
            path = self.folder / f"{key}{SUFFIX}.{secrets.token_hex(8)}{TEMPORARY}"
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | BINARY, 0o666)
            if share(handle) and path.exists():
                return handle, path
            os.close(handle)  # another process took it for the leftover of a killed one
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), os.fspath(self.folder))

    def kept(self) -> list[Kept]:
        """The files of the cache, that used longest ago first. Raises OSError."""
        found = []
        with suppress(FileNotFoundError), os.scandir(self.folder) as listing:
            for item in listing:
                if OURS.fullmatch(item.name):
                    with suppress(FileNotFoundError):  # removed meanwhile
                        state = item.stat(follow_symlinks=False)
                        found.append(Kept(Path(item.path), state.st_size, state.st_mtime_ns))
        return sorted(found, key=lambda one: (one.used, one.path))

    def nbytes(self) -> int:
        """Bytes of all files of the cache."""
        return sum(one.nbytes for one in self.kept())

    def make_room(self, nbytes: int, replaced: Path | None = None) -> list[Path]:
        """Remove leftovers, then entries used longest ago, until ``nbytes`` fit below the limit.

        The size of ``replaced`` counts as free. Returns what was removed. Raises Full when even an
        empty cache would be too small, or when what is left is in use.
        """
        if nbytes > self.limit:
            raise Full(f"an entry of {_size(nbytes)} with a limit of {_size(self.limit)}")
        removed = [one.path for one in self.kept() if not one.complete and remove_unused(one.path)]
        left = [one for one in self.kept() if one.path != replaced]
        total = sum(one.nbytes for one in left)
        for one in left:
            if total + nbytes <= self.limit:
                break
            if remove_unused(one.path):
                removed.append(one.path)
                total -= one.nbytes
        if total + nbytes > self.limit:
            raise Full(f"{_size(total)} of {_size(self.limit)} are in use")
        return removed

    def clear(self) -> list[Path]:
        """Remove every entry nobody uses, and what killed writers left; give what was removed."""
        return [one.path for one in self.kept() if remove_unused(one.path)]


def _write(stream: FileIO, piece: memoryview) -> None:
    while len(piece):
        piece = piece[stream.write(piece) :]


def _size(nbytes: int) -> str:
    """Bytes in words.

    >>> _size(1_234_567)
    '1.2 MB'
    """
    for unit, name in ((GIGABYTE, "GB"), (10**6, "MB"), (10**3, "kB")):
        if nbytes >= unit:
            return f"{nbytes / unit:.1f} {name}"
    return f"{nbytes} bytes"
