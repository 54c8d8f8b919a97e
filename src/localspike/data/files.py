"""Finding and reading data files, with one clear error for whatever can be wrong with them."""

from __future__ import annotations

import errno
import hashlib
import os
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import DataError, os_advice, os_reason
from .arguments import is_whole

ENVIRONMENT = "LOCALSPIKE_DATA"
NPY, ZIP = b"\x93NUMPY", (b"PK\x03\x04", b"PK\x05\x06")
DAMAGE = (
    ValueError,
    EOFError,
    KeyError,
    tokenize.TokenError,  # a mangled npy header
    zipfile.BadZipFile,
    zlib.error,
    RuntimeError,  # a header that asks for what the zip reader cannot do
    OverflowError,
    MemoryError,  # a header that promises more than there is
)
"""What numpy and the zip reader raise for files that are not whole."""


def resolve_root(data_root: str | os.PathLike[str] | None, wanted: Sequence[str] = ()) -> Path:
    """The folder of the data sets: the argument, else the environment's LOCALSPIKE_DATA.

    ``wanted`` are the files looked for, named in the error. There is no built-in path.
    Raises DataError when neither is set or the folder does not exist.
    """
    looked = layouts(wanted) or "the data set's files"
    given = data_root if data_root is not None else os.environ.get(ENVIRONMENT)
    if not given:
        raise DataError(
            "no data root is set",
            got=f"neither data_root (--data-root) nor {ENVIRONMENT}",
            expected=f"a folder holding {looked}",
            fix=f"Set {ENVIRONMENT} or pass --data-root",
        )
    root = Path(given).expanduser()
    if not root.is_dir():
        origin = "data_root (--data-root)" if data_root is not None else ENVIRONMENT
        raise DataError(
            f"data root {root} is not a folder" if root.exists() else f"no such folder: {root}",
            got=f"{origin} = {given}",
            expected=f"a folder holding {looked}",
            fix=f"Correct {ENVIRONMENT} or --data-root",
        )
    return root


def layouts(wanted: Sequence[str]) -> str:
    """The places looked at, in few words: without those that lack the data set's own folder only.

    >>> layouts(["toy/labels.npz", "labels.npz", "toy/raw"])
    'toy/labels.npz or toy/raw'
    """
    shorter = {name.partition("/")[2] for name in wanted}
    return " or ".join(name for name in wanted if name not in shorter)


def present(path: Path) -> bool:
    """Whether there is something of that name, be it a link that leads nowhere.

    What it is, and whether it can be read, shows when it is read. DataError where the system does
    not let us look.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise unreadable(path, error) from error
    return True


def find(root: Path, wanted: Sequence[str]) -> str:
    """The first of ``wanted`` (paths under ``root``) that is there; DataError naming all if none.

    Raises DataError, too, for one that may be there and cannot be looked at.
    """
    for name in wanted:
        if present(root / name):
            return name
    raise DataError(
        f"no data files under {root}",
        expected=layouts(wanted),
        fix="Put the files there or set LOCALSPIKE_DATA / --data-root to the folder that has them",
    )


def numbered(folder: Path, prefix: str, suffix: str) -> list[Path]:
    """The files ``<prefix>00<suffix>``, ``<prefix>01<suffix>``, … ; DataError on none or a gap."""
    paths = sorted(folder.glob(f"{prefix}[0-9][0-9]{suffix}"))
    wanted = [folder / f"{prefix}{number:02d}{suffix}" for number in range(max(1, len(paths)))]
    if paths != wanted:
        missing = next(path for path in wanted if path not in paths)
        raise DataError(
            f"{missing}: missing",
            got=f"{len(paths)} files {prefix}NN{suffix}",
            expected=f"{prefix}00{suffix}, {prefix}01{suffix}, … without a gap",
            fix="Get the missing file",
        )
    return paths


def read_bytes(path: Path) -> bytes:
    """The content of a file; DataError when it is missing or cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> DataError:
    """The error for a file the system does not let us read."""
    return DataError(
        f"{path}: cannot be read",
        got=os_reason(error),
        expected="a readable file",
        fix=os_advice(error),
    )


