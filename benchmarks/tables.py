"""The README's performance tables, written from the records and from nothing else.

    python benchmarks/tables.py            # rewrite README.md between its markers
    python benchmarks/tables.py --check    # exit code 1 if that would change anything

A place for a table is <!-- bench:KIND --> … <!-- /bench:KIND --> with KIND one of train, memory,
stream, scale, passes, peers.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MARK = re.compile(r"<!-- bench:(\w+) -->.*?<!-- /bench:\1 -->", re.DOTALL)
OPENED = re.compile(r"<!-- bench:(\w+) -->")
RATIOS = {
    "vs_naive_bf16": "plain TESS / ours bf16",
    "vs_naive_f32": "plain TESS / ours float32",
    "vs_bptt": "our BPTT float32 / ours",
    "vs_bptt_same_precision": "our BPTT / ours, same precision",
    "vs_spikingjelly": "SpikingJelly BPTT float32 / ours",
    "of_floor": "floor / ours",
}
Record = dict[str, Any]


class Unusable(Exception):
    """A file that cannot be used, in one line."""


def load(folder: Path) -> list[Record]:
    """Every record that says its kind, by name of file."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            tree = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise Unusable(f"{path} is no JSON: {error}") from error
        if isinstance(tree, dict) and tree.get("kind") in TABLES:
            found.append(tree)
    return found


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown: the first column to the left, the others to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def source(record: Record) -> str:
    """What the figures above depend on."""
    machine, threads = record["hardware"], record["threads"]
    memory = f", {machine['memory_gib']:.0f} GiB" if machine["memory_gib"] else ""
    where = ", ".join(machine["accelerators"]) if record.get("device") == "cuda" else ""
    where = where or f"{machine['processor']}, {machine['cores']} cores{memory}"
    command = re.sub(r" --out \S+", "", record["command"])  # a folder of whoever ran it
    return (
        f"`{command}`, {record['when'][:10]}, revision {record['revision'][:10]}"
        f"{'+changes' if record['revision'].endswith('+changes') else ''}, "
        f"torch {record['versions']['torch']}, {where}, {threads} thread{'s'[: threads != 1]}."
    )


def milliseconds(seconds: float) -> str:
    """Three digits that count."""
    value = 1000 * seconds
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def train(records: Sequence[Record]) -> str:
    """A row per record: our time, and the ratios with the range over the rounds."""
    head = ["net", "ours, ms/step", *RATIOS.values(), "SpikingJelly BPTT / ours, both float32"]
    rows, notes = [], []
    several = len({_machine(record) for record in records}) > 1
    for record in records:
        best = record["best_precision"]
        took = record["methods"][f"tess {best}"]["step_s"]["median"]
        net = f"{record['title']}, B={record['batch']}, T={record['steps']}, n={record['rounds']}"
        net += f"; {_machine(record)}" if several else ""
        cells = [*(_ratio(record, key) for key in RATIOS), _plainly(record)]
        rows.append([net, f"{milliseconds(took)} ({best})", *cells])
        reasons = dict.fromkeys(record["missing"].values())
        notes += [f"{record['title']}: {reason}" for reason in reasons]
    return "\n\n".join([table(head, rows), *notes, *map(source, records)])


def _machine(record: Record) -> str:
    """The accelerator; or the processor and the best it has for products in bfloat16."""
    if record.get("device") == "cuda":
        return ", ".join(record["hardware"]["accelerators"])
    names = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512 bf16"}
    units = [name for flag, name in names.items() if flag in record["hardware"].get("flags", [])]
    return f"{record['hardware']['processor']}, {units[0] if units else 'no units for bf16'}"


def _plainly(record: Record) -> str:
    """The other library's BPTT over ours in its own precision, of medians."""
    found = [record["methods"].get(name) for name in ("spikingjelly bptt", "tess float32")]
    if not all(found):
        return "–"
    theirs, ours = (one["step_s"]["median"] for one in found if one)
    return f"{theirs / ours:.2f}"


def _ratio(record: Record, key: str) -> str:
    value = record["ratios"][key]
    if value is None:
        return "–"
    parts = record["spread"][key].values()
    low, high = min(p["min"] for p in parts), max(p["max"] for p in parts)
    return f"**{value:.2f}** ({low:.2f}–{high:.2f})"


def memory(records: Sequence[Record]) -> str:
    """A row per net and method: the rise at every T, its slope, the share of BPTT's."""
    parts = []
    for record in records:
        steps = sorted({t for row in record["rows"] for t in row["rise_mib"]}, key=int)
        head = ["net", "method", *(f"T={t}, MiB" for t in steps), "KiB per step", "of BPTT's"]
        rows = [_memory_row(record, row, steps) for row in record["rows"]]
        parts += [table(head, rows), f"B={record['batch']}. {source(record)}"]
    return "\n\n".join(parts)


def _memory_row(record: Record, row: Record, steps: Sequence[str]) -> list[str]:
    rises = [f"{row['rise_mib'][t]['median']:.1f}" if t in row["rise_mib"] else "–" for t in steps]
    share = record["ratios"].get(row["net"], {}).get(row["method"])
    seen = share is not None and share > 0  # a rise of nothing is below what can be measured
    share_text = "1" if row["method"] == "bptt" else f"1/{1 / share:.1f}" if seen else "–"
    return [row["title"], row["method"], *rises, fit(row.get("kib_per_step"), 2), share_text]


