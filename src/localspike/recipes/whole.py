"""A folder of files that is written whole, or left as it was."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from errno import ENOTDIR
from pathlib import Path
from shutil import rmtree

from ..learn.atomic import writing


def write_folder(folder: Path, files: Mapping[str, str]) -> None:
    """Write files by their paths below ``folder``: all of them beside it first, then into place.

    Raises
    ------
    CheckpointError
        If the folder cannot be written to or the disk is full; it is then as it was, and not there
        if it was not.
    """
    made: list[Path] = []
    with writing(folder, "choose another folder"):
        try:
            _make(folder, made)
            _check_places(folder, files)
            staged = Path(tempfile.mkdtemp(dir=folder, prefix=".export."))
            made.append(staged)
            for name, text in files.items():
                _put(staged / name, text)
        except BaseException:
            _remove(made)
            raise
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(staged / name, folder / name)
        rmtree(staged)


def _make(folder: Path, made: list[Path]) -> None:
    """Make a folder and those above it, noting each."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR))
    for each in reversed(missing):
        each.mkdir()
        made.append(each)


def _check_places(folder: Path, files: Mapping[str, str]) -> None:
    """Nothing in the way: no folder in place of a file, no file in place of a folder."""
    for path in (folder / name for name in files):
        if path.is_dir():
            raise IsADirectoryError(None, f"{path.relative_to(folder)} is a folder")
        if path.parent.exists() and not path.parent.is_dir():
            raise NotADirectoryError(None, f"{path.parent.relative_to(folder)} is a file")


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        stream.write(text.encode())
        stream.flush()
        os.fsync(stream.fileno())


def _remove(made: list[Path]) -> None:
    """Take back what was made; a folder someone else has put something in stays."""
    for path in reversed(made):
        if path.name.startswith(".export."):
            rmtree(path, ignore_errors=True)
        with suppress(OSError):
            path.rmdir()
