"""Step time and peak memory of the schedules on one net, each measured in a fresh process.

    python benchmarks/run.py            # all cases, a JSON record in benchmarks/records/
    python benchmarks/run.py --quick    # fewer repeats, nothing recorded

The data are random spikes from a fixed seed: what is timed is `Learner.fit`, not the loader. Step
time is the median of n steps after a warm-up; repeats take the schedules in turn, so that drift of
the machine hits all of them alike, and a ratio is taken within a repeat. Peak memory is the rise of
the process's high-water mark over its value once net and data are built.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from measure import THREADS

from localspike.recipes.folder import revision, versions

HERE = Path(__file__).resolve().parent
REPEATS, QUICK_REPEATS = 5, 1


class Case(NamedTuple):
    """A net and the (rule, schedule) pairs to compare on it; the first is what others divide by."""

    net: str
    pairs: tuple[tuple[str, str], ...]
    steps: int


CASES = (
    Case(
        "mlp 80-200-200-10, T=50, batch 32",
        (("bptt", "bptt"), ("tess", "layerwise"), ("tess", "streaming"), ("ottt", "streaming")),
        20,
    ),
    Case(
        "vgg9 width 0.25, T=6, batch 16",
        (("bptt", "bptt"), ("tess", "layerwise"), ("tess", "streaming"), ("ottt", "streaming")),
        4,
    ),
)


def measure(case: Case, rule: str, schedule: str) -> dict[str, float]:
    """One measurement in a fresh process."""
    command = [sys.executable, str(HERE / "measure.py"), case.net, rule, schedule, str(case.steps)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def spread(values: list[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def compare(case: Case, repeats: int) -> list[dict[str, Any]]:
    """A row per pair: step time, its ratio to the first pair's in the same repeat, peak memory."""
    rounds = [{pair: measure(case, *pair) for pair in case.pairs} for _ in range(repeats)]
    first = case.pairs[0]
    return [
        {
            "net": case.net,
            "rule": pair[0],
            "schedule": pair[1],
            "n": repeats,
            "steps_per_measurement": case.steps,
            "step_ms": spread([r[pair]["step_ms"] for r in rounds]),
            "time_ratio": spread([r[pair]["step_ms"] / r[first]["step_ms"] for r in rounds]),
            "peak_memory_mib": spread([r[pair]["peak_memory_mib"] for r in rounds]),
        }
        for pair in case.pairs
    ]


def show(row: dict[str, Any]) -> str:
    """A row as a line of text."""
    step, ratio, peak = row["step_ms"], row["time_ratio"], row["peak_memory_mib"]
    return (
        f"{row['rule']:5} {row['schedule']:10} {step['median']:9.1f} ms/step "
        f"({step['min']:.1f} to {step['max']:.1f})  ratio {ratio['median']:.2f} "
        f"({ratio['min']:.2f} to {ratio['max']:.2f})  peak +{peak['median']:.1f} MiB"
    )


def main() -> None:
    """Measure every case, print a table, and keep a record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one repeat, nothing recorded")
    quick = parser.parse_args().quick
    rows: list[dict[str, Any]] = []
    for case in CASES:
        print(case.net, flush=True)
        found = compare(case, QUICK_REPEATS if quick else REPEATS)
        rows += found
        print("\n".join(f"  {show(row)}" for row in found), flush=True)
    if not quick:
        print(f"recorded in {record(rows)}")


def record(rows: list[dict[str, Any]]) -> Path:
    """Write the rows with everything they depend on."""
    now = datetime.now(UTC)
    path = HERE / "records" / f"schedules-{now:%Y%m%d-%H%M%S}.json"
    about = {
        "what": "step time and peak memory of Learner.fit by schedule",
        "command": shlex.join(["python", "benchmarks/run.py", *sys.argv[1:]]),
        "when": now.isoformat(timespec="seconds"),
        "revision": revision(),
        "versions": {**versions(), "threads": THREADS},
        "rows": rows,
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(about, indent=1) + "\n")
    return path.relative_to(HERE.parent)


if __name__ == "__main__":
    main()
