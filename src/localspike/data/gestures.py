"""DVS128 Gesture: 11 hand and arm gestures by 29 people under three lights, 128 × 128.

Amir et al., "A low power, fully event-based gesture recognition system", CVPR 2017. Looked for
under the data root: the official folder ``DvsGesture`` with ``user01_led.aedat`` (AEDAT 3.1),
``user01_led_labels.csv`` (class 1 … 11, startTime_usec, endTime_usec), and the lists
``trials_to_train.txt`` (users 1 … 23) and ``trials_to_test.txt`` (users 24 … 29).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import DataError
from .dataset import Dataset
from .events import Sensor
from .files import check_split, choose, find, read_bytes, resolve_root
from .formats.aedat3 import read_aedat3
from .placing import gather_dataset, make_grid, shrunk

CLASSES = (
    "hand clapping", "right hand wave", "left hand wave", "right arm clockwise",
    "right arm counter-clockwise", "left arm clockwise", "left arm counter-clockwise",
    "arm roll", "air drums", "air guitar", "other gestures",
)  # fmt: skip
SPLITS = ("train", "val", "test")
SENSOR = Sensor(2, 128, 128)
NOMINAL_MS = 1500
FORMS = ("dvs_gesture/DvsGesture", "DvsGesture", "dvs_gesture")
VAL_USERS = (21, 22, 23)
HEADER = ["class", "startTime_usec", "endTime_usec"]
AGAIN = "Unpack the official archive DvsGesture.tar.gz again"


class Segment(NamedTuple):
    """One labelled stretch of a trial: start <= t < end in µs, ``row`` of the labels from 1."""

    trial: Path
    row: int
    label: int
    start: int
    end: int


def dvs_gesture(
    split: str,
    data_root: str | os.PathLike[str] | None = None,
    limit: int | None = None,
    bin_ms: int = 75,
    steps: int | None = None,
    *,
    counts: bool = False,
    variable: bool = False,
    size: int | None = 32,
) -> Dataset:
    """DVS Gesture as spikes [T, B, 2, size, size], one step per ``bin_ms`` (T = 20 by default).

    Each row of the labels is a sample whose time begins at its startTime (1,176 in the official
    training trials, 288 in the test trials). ``steps`` None covers the first 1.5 s, later events
    are left out; ``variable=True`` gives each sample its length in steps and, with ``steps`` None,
    makes T cover the longest. ``size`` shrinks the 128 × 128 pixels by blocks, None keeps them.
    ``counts=True`` keeps how many events fell in a bin instead of whether one did. "val" is users
    21, 22 and 23 of the official training trials, "train" the other 20, so nobody is in two splits.
    Raises DataError.

    >>> try:
    ...     dvs_gesture("dev")
    ... except DataError as error:
    ...     print(error)
    dvs_gesture has no such split: got 'dev'; expected 'train' or 'val' or 'test'.
    """
    check_split("dvs_gesture", split, SPLITS)
    grid = make_grid(
        "dvs_gesture", SENSOR, shrunk(SENSOR, size, "dvs_gesture"), bin_ms=bin_ms, steps=steps,
        nominal_ms=NOMINAL_MS, counts=counts, variable=variable,
    )  # fmt: skip
    root = resolve_root(data_root, FORMS)
    all_of_them = segments(root / find(root, FORMS), split)
    chosen = choose(torch.arange(len(all_of_them)), limit, "dvs_gesture")
    in_file_order = chosen.sort().values
    picked = [all_of_them[number] for number in in_file_order.tolist()]
    data = gather_dataset(
        "dvs_gesture", split, _recordings(picked), [one.label for one in picked], CLASSES, grid,
        variable=variable,
    )  # fmt: skip
    return data.subset(torch.searchsorted(in_file_order, chosen))


def _recordings(picked: list[Segment]) -> Iterator[tuple[str, NDArray[np.void]]]:
    for trial, group in groupby(picked, key=lambda one: one.trial):
        # A cut needs rising times, and a camera may swap neighbours on their way to the disk.
        events = read_aedat3(trial, sensor=SENSOR, sort=True).events
        for one in group:
            first, last = np.searchsorted(events["t"], [one.start, one.end])
            part = events[first:last].copy()
            part["t"] -= one.start
            yield f"{trial} from {one.start} to {one.end} µs (row {one.row} of its labels)", part


def segments(folder: Path, split: str) -> list[Segment]:
    """All samples of a split, in the order of the lists and of each trial's labels.

    Raises DataError for a list, a trial or labels that are missing or make no sense.
    """
    train, test = (trials(folder, part) for part in ("train", "test"))
    both = sorted(set(train) & set(test))
    if both:
        raise DataError(
            f"{folder}: a trial is in both lists",
            got=both[0],
            expected="trials_to_train.txt and trials_to_test.txt without a common trial",
            fix=AGAIN,
        )
    names = test if split == "test" else train
    if split != "test":
        names = [name for name in names if (user(name, folder) in VAL_USERS) == (split == "val")]
    if not names:
        raise DataError(
            f"{folder}: no trials for split {split!r}",
            expected="users 21, 22 and 23 and others in trials_to_train.txt",
            fix=AGAIN,
        )
    return [one for name in names for one in read_labels(folder / name)]


def trials(folder: Path, part: str) -> list[str]:
    """File names in ``trials_to_<part>.txt``."""
    path = folder / f"trials_to_{part}.txt"
    names = [line.strip() for line in _text(path).splitlines() if line.strip()]
    for name in names:
        user(name, path)
    if not names or len(set(names)) < len(names):
        raise DataError(
            f"{path}: not a list of trials",
            got=f"{len(names)} lines, {len(set(names))} different",
            expected="each trial once",
            fix=AGAIN,
        )
    return names


def user(name: str, source: Path) -> int:
    """The number of the person in a trial's file name.

    >>> user("user07_fluorescent_led.aedat", Path("trials_to_train.txt"))
    7
    """
    found = re.fullmatch(r"user(\d+)_\w+\.aedat", name, re.ASCII)
    if found is None:
        raise DataError(
            f"{source}: not the name of a trial",
            got=repr(name),
            expected="a name like user01_fluorescent.aedat",
            fix=AGAIN,
        )
    return int(found[1])


def read_labels(trial: Path) -> list[Segment]:
    """The labelled stretches of a trial, from the file ``…_labels.csv`` beside it.

    Stretches may overlap, as some of the official ones do. Raises DataError, naming the line.
    """
    path = trial.with_name(f"{trial.stem}_labels.csv")
    lines = [line.split(",") for line in _text(path).splitlines() if line.strip()]
    if not lines or [word.strip() for word in lines[0]] != HEADER:
        got = ",".join(lines[0]) if lines else "an empty file"
        raise DataError(f"{path}: other columns", got=got, expected=",".join(HEADER), fix=AGAIN)
    if len(lines) == 1:
        raise DataError(
            f"{path}: no labels", got="a header only", expected="a row per gesture", fix=AGAIN
        )
    return [_segment(trial, path, row, words) for row, words in enumerate(lines[1:], start=1)]


def _segment(trial: Path, path: Path, row: int, words: list[str]) -> Segment:
    try:
        label, start, end = (int(word) for word in words)
    except ValueError as error:
        raise _bad_row(path, row, words) from error
    if not (1 <= label <= len(CLASSES) and 0 <= start < end < 1 << 62):
        raise _bad_row(path, row, words)
    return Segment(trial, row, label - 1, start, end)


def _bad_row(path: Path, row: int, words: list[str]) -> DataError:
    return DataError(
        f"{path}: bad label in line {row + 1}",
        got=repr(",".join(words)[:60]),
        expected=f"class 1 … {len(CLASSES)}, start and end in µs with start < end",
        fix="Correct that line, or unpack the official archive again",
    )


def _text(path: Path) -> str:
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: not a text file", got=f"byte {error.start} is no UTF-8", fix=AGAIN
        ) from error