def load_npz(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Arrays ``names`` of an npz file, never unpickled.

    Raises DataError for a missing, foreign, truncated or incomplete file.
    """
    arrays = load_arrays(path, names)
    missing = ", ".join(name for name in names if name not in arrays)
    if missing:
        held = ", ".join(name or "one bare array" for name in load_arrays(path)) or "no arrays"
        raise DataError(
            f"{path}: no array {missing}",
            got=held,
            expected=f"an npz file with {', '.join(names)}",
            fix="Get the file again; it is of another format or version",
        )
    return arrays


def load_arrays(path: Path, names: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
    """Arrays of an npz file (all, or those of ``names`` it has), or the one of an npy file as "".

    Nothing is ever unpickled. Raises DataError for a file that is missing, unreadable, of another
    format, or damaged.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(len(NPY))
    except OSError as error:
        raise unreadable(path, error) from error
    if not start.startswith((NPY, *ZIP)):
        raise DataError(
            f"{path}: not a .npy or .npz file",
            got=f"a file that begins with {start!r}" if start else "an empty file",
            expected="arrays as numpy.save or numpy.savez write them",
            fix="Check that this is the file you mean",
        )
    try:
        with _loaded(path) as arrays:
            wanted = [name for name in names or arrays if name in arrays]
            return {name: arrays[name] for name in wanted}
    except (OSError, *DAMAGE) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise unreadable(path, error) from error
        raise _damaged(path, "npy" if start == NPY else "npz", error) from error


def _damaged(path: Path, kind: str, error: Exception) -> DataError:
    if "allow_pickle" in str(error):
        return DataError(
            f"{path}: holds Python objects",
            expected="plain numbers",
            fix="Save numeric arrays; objects are never unpickled",
        )
    return DataError(
        f"{path}: not a whole {kind} file",
        got=f"{type(error).__name__}: {first_line(error)}".rstrip(": "),
        expected="the file as it was written",
        fix="Get the file again; it is damaged or truncated",
    )


@contextmanager
def _loaded(path: Path) -> Iterator[Mapping[str, NDArray[Any]]]:
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        yield {"": loaded}
        return
    with loaded:
        yield loaded


def first_line(error: BaseException) -> str:
    """What an error says, in one line.

    >>> first_line(ValueError("bad header"))
    'bad header'
    """
    return (str(error).strip().splitlines() or [""])[0]


def check_split(name: str, split: str, splits: Sequence[str]) -> None:
    """Raise DataError unless ``split`` is one of ``splits``."""
    if split not in splits:
        raise DataError(
            f"{name} has no such split", got=repr(split), expected=" or ".join(map(repr, splits))
        )


def check_steps(
    name: str, steps: int, maximum: int = 100_000, what: str = "number of steps"
) -> int:
    """``steps`` as an int; DataError, saying ``what`` it is of ``name``, outside 1 … maximum.

    >>> check_steps("toy", np.int64(5))
    5
    """
    if not is_whole(steps) or not 1 <= steps <= maximum:
        raise DataError(
            f"{name}: impossible {what}",
            got=repr(steps),
            expected=f"1 … {maximum}, a whole number",
        )
    return int(steps)


def fixed_permutation(n: int, purpose: str) -> Tensor:
    """A permutation [n] that is the same with every version of every library, for ever.

    Positions are sorted by splitmix64(hash of purpose + position); a split made by a library's
    own shuffle could change under a trained network's feet. Steele, Lea and Flood, OOPSLA 2014.

    >>> fixed_permutation(5, "toy").tolist()
    [2, 1, 0, 4, 3]
    """
    start = np.uint64(int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "little"))
    key = start + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return torch.from_numpy(np.argsort(key ^ (key >> np.uint64(31)), kind="stable"))


def carve(n: int, split: str, name: str) -> Tensor:
    """Members of a split: "val" is a tenth of the ``n`` training samples, by a fixed seed.

    >>> sorted(carve(20, "train", "toy").tolist() + carve(20, "val", "toy").tolist())[:3]
    [0, 1, 2]
    >>> len(carve(20, "val", "toy")), len(carve(20, "test", "toy"))
    (2, 20)
    """
    if split == "test":
        return torch.arange(n)
    shuffled = fixed_permutation(n, f"validation {name}")
    cut = n // 10
    return (shuffled[:cut] if split == "val" else shuffled[cut:]).sort().values


def choose(members: Tensor, limit: int | None, name: str) -> Tensor:
    """All of ``members`` in order, or the first ``limit`` of a fixed permutation of them."""
    if limit is None:
        return members
    if not is_whole(limit) or limit < 1:
        raise DataError(
            f"{name}: impossible limit",
            got=repr(limit),
            expected="1 or more, a whole number, or None",
        )
    shuffled = fixed_permutation(len(members), f"subset {name}")
    return members[shuffled[: int(limit)]]
