"""Feed damaged files to the readers: nothing but DataError may come out of them.

Every file is a mutation of a small whole one of some format, or of a bomb, read by its own reader,
by content, and in pieces (HDF5 and sound by their own only). Checked for each: the error, if there
is one, is a DataError in one line that names the file and says what was expected; nothing is warned
of; what is accepted passes the format's own check; reading takes less than a second of processor
time in this process (a child has its own limits), and less than 60 s by the clock on the wall of a
busy machine (120 s with a child); memory rises by less than 64 MiB + 4 × (file + decoded events)
above what was in use.

    python scripts/fuzz_formats.py --count 200000 --record benchmarks/records/fuzz_formats.json

runs in parts, each with a seed of its own, and goes on after the last part that the record has. A
part gives the same files again: --seed N --count 2000 --keep FOLDER.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shlex
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import fuzz_files
import numpy as np

from localspike.data import chunks_of, formats
from localspike.errors import DataError
from localspike.learn.memory import high_water_mib, restart_high_water
from localspike.recipes.folder import revision, versions

PART = 2000
BOMB_EVERY, COSTLY_EVERY = 50, 125
FLOOR = 64 << 20
SLOW, SLOW_WALL, SLOW_CHILD = 1.0, 60.0, 120.0
SOUND = ("wave", "flac")
STOPPED: list[int] = []
"""Not empty where this process was stopped and set going again: the clock on the wall ran on."""
PLACE = re.compile(r" at (byte|event|line|sample) ")
READERS: dict[str, Callable[..., Any]] = {
    **formats.READERS, "wave": formats.read_wave, "flac": formats.read_flac,
}  # fmt: skip


@dataclass
class Kind:
    """What happened to the files of one kind; times in seconds, memory in MiB."""

    files: int = 0
    refused: int = 0
    accepted: int = 0
    placed: int = 0  # refusals that name a byte or an event
    slowest: float = 0.0
    slowest_wall: float = 0.0
    peak_mib: float = 0.0

    def add(self, other: Kind) -> None:
        """Take in the files of another part."""
        for name in ("files", "refused", "accepted", "placed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("slowest", "slowest_wall", "peak_mib"):
            setattr(self, name, max(getattr(self, name), getattr(other, name)))


@dataclass
class Report:
    """What happened, by kind of file, and what should not have."""

    kinds: dict[str, Kind] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    @property
    def files(self) -> int:
        """How many files were read."""
        return sum(kind.files for kind in self.kinds.values())

    def of(self, kind: str) -> Kind:
        """The figures of one kind."""
        return self.kinds.setdefault(kind, Kind())

    def add(self, other: Report) -> None:
        """Take in another part."""
        for name, kind in other.kinds.items():
            self.of(name).add(kind)
        self.failures += other.failures


def read(path: Path, name: str, sort: bool) -> tuple[str, int, str]:
    """(what the refusal says or "", bytes of decoded events, fault or "") of one file."""
    refusals, decoded = [""], 0
    calls: list[Callable[..., Any]] = [READERS[name]]
    if name not in ("shd", *SOUND):
        calls += [formats.read, partial(pieces, name)]  # by content, and a few events at a time
    for call in calls:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                found = call(path, **({"sort": True} if sort and name not in SOUND else {}))
        except DataError as error:
            said = str(error)
            refusals.insert(-1, said.removeprefix(str(path)))
            if not said.startswith(str(path)) or "\n" in said or error.expected is None:
                return said, decoded, f"not a whole refusal: {said}"
        except BaseException as error:
            return refusals[0], decoded, f"{type(error).__name__}: {error}"
        else:
            decoded = max(decoded, checked(found))
    return refusals[0], decoded, ""


def pieces(name: str, path: Path, sort: bool = False) -> int:
    """Bytes of all events of a file that is read in pieces."""
    return sum(chunk.nbytes for chunk in chunks_of(path, 1000, form=name))


def checked(found: formats.Recording | formats.Clip | int) -> int:
    """Bytes of what was decoded, once it is known to make sense."""
    if isinstance(found, int):
        return found
    if isinstance(found, formats.Clip):
        formats.check_clip(found, "accepted")
        return found.samples.nbytes
    formats.check_recording(found, "accepted")
    return found.events.nbytes


def attempt(report: Report, path: Path, content: bytes, kind: str, sort: bool) -> str:
    """Read one file, note what happened, and return what should not have."""
    path.write_bytes(content)
    name, figures = kind.partition("-")[0], report.of(kind)
    before = restart_high_water()
    start, worked = time.perf_counter(), time.process_time()
    STOPPED.clear()
    said, decoded, fault = read(path, name, sort)
    took, worked = time.perf_counter() - start, time.process_time() - worked
    took = worked if STOPPED else took
    rise = high_water_mib() - before
    once = Kind(1, bool(said), not said, bool(PLACE.search(said)), worked, took, rise)
    figures.add(once)
    allowed = FLOOR + 4 * (len(content) + decoded)
    if not fault and rise * 2**20 > allowed:
        fault = f"memory rose by {rise:.0f} MiB, {allowed / 2**20:.0f} allowed"
    limit = SLOW_CHILD if kind in fuzz_files.COSTLY else SLOW_WALL
    if not fault and (worked > SLOW or took > limit):
        fault = f"took {worked:.1f} s of processor time, {took:.1f} s in all"
    return fault


def kind_of(number: int) -> str:
    """The kind of the file of that number; costly ones and bombs come now and then."""
    for every, kinds in ((COSTLY_EVERY, fuzz_files.COSTLY), (BOMB_EVERY, fuzz_files.BOMBS)):
        if (number + 1) % every == 0:
            return kinds[number // every % len(kinds)]
    return fuzz_files.CHEAP[number % len(fuzz_files.CHEAP)]


def fuzz(
    count: int, seconds: float = float("inf"), seed: int = 0, keep: Path | None = None
) -> Report:
    """Read up to ``count`` mutated files, for up to ``seconds``; a seed gives the same files."""
    rng, report = np.random.default_rng(seed), Report()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCONT, lambda number, _: STOPPED.append(number))
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        path, seeds = Path(folder) / "mutated", {}
        for number in range(count):
            if time.monotonic() > end:
                break
            kind = kind_of(number)
            if kind not in seeds or rng.random() < (0.1 if kind.endswith("-bomb") else 0.02):
                seeds[kind] = fuzz_files.seed_file(rng, kind, Path(folder))
            other = seeds[list(seeds)[int(rng.integers(0, len(seeds)))]][:4096]
            whole = kind.endswith("-bomb") and rng.random() < 0.5
            content = seeds[kind] if whole else fuzz_files.damage(rng, kind, seeds[kind], other)
            fault = attempt(report, path, content, kind, sort=rng.random() < 0.125)
            if fault:
                report.failures.append(f"seed {seed}, file {number}, {kind}: {fault}")
                if keep is not None:
                    (keep / f"{kind}-{seed}-{number}.bin").write_bytes(content)
    return report


def resumed(path: Path | None) -> tuple[Report, int]:
    """What the record has, and the seed of the next part."""
    if path is None or not path.exists():
        return Report(), 0
    held = json.loads(path.read_text())
    kinds = {name: Kind(**figures) for name, figures in held["kinds"].items()}
    return Report(kinds, held["failures"]), held["parts"]


def save(path: Path, report: Report, parts: int) -> None:
    """Write the record, whole or not at all."""
    about = {
        "what": "damaged files fed to the readers of localspike.data.formats",
        "command": shlex.join(["python", "scripts/fuzz_formats.py", *sys.argv[1:]]),
        "revision": revision(),
        "versions": {**versions(), "platform": platform.platform()},
        "seeds": f"0 … {parts - 1}, {PART} files each",
        "limits": {
            "processor_seconds": SLOW, "wall_seconds": SLOW_WALL, "wall_seconds_child": SLOW_CHILD,
            "memory": "64 MiB + 4 × (file + decoded events)",
        },
        "parts": parts,
        "files": report.files,
        "failures": report.failures,
        "kinds": {name: asdict(kind) for name, kind in sorted(report.kinds.items())},
    }  # fmt: skip
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(about, indent=1) + "\n")
    os.replace(temporary, path)


def show(report: Report) -> str:
    """A line per kind."""
    lines = [f"{'kind':17} files  refused accepted  placed  slowest s  wall s  peak MiB"]
    for name, one in sorted(report.kinds.items()):
        lines.append(
            f"{name:17} {one.files:6} {one.refused:7} {one.accepted:8} {one.placed:7}"
            f" {one.slowest:10.3f} {one.slowest_wall:7.2f} {one.peak_mib:9.1f}"
        )
    return "\n".join([*lines, f"{report.files} files, {len(report.failures)} failures"])


def main() -> int:
    """Exit status 1 if any file was mishandled."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, help="one part only, with this seed")
    parser.add_argument("--record", type=Path, help="a JSON file to go on from and to write")
    parser.add_argument("--processes", type=int, default=1, help="parts read at the same time")
    parser.add_argument("--keep", type=Path, help="a folder for the files that were mishandled")
    given = parser.parse_args()
    end = time.monotonic() + given.seconds
    report, parts = resumed(given.record)
    if given.seed is not None:
        report = fuzz(given.count, given.seconds, given.seed, given.keep)
    wanted = 0 if given.seed is not None else -(-(given.count - report.files) // PART)
    with ProcessPoolExecutor(given.processes, get_context("spawn")) as pool:
        work = [pool.submit(fuzz, PART, seed=parts + n, keep=given.keep) for n in range(wanted)]
        for part in work:
            report.add(part.result())
            parts += 1
            if given.record is not None:
                save(given.record, report, parts)
            if time.monotonic() > end:
                pool.shutdown(cancel_futures=True)
                break
    print(show(report))
    print("\n".join(report.failures[:50]))
    return int(bool(report.failures))


if __name__ == "__main__":
    sys.exit(main())
