"""Events decoded per second by every reader here, beside plain NumPy and other libraries.

    python benchmarks/formats.py                  # a JSON record in benchmarks/records/
    python benchmarks/formats.py --quick          # few events and rounds, nothing recorded

LOCALSPIKE_DATA names the folder with real N-MNIST (else events are random), LOCALSPIKE_ORACLES the
python of the environment that scripts/make_oracles.py makes (else there are no other libraries).
Every reader works in a process of its own and times itself inside; the rounds take them in turn, in
an order that rotates, so that drift of the machine hits all alike. A ratio is the median time of
the other over the median time of this package: above 1, this package is faster.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from localspike.data import Sensor, formats, make_events
from localspike.recipes.folder import revision, versions

HERE = Path(__file__).resolve().parent
ROUNDS, QUICK_ROUNDS = 9, 2
EVENTS, QUICK_EVENTS = 2_400_000, 100_000
SHD_TIMES = 27
"""The training file of SHD has some 65 million spikes; "shd-small" has as many as the others."""

LIBRARIES = ("tonic", "expelliarmus", "evlib", "dv_processing")
KINDS: dict[str, dict[str, Any]] = {
    "aedat2": {"layout": "davis346"},
    "aedat3": {},
    "aedat4": {"compression": "none"},
    "aedat4-lz4": {"compression": "lz4"},
    "aedat4-zstd": {"compression": "zstd"},
    "dat": {},
    "evt2": {},
    "evt3": {},
    "evt3-rows": {},
    "nmnist": {},
    "npz": {},
    "npz-stored": {"compress": False},
    "shd-small": {},
    "shd": {},
}
SUFFIXES = {"aedat2": ".aedat", "aedat3": ".aedat", "aedat4": ".aedat4", "dat": ".dat"}
SUFFIXES |= {"evt2": ".raw", "evt3": ".raw", "nmnist": ".bin", "npz": ".npz", "shd": ".h5"}


class Worker:
    """A process that serves readers; ``names`` is what it can read."""

    def __init__(self, command: list[str]) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.names: list[str] = json.loads(self._line() or "[]")

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def read(self, name: str, path: Path) -> dict[str, Any]:
        """One timed reading."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([name, str(path)]) + "\n")
        self.process.stdin.flush()
        found: dict[str, Any] = json.loads(self._line() or '{"error": "the process died"}')
        return found

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()


def recording(events: int) -> tuple[formats.Recording, str]:
    """N-MNIST end to end, as often as is needed; random events of the same kind without it."""
    root = os.environ.get("LOCALSPIKE_DATA")
    path = Path(root or ".") / "nmnist" / "nmnist_raw_us.npz"
    if root is None or not path.exists():
        rng = np.random.default_rng(0)
        t = np.cumsum(rng.integers(0, 150, events))
        x, y, p = (rng.integers(0, high, events) for high in (34, 34, 2))
        return formats.Recording(make_events(t, x, p, y), formats.NMNIST), "random events"
    parts, start = [], 0
    with np.load(path) as file:
        held = {name: file[name] for name in file.files}
    while sum(map(len, parts)) < events:
        for split in ("train", "test"):
            columns = [held[f"{split}_{name}"] for name in ("t_us", "x", "p", "y")]
            ends = held[f"{split}_offsets"]
            for first, last in pairwise(ends):
                t, x, p, y = (column[first:last] for column in columns)
                parts.append(make_events(t.astype(np.int64) + start, x, p, y))
                start = int(parts[-1]["t"][-1]) + 1000
    return formats.Recording(np.concatenate(parts), formats.NMNIST), "N-MNIST, end to end"


def bursts(events: int) -> formats.Recording:
    """Runs of neighbours on one row, as edges make them on a large sensor."""
    rng = np.random.default_rng(0)
    size = rng.integers(1, 20, events // 10)
    run = np.repeat(np.arange(len(size)), size)
    nth = np.arange(len(run)) - np.repeat(np.cumsum(size) - size, size)
    t = np.cumsum(rng.integers(0, 4, len(size)))[run]
    x = rng.integers(0, 1240, len(size))[run] + nth * rng.integers(1, 3, len(size))[run]
    y, p = rng.integers(0, 720, len(size))[run], rng.integers(0, 2, len(size))[run]
    return formats.Recording(make_events(t, x, p, y), Sensor(2, 720, 1280))


def spoken(spikes: int) -> formats.Recording:
    """Recordings of 700 channels, a second and 5,000 to 12,000 spikes each."""
    rng = np.random.default_rng(0)
    ends = [0]
    while ends[-1] < spikes:
        ends.append(ends[-1] + int(rng.integers(5000, 12_000)))
    t = rng.integers(0, 1_000_000, ends[-1])
    for first, last in pairwise(ends):
        t[first:last].sort()
    events = make_events(t, rng.integers(0, 700, len(t)), np.zeros(len(t), np.uint8))
    labels = {"labels": [0] * (len(ends) - 1)}
    return formats.Recording(events, formats.CHANNELS, labels, np.array(ends))


def write(folder: Path, kinds: list[str], events: int) -> tuple[dict[str, Path], str]:
    """A file of each of ``kinds``, and what is in them."""
    one, about = recording(events)
    special = {
        "evt3-rows": lambda: bursts(events),
        "shd-small": lambda: spoken(events),
        "shd": lambda: spoken(SHD_TIMES * events),
    }
    paths = {}
    for kind in kinds:
        name = kind.partition("-")[0]
        paths[kind] = folder / f"{kind}{SUFFIXES[name]}"
        what = special[kind]() if kind in special else one
        getattr(formats, f"write_{name}")(paths[kind], what, **KINDS[kind])
    return paths, about


def measure(kind: str, path: Path, workers: dict[str, Worker], rounds: int) -> dict[str, Any]:
    """Times of every arm that reads the format, and its ratios."""
    arms = {name: worker for name, worker in workers.items() if kind in worker.names}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in arms}
    for turn in range(rounds + 1):  # the first warms up
        order = list(arms)[turn % len(arms) :] + list(arms)[: turn % len(arms)]
        for name in order:
            once = arms[name].read(kind, path)
            found[name] += [once] if turn else []
    return {
        "kind": kind,
        "bytes": path.stat().st_size,
        "events": found["localspike"][0]["events"],
        "n": rounds,
        "arms": {name: arm(once, found["localspike"]) for name, once in found.items()},
    }


