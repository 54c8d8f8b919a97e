"""A comparison's table, JSON and figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import plot
from ..errors import MissingDependencyError
from ..learn.atomic import write_atomically, writing
from .folder import write_json

HEAD = (
    "rule", "test accuracy", "n", "peak memory", "time/BPTT", "training MACs", "schedule",
    "step size", "note",
)  # fmt: skip


@dataclass
class Row:
    """One rule on one net: over its seeds, mean ± sd of test accuracy and medians of the costs.

    What was not measured is None; ``refused`` says why a rule cannot train this net.
    """

    net: str
    rule: str
    summary: str
    local: str
    schedule: str
    schedule_reason: str
    step_size: float | None
    accuracies: list[float]
    accuracy_mean: float | None
    accuracy_sd: float | None
    val_accuracy_mean: float | None
    peak_memory_mib: float | None
    seconds: float | None
    macs: int | None
    refused: str | None = None
    failed: int = 0
    time_ratio: float | None = None

    @property
    def note(self) -> str:
        """What a reader must know of a row that lacks something."""
        if self.refused is not None:
            return f"refused: {self.refused}"
        return f"{self.failed} of {self.failed + len(self.accuracies)} failed" * (self.failed > 0)


@dataclass(frozen=True)
class Facts:
    """What is the same for all rules on one net; ``train_samples`` are those of an epoch."""

    parameters: int
    train_samples: int
    test_samples: int
    time_steps: int
    epochs: int


@dataclass(frozen=True)
class Report:
    """All rows and what they were measured on; ``failures`` by cell, each with its reason."""

    data: str
    seeds: int
    limit: int | None
    rows: list[Row]
    facts: dict[str, Facts | None]
    failures: dict[str, str]
    revisions: list[str]
    seconds: float
    versions: dict[str, Any]

    def of(self, net: str) -> list[Row]:
        """The rows of one net."""
        return [row for row in self.rows if row.net == net]


def write_report(folder: Path, report: Report) -> str:
    """Keep table, JSON and figure beside the runs; returns the line that says where they are."""
    write_json(folder / "compare.json", asdict(report))
    write_atomically(folder / "table.md", (text(report) + "\n").encode())
    try:
        figure = plot.tradeoff_figure(panels(report), titles(report))
    except MissingDependencyError as error:
        return f"{folder / 'table.md'}, compare.json. The figure is skipped: {error}"
    with writing(folder / "compare.png"):
        plot.save(figure, folder / "compare.png")
    return f"{folder / 'table.md'}, compare.json, compare.png."


def text(report: Report) -> str:
    """A Markdown table for every net, and what it was measured on."""
    parts = [f"{title}\n\n{table(report.of(net))}" for net, title in titles(report).items()]
    parts.append(
        "Mean ± sd over n seeds, final weights; peak memory is the rise over net and data in a "
        "process of its own, time is that of training (both medians)."
    )
    if len(report.revisions) > 1:
        parts.append(f"Runs of several revisions: {', '.join(report.revisions)}.")
    return "\n\n".join(parts)


def _counted(epochs: int) -> str:
    return f"{epochs} epoch" + "s" * (epochs != 1)


def titles(report: Report) -> dict[str, str]:
    """A heading for every net."""
    return {net: f"{report.data}, {net}{_measured(facts)}" for net, facts in report.facts.items()}


def _measured(facts: Facts | None) -> str:
    if facts is None:
        return ""
    return (
        f": {facts.parameters:,} parameters, {_counted(facts.epochs)} of "
        f"{facts.train_samples:,} sequences of {facts.time_steps} steps to train, "
        f"{facts.test_samples:,} to test"
    )


def table(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table with aligned columns.

    >>> row = Row("fc", "ottt", "", "time", "streaming", "", 0.01, [0.9, 0.92], 0.91, 0.014, 0.9,
    ...           12.0, 3.0, 2_500_000_000, time_ratio=0.5)
    >>> [cell.strip() for cell in table([row]).splitlines()[2].split("|")][2:7]
    ['91.0 ± 1.4 %', '2', '12.0 MiB', '0.50', '2.50e9']
    """
    return markdown([HEAD, *(_cells(row) for row in rows)])


def markdown(cells: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its head first.

    >>> print(markdown([("rule", "note"), ("tess", "none")]))
    | rule | note |
    | ---- | --- |
    | tess | none |
    """
    # The notes stand last and may be long: they are not padded for.
    widths = [max(3, *map(len, column)) for column in list(zip(*cells, strict=True))[:-1]] + [0]
    lines = [_line(row, widths) for row in cells]
    lines.insert(1, _line(["-" * max(width, 3) for width in widths], widths))
    return "\n".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return f"| {' | '.join(padded)} |"


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.rule,
        accuracy(row),
        str(len(row.accuracies)),
        "–" if row.peak_memory_mib is None else f"{row.peak_memory_mib:.1f} MiB",
        "–" if row.time_ratio is None else f"{row.time_ratio:.2f}",
        "–" if row.macs is None else f"{row.macs:.2e}".replace("e+", "e").replace("e0", "e"),
        row.schedule or "–",
        "–" if row.step_size is None else f"{row.step_size:g}",
        row.note,
    )


def accuracy(row: Row) -> str:
    """Mean ± sd in percent."""
    if row.accuracy_mean is None:
        return "–"
    sd = "" if row.accuracy_sd is None else f" ± {100 * row.accuracy_sd:.1f}"
    return f"{100 * row.accuracy_mean:.1f}{sd} %"


def panels(report: Report) -> dict[str, list[plot.Point]]:
    """The points of the figure, net by net; rows without a number have none."""
    return {
        net: [
            plot.Point(row.rule, row.peak_memory_mib, row.accuracy_mean, row.accuracy_sd, row.local)
            for row in report.of(net)
            if row.peak_memory_mib is not None and row.accuracy_mean is not None
        ]
        for net in report.facts
    }
