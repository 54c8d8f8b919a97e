"""One trial of the accuracy study: train under the protocol, keep what validation said.

    python benchmarks/study/trial.py NAME RECIPE [KEY=VALUE ...] --seed 0 --runs /tmp/study
    python benchmarks/study/trial.py NAME nmnist-fc/tess [KEY=VALUE ...] --runs /tmp/study

An interrupted trial goes on where its last checkpoint left off. The test images are read with
``--test`` only: all of them, once, after the last epoch.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jobs import HERE, RECORDS
from protocol import config_of, judged_on

from localspike.bench.record import about, write
from localspike.config.build import Session, load_split, test_feed
from localspike.errors import LocalspikeError
from localspike.learn.evaluation import evaluate
from localspike.learn.hearing import opinions
from localspike.learn.interrupt import Interrupted
from localspike.learn.memory import high_water_mib, restart_high_water
from localspike.learn.metrics import read_journal
from localspike.recipes.begin import begun
from localspike.recipes.plugin import load_plugins
from localspike.recipes.run import release_heap

PROJECT = HERE.resolve().parents[1]


def run(asked: argparse.Namespace) -> dict[str, Any]:
    """Train, or go on; what came of it."""
    config = config_of(asked.source, asked.settings, asked.seed)
    folder = asked.runs / f"{asked.name}-{asked.seed}"
    resume = (folder / "config.json").exists()
    with begun(config, folder, data_root=asked.data_root, resume=resume, bar=False) as (session, t):
        release_heap()
        before = restart_high_water(session.device)
        t.run()
        rise = high_water_mib(session.device) - before
        test = judged(session, asked.data_root) if asked.test else {}
        alone = {"alone": heard(session, asked.data_root)} if asked.layers else {}
    lines = [line for line in read_journal(folder) if line["kind"] == "epoch"]
    return {
        "name": asked.name,
        "source": asked.source,
        "settings": asked.settings,
        "seed": asked.seed,
        "schedule": session.learner.schedule,
        "local": session.learner.rule.signal.needs in ("output", "target", "nothing"),
        "val_accuracy": lines[-1]["val_accuracy"],
        **test,
        **alone,
        "seconds": round(t.position.seconds, 1),
        "peak_memory_mib": round(rise, 1),
        "resumed": resume,
        "curve": [
            {k: line.get(k) for k in ("epoch", "loss", "accuracy", "val_loss", "val_accuracy")}
            for line in lines
        ],
        "rates": lines[-1].get("rates"),
    }


def judged(session: Session, data_root: Path | None) -> dict[str, Any]:
    """What the whole test split says of the weights as they are."""
    whole = judged_on(session.config)
    feed = test_feed(whole, load_split(whole, "test", data_root), session.net, session.device)
    said = evaluate(session.learner, feed)
    return {
        "test_accuracy": said.accuracy,
        "test_samples": said.samples,
        "confusion": said.confusion.tolist(),
    }


def heard(session: Session, data_root: Path | None) -> dict[str, Any]:
    """What each layer says of training samples, as they are, and of the validation split."""
    samples = load_split(session.config, "train", data_root)
    known = test_feed(session.config, samples, session.net, session.device)
    feeds = {"train": known, "val": session.validation}
    return {split: opinions(session.learner, feed).plain() for split, feed in feeds.items()}


def typed(arguments: Sequence[str]) -> list[str]:
    """The arguments as they are typed in the project's folder, wherever this checkout lies."""
    return [argument.removeprefix(f"{PROJECT}/") for argument in arguments]


def main(arguments: Sequence[str]) -> int:
    """One trial and its record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("source", metavar="RECIPE", help="or PLACE/ENTRY, as nmnist-fc/tess")
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, required=True, help="folder of run folders")
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--plugin", type=Path, action="append", default=[])
    parser.add_argument("--test", action="store_true", help="read the test split at the end")
    parser.add_argument("--layers", action="store_true", help="hear every layer by itself")
    asked = parser.parse_intermixed_args(arguments)
    judge = "on test, once" if asked.test else "on validation"
    head = about(f"a trial of the accuracy study, judged {judge}", "study", {})
    head["command"] = shlex.join(["python", "benchmarks/study/trial.py", *typed(arguments)])
    try:
        load_plugins(asked.plugin)
        found = run(asked)
    except Interrupted as error:
        print(f"{error}; the same command goes on", file=sys.stderr)
        return 130
    except LocalspikeError as error:
        print(error, file=sys.stderr)
        return 2
    asked.records.mkdir(parents=True, exist_ok=True)
    write(head | found, asked.records, f"{asked.name}-{asked.seed}")
    print(f"{asked.name}: validation {100 * found['val_accuracy']:.2f} %, {found['seconds']:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
