"""Unpacking of zip, tar, tar.gz and gz archives that nobody has to trust.

Members are written to a fresh folder beside the target and moved there when all are whole, so a
refused archive leaves nothing behind. Refused are: paths that are absolute, leave the folder or
cannot be a file's name; links, devices and everything else that is neither file nor folder; two
members of one name; more members or bytes than the limits. Sizes in headers are never believed.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from ..errors import DataError, os_advice, os_reason
from .archive_members import Member, Readable, members_of_tar, members_of_zip
from .files import unreadable

GZIP, ZIP, USTAR = b"\x1f\x8b", b"PK\x03\x04", b"ustar"
CHUNK = 1 << 20
MOST_MEMBERS = 400_000
"""Speech Commands has 105,871 files, N-MNIST 60,000."""
FLOOR, RATIO = 64 << 20, 20
LONGEST_NAME, DEEPEST = 255, 32
RESERVED = set('<>:"|?*\\')
DAMAGE = (
    tarfile.TarError, zipfile.BadZipFile, zipfile.LargeZipFile, gzip.BadGzipFile, zlib.error,
    EOFError, ValueError, KeyError, IndexError, OverflowError, RuntimeError, UnicodeError,
    RecursionError, MemoryError, AttributeError, TypeError,
)  # fmt: skip
"""What the standard library's archive readers raise for files that are not whole."""
FIX = "Get the archive again from its source, and do not unpack this one"


@dataclass
class _Budget:
    """What may still be written, and the names that are taken."""

    archive: Path
    allowed: int
    free: int
    spent: int = 0
    members: int = 0
    taken: dict[str, bool] = field(default_factory=dict)

    def admit(self, member: Member) -> Path:
        """The member's path inside the target; DataError if it may not be written."""
        self.members += 1
        if self.members > MOST_MEMBERS:
            raise self.refused("too many members", f"more than {MOST_MEMBERS}")
        if member.fault:
            raise self.refused(f"member is {member.fault}", repr(member.name))
        parts = _parts(member.name)
        if parts is None:
            raise self.refused("member's name cannot be trusted", repr(member.name[:200]))
        self._claim(parts, member)
        return Path(*parts)

    def _claim(self, parts: tuple[str, ...], member: Member) -> None:
        """Every name once, a file never where a folder is; case does not tell names apart."""
        folded = "/".join(parts).casefold()
        seen = self.taken.get(folded)
        if seen is not None and not (seen and member.folder):
            raise self.refused("two members of one name", repr(member.name[:200]))
        for end in range(1, len(parts)):
            above = "/".join(parts[:end]).casefold()
            if not self.taken.setdefault(above, True):
                raise self.refused("a file has members below it", repr(member.name[:200]))
        self.taken[folded] = member.folder

    def spend(self, count: int) -> None:
        """Take ``count`` bytes from what may be written."""
        self.spent += count
        if self.spent > self.allowed:
            raise self.refused("unpacks to more than it may", f"more than {self.allowed} bytes")
        if self.spent > self.free:
            raise DataError(
                f"{self.archive}: not enough room to unpack it",
                got=f"{self.free} bytes free",
                fix="Free some space there, or choose another folder with --out",
            )

    def refused(self, what: str, got: str) -> DataError:
        """The error for an archive that is not unpacked."""
        return DataError(
            f"{self.archive}: {what}", got=got, expected="plain files and folders", fix=FIX
        )


