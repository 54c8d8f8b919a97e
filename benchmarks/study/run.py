"""Run the study's trials that have no record yet, as many at a time as asked for.

    python benchmarks/study/run.py --runs /tmp/study --jobs 2 [NAME ...] [--seeds 0,1,2]

Each trial is a process of its own; an interrupted one goes on when this is started again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from trials import TRIALS

HERE = Path(__file__).parent
RECORDS = HERE.parent / "records" / "study"


def command(name: str, seed: int, asked: argparse.Namespace) -> list[str]:
    """The process of one trial."""
    trial = TRIALS[name]
    line = [sys.executable, str(HERE / "trial.py"), name, trial.recipe, *trial.settings]
    line += ["--seed", str(seed), "--runs", str(asked.runs), "--records", str(asked.records)]
    if trial.plugin:
        line += ["--plugin", str(HERE / "ideas.py")]
    return [*line, "--data-root", str(asked.data_root)] if asked.data_root else line


def missing(asked: argparse.Namespace) -> Iterator[tuple[str, int]]:
    """Trials without a record, seed by seed."""
    for seed in asked.seeds:
        for name in asked.names or TRIALS:
            if not (asked.records / f"{name}-{seed}.json").exists():
                yield name, seed


def main(arguments: Sequence[str]) -> int:
    """All that is missing; 1 if any failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TRIALS))
    parser.add_argument("--seeds", type=lambda s: [int(x) for x in s.split(",")], default=[0])
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--runs", type=Path, required=True, help="folder of run folders")
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument("--data-root", type=Path)
    asked = parser.parse_args(arguments)
    unknown = [name for name in asked.names if name not in TRIALS]
    if unknown:
        parser.error(f"no trial {', '.join(unknown)}; there are {', '.join(TRIALS)}")
    if asked.jobs < 1:
        parser.error(f"--jobs is {asked.jobs}; at least 1")
    with ThreadPoolExecutor(asked.jobs) as pool:
        lines = [command(name, seed, asked) for name, seed in missing(asked)]
        codes = list(pool.map(lambda line: subprocess.run(line, check=False).returncode, lines))
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
