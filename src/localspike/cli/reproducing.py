"""`localspike reproduce`."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from ..bench.record import about
from ..data.survey import survey
from ..errors import ConfigError
from ..recipes.compare import finished
from ..recipes.cost_papers import order_table, tess_table
from ..recipes.published import TABLES, Table
from ..recipes.reproduce import carry_out, summarise
from ..recipes.reproduce_plan import FOLDER, Plan, Request, make_plan, table_named
from ..recipes.reproduce_report import text, tree, write_record
from .arguments import DataRoot, Device, Json
from .comparing import again
from .cost_lines import order_lines, tess_lines
from .output import FAILED, INTERRUPTED, REFUSED, counted, print_json, say, table, whisper

COSTS: Mapping[str, Any] = {"costs": (tess_table, tess_lines), "orders": (order_table, order_lines)}


@dataclass(frozen=True)
class Reproduce:
    """Set ours beside a published table's numbers; without a table, list them and their data."""

    table: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="[TABLE]")] = ""
    """Name of a table."""
    settings: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[KEY=VALUE ...]")
    ] = ()
    """Changes to every run, e.g. epochs=1 limit=256; the table says so."""
    scale: Literal["full", "small"] = "full"
    """full: the paper's protocol; small: quarter-width nets, an hour on two cores."""
    seeds: int | None = None
    """How many seeds per row; 3, or at small scale as many as the hour has."""
    only: str = ""
    """Rows to take, DATA[,DATA]/RULE[,RULE], names as in the table; either side may be empty."""
    out: Path = FOLDER
    """Folder for trainings and tables."""
    show: bool = False
    """Train nothing: the table as far as it has come."""
    data_root: DataRoot = None
    device: Device = "auto"
    minutes: float | None = None
    """End within so many minutes, after one epoch at least; the same command goes on."""
    json: Json = False

    def __call__(self) -> int:
        if self.minutes is not None and not self.minutes > 0:
            raise ConfigError("--minutes", got=self.minutes, expected="a number > 0")
        if not self.table:
            return self._list()
        if table_named(self.table).kind != "accuracy":
            return self._work_out(table_named(self.table))
        plan = make_plan(self._request())
        try:
            failures = {} if self.show else self._train(plan)
        except KeyboardInterrupt:
            self._keep(plan, {})
            whisper(f"localspike: interrupted, {_progress(plan)}. Go on with: {again(sys.argv)}")
            return INTERRUPTED
        return self._tell(plan, failures)

    def _request(self) -> Request:
        return Request(
            self.table, self.scale, self.seeds, self.out, self.data_root, self.only,
            self.settings, self.device,
        )  # fmt: skip

    def _train(self, plan: Plan) -> dict[Path, str]:
        missing = [cell for cell in plan.cells if not finished(cell)]
        if missing:
            epochs = sum(cell.config.training.epochs for cell in missing)
            whisper(
                f"{self.table}, {self.scale} scale: {counted(len(missing), 'training')} to go, "
                f"{counted(epochs, 'epoch')} on {plan.device}"
            )
        return carry_out(plan, math.inf if self.minutes is None else 60 * self.minutes)

    def _tell(self, plan: Plan, failures: Mapping[Path, str]) -> int:
        record, said, where = self._keep(plan, failures)
        if self.json:
            print_json(record)
        else:
            say(f"{said}\n\n{where}")
        for title, reason in record["failures"].items():
            whisper(f"localspike: {title} failed: {reason}")
        if not self.show and not all(map(finished, plan.cells)) and not record["failures"]:
            whisper(
                f"localspike: stopped in time, {_progress(plan)}. Go on with: {again(sys.argv)}"
            )
        if not plan.cells and not self.show:
            whisper(
                "localspike: no row could be trained: its data are not on disk, or it is refused"
            )
            return REFUSED
        return FAILED if record["failures"] else 0

    def _keep(self, plan: Plan, failures: Mapping[Path, str]) -> tuple[dict[str, Any], str, str]:
        found = summarise(plan, failures)
        head = about(f"table {found.name}", "reproduce", {})
        record = tree(found, head) | {"failures": found.failures}
        if self.show or not plan.cells:
            return record, text(found), "Nothing was written."
        path = write_record(self.out, plan.request.record, record, text(found, every=True))
        return record, text(found), f"{path}, {path.with_suffix('.md').name}; runs beside them."

    def _work_out(self, asked: Table) -> int:
        """A table that a model gives, not training."""
        if self.only or self.settings or self.seeds is not None:
            raise ConfigError(
                f"{asked.name} is worked out and not trained",
                got="--only, --seeds or settings",
                fix="Leave them out",
            )
        work, lines = COSTS[asked.kind]
        found = {"rows": work()}
        head = about(f"table {asked.name}", "reproduce", {})
        record = {**head, "name": asked.name, "title": asked.title, **found}
        said = "\n".join([f"{asked.name}: {asked.title}. {asked.source}.", "", *lines(found)])
        path = write_record(self.out, f"{asked.name}.json", record, said)
        if self.json:
            print_json(record)
        else:
            say(f"{said}\n\n{path}, {path.with_suffix('.md').name}.")
        return 0

    def _list(self) -> int:
        found = listing(self.data_root)
        if self.json:
            print_json(found)
            return 0
        head = ("table", "what it holds", "data")
        rows = [
            (
                entry["name"],
                entry["title"],
                ", ".join(f"{n}: {w}" for n, w in entry["data"].items()),
            )
            for entry in found["tables"]
        ]
        say(table([head, *((name, title, needs or "none needed") for name, title, needs in rows)]))
        root = found["data_root"] or "not set: set LOCALSPIKE_DATA or give --data-root"
        say(f"\ndata root: {root}\nwhat to put where: localspike data get NAME")
        return 0


def listing(data_root: Path | None) -> dict[str, Any]:
    """Every table, and where the data it needs are: inside, yes, part, no, or not supported.

    >>> listing(None)["tables"][4]["data"]["keywords"]
    'inside'
    """
    seen = survey(data_root)
    here = {entry["name"]: entry["here"] for entry in seen["data"]}
    tables = []
    for made in TABLES.values():
        names = dict.fromkeys(row.data for row in made.rows)
        needs = {name: here.get(name, "not supported") for name in names}
        tables.append(
            {"name": made.name, "title": made.title, "source": made.source, "data": needs}
        )
    return {"data_root": seen["data_root"], "tables": tables}


def _progress(plan: Plan) -> str:
    done = sum(map(finished, plan.cells))
    return f"{done} of {len(plan.cells)} trainings are finished and the rest is saved"
