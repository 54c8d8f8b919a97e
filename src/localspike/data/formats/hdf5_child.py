"""Reads one SHD/SSC file in the process of ``child_main.py`` and writes plain arrays.

HDF5 is a large C library; what a hostile file does to it happens here and ends here. Only what the
format needs is opened: no links to other files, no data kept in other files, no filter plugins.

Output: a line of JSON, then per group of recordings: their number (7 bytes) and the bytes of a time
(1 byte: 4 or 8), their lengths (int64), times in s (float32 or float64), channels (uint16). What
can be done to plain numbers is done on the other side, at the same time.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

GROUP = 16  # recordings sent together: few enough for the processor's cache
LABELS = {"labels": "labels", "speaker": "extra/speaker"}
NAMES = "extra/keys"
MOST, LONGEST = 1000, 100  # classes, characters


class Refusal(Exception):
    """Why the file is not read."""


def dataset(file: Any, path: str) -> Any:
    """The data set at ``path``, reached and stored within this file only."""
    here = file
    for name in path.split("/"):
        link = here.get(name, getlink=True) if isinstance(here, h5py.Group) else None
        if not isinstance(link, h5py.HardLink):
            raise Refusal(f"no data set {path} in the file itself")
        here = here[name]
    if not isinstance(here, h5py.Dataset) or here.is_virtual or here.external:
        raise Refusal(f"{path} is not a data set stored in the file itself")
    if here.ndim != 1:
        raise Refusal(f"{path} has {here.ndim} dimensions, not 1")
    return here


def ragged(file: Any, path: str, kinds: str) -> Any:
    """A data set of one array of numbers per recording."""
    found = dataset(file, path)
    inner = h5py.check_vlen_dtype(found.dtype)
    if not isinstance(inner, np.dtype) or inner.kind not in kinds:
        raise Refusal(f"{path} holds {found.dtype}, not an array of numbers per recording")
    return found


def numbers(file: Any, path: str, count: int) -> list[int]:
    """One integer per recording."""
    found = dataset(file, path)
    if found.dtype.kind not in "iu" or len(found) != count:
        raise Refusal(f"{path} holds {len(found)} of {found.dtype}, not {count} integers")
    return [int(value) for value in found[:]]


def seconds(times: NDArray[Any]) -> NDArray[np.floating[Any]]:
    """Times as they are, in one of two types."""
    kind = np.float32 if times.dtype.itemsize <= 4 else np.float64
    return np.ascontiguousarray(times, kind)


def channels(units: NDArray[Any]) -> NDArray[np.uint16]:
    """Channel numbers, as 16 bits."""
    if units.size and (units.min() < 0 or units.max() > 65535):
        raise Refusal("spikes/units holds what is no channel number")
    return units.astype(np.uint16, copy=False)


def names(file: Any) -> list[str] | None:
    """Names of the classes, None where there is no short list of short words."""
    if "extra" not in file or NAMES not in file:
        return None
    found = dataset(file, NAMES)
    if found.dtype.kind not in "SO" or not 0 < len(found) <= MOST:
        return None
    words = [bytes(word).decode("utf-8", "replace") for word in found[:] if isinstance(word, bytes)]
    short = all(0 < len(word) <= LONGEST and word.isprintable() for word in words)
    return words if short and len(words) == len(found) else None


def send(path: str, out: Any) -> None:
    """Everything that is wanted of the file."""
    with h5py.File(path, "r", locking=False) as file:
        parts(file, Path(path).stat().st_size, out)


def parts(file: Any, size: int, out: Any) -> None:
    """The line of JSON, then the recordings."""
    times, units = ragged(file, "spikes/times", "f"), ragged(file, "spikes/units", "iu")
    count = len(times)
    if len(units) != count or count > size:
        raise Refusal(f"{count} recordings in spikes/times, {len(units)} in spikes/units")
    info: dict[str, Any] = {"count": count}
    for name, path in LABELS.items():
        if path.split("/")[0] in file and path in file:
            info[name] = numbers(file, path, count)
    if keys := names(file):
        info["keys"] = keys
    out.write(json.dumps(info).encode() + b"\n")
    for first in range(0, count, GROUP):
        group(times[first : first + GROUP], units[first : first + GROUP], out)


def group(times: NDArray[Any], units: NDArray[Any], out: Any) -> None:
    """Some recordings, end to end."""
    lengths = [len(one) for one in times]
    if lengths != [len(one) for one in units]:
        raise Refusal("a recording whose times and units differ in number")
    t = seconds(np.concatenate(list(times)))
    out.write(len(lengths).to_bytes(7, "little") + bytes([t.itemsize]))
    out.write(np.array(lengths, np.int64).tobytes())
    out.write(t.data)
    out.write(channels(np.concatenate(list(units))).data)