def unpack(archive: Path, target: Path, limit: int | None = None) -> list[str]:
    """Unpack ``archive`` into the folder ``target``; returns the top names, e.g. ``["Train"]``.

    The kind is told by content. At most ``limit`` bytes are written, by default 64 MiB + 20 × the
    archive, and never more than are free on the disk. Whatever of the same name is in
    ``target`` already is replaced. Raises DataError for an archive that is damaged, foreign or
    refused, and when the disk is full; ``target`` is then as it was.

    >>> import io
    >>> folder = Path(tempfile.mkdtemp())
    >>> with zipfile.ZipFile(folder / "a.zip", "w") as made:
    ...     made.writestr("one/two.txt", "three")
    >>> unpack(folder / "a.zip", folder), (folder / "one" / "two.txt").read_text()
    (['one'], 'three')
    """
    try:
        target.mkdir(parents=True, exist_ok=True)
        allowed = FLOOR + RATIO * archive.stat().st_size if limit is None else limit
        budget = _Budget(archive, allowed, shutil.disk_usage(target).free)
        fresh = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=target))
    except OSError as error:
        raise unreadable(archive, error) from error
    try:
        _write_all(archive, fresh, budget)
        return _move(fresh, target)
    except OSError as error:
        raise DataError(
            f"{archive}: cannot be unpacked into {target}",
            got=os_reason(error),
            fix=os_advice(error),
        ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _write_all(archive: Path, fresh: Path, budget: _Budget) -> None:
    try:
        with archive.open("rb") as stream:
            for member in _members(archive, stream):
                path = fresh / budget.admit(member)
                if member.folder:
                    path.mkdir(parents=True, exist_ok=True)
                else:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    _copy(member.open, path, budget)
    except DAMAGE as error:
        raise DataError(
            f"{archive}: not a whole archive",
            got=f"{type(error).__name__}: {error}".rstrip(": "),
            expected="a zip, tar, tar.gz or gz file",
            fix="Get the archive again; it is damaged or truncated",
        ) from error


def _copy(opened: Callable[[], Readable], path: Path, budget: _Budget) -> None:
    with closing(opened()) as source, path.open("xb") as copy:
        while piece := source.read(CHUNK):
            budget.spend(len(piece))
            copy.write(piece)


def _members(archive: Path, stream: IO[bytes]) -> Iterator[Member]:
    """The members of an archive of whatever kind."""
    start = stream.read(512)
    stream.seek(0)
    if start.startswith(ZIP):
        yield from members_of_zip(stream)
        return
    if start.startswith(GZIP):
        unzipped = gzip.GzipFile(fileobj=stream)
        inside = unzipped.read(512)
        unzipped.rewind()
        if not _is_tar(inside):
            # One file by itself: its name is the archive's without the ending.
            yield Member(archive.name.removesuffix(".gz"), False, "", lambda: unzipped)
            return
        yield from members_of_tar(unzipped)
        return
    if not _is_tar(start):
        raise tarfile.ReadError(f"begins with {start[:4]!r}" if start else "an empty file")
    yield from members_of_tar(stream)


def _is_tar(start: bytes) -> bool:
    return len(start) == 512 and start[257:262] == USTAR


def _parts(name: str) -> tuple[str, ...] | None:
    """The parts of a member's path; None for one that no archive of data has."""
    if name.startswith("/") or not name.isprintable() or RESERVED & set(name):
        return None
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if not parts or len(parts) > DEEPEST or any(map(_unusable, parts)):
        return None
    return parts


def _unusable(part: str) -> bool:
    too_long = len(os.fsencode(part)) > LONGEST_NAME if part.isprintable() else True
    return part == ".." or part.startswith("~") or part[-1] in ". " or too_long


def _move(fresh: Path, target: Path) -> list[str]:
    """Put what was unpacked where it belongs, one rename a name."""
    names = sorted(entry.name for entry in fresh.iterdir())
    for name in names:
        _place(fresh / name, target / name)
    return names


def _place(source: Path, goal: Path) -> None:
    """Rename; folders that are there already take in what is new, file by file."""
    if source.is_dir() and goal.is_dir() and not goal.is_symlink():
        for entry in source.iterdir():
            _place(entry, goal / entry.name)
        return
    if goal.is_dir() and not goal.is_symlink():
        shutil.rmtree(goal)
    os.replace(source, goal)
