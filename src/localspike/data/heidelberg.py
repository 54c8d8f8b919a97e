"""SHD and SSC: spoken digits and words as spikes of 700 channels of an artificial cochlea.

Cramer et al., "The Heidelberg Spiking Data Sets for the systematic evaluation of spiking neural
networks", IEEE TNNLS 33, 2022. Looked for under the data root: ``shd/shd_train.h5`` and
``shd/shd_test.h5``; ``ssc/ssc_train.h5``, ``ssc/ssc_valid.h5`` and ``ssc/ssc_test.h5``, unpacked.
Needs h5py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import DataError
from .dataset import Dataset
from .events import Sensor
from .files import (
    carve,
    check_split,
    check_steps,
    choose,
    find,
    fixed_permutation,
    present,
    resolve_root,
)
from .formats.shd import CHANNELS
from .heidelberg_stream import Stream, open_shd
from .placing import Grid, gather_dataset, make_grid

SHD_CLASSES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"),
)
SSC_CLASSES = tuple(f"word {number}" for number in range(35))
"""Used where the file's own names of its classes cannot be had."""
SPLITS = ("train", "val", "test")
SHD_NOMINAL_MS, SSC_NOMINAL_MS = 1400, 1000
SHD_FORMS = ("shd/shd_train.h5", "shd_train.h5")
SSC_FORMS = ("ssc/ssc_train.h5", "ssc_train.h5")
PACKED = (".gz", ".zip")


def shd(
    split: str,
    data_root: str | os.PathLike[str] | None = None,
    limit: int | None = None,
    bin_ms: int = 14,
    steps: int | None = None,
    *,
    counts: bool = False,
    variable: bool = False,
    channels: int = 700,
) -> Dataset:
    """Spiking Heidelberg Digits as spikes [T, B, channels], one step per ``bin_ms`` (T = 100).

    ``steps`` None covers the nominal 1.4 s, later spikes are left out; ``variable=True`` gives each
    recording its length in steps and, with ``steps`` None, makes T cover the longest. ``channels``
    below 700 pools neighbours: channel c goes to ⌊c · channels / 700⌋. ``counts=True`` keeps how
    many spikes fell in a bin instead of whether one did. "test" is the official 2,264, some of
    whose speakers are in the training file, too; of the official 8,156 to train on, "val" is all
    recordings of whole speakers, in a fixed order of speakers until a tenth is reached (a tenth by
    a fixed seed where the file names no speakers).
    Raises DataError; MissingDependencyError without h5py.

    >>> try:
    ...     shd("dev")
    ... except DataError as error:
    ...     print(error)
    shd has no such split: got 'dev'; expected 'train' or 'val' or 'test'.
    """
    check_split("shd", split, SPLITS)
    grid = _grid("shd", bin_ms, steps, SHD_NOMINAL_MS, counts, variable, channels)
    path = _file(data_root, "shd", "test" if split == "test" else "train")

    def members(stream: Stream) -> Tensor:
        if split == "test" or len(set(stream.speakers or ())) < 2:
            return carve(stream.count, split, "shd")
        return by_speaker(stream.speakers or (), split)

    return _load("shd", split, path, members, limit, SHD_CLASSES, grid, variable)


def ssc(
    split: str,
    data_root: str | os.PathLike[str] | None = None,
    limit: int | None = None,
    bin_ms: int = 10,
    steps: int | None = None,
    *,
    counts: bool = False,
    variable: bool = False,
    channels: int = 700,
) -> Dataset:
    """Spiking Speech Commands as spikes [T, B, channels], one step per ``bin_ms`` (T = 100).

    As ``shd``, with 35 words, a nominal 1 s, and the official splits: 75,466 recordings to train
    on, 9,981 ("val") and 20,382 to test. Raises DataError; MissingDependencyError without h5py.

    >>> try:
    ...     ssc("train", channels=701)
    ... except DataError as error:
    ...     print(error)
    ssc: impossible number of channels: got 701; expected 1 … 700, a whole number.
    """
    check_split("ssc", split, SPLITS)
    grid = _grid("ssc", bin_ms, steps, SSC_NOMINAL_MS, counts, variable, channels)
    path = _file(data_root, "ssc", "valid" if split == "val" else split)
    return _load(
        "ssc", split, path, lambda stream: torch.arange(stream.count), limit, SSC_CLASSES, grid,
        variable,
    )  # fmt: skip


