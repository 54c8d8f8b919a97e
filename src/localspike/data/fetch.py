"""Downloads: resumed where they were cut, verified, and put in place only when they are whole.

A file grows as ``<name>.part`` beside its goal, with the server's word for its version in
``<name>.part.json``; a second call goes on where the first was cut, if the server still has that
version and can give a part. Only what passes its checksum is renamed to its name.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tqdm import tqdm

from ..errors import DataError, os_advice, os_reason
from .cards import File
from .claim import claimed
from .files import unreadable
from .reach import PATIENCE, Unreachable, reach

CHUNK = 1 << 18
REFUSED = http.client.REQUESTED_RANGE_NOT_SATISFIABLE
TRIES = 5
"""How often a cut connection is taken up again, as long as each time brings something."""
SPARE = 64 << 20


@dataclass(frozen=True)
class Progress:
    """How a download is shown: a bar on standard error, or nothing."""

    bar: bool = True
    say: Callable[[str], None] = lambda line: None


def fetch(
    file: File,
    root: Path,
    patience: float = PATIENCE,
    shown: Progress | None = None,
    fix: str = "",
) -> Path:
    """Download ``file`` to its place under ``root``, from the first of its addresses that works.

    ``patience`` seconds are waited for a server's answer. A file that is there and passes its
    checksum is left alone. Raises DataError when no address can be reached, all refuse, the
    checksum differs or the disk is full; ``fix`` says how to come by the file in another way.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.txt").write_bytes(b"abc")
    >>> fetch(File("a.txt", md5="900150983cd24fb0d6963f7d28e17f72"), folder).name
    'a.txt'
    """
    goal = root / file.path
    if goal.exists():
        verify(goal, file)
        return goal
    with owning(goal):
        return fetch_claimed(file, root, patience, shown or Progress(bar=False), fix)


def fetch_claimed(file: File, root: Path, patience: float, shown: Progress, fix: str) -> Path:
    """``fetch`` for those who are ``owning`` the file's place."""
    goal = root / file.path
    if goal.exists():
        verify(goal, file)
        return goal
    faults = []
    for url in file.urls:
        try:
            return _download(url, file, goal, patience, shown)
        except Unreachable as fault:
            faults.append(str(fault))
    raise DataError(
        f"{file.name} cannot be fetched",
        got="; ".join(faults) or "no address",
        fix=fix or f"Put the file at {goal}",
    )


def verify(path: Path, file: File) -> str:
    """What the published checksum says of ``path``: "sha256", "md5" or "" where none is known.

    Raises DataError when it differs, or the size does where only that is known, and for a file
    that is empty or cannot be read.
    """
    try:
        return _verify(path, file)
    except OSError as error:
        raise unreadable(path, error) from error


def _verify(path: Path, file: File) -> str:
    if file.checksum is None:
        size = path.stat().st_size
        if not size or size != (file.size or size):
            raise _differs(path, f"{size} bytes", f"{file.size or 'some'} bytes")
        return ""
    kind, expected = file.checksum
    with path.open("rb") as stream:
        got = hashlib.file_digest(stream, lambda: hashlib.new(kind, usedforsecurity=False))
    if got.hexdigest() != expected.lower():
        raise _differs(path, f"{kind} {got.hexdigest()}", expected)
    return kind


def _differs(path: Path, got: str, expected: str) -> DataError:
    return DataError(
        f"{path}: not the published file",
        got=got,
        expected=expected,
        fix="Remove it and fetch it again",
    )


