"""The file forms of N-MNIST: the 1 ms npz in columns, raw events and official files one by one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .event_files import class_folders, read_columns
from .events import check_offsets
from .files import carve, choose, load_npz
from .formats.nmnist import NMNIST, read_nmnist
from .placing import Recordings
from .ragged import spans

ESCAPE = 65535
DIGITS = tuple("0123456789")


class Columns(NamedTuple):
    """Events of the chosen recordings: time in µs, cell = (p · 34 + y) · 34 + x, offsets, how often
    each counts (None: once), and the label of each recording."""

    time: NDArray[np.int64]
    cell: NDArray[np.int64]
    offsets: NDArray[np.int64]
    weight: NDArray[np.uint8] | None
    labels: NDArray[np.int64]


def read_npz(path: Path, split: str, limit: int | None, counts: bool) -> Columns:
    """The 1 ms file: train and val from its 5,000 training recordings, test its held-out 1,000."""
    part = "heldout" if split == "test" else "train"
    names = [f"{part}_{name}" for name in ("dlin", "big", "offsets", "n_steps", "labels", "count")]
    raw = dict(zip(names, load_npz(path, names).values(), strict=True))
    dlin, big, offsets, ends, labels, count = raw.values()
    source = f"{path} ({part})"
    offsets = offsets.astype(np.int64)
    check_offsets(offsets, len(dlin), source)
    if not len(offsets) - 1 == len(labels) == len(ends) or len(count) != len(dlin):
        raise DataError(
            f"{source}: arrays of different lengths",
            got=f"{len(offsets) - 1} recordings, {len(labels)} labels, {len(ends)} n_steps",
            expected="one label and n_steps per recording",
        )
    linear = decode_differences(dlin, big, offsets, source)
    _check_ends(linear, offsets, ends, source)
    chosen = choose(carve(len(labels), split, "nmnist"), limit, "nmnist").numpy()
    events, kept = spans(offsets[chosen], np.diff(offsets)[chosen])
    linear = linear[events]
    weight = count[events] if counts else None
    time, cell = linear // NMNIST.cells * 1000, linear % NMNIST.cells
    return Columns(time, cell, kept, weight, labels[chosen].astype(np.int64))


def decode_differences(
    dlin: NDArray[np.uint16], big: NDArray[np.uint32], offsets: NDArray[np.int64], source: str
) -> NDArray[np.int64]:
    """Undo the delta code: the sum restarts at 0 in each recording, 65535 takes the next ``big``.

    >>> decode_differences(
    ...     np.array([3, 65535, 1]), np.array([70000]), np.array([0, 2, 3]), "toy"
    ... ).tolist()
    [3, 70003, 1]
    """
    step = dlin.astype(np.int64)
    escaped = np.flatnonzero(dlin == ESCAPE)
    if len(escaped) != len(big):
        raise DataError(
            f"{source}: escapes and large differences do not match",
            got=f"{len(big)} entries in big",
            expected=f"{len(escaped)}, one per {ESCAPE} in dlin",
            fix="Get the file again; it is damaged",
        )
    step[escaped] = big
    total = np.concatenate([[0], np.cumsum(step)])
    linear: NDArray[np.int64] = total[1:] - np.repeat(total[offsets[:-1]], np.diff(offsets))
    return linear


def _check_ends(
    linear: NDArray[np.int64], offsets: NDArray[np.int64], ends: NDArray[np.uint16], source: str
) -> None:
    last = linear[offsets[1:] - 1] // NMNIST.cells
    late = last >= ends
    if late.any():
        at = int(late.argmax())
        raise DataError(
            f"{source}: event after the end of its recording",
            got=f"step {last[at]} in recording {at}",
            expected=f"below its n_steps = {ends[at]}",
            fix="Get the file again; it is damaged",
        )


def read_raw(path: Path, split: str, limit: int | None) -> tuple[Recordings, list[int]]:
    """Recordings and labels of the raw npz: train and val from its 200, test its official 100."""
    columns, labels = read_columns(path, "test" if split == "test" else "train", NMNIST)
    chosen = choose(carve(len(labels), split, "nmnist raw"), limit, "nmnist raw").tolist()
    return columns.recordings(chosen), [int(labels[number]) for number in chosen]


def read_folder(train: Path, split: str, limit: int | None) -> tuple[Recordings, list[int]]:
    """Recordings, to be read one by one, and labels of the official folders.

    ``train`` is the folder Train, beside which Test is expected.
    """
    folder = train.parent / "Test" if split == "test" else train
    archive = f"the official archive {folder.name}.zip"
    parts = class_folders(folder, DIGITS, ".bin", archive)
    found = [(path, label) for label, paths in parts for path in paths]
    chosen = choose(carve(len(found), split, "nmnist"), limit, "nmnist").tolist()
    files = [found[number][0] for number in chosen]
    return _recordings(files), [found[number][1] for number in chosen]


def _recordings(files: list[Path]) -> Iterator[tuple[str, NDArray[np.void]]]:
    for path in files:
        yield str(path), read_nmnist(path).events