def _grid(
    name: str, bin_ms: int, steps: int | None, nominal_ms: int, counts: bool, variable: bool,
    channels: int,
) -> Grid:  # fmt: skip
    channels = check_steps(name, channels, CHANNELS.width, "number of channels")
    return make_grid(
        name, CHANNELS, Sensor(1, 1, channels), bin_ms=bin_ms, steps=steps, nominal_ms=nominal_ms,
        counts=counts, variable=variable,
    )  # fmt: skip


def _file(data_root: str | os.PathLike[str] | None, name: str, part: str) -> Path:
    forms = (f"{name}/{name}_{part}.h5", f"{name}_{part}.h5")
    root = resolve_root(data_root, forms)
    for form in forms:
        packed = [root / f"{form}{end}" for end in PACKED if present(root / f"{form}{end}")]
        if packed and not present(root / form):
            raise DataError(
                f"{packed[0]}: still packed",
                expected=f"{root / form}",
                fix="Unpack it in that folder",
            )
    return root / find(root, forms)


def _load(
    name: str,
    split: str,
    path: Path,
    members: Callable[[Stream], Tensor],
    limit: int | None,
    classes: tuple[str, ...],
    grid: Grid,
    variable: bool,
) -> Dataset:
    with open_shd(path) as stream:
        labels = stream.labels
        if labels is None or stream.count == 0:
            raise DataError(
                f"{path}: no labels" if labels is None else f"{path}: no recordings",
                expected="labels, spikes/times and spikes/units of the official file",
                fix="Get the file again; it is of another format",
            )
        chosen = choose(members(stream), limit, name)
        in_file_order = chosen.sort().values
        picked = in_file_order.tolist()
        data = gather_dataset(
            name, split, _recordings(stream, path, picked), [labels[at] for at in picked],
            _classes(stream, classes), grid, variable=variable, sample_shape=(grid.cells,),
        )  # fmt: skip
    return data.subset(torch.searchsorted(in_file_order, chosen))


def _recordings(
    stream: Stream, path: Path, picked: Sequence[int]
) -> Iterator[tuple[str, NDArray[np.void]]]:
    """Those of these rising numbers; what is behind the last is not read."""
    wanted = iter(picked)
    wait_for = next(wanted, None)
    for number, events in enumerate(stream.recordings()):
        if number == wait_for:
            yield f"{path} recording {number}", events
            wait_for = next(wanted, None)
            if wait_for is None and number + 1 < stream.count:
                return


def shared_speakers(data_root: str | os.PathLike[str] | None = None) -> int | None:
    """How many speakers of SHD's official test are heard in its training file, too; None where a
    file names none. Raises DataError; MissingDependencyError without h5py.

    >>> try:
    ...     shared_speakers("nowhere")
    ... except DataError as error:
    ...     print(error.what)
    no such folder: nowhere
    """
    heard = []
    for part in ("train", "test"):
        with open_shd(_file(data_root, "shd", part)) as stream:
            heard.append(set(stream.speakers or ()))
    return len(heard[0] & heard[1]) if all(heard) else None


def _classes(stream: Stream, classes: tuple[str, ...]) -> tuple[str, ...]:
    keys = tuple(stream.keys or ())
    return keys if len(set(keys)) == len(classes) else classes


def by_speaker(speakers: Sequence[int], split: str) -> Tensor:
    """Recordings of whole speakers: "val" those of the first speakers of a fixed order, until they
    are a tenth or more of all (one speaker at least stays to train on), "train" the others.

    >>> by_speaker([4, 4, 7, 7, 9], "val").tolist(), by_speaker([4, 4, 7, 7, 9], "train").tolist()
    ([0, 1], [2, 3, 4])
    """
    who = torch.tensor(speakers)
    known = who.unique()
    held = torch.zeros(len(who), dtype=torch.bool)
    for place in fixed_permutation(len(known), "validation shd speakers")[: len(known) - 1]:
        if 10 * int(held.sum()) < len(who):
            held |= who == known[place]
    return torch.nonzero(held if split == "val" else ~held).flatten()
