"""Many recordings: in one npz, or in a folder per class of a file each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .events import Sensor, check_events, make_events
from .files import load_npz, unreadable


def read_columns(path: Path, part: str, sensor: Sensor) -> tuple[Columns, NDArray[np.int64]]:
    """Recordings and labels of ``{part}_{t_us,x,y,p,offsets,labels}`` in an npz file, checked.

    Raises DataError for a missing, foreign or damaged file.
    """
    names = [f"{part}_{name}" for name in ("t_us", "x", "y", "p", "offsets", "labels")]
    t, x, y, p, offsets, labels = load_npz(path, names).values()
    source = f"{path} ({part})"
    if not len(t) == len(x) == len(y) == len(p) or len(labels) != len(offsets) - 1:
        raise DataError(
            f"{source}: arrays of different lengths",
            got=f"{len(t)} t_us, {len(x)} x, {len(y)} y, {len(p)} p, {len(offsets)} offsets, "
            f"{len(labels)} labels",
            expected="one x, y and p per time, one label per recording",
            fix="Get the file again; it is damaged",
        )
    kinds = "".join(array.dtype.kind for array in (t, x, y, p, offsets, labels))
    if kinds.strip("iu"):
        raise DataError(
            f"{source}: arrays of another kind",
            got=f"dtype kinds {kinds}",
            expected="whole numbers",
            fix="Get the file again; it is of another format or version",
        )
    events = make_events(t, x, p, y)
    check_events(events, offsets.astype(np.int64), sensor, source)
    return Columns(events, offsets.astype(np.int64), source), labels.astype(np.int64)


class Columns(NamedTuple):
    """Events of many recordings end to end."""

    events: NDArray[np.void]
    offsets: NDArray[np.int64]
    source: str

    def recordings(self, chosen: Sequence[int]) -> Iterator[tuple[str, NDArray[np.void]]]:
        """The recordings of these numbers, in this order."""
        for number in chosen:
            first, last = self.offsets[number : number + 2]
            yield f"{self.source} recording {number}", self.events[first:last]


def class_folders(
    folder: Path, classes: Sequence[str], suffix: str, archive: str
) -> Iterator[tuple[int, list[Path]]]:
    """(label, its files in order of name) of each class; the class is the name of its folder.

    Raises DataError for a class without a folder or files, and for a folder of files that is no
    class. ``archive`` says in the error what should have been unpacked.
    """
    _check_no_others(folder, classes, suffix)
    for label, name in enumerate(classes):
        paths = _files(folder / name, suffix)
        if not paths:
            raise DataError(
                f"{folder / name}: no recordings",
                got="an empty folder" if (folder / name).is_dir() else "no such folder",
                expected=f"*{suffix} files of {archive}",
                fix=f"Unpack {archive} so that {folder} has a folder per class",
            )
        yield label, paths


def _check_no_others(folder: Path, classes: Sequence[str], suffix: str) -> None:
    try:
        others = sorted(other for other in folder.iterdir() if other.name not in classes)
    except OSError as error:
        raise unreadable(folder, error) from error
    for other in others:
        if other.is_dir() and _files(other, suffix):
            raise DataError(
                f"{other}: not a class of this data set",
                got=f"a folder {other.name!r} with {suffix} files",
                expected=f"{classes[0]}, {classes[1]}, … ({len(classes)} classes)",
                fix="Move that folder elsewhere, or name it as its class",
            )


def _files(folder: Path, suffix: str) -> list[Path]:
    """In order of name, without the hidden ones that some systems pack beside the real ones."""
    return sorted(path for path in folder.glob(f"*{suffix}") if not path.name.startswith("."))
