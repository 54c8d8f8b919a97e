"""A reproduced table as text and as a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..learn.atomic import write_atomically, writing
from .compare_report import markdown
from .folder import write_json
from .protocols import COMMON, DIFFERS
from .published import Number
from .small import NOTE

ONE_SEED = "One seed: what another would change is not known; --seeds takes more."
HEAD = ("data", "net", "rule", "paper", "ours", "n", "difference", "note")


@dataclass(frozen=True)
class Reproduced:
    """A row: the paper's number and ours in percent, mean and deviation over ``seeds``.

    Rows that were not ``asked`` for are in records as far as they have come, and not printed.

    ``seeds`` has the test accuracy by seed, ``epochs`` how far unfinished ones are, ``failed`` why
    some have none, ``runs`` what the finished ones depend on. What is not there is None or empty.
    """

    place: str
    asked: bool
    net: str
    name: str
    rule: str
    stands_for: str
    measure: str
    paper: Number | None
    logs: Number | None
    mean: float | None
    sd: float | None
    seeds: dict[int, float]
    difference: float | None
    missing: str
    refused: str
    failed: dict[int, str]
    epochs: dict[int, int]
    config: dict[str, Any] | None
    runs: dict[int, dict[str, Any]]

    @property
    def ours(self) -> str:
        """Mean and deviation as printed."""
        return "–" if self.mean is None else str(Number(self.mean, self.sd))

    @property
    def state(self) -> str:
        """One word: missing, refused, failed, unfinished or done."""
        words = {"missing": self.missing, "refused": self.refused, "failed": self.failed}
        return next((word for word, why in words.items() if why), self._progress)

    @property
    def _progress(self) -> str:
        return "unfinished" if self.epochs else "done"

    @property
    def note(self) -> str:
        """What a reader must know of the row."""
        return "; ".join(
            filter(None, (self.missing, self.refused, *self._course(), *self._aside()))
        )

    def _course(self) -> list[str]:
        going = [seed for seed in self.epochs if seed not in self.failed]
        asked = len(self.seeds) + len(self.epochs)
        said = [f"{len(self.failed)} of {asked} failed"] if self.failed else []
        if going:
            done = f"not finished: {len(self.seeds)} of {asked} seeds done"
            total = self.config["training"]["epochs"] if self.config else 0
            at = [f"seed {s} at epoch {self.epochs[s]} of {total}" for s in going if self.epochs[s]]
            said.append(", ".join([done, *at]))
        return said

    def _aside(self) -> list[str]:
        said = [f"stands in for {self.stands_for}"] if self.stands_for else []
        said += [self.measure] if self.measure else []
        if self.logs is not None:
            away = "" if self.mean is None else f", ours {self.mean - self.logs.mean:+.2f}"
            said.append(f"authors' logs, all seeds at the final epoch: {self.logs}{away}")
        return said


@dataclass(frozen=True)
class Table:
    """All rows of a table and how they were asked for."""

    name: str
    title: str
    source: str
    paper: str
    scale: str
    seeds: int
    device: str
    settings: list[str]
    rows: list[Reproduced]

    @property
    def notes(self) -> list[str]:
        """Where the protocol differs from the published one."""
        own = (
            [f"Settings changed in every run: {' '.join(self.settings)}."] if self.settings else []
        )
        scaled = [NOTE] if self.scale == "small" else []
        alone = [ONE_SEED] if self.seeds == 1 else []
        return [*own, *COMMON, *scaled, *alone, *DIFFERS[self.paper], *self._revisions()]

    def _revisions(self) -> list[str]:
        found = sorted({str(run["revision"]) for row in self.rows for run in row.runs.values()})
        return [f"Runs of several revisions: {', '.join(found)}."] if len(found) > 1 else []

    @property
    def failures(self) -> dict[str, str]:
        """Why trainings failed that did, by name, of those asked for."""
        return {
            f"{row.place}/{row.name} seed {seed}": why
            for row in self.rows
            if row.asked
            for seed, why in row.failed.items()
        }


def text(table: Table, every: bool = False) -> str:
    """The rows asked for, or every one, as Markdown, and below what differs from the paper."""
    rows = [row for row in table.rows if every or row.asked]
    lines = [f"{table.name}: {table.title}. {table.source}. {table.scale.capitalize()} scale.", ""]
    lines += [markdown([HEAD, *(_cells(row) for row in rows)]), ""]
    lines.append("Percent on the test split, mean ± sd over n seeds; difference: ours - paper.")
    return "\n".join([*lines, *(f"* {note}" for note in table.notes)])


def _cells(row: Reproduced) -> tuple[str, ...]:
    return (
        row.place.partition("-")[0],
        row.net or "–",
        row.name,
        "–" if row.paper is None else str(row.paper),
        row.ours,
        str(len(row.seeds)),
        "–" if row.difference is None else f"{row.difference:+.2f}",
        row.note,
    )


def tree(table: Table, head: Mapping[str, Any]) -> dict[str, Any]:
    """The record as plain data; ``head`` says what it was made with."""
    found = asdict(table) | {"notes": table.notes}
    found["rows"] = [
        asdict(row)
        | {"state": row.state, "n": len(row.seeds), "note": row.note}
        | {"paper": _number(row.paper), "logs": _number(row.logs)}
        for row in table.rows
    ]
    return {**head, **found}


def _number(number: Number | None) -> dict[str, float | None] | None:
    return None if number is None else number._asdict()


def write_record(folder: Path, name: str, record: Mapping[str, Any], said: str) -> Path:
    """Keep a record and its text beside the runs; returns the record's path."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    write_json(path, record)
    write_atomically(path.with_suffix(".md"), (said + "\n").encode())
    return path