def arm(found: list[dict[str, Any]], ours: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures of one arm, relative to this package's."""
    errors = [one["error"] for one in found if "error" in one]
    if errors:
        return {"error": errors[0]}
    seconds = [one["seconds"] for one in found]
    pairs = [one / two["seconds"] for one, two in zip(seconds, ours, strict=True)]
    middle = statistics.median(seconds)
    processor = [statistics.median(one["processor"] for one in arms) for arms in (found, ours)]
    return {
        "seconds": {"median": middle, "min": min(seconds), "max": max(seconds)},
        "events_per_second": found[0]["events"] / middle,
        "ratio": middle / statistics.median(one["seconds"] for one in ours),
        "ratio_per_round": {"min": min(pairs), "max": max(pairs)},
        "ratio_of_processor_time": processor[0] / processor[1],
        "same_events": found[0]["sums"] == ours[0]["sums"],
    }


def show(row: dict[str, Any]) -> str:
    """A row as a line of text."""
    parts = []
    for name, one in row["arms"].items():
        if "error" in one:
            parts.append(f"{name} failed: {one['error'][:60]}")
        elif name == "localspike":
            parts.append(f"{one['events_per_second'] / 1e6:6.1f} M events/s")
        else:
            spread = one["ratio_per_round"]
            parts.append(
                f"{name} {one['ratio']:.2f} ({spread['min']:.2f} to {spread['max']:.2f}, "
                f"processor {one['ratio_of_processor_time']:.2f})"
                + ("" if one["same_events"] else " other events")
            )
    return f"{row['kind']:12} {row['events']:9} events  " + "; ".join(parts)


def hardware() -> dict[str, Any]:
    """The processor, how many of it, and how busy they are."""
    info = Path("/proc/cpuinfo")
    name = re.search(r"^model name\s*: (.*)$", info.read_text(), re.M) if info.exists() else None
    return {
        "processor": name[1] if name else platform.processor(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "platform": platform.platform(),
    }


def others(python: str) -> dict[str, str]:
    """Versions in the other environment."""
    done = subprocess.run([python, "-m", "pip", "list", "--format=json"], capture_output=True)
    wanted = {"tonic", "expelliarmus", "evlib", "dv_processing", "dv-processing", "aedat", "h5py"}
    wanted |= {"numpy"}
    listed = json.loads(done.stdout or "[]")
    return {one["name"]: one["version"] for one in listed if one["name"] in wanted}


def record(rows: list[dict[str, Any]], about: str, before: dict[str, Any], python: str) -> Path:
    """Write the rows with everything they depend on."""
    path = HERE / "records" / "formats.json"
    found = {
        "what": "events decoded per second, files in the page cache; ratio = median time of the "
        "other / median time of localspike, all readers in turn in one run, one thread each",
        "data": f"{about}; evt3-rows: random bursts; shd: random spikes",
        "command": shlex.join(["python", "benchmarks/formats.py", *sys.argv[1:]]),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": revision(),
        "hardware": before,
        "load_average_after": os.getloadavg(),
        "versions": versions(),
        "versions_of_others": others(python) if python else {},
        "rows": rows,
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")
    return path.relative_to(HERE.parent)


def main() -> None:
    """Measure every format, print a table, and keep a record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few events, nothing recorded")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), help="some formats only")
    given = parser.parse_args()
    rounds, events = (QUICK_ROUNDS, QUICK_EVENTS) if given.quick else (ROUNDS, EVENTS)
    python, before, rows = os.environ.get("LOCALSPIKE_ORACLES", ""), hardware(), []
    commands = {arm: [sys.executable, "formats_plain.py", arm] for arm in ("localspike", "plain")}
    if python:
        commands |= {name: [python, "formats_others.py", name] for name in LIBRARIES}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        paths, about = write(folder, given.kinds, events)
        workers = {}
        for name, (program, script, arm) in commands.items():
            workers[name] = Worker([program, str(HERE / script), arm])
            stack.callback(workers[name].close)
        for kind in given.kinds:
            rows.append(measure(kind, paths[kind], workers, rounds))
            print(show(rows[-1]), flush=True)
    if not given.quick:
        print(f"recorded in {record(rows, about, before, python)}")


if __name__ == "__main__":
    main()
