"""Run what the study still lacks a record of, as many processes at a time as asked for.

    python benchmarks/study/run.py trials   --runs /tmp/study --jobs 2 [NAME ...] [--seeds 0,1,2]
    python benchmarks/study/run.py grid     --runs /tmp/study --jobs 2 [PLACE/RULE ...]
    python benchmarks/study/run.py finalists --runs /tmp/study --jobs 2 [PLACE/RULE ...]
    python benchmarks/study/run.py final    --runs /tmp/study --jobs 2 [PLACE/RULE ...]
    python benchmarks/study/run.py ablation --runs /tmp/study --jobs 2
    python benchmarks/study/run.py parts    --runs /tmp/study --jobs 2
    python benchmarks/study/run.py layers   --runs /tmp/study --jobs 2
    python benchmarks/study/run.py knobs    --runs /tmp/study --jobs 2 [PLACE]

``trials`` answers the questions of `trials.py` on validation, ``grid`` tries the step sizes of
`contest.py`, ``finalists`` the best of a shortened grid at full length, ``final`` trains its rules
with the ones that won and reads the test split, ``ablation`` turns TESS's open knobs on small nets,
``parts`` takes `tess_plus` apart there, ``layers`` hears each layer by itself, and ``knobs`` sets
all else about TESS otherwise, one setting at a time. Every run is a process of its own; an
interrupted one goes on when this is started again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ablation
import contest
import knobs
import layers
import parts
from jobs import RECORDS, Job
from trials import TRIALS


def trial_jobs(wanted: Iterable[str], seeds: tuple[int, ...] | None) -> list[Job]:
    """The trials, seed by seed."""
    return [
        Job("trials", name, seed, TRIALS[name].recipe, TRIALS[name].settings, TRIALS[name].plugin)
        for seed in seeds or (0,)
        for name in wanted
    ]


def final_jobs(wanted: Sequence[str], seeds: tuple[int, ...] | None) -> list[Job]:
    """Final runs of what has a whole grid; what has none is said."""
    for name in wanted:
        place, _, rule = name.partition("/")
        if contest.chosen(place, rule) is None:
            print(
                f"{name} is left out: its grid (or a run of its finalists) is missing",
                file=sys.stderr,
            )
    return list(contest.final_jobs(wanted, seeds))


def knob_jobs(wanted: Iterable[str], seeds: tuple[int, ...] | None) -> list[Job]:
    """What is set otherwise at some places."""
    found = [job for job in knobs.jobs() if job.part.removeprefix("knobs/") in wanted]
    return [job for job in found if seeds is None or job.seed in seeds]


def jobs_of(asked: argparse.Namespace) -> list[Job]:
    """What a stage is made of."""
    wanted = asked.names or KNOWN[asked.stage]
    if asked.stage == "trials":
        return trial_jobs(wanted, asked.seeds)
    if asked.stage == "grid":
        return list(contest.grid_jobs(wanted))
    if asked.stage == "finalists":
        return list(contest.finalist_jobs(wanted))
    if asked.stage == "final":
        return final_jobs(wanted, asked.seeds)
    if asked.stage == "knobs":
        return knob_jobs(wanted, asked.seeds)
    return list(WHOLE[asked.stage]())


WHOLE = {"ablation": ablation.jobs, "parts": parts.jobs, "layers": layers.jobs}
"""Stages that run as they are, without names."""
KNOWN = {
    "trials": list(TRIALS),
    "grid": contest.names(),
    "finalists": contest.names(),
    "final": contest.names(),
    "knobs": list(knobs.PLACES),
    **{stage: [] for stage in WHOLE},
}
"""By stage: the names that may be asked for."""


def main(arguments: Sequence[str]) -> int:
    """All that is missing; 1 if any failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", choices=KNOWN)
    parser.add_argument("names", nargs="*", metavar="NAME", help="all by default")
    parser.add_argument("--seeds", type=lambda s: tuple(int(x) for x in s.split(",")))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--runs", type=Path, required=True, help="folder of run folders")
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument("--data-root", type=Path)
    asked = parser.parse_intermixed_args(arguments)
    known = KNOWN[asked.stage]
    unknown = [name for name in asked.names if name not in known]
    if unknown and not known:
        parser.error(f"{asked.stage} runs as a whole and takes no names; got {', '.join(unknown)}")
    if unknown:
        parser.error(f"no {', '.join(unknown)} in {asked.stage}; there are {', '.join(known)}")
    if asked.jobs < 1:
        parser.error(f"--jobs is {asked.jobs}; at least 1")
    missing = [job for job in jobs_of(asked) if not (asked.records / job.record).exists()]
    with ThreadPoolExecutor(asked.jobs) as pool:
        lines = [job.line(asked) for job in missing]
        codes = list(pool.map(lambda line: subprocess.run(line, check=False).returncode, lines))
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