def fit(line: Record | None, digits: int) -> str:
    """A slope with its standard error."""
    if line is None:
        return "–"
    error = "" if line["error"] is None else f" ± {line['error']:.{digits}f}"
    return f"{line['slope']:.{digits}f}{error}"


def stream(records: Sequence[Record]) -> str:
    """A row per record: steps per second, and the share of Python with its bounds."""
    head = ["net", "rule", "steps/s", "ms/step", "outside PyTorch's operations"]
    rows = []
    for record in records:
        over, took = record["overhead"], record["step_s"]["median"]
        share = f"{100 * over['share']:.0f} % ({100 * over['low']:.0f}–{100 * over['high']:.0f})"
        speed = f"{record['steps_per_second']:,.0f}"
        rows.append([record["title"], record["rule"], speed, milliseconds(took), share])
    return "\n\n".join([table(head, rows), *map(source, records)])


def scale(records: Sequence[Record]) -> str:
    """A row per axis and schedule: fitted exponents with their standard errors."""
    head = ["axis", "schedule", "sizes fitted", "time", "time by products", "memory"]
    parts = []
    for record in records:
        rows = []
        for row in record["rows"]:
            sizes = f"{row['fitted_from']}–{row['points'][-1]['size']}"
            fits = [fit(row[key], 2) for key in ("time", "time_of_products", "memory")]
            rows.append([row["axis"], row["schedule"], sizes, *fits])
        parts += [table(head, rows), source(record)]
    return "\n\n".join(parts)


def passes(records: Sequence[Record]) -> str:
    """A row per pass, both precisions beside each other: bytes, time, share of a copy's speed."""
    parts = []
    for record in records:
        rows: dict[str, list[str]] = {}
        precisions = list(dict.fromkeys(row["precision"] for row in record["rows"]))
        for row in record["rows"]:
            took, speed = row["seconds"]["median"], row["bytes_per_second"] / 1e9
            cells = [f"{row['bytes']:.2f}", milliseconds(took), f"{speed:.1f}"]
            rows.setdefault(row["name"], []).extend([*cells, f"{row['of_copy']:.2f}"])
        columns = ("bytes", "ms", "GB/s", "of a copy")
        head = [record["title"], *(f"{name}: {c}" for name in precisions for c in columns)]
        parts.append(table(head, [[name, *cells] for name, cells in rows.items()]))
        said = f"B={record['batch']}, T={record['steps']}, n={record['rounds']} rounds."
        parts.append(f"{said} {source(record)}")
    return "\n\n".join(parts)


def peers(records: Sequence[Record]) -> str:
    """A table per case: every method's time, that over ours, its memory."""
    parts = []
    for record in records:
        for case in record["cases"]:
            head = [f"{case['title']}, B={case['batch']}, T={case['steps']}", "ms/step"]
            head += [f"/ {case['divided_by']}", "memory, MiB"]
            parts.append(table(head, [_peer(*pair) for pair in case["methods"].items()]))
            reasons = case["missing"].items()
            parts += [f"Left out: {name} ({reason.rstrip('.')})." for name, reason in reasons]
        parts.append(f"n={record['rounds']} rounds. {source(record)}")
    return "\n\n".join(parts)


def _peer(name: str, method: Record) -> list[str]:
    over, rise = method["over_ours"], method["rise_mib"]
    ratio = f"{over['ratio']:.2f} ({over['min']:.2f}–{over['max']:.2f})"
    memory_text = "–" if rise is None else f"{rise:,.0f}"
    return [name, milliseconds(method["step_s"]["median"]), ratio, memory_text]


TABLES: dict[str, Callable[[Sequence[Record]], str]] = {
    "train": train,
    "memory": memory,
    "stream": stream,
    "scale": scale,
    "passes": passes,
    "peers": peers,
}


def rewritten(text: str, records: Sequence[Record]) -> str:
    """The text with every table made anew."""

    def fill(found: re.Match[str]) -> str:
        kind = found[1]
        if kind not in TABLES:
            raise Unusable(f"unknown table {kind!r}; there are {', '.join(TABLES)}")
        own = [record for record in records if record["kind"] == kind]
        made = TABLES[kind](own) if own else f"Not measured yet: `localspike bench {kind}`."
        return f"<!-- bench:{kind} -->\n{made}\n<!-- /bench:{kind} -->"

    opened = [found[1] for found in OPENED.finditer(text)]
    closed = [found[1] for found in MARK.finditer(text)]
    if opened != closed:
        raise Unusable(f"markers are opened for {opened} and whole for {closed}")
    return MARK.sub(fill, text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Rewrite the page, or with --check say whether that would change it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", nargs="?", type=Path, default=HERE.parent / "README.md")
    parser.add_argument("--records", type=Path, default=HERE / "records")
    parser.add_argument("--check", action="store_true", help="write nothing")
    asked = parser.parse_args(arguments)
    try:
        before = asked.page.read_text(encoding="utf-8")
        after = rewritten(before, load(asked.records))
    except (Unusable, OSError) as error:
        print(f"tables.py: {error}", file=sys.stderr)
        return 2
    if before == after:
        return 0
    if asked.check:
        print(f"{asked.page} is not what its records say", file=sys.stderr)
        return 1
    asked.page.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
