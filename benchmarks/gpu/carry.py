"""Take a folder of data to a machine that is reached by small parcels only, and unpack it there.

    python benchmarks/gpu/carry.py pack DATA_ROOT/cifar10
    python benchmarks/gpu/carry.py unpack /tmp/data        # there, once for every parcel

Files travel as they are: CIFAR-10's lossless atlases (97 MiB, two parcels) are smaller than any
archive of its pixels. Every parcel holds the list of all files with their SHA-256.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

CARRIED = Path(__file__).resolve().parent / "carried"
LIST = "files.json"
MIB = 2**20


def pack(source: Path, carried: Path, mib: float) -> list[Path]:
    """Copy the files below ``source`` into parcels of at most ``mib``; the parcels' folders."""
    files = sorted(path for path in source.rglob("*") if path.is_file())
    if not files:
        raise SystemExit(f"nothing to carry: no file below {source}")
    listed = {f"{source.name}/{path.relative_to(source).as_posix()}": path for path in files}
    digests = {name: digest(path) for name, path in listed.items()}
    groups = list(grouped(listed, int(mib * MIB)))
    clear(carried)
    parcels = []
    for number, names in enumerate(groups, start=1):
        parcel = carried / str(number)
        for name in names:
            copy(listed[name], parcel / name)
        (parcel / LIST).write_text(json.dumps(digests, indent=1))
        parcels.append(parcel)
    return parcels


def clear(carried: Path) -> None:
    """Remove earlier parcels, and refuse a folder that holds anything else."""
    found = sorted(carried.iterdir()) if carried.is_dir() else []
    foreign = [p for p in found if not (p.name.isdecimal() and (p / LIST).is_file())]
    if foreign or (carried.exists() and not carried.is_dir()):
        what = foreign[0] if foreign else carried
        raise SystemExit(f"{what} is no parcel: choose a new or empty folder with --carried")
    for parcel in found:
        shutil.rmtree(parcel)


def grouped(listed: dict[str, Path], most: int) -> Iterator[list[str]]:
    """Names in order, as many at a time as fit into ``most`` bytes."""
    group: list[str] = []
    room = most
    for name, path in listed.items():
        size = path.stat().st_size
        if size > most:
            raise SystemExit(f"{path} has {size} bytes, a parcel at most {most}: raise --mib")
        if size > room:
            yield group
            group, room = [], most
        group.append(name)
        room -= size
    yield group


def unpack(carried: Path, root: Path) -> tuple[int, int]:
    """Copy what parcels are here into ``root``; how many files are there and how many there are."""
    lists = sorted(carried.glob(f"*/{LIST}"))
    if not lists:
        raise SystemExit(f"no parcel in {carried}")
    try:
        digests = dict(json.loads(lists[0].read_text()))
    except (ValueError, TypeError):
        raise SystemExit(f"{lists[0]} is damaged: carry that parcel again") from None
    for name, expected in digests.items():
        for parcel in (path.parent for path in lists):
            if (parcel / name).exists():
                copy(parcel / name, root / name)
                if digest(root / name) != expected:
                    raise SystemExit(f"{root / name} was damaged on its way")
    return sum((root / name).exists() for name in digests), len(digests)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def copy(source: Path, to: Path) -> None:
    """Copy a file, making its folder."""
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, to)


def main(arguments: Sequence[str]) -> int:
    """Pack or unpack."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("pack", "unpack"))
    parser.add_argument("folder", type=Path, help="the data set's folder; there, the data root")
    parser.add_argument("--mib", type=float, default=52, help="largest parcel")
    parser.add_argument("--carried", type=Path, default=CARRIED, help="folder of the parcels")
    asked = parser.parse_args(arguments)
    if asked.what == "pack":
        for parcel in pack(asked.folder, asked.carried, asked.mib):
            size = sum(path.stat().st_size for path in parcel.rglob("*") if path.is_file())
            print(f"{parcel}: {size / MIB:.1f} MiB")
    else:
        there, every = unpack(asked.carried, asked.folder)
        print(f"{there} of {every} files are in {asked.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