@dataclass
class _Part:
    """What has come so far, and of which version."""

    path: Path

    @property
    def note(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def version(self) -> str:
        """The server's word for what the part is of; "" where there is none to go by."""
        with suppress(OSError, ValueError, AttributeError):
            return str(json.loads(self.note.read_text(encoding="utf-8")).get("version", ""))
        return ""

    def remember(self, version: str) -> None:
        self.note.write_text(json.dumps({"version": version}), encoding="utf-8")

    def discard(self) -> None:
        for path in (self.path, self.note):
            path.unlink(missing_ok=True)


def _download(url: str, file: File, goal: Path, patience: float, shown: Progress) -> Path:
    part = _Part(goal.with_name(f"{goal.name}.part"))
    for _ in range(TRIES):
        before = part.size()
        if _append(url, file, part, patience, shown):
            break
        # A part that was thrown away is begun afresh; one that does not grow is given up.
        if part.path.exists() and part.size() <= before:
            raise Unreachable(url, "the connection was cut, and again where it was taken up")
    else:
        raise Unreachable(url, f"the connection was cut {TRIES} times")
    try:
        verify(part.path, file)
    except DataError as error:
        part.discard()
        raise Unreachable(
            url, f"what it gives is not the published file ({error.got}, not {error.expected})"
        ) from error
    os.replace(part.path, goal)
    part.note.unlink(missing_ok=True)
    return goal


def _append(url: str, file: File, part: _Part, patience: float, shown: Progress) -> bool:
    """Take up the download once; whether all of it has come.

    A part the server cannot go on with is thrown away.
    """
    have = part.size() if part.version() else 0
    with reach(url, patience, have, part.version()) as answer:
        start, total = _extent(answer, have, file)
        if answer.status == REFUSED:
            if not have:
                raise Unreachable(url, f"it says {REFUSED} though no part was asked for")
            if total != have:
                part.discard()
            return total == have
        if not start:
            part.remember(_version(answer))
        _check_room(part.path.parent, file, None if total is None else total - start)
        with part.path.open("r+b" if start else "wb") as stream:
            stream.seek(start)
            whole = _pour(answer, stream, file, total, shown)
        return whole and total in (None, part.size())


def _version(answer: Any) -> str:
    """The server's word for this version of the file, strong enough to join parts by."""
    said = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
    return "" if said.startswith("W/") else str(said)


def _extent(answer: Any, have: int, file: File) -> tuple[int, int | None]:
    """Where the answer's bytes begin and how many there are in all, as far as it says."""
    said = answer.headers.get("Content-Range", "")
    span, _, whole = said.removeprefix("bytes ").partition("/")
    total = int(whole) if whole.isdecimal() else None
    if answer.status == http.client.PARTIAL_CONTENT:
        if span.partition("-")[0] != str(have):
            raise Unreachable(answer.url, f"it gives another part than was asked for ({said!r})")
        return have, total
    if answer.status == REFUSED:
        return 0, total
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else file.size


def _pour(answer: Any, stream: IO[bytes], file: File, total: int | None, shown: Progress) -> bool:
    """Bytes into the file until they end or the connection does; whether they came to an end."""
    most = file.size or total
    with tqdm(
        total=total, initial=stream.tell(), unit="B", unit_scale=True, desc=file.name, leave=False,
        disable=None if shown.bar else True,
    ) as bar:  # fmt: skip
        while piece := _piece(answer):
            if most is not None and stream.tell() + len(piece) > most:
                raise Unreachable(answer.url, f"it sends more than the {most} bytes of the file")
            stream.write(piece)
            bar.update(len(piece))
        stream.flush()
        os.fsync(stream.fileno())
    return piece is not None


def _piece(answer: Any) -> bytes | None:
    """The next bytes; none at their end; None where the connection was cut or went silent."""
    try:
        return bytes(answer.read1(CHUNK))
    except (OSError, http.client.HTTPException):
        return None


def _check_room(folder: Path, file: File, wanted: int | None) -> None:
    free = shutil.disk_usage(folder).free
    if wanted is not None and wanted + SPARE > free:
        raise DataError(
            f"not enough room for {file.name} in {folder}",
            got=f"{free / 1e9:.2f} GB free",
            expected=f"{(wanted + SPARE) / 1e9:.2f} GB",
            fix="Free some space there, or choose another folder with --out",
        )


@contextmanager
def owning(goal: Path) -> Iterator[None]:
    """Make the goal's folder, and keep other processes from the goal until the block ends.

    Raises DataError when another has it, or the system refuses something within the block.

    >>> import tempfile
    >>> with owning(Path(tempfile.mkdtemp()) / "new" / "a.zip"):
    ...     pass
    """
    with _writing(goal), claimed(goal.with_name(f"{goal.name}.part.lock")):
        yield


@contextmanager
def _writing(goal: Path) -> Iterator[None]:
    """Make the goal's folder, and one line of whatever the system says against writing there.

    Folders made in vain are removed again.
    """
    made = [path for path in goal.parents if not path.exists()]
    try:
        goal.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise DataError(
            f"cannot write {goal}",
            got=os_reason(error),
            fix=f"{os_advice(error)} or choose another folder with --out",
        ) from error
    finally:
        for path in made:  # those that are left empty
            with suppress(OSError):
                path.rmdir()
