"""What makes two cached data sets the same: the files, the settings and the code behind them."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import json
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from .files import unreadable

BESIDE = {"Train": ("Test",)}
"""Folders in the data root that are read where another one is found there: N-MNIST's."""
YOUNG_NS = 2_000_000_000
"""A file changed less than this ago may change again without a new time: it is read instead."""


def describe(
    settings: Mapping[str, object], files: Iterable[str | os.PathLike[str]], version: int = 1,
    *, skip: Path | None = None,
) -> str:  # fmt: skip
    """One line of JSON that two data sets share only if they are the same.

    It holds the settings, the state of all ``files`` (see `fingerprint`), the ``version`` of what
    makes the data set, and the digest of this package's own code. Raises DataError.
    """
    about = {
        "settings": plain(settings),
        "files": [fingerprint(Path(path), skip) for path in files],
        "version": version,
        "code": code_digest(),
    }
    return json.dumps(about, sort_keys=True)


def digest(text: str) -> str:
    """The name of the entry described by ``text``: 40 hexadecimal digits.

    >>> digest("toy")[:8], len(digest("toy"))
    ('c59f7ea9', 40)
    """
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()


def call_settings(
    function: Callable[..., object], *args: object, **kwargs: object
) -> dict[str, Any]:
    """All arguments of a call by name, defaults included.

    >>> def loader(split, steps=5): ...
    >>> call_settings(loader, "val")
    {'split': 'val', 'steps': 5}
    """
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    return dict(bound.arguments)


def plain(value: object) -> Any:
    """A setting as JSON that no different setting shares: 1, 1.0, True and "1" all differ.

    Taken are None, bool, int, float, str, paths, lists, dicts with str keys, and dataclasses of
    these. Raises DataError for anything else: what cannot be told apart must not be cached.

    >>> plain({"bins": (1, 2.0), "root": Path("a")})
    {'bins': [1, 2.0], 'root': 'a'}
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: plain(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"@": f"{type(value).__module__}.{type(value).__qualname__}", **fields}
    raise DataError(
        "a data set with this setting cannot be cached",
        got=f"{type(value).__name__} {value!r}",
        expected="numbers, strings, lists, dicts or dataclasses of these",
        fix="Pass cache=False",
    )


def watched(root: Path, forms: Sequence[str]) -> list[Path]:
    """The folders on whose files a data set depends that is looked for at ``forms`` under ``root``.

    Each folder that has one of them, with all files beside it (images beside their labels, Test
    beside Train); a form that is itself a folder in the root alone, with those of ``BESIDE``, for
    the root's other folders are other data sets'; the whole root where there is none.

    >>> watched(Path("nowhere"), ["toy/Train", "Train"])[0].name
    'nowhere'
    """
    there = [root / form for form in forms if (root / form).exists()]
    found = {folder for path in there for folder in _around(path, root)} or {root}
    return sorted(one for one in found if not found.intersection(one.parents))


def _around(path: Path, root: Path) -> list[Path]:
    if path.parent != root or not path.is_dir():
        return [path.parent]
    beside = [root / name for name in BESIDE.get(path.name, ())]
    return [path, *(one for one in beside if one.exists())]


def fingerprint(path: Path, skip: Path | None = None) -> str:
    """A digest of the state of a file, or of all files in a folder and those below it.

    Of each file: its path, size, and the times (ns) at which content and inode were last changed;
    the second is set by the system only, so a content put back under its old time shows. A file
    changed in the last seconds is read whole instead. Hidden files and the folder ``skip`` are
    left out. Raises DataError where something cannot be read.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> before = fingerprint(folder)
    >>> _ = (folder / "labels").write_text("0 1")
    >>> before == fingerprint(folder)
    False
    """
    total = hashlib.blake2b(digest_size=16)
    now = time.time_ns()
    try:
        for file in _files(
            os.path.realpath(path), None if skip is None else os.path.realpath(skip)
        ):
            total.update(repr((file, *_state(file, now))).encode())
    except OSError as error:
        raise unreadable(Path(error.filename or path), error) from error
    return total.hexdigest()


def _files(path: str, skip: str | None) -> Iterator[str]:
    if not stat.S_ISDIR(os.stat(path).st_mode):
        yield path
        return
    seen: set[tuple[int, int]] = set()
    for folder, inner, names in os.walk(path, onerror=_raise, followlinks=True):
        here = os.stat(folder)
        if (here.st_dev, here.st_ino) in seen:  # a link back to a folder above
            inner.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        inner[:] = [name for name in _shown(inner) if os.path.join(folder, name) != skip]
        yield from (os.path.join(folder, name) for name in _shown(names))


def _shown(names: list[str]) -> list[str]:
    return sorted(name for name in names if not name.startswith("."))


def _raise(error: OSError) -> None:
    raise error


def _state(file: str, now: int) -> tuple[object, ...]:
    try:
        state = os.stat(file)
    except FileNotFoundError:  # a link that leads nowhere
        return ()
    young = max(state.st_mtime_ns, state.st_ctime_ns) > now - YOUNG_NS
    if young and stat.S_ISREG(state.st_mode):
        with open(file, "rb") as stream:
            return state.st_size, hashlib.file_digest(stream, "blake2b").hexdigest()
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns


@functools.cache
def code_digest() -> str:
    """A digest of the source of this package: changed loaders never meet what others left."""
    total = hashlib.blake2b(digest_size=16)
    here = Path(__file__).parent
    for file in sorted(here.rglob("*.py")):
        total.update(f"{file.relative_to(here).as_posix()}\0".encode())
        total.update(hashlib.blake2b(file.read_bytes()).digest())
    return total.hexdigest()
