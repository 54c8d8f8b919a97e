"""Reads one SHD/SSC file in a process of its own, with limits, and writes plain arrays to stdout.

Run as a script by ``shd.py``: ``python hdf5_child.py FILE CPU_SECONDS MEMORY_BYTES``. HDF5 is a
large C library; what a hostile file does to it happens here and ends here. Only what the format
needs is opened: no links to other files, no data kept in other files, no filter plugins. Exit
status 3 means a refusal, its reason on stderr. It imports nothing of the package, to start fast.

Output: a line of JSON, then per group of recordings: their number (int64), their lengths (int64),
times in µs (int64), channels (uint16).
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

GROUP = 16  # recordings sent together: few enough for the processor's cache
REFUSED = 3
LATEST = float(1 << 50)  # µs, beyond which seconds in double precision are not exact
LABELS = {"labels": "labels", "speaker": "extra/speaker"}


class Refusal(Exception):
    """Why the file is not read."""


def limit(cpu_seconds: float, memory: int) -> None:
    """From now on: so much processor time, and so much memory more than is in use."""
    status = Path("/proc/self/statm")
    used = int(status.read_text().split()[0]) * resource.getpagesize() if status.exists() else 0
    if used:
        resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds)


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


def microseconds(seconds: NDArray[Any]) -> NDArray[np.int64]:
    """Times in µs, rounded."""
    exact = np.multiply(seconds, 1e6, dtype=np.float64)
    if exact.size and not (exact.min() > -LATEST and exact.max() < LATEST):
        raise Refusal("spikes/times holds what is no time in seconds")
    return np.rint(exact, out=exact).astype(np.int64)


def channels(units: NDArray[Any]) -> NDArray[np.uint16]:
    """Channel numbers, as 16 bits."""
    if units.size and (units.min() < 0 or units.max() > 65535):
        raise Refusal("spikes/units holds what is no channel number")
    return units.astype(np.uint16, copy=False)


def send(file: Any, size: int, out: Any) -> None:
    """Everything that is wanted of the file."""
    times, units = ragged(file, "spikes/times", "f"), ragged(file, "spikes/units", "iu")
    count = len(times)
    if len(units) != count or count > size:
        raise Refusal(f"{count} recordings in spikes/times, {len(units)} in spikes/units")
    info: dict[str, Any] = {"count": count}
    for name, path in LABELS.items():
        if path.split("/")[0] in file and path in file:
            info[name] = numbers(file, path, count)
    out.write(json.dumps(info).encode() + b"\n")
    for first in range(0, count, GROUP):
        group(times[first : first + GROUP], units[first : first + GROUP], out)


def group(times: NDArray[Any], units: NDArray[Any], out: Any) -> None:
    """Some recordings, end to end."""
    lengths = [len(one) for one in times]
    if lengths != [len(one) for one in units]:
        raise Refusal("a recording whose times and units differ in number")
    out.write(np.array([len(lengths), *lengths], np.int64).tobytes())
    out.write(microseconds(np.concatenate(list(times))).data)
    out.write(channels(np.concatenate(list(units))).data)


def main(path: str, cpu_seconds: str, memory: str) -> int:
    """Exit status 0, or ``REFUSED`` with the reason on stderr."""
    limit(float(cpu_seconds), int(memory))
    try:
        with h5py.File(path, "r", locking=False) as file:
            send(file, Path(path).stat().st_size, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except Refusal as error:
        print(error, file=sys.stderr)
        return REFUSED
    except Exception as error:  # HDF5 turns what it finds into many kinds of exception
        print(f"{type(error).__name__}: {error}"[:300], file=sys.stderr)
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
