"""The two file forms of N-MNIST, read into columns: time, cell and the bounds of recordings."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .events import Sensor, check_events, check_offsets, make_events
from .files import carve, choose, load_npz, read_bytes

SENSOR = Sensor(2, 34, 34)
ESCAPE = 65535
OVERFLOW_Y, OVERFLOW_US = 240, 1 << 13


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
    events, kept = _pick(offsets, chosen)
    linear = linear[events]
    weight = count[events] if counts else None
    time, cell = linear // SENSOR.cells * 1000, linear % SENSOR.cells
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
    last = linear[offsets[1:] - 1] // SENSOR.cells
    late = last >= ends
    if late.any():
        at = int(late.argmax())
        raise DataError(
            f"{source}: event after the end of its recording",
            got=f"step {last[at]} in recording {at}",
            expected=f"below its n_steps = {ends[at]}",
            fix="Get the file again; it is damaged",
        )


def _pick(
    offsets: NDArray[np.int64], chosen: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of all events of the chosen recordings, and the offsets of these."""
    length = np.diff(offsets)[chosen]
    kept = np.concatenate([[0], np.cumsum(length)])
    shift = np.repeat(offsets[chosen] - kept[:-1], length)
    return np.arange(kept[-1]) + shift, kept


def read_folder(train: Path, split: str, limit: int | None, counts: bool) -> Columns:
    """The official folders; ``train`` is the folder Train, beside which Test is expected.

    Every event counts once here, whatever ``counts`` says.
    """
    folder = train.parent / "Test" if split == "test" else train
    found = [(path, label) for label in range(10) for path in _recordings(folder / str(label))]
    chosen = choose(carve(len(found), split, "nmnist"), limit, "nmnist").tolist()
    times, cells, sizes = [], [], [0]
    for number in chosen:
        events = read_recording(found[number][0])
        times.append(events["t"].astype(np.int64))
        pixel = events["y"].astype(np.int64) * SENSOR.width + events["x"]
        cells.append(pixel + events["p"].astype(np.int64) * SENSOR.height * SENSOR.width)
        sizes.append(len(events))
    labels = np.array([found[number][1] for number in chosen], dtype=np.int64)
    return Columns(np.concatenate(times), np.concatenate(cells), np.cumsum(sizes), None, labels)


def _recordings(folder: Path) -> list[Path]:
    paths = sorted(folder.glob("*.bin"))
    if not paths:
        raise DataError(
            f"{folder}: no recordings",
            expected="*.bin files of the official N-MNIST archive",
            fix="Unpack the archive again; each of Train and Test has folders 0 … 9",
        )
    return paths


def read_recording(path: Path) -> NDArray[np.void]:
    """Events of one official N-MNIST file, dtype ``EVENT``, checked.

    Five bytes each, big-endian: x, y, then one bit of polarity and 23 bits of time in µs. A record
    with y = 240 is no event: it adds 2¹³ µs to all times from there on. Raises DataError.
    """
    content = read_bytes(path)
    if len(content) == 0 or len(content) % 5:
        raise DataError(
            f"{path}: not an N-MNIST recording",
            got=f"{len(content)} bytes",
            expected="a positive multiple of 5 bytes",
            fix="Get the file again; it is truncated or of another format",
        )
    x, y, high, middle, low = np.frombuffer(content, np.uint8).reshape(-1, 5).T.astype(np.int64)
    time = ((high & 127) << 16) | (middle << 8) | low
    overflow = y == OVERFLOW_Y
    time += OVERFLOW_US * np.cumsum(overflow)
    real = ~overflow
    events = make_events(time[real], x[real], high[real] >> 7, y[real])
    check_events(events, np.array([0, len(events)]), SENSOR, str(path))
    return events
