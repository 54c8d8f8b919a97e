"""Write docs/results.md from the study's records: what was asked, and what each trial says.

python benchmarks/study/report.py
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from trials import TRIALS

HERE = Path(__file__).parent
RECORDS = HERE.parent / "records" / "study"
PAGE = HERE.parents[1] / "docs" / "results.md"
Record = dict[str, Any]

HEAD = """\
# What local learning reaches

Written by `benchmarks/study/report.py` from the records in `benchmarks/records/study`; do not edit.

## The study on CIFAR-10

Quarter-width VGG-9, T = 4, 10,000 training images, 2,500 other training images to validate on, 12
epochs, batches of 64, Adam at 1e-3 unless a trial says otherwise, one cosine, crops and flips,
products in bfloat16. Everything here is **validation** accuracy after the last epoch; the test
images have not been read. A difference is to the trial named beside it, over the seeds both have;
one seed's standard error on 2,500 images is about 1 point. What is missing is made by
`python benchmarks/study/run.py trials --runs FOLDER`; each record holds its command, revision,
versions and hardware.
"""


def records() -> dict[str, dict[int, Record]]:
    """By trial and seed."""
    found: dict[str, dict[int, Record]] = {}
    for path in sorted((RECORDS / "trials").glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        found.setdefault(record["name"], {})[record["seed"]] = record
    return found


def percent(values: Iterable[float]) -> str:
    """Mean ± sd in per cent, with the number of seeds."""
    numbers = [100 * v for v in values]
    if not numbers:
        return "not run"
    sd = f" ± {statistics.stdev(numbers):.1f}" if len(numbers) > 1 else ""
    return f"{statistics.mean(numbers):.1f}{sd} ({len(numbers)})"


def difference(mine: dict[int, Record], other: dict[int, Record]) -> str:
    """Mean of the paired differences in points."""
    pairs = [100 * (mine[s]["val_accuracy"] - other[s]["val_accuracy"]) for s in mine if s in other]
    return f"{statistics.mean(pairs):+.1f}" if pairs else ""


def rows(found: dict[str, dict[int, Record]]) -> list[str]:
    """The table."""
    lines = [
        "| trial | question | settings | accuracy, % (seeds) | difference | beside |",
        "|---|---|---|---|---|---|",
    ]
    for name, trial in TRIALS.items():
        mine, other = found.get(name, {}), found.get(trial.beside, {})
        settings = " ".join(trial.settings) or f"`{trial.recipe}`"
        accuracy = percent(r["val_accuracy"] for r in mine.values())
        apart = difference(mine, other) if trial.beside != name else ""
        cells = (name, trial.question, settings, accuracy, apart, trial.beside if apart else "")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def curves(found: dict[str, dict[int, Record]], names: Sequence[str]) -> list[str]:
    """Validation accuracy after every epoch, seed by seed."""
    lines = ["", "Validation accuracy after every epoch, %:", ""]
    shown = [(n, s, r) for n in names for s, r in sorted(found.get(n, {}).items())]
    if not shown:
        return []
    epochs = max(len(r["curve"]) for _, _, r in shown)
    lines.append("| trial, seed | " + " | ".join(str(e + 1) for e in range(epochs)) + " |")
    lines.append("|---|" + "---|" * epochs)
    for name, seed, record in shown:
        values = [f"{100 * point['val_accuracy']:.1f}" for point in record["curve"]]
        lines.append(f"| {name}, {seed} | {' | '.join(values)} |")
    return lines


def main() -> int:
    """Write the page."""
    found = records()
    lines = [HEAD, *rows(found), *curves(found, ("bptt", "plus", "adapted", "tess", "frozen"))]
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
