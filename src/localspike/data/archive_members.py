"""The members of zip and tar archives, one after the other, with memory that is bounded."""

from __future__ import annotations

import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any, Protocol

LARGEST_HEADER = 1 << 20
LARGEST_DIRECTORY = 1 << 25
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 0x1


class Readable(Protocol):
    """What the content of a member is read by."""

    def read(self, size: int = -1, /) -> bytes: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Member:
    """A file or folder of an archive; ``fault`` says why it may not be written, if so."""

    name: str
    folder: bool
    fault: str
    open: Callable[[], Readable]


class _InPieces:
    """A stream that gives no piece beyond a bound: zipfile reads a whole directory in one."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, count: int = -1) -> bytes:
        if count > LARGEST_DIRECTORY:
            raise zipfile.BadZipFile(f"a directory of {count} bytes")
        return self._stream.read(count)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def members_of_zip(stream: IO[bytes]) -> Iterator[Member]:
    """Members of a zip file, each with its checksum checked as it is read."""
    with zipfile.ZipFile(_InPieces(stream)) as archive:
        for entry in archive.infolist():
            yield Member(
                entry.filename,
                entry.is_dir(),
                _zip_fault(entry),
                lambda entry=entry: archive.open(entry),  # type: ignore[misc]
            )


def _zip_fault(entry: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "a link"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "neither file nor folder"
    if entry.flag_bits & ENCRYPTED:
        return "encrypted"
    if entry.compress_type not in METHODS:
        return f"compressed by method {entry.compress_type}, not stored or deflated"
    return ""


class _Forward:
    """A stream that is only read onwards, in pieces of a bounded size.

    tarfile reads a long name or an extended header in one piece of the size the archive states,
    and goes back where a size is negative; both would be an attack, and neither gets through. It
    also steps back by one byte, to see whether a member was whole: that byte is kept.
    """

    def __init__(self, stream: Readable) -> None:
        self._stream, self._at, self._again = stream, 0, False
        self.last = b""

    def read(self, count: int = -1) -> bytes:
        if not 0 <= count <= LARGEST_HEADER:
            raise tarfile.ReadError(f"a header of {count} bytes at byte {self._at}")
        kept = self.last[-1:] if self._again and count else b""
        piece = kept + self._stream.read(count - len(kept))
        self._at, self._again = self._at + len(piece), False
        self.last = piece
        return piece

    def tell(self) -> int:
        return self._at

    def seek(self, place: int) -> int:
        if place == self._at - 1 and self.last and not self._again:
            self._at, self._again = place, True
        if place < self._at:
            raise tarfile.ReadError(f"a size leads back from byte {self._at} to {place}")
        while self._at < place and self.read(min(place - self._at, LARGEST_HEADER)):
            pass
        return self._at


def members_of_tar(stream: Readable) -> Iterator[Member]:
    """Members of a tar file in order; each must be read before the next is asked for."""
    forward = _Forward(stream)
    with tarfile.open(fileobj=forward, mode="r:") as archive:  # type: ignore[call-overload]
        while (entry := archive.next()) is not None:
            # tarfile would keep them all.
            archive.members = []
            yield Member(
                entry.name,
                entry.isdir(),
                _tar_fault(entry),
                lambda entry=entry: _opened(archive, entry),  # type: ignore[misc]
            )
        # tarfile takes a header it cannot read for the end.
        if forward.last != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(f"no header and no end mark before byte {forward.tell()}")


def _tar_fault(entry: tarfile.TarInfo) -> str:
    if entry.issym() or entry.islnk():
        return "a link"
    if entry.issparse() or entry.size < 0:
        return "a file with holes" if entry.size >= 0 else "of negative size"
    if not (entry.isdir() or entry.type in (tarfile.REGTYPE, tarfile.AREGTYPE)):
        return "neither file nor folder"
    return ""


def _opened(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> Readable:
    opened = archive.extractfile(entry)
    if opened is None:
        raise tarfile.ReadError(f"no content of {entry.name!r}")
    return opened
