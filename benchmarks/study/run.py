"""Run what the study still lacks a record of, as many processes at a time as asked for.

    python benchmarks/study/run.py trials --runs /tmp/study --jobs 2 [NAME ...] [--seeds 0,1,2]
    python benchmarks/study/run.py grid   --runs /tmp/study --jobs 2 [NAME ...]
    python benchmarks/study/run.py final  --runs /tmp/study --jobs 2 [NAME ...] [--seeds 1,2,3]

``trials`` answers the questions of `trials.py` on validation, ``grid`` tries the step sizes of
`contest.py`, and ``final`` trains its rules with the ones that won and reads the test split. Every
run is a process of its own; an interrupted one goes on when this is started again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from contest import CONTESTANTS, GRID, GRID_EPOCHS, GRID_SEED, SEEDS, chosen
from trials import TRIALS

HERE = Path(__file__).parent
RECORDS = HERE.parent / "records" / "study"


def trial_lines(asked: argparse.Namespace) -> Iterator[list[str]]:
    """Trials without a record, seed by seed."""
    for seed in asked.seeds or [0]:
        for name in asked.names or TRIALS:
            trial = TRIALS[name]
            plugin = ("--plugin", str(HERE / "ideas.py")) if trial.plugin else ()
            yield from _line(asked, "", name, seed, trial.recipe, *trial.settings, *plugin)


def grid_lines(asked: argparse.Namespace) -> Iterator[list[str]]:
    """Points of the grid without a record, rule by rule."""
    for name in asked.names or CONTESTANTS:
        rule = CONTESTANTS[name]
        for lr in GRID:
            changes = (f"lr={lr!r}", f"epochs={GRID_EPOCHS}")
            point = f"{name}-{lr:g}"
            yield from _line(asked, "grid", point, GRID_SEED, rule.recipe, *rule.settings, *changes)


def final_lines(asked: argparse.Namespace) -> Iterator[list[str]]:
    """Rules without a record of the test split, seed by seed; their grids must be whole."""
    for seed in asked.seeds or SEEDS:
        for name in asked.names or CONTESTANTS:
            rule, lr = CONTESTANTS[name], chosen(name)
            if lr is None:
                print(f"{name} is left out: its grid is not whole", file=sys.stderr)
                continue
            changes = (f"lr={lr!r}", "--test")
            yield from _line(asked, "final", name, seed, rule.recipe, *rule.settings, *changes)


def _line(
    asked: argparse.Namespace, part: str, name: str, seed: int, *settings: str
) -> Iterator[list[str]]:
    records = asked.records / part
    if (records / f"{name}-{seed}.json").exists():
        return
    line = [sys.executable, str(HERE / "trial.py"), name, *settings, "--seed", str(seed)]
    line += ["--runs", str(asked.runs / part), "--records", str(records)]
    yield [*line, "--data-root", str(asked.data_root)] if asked.data_root else line


STAGES = {
    "trials": (TRIALS, trial_lines),
    "grid": (CONTESTANTS, grid_lines),
    "final": (CONTESTANTS, final_lines),
}


def main(arguments: Sequence[str]) -> int:
    """All that is missing; 1 if any failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("names", nargs="*", metavar="NAME", help="all by default")
    parser.add_argument("--seeds", type=lambda s: [int(x) for x in s.split(",")])
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--runs", type=Path, required=True, help="folder of run folders")
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument("--data-root", type=Path)
    asked = parser.parse_intermixed_args(arguments)
    known, lines = STAGES[asked.stage]
    unknown = [name for name in asked.names if name not in known]
    if unknown:
        parser.error(f"no {', '.join(unknown)} in {asked.stage}; there are {', '.join(known)}")
    if asked.jobs < 1:
        parser.error(f"--jobs is {asked.jobs}; at least 1")
    with ThreadPoolExecutor(asked.jobs) as pool:
        found = pool.map(lambda line: subprocess.run(line, check=False).returncode, lines(asked))
        return int(any(list(found)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
