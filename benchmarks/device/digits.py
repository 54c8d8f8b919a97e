"""Learning on a device from scratch: 8 x 8 digits as events, one image at a time.

    python benchmarks/device/digits.py fc-step conv-gather --test --dtypes f32,int16,int8
    python benchmarks/device/digits.py "deep, rates by layer" --seeds 0
    python benchmarks/device/digits.py fc-step --seeds 0 --learnt 400 --engine torch

Names are those of `settings.py`; without ``--test`` the validation split judges. The exported C is
compiled for this machine and trained through a pipe. Every call leaves one record for each name
and dtype. Needs a C compiler and scikit-learn.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from settings import KNOWN
from trial import Asked, on_c, on_torch

from localspike.bench.environment import hardware, load
from localspike.export.fixed import DTYPES
from localspike.recipes.folder import revision, versions, write_json

RECORDS = Path(__file__).parents[1] / "records" / "device"


def run(name: str, asked: Asked, engine: str, seeds: Sequence[int]) -> dict[str, Any]:
    """All seeds of one setting as a record."""
    about = {
        "kind": "device-digits",
        "name": name,
        "settings": asdict(KNOWN[name]),
        **asdict(asked),
        "split": "test" if asked.test else "validation",
        "engine": engine,
        "command": shlex.join(["python", "benchmarks/device/digits.py", *sys.argv[1:]]),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": revision(),
        "hardware": hardware(),
        "load_average": load(),
        "versions": {**versions(), "scikit-learn": version("scikit-learn")},
    }
    one = on_c if engine == "c" else on_torch
    return about | {"seeds": {str(seed): one(KNOWN[name], seed, asked) for seed in seeds}}


def file_name(record: dict[str, Any]) -> str:
    """Where a record goes; another run of the same takes its place."""
    parts = ["digits", record["split"], record["name"], record["dtype"]]
    parts += ["nearest"] if record["nearest"] else []
    parts += [f"{record['learnt']}-{record['engine']}"] if record["learnt"] else []
    return re.sub(r"[^a-z0-9.]+", "-", " ".join(parts)) + ".json"


def said(record: dict[str, Any]) -> str:
    """A record in a line."""
    found = [100.0 * seed["accuracy"] for seed in record["seeds"].values()]
    spread = f" ± {stdev(found):.1f}" if len(found) > 1 else ""
    last = next(iter(record["seeds"].values()))["fired"]
    rates = " ".join(f"{rate:.2f}" for rate in last)
    kind = f"{record['dtype']}{', nearest' if record['nearest'] else ''}"
    return f"{record['name']} ({kind}, {record['split']}): {mean(found):.1f}{spread}, fires {rates}"


def main(arguments: Sequence[str]) -> None:
    """One record for each name and dtype."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="+", choices=KNOWN, metavar="NAME")
    parser.add_argument("--seeds", default="0,1,2", type=lambda s: [int(x) for x in s.split(",")])
    parser.add_argument("--dtypes", default=["f32"], type=lambda s: s.split(","))
    parser.add_argument("--test", action="store_true", help="judge by the test split")
    parser.add_argument("--nearest", action="store_true", help="round fixed point to nearest")
    parser.add_argument("--learnt", type=int, help="sequences of an epoch, for a short look")
    parser.add_argument("--engine", choices=("c", "torch"), default="c")
    parser.add_argument("--records", type=Path, default=RECORDS)
    asked = parser.parse_args(arguments)
    if unknown := sorted(set(asked.dtypes) - set(DTYPES)):
        parser.error(f"no dtype {', '.join(unknown)}; there are {', '.join(DTYPES)}")
    if asked.engine == "torch" and asked.dtypes != ["f32"]:
        parser.error("the online mode has floats only")
    asked.records.mkdir(parents=True, exist_ok=True)
    for name in asked.names:
        for dtype in asked.dtypes:
            what = Asked(dtype, asked.test, asked.nearest, asked.learnt)
            record = run(name, what, asked.engine, asked.seeds)
            write_json(asked.records / file_name(record), record)
            print(said(record), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
