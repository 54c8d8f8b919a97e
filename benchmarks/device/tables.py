"""Write the tables of docs/device_learning.md from the records, and from nothing else.

python benchmarks/device/tables.py            # rewrite the page between its markers
python benchmarks/device/tables.py --check    # exit code 1 if that would change anything
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

HERE = Path(__file__).resolve().parent
RECORDS = HERE.parent / "records" / "device"
PAGE = HERE.parents[1] / "docs" / "device_learning.md"
PLACE = ("<!-- device:{} -->", "<!-- /device:{} -->")
DTYPES = ("f32", "int16", "int8")
Record = dict[str, Any]


def records(folder: Path = RECORDS) -> list[Record]:
    """All of them, by name of file."""
    return [json.loads(p.read_text(encoding="utf-8")) for p in sorted(folder.glob("digits-*.json"))]


def shown(record: Record | None) -> str:
    """Mean, standard deviation and number of seeds in per cent."""
    if record is None:
        return "–"
    found = [100.0 * seed["accuracy"] for seed in record["seeds"].values()]
    spread = f" ± {stdev(found):.1f}" if len(found) > 1 else ""
    return f"{mean(found):.1f}{spread} ({len(found)})"


def pick(found: Sequence[Record], **asked: Any) -> Record | None:
    """The record of whole epochs that is as asked."""
    whole = (r for r in found if r["learnt"] is None)
    return next((r for r in whole if all(r[k] == v for k, v in asked.items())), None)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown: the first column to the left, the others to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def accuracies(found: Sequence[Record]) -> str:
    """Test accuracy by net and dtype."""
    names = sorted({r["name"] for r in found if r["split"] == "test"}, reverse=True)
    rows = []
    for name in names:
        by = [pick(found, name=name, split="test", dtype=d, nearest=False) for d in DTYPES]
        near = pick(found, name=name, split="test", dtype="int8", nearest=True)
        rows.append([name, *map(shown, by), shown(near)])
    return table(["setting", *DTYPES, "int8, rounded to nearest"], rows)


def levers(found: Sequence[Record]) -> str:
    """Validation accuracy of what was tried, best first."""
    tried = [r for r in found if r["split"] == "validation" and r["learnt"] is None]
    tried.sort(key=lambda r: -mean(s["accuracy"] for s in r["seeds"].values()))
    rows = [[r["name"], r["dtype"], shown(r), _fired(r)] for r in tried]
    return table(["setting", "dtype", "accuracy, %", "layers fire at, %"], rows)


def _fired(record: Record) -> str:
    by_seed = [seed["fired"] for seed in record["seeds"].values()]
    return " ".join(f"{100.0 * mean(layer):.0f}" for layer in zip(*by_seed, strict=True))


def agreement(found: Sequence[Record]) -> str:
    """The C and the online mode on the same events."""
    short = [r for r in found if r["learnt"]]
    lines = []
    for c in (r for r in short if r["engine"] == "c"):
        same = ("name", "dtype", "learnt", "split")
        others = (r for r in short if r["engine"] == "torch")
        for torch in (r for r in others if all(r[k] == c[k] for k in same)):
            lines += _compared(c, torch)
    return "\n".join(lines)


def _compared(c: Record, torch: Record) -> Iterator[str]:
    for seed, ours in c["seeds"].items():
        theirs = torch["seeds"].get(seed)
        if theirs is None:
            continue
        pairs = list(zip(ours["predicted"], theirs["predicted"], strict=True))
        same = sum(a == b for a, b in pairs)
        yield (
            f"`{c['name']}`, seed {seed}, {c['learnt']} images learnt: C {ours['accuracy']:.1%}, "
            f"online mode {theirs['accuracy']:.1%}; the same prediction for {same} of {len(pairs)}."
        )


TABLES = {"accuracies": accuracies, "levers": levers, "agreement": agreement}


def page(text: str, found: Sequence[Record]) -> str:
    """The page with its tables made anew."""
    for name, make in TABLES.items():
        begin, end = (mark.format(name) for mark in PLACE)
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        if not pattern.search(text):
            raise SystemExit(f"{PAGE.name} has no place {begin} … {end}")
        made = f"{begin}\n{make(found)}\n{end}"
        text = pattern.sub(lambda _, made=made: made, text)
    return text


def main(arguments: Sequence[str]) -> int:
    """0, or 1 if a check found the page to be stale."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args(arguments)
    before = PAGE.read_text(encoding="utf-8")
    after = page(before, records())
    if not asked.check:
        PAGE.write_text(after, encoding="utf-8")
    return int(asked.check and before != after)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
