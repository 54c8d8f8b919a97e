"""What reproducing a published table trains: its rows as runs, and why some cannot be had."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from .. import data
from ..config import RunConfig, override, pick_device
from ..config.options import nearest
from ..data.survey import survey, whole
from ..errors import ConfigError, IllegalError
from .compare_plan import Cell, fingerprint, settle
from .folder import prepare
from .protocols import PROTOCOLS
from .published import TABLES, Row, Table
from .small import is_net, on_net, scaled

Scale = Literal["full", "small"]
FULL_SEEDS = 3
FOLDER = Path("runs/reproduce")


@dataclass(frozen=True)
class Request:
    """What the user asked for; ``settings`` change every run, in the language of `train`.

    >>> Request("tess-1", "small", settings=("epochs=1",)).record
    'tess-1-small-changed.json'
    """

    table: str
    scale: Scale = "full"
    seeds: int | None = None
    out: Path = FOLDER
    data_root: Path | None = None
    only: str = ""
    settings: tuple[str, ...] = ()
    device: str = "auto"

    @property
    def record(self) -> str:
        """The file of the table's record."""
        return f"{self.table}-{self.scale}{'-changed' if self.settings else ''}.json"


@dataclass(frozen=True)
class Line:
    """A row of the table as the run all its seeds share, or why there is none.

    ``missing`` says that its data are not there; ``refused`` any other reason. What was not
    ``asked`` for is shown in records and not trained.
    """

    row: Row
    config: RunConfig | None = None
    cells: tuple[Cell, ...] = ()
    missing: str = ""
    refused: str = ""
    asked: bool = True


@dataclass(frozen=True)
class Plan:
    """A request checked against everything that can be checked before training."""

    request: Request
    table: Table
    seeds: int
    device: str
    lines: tuple[Line, ...]

    @property
    def cells(self) -> list[Cell]:
        """All trainings, seed by seed, so that drift of the machine hits all rules alike."""
        lines = [line for line in self.lines if line.asked and line.cells]
        cells = [line.cells[seed] for seed in range(self.seeds) for line in lines]
        return list({cell.folder: cell for cell in cells}.values())


def table_named(name: str) -> Table:
    """A published table.

    Raises
    ------
    ConfigError
        If there is none of that name; the message has the nearest.

    >>> table_named("tess-2").kind
    'costs'
    """
    if name not in TABLES:
        raise ConfigError(
            f"unknown table {name!r}", fix=nearest(name, TABLES, "localspike reproduce")
        )
    return TABLES[name]


def make_plan(request: Request) -> Plan:
    """Choose rows, look for their data, build every run once; nothing is written.

    Raises
    ------
    LocalspikeError
        For an unknown name, an impossible number or setting, a data root that is no folder, or an
        output folder that is something else.
    """
    table = table_named(request.table)
    seeds = request.seeds
    if seeds is None:
        seeds = FULL_SEEDS if request.scale == "full" else table.small_seeds
    if seeds < 1:
        raise ConfigError("a table needs seeds", got=seeds, expected="1 or more")
    device = str(pick_device(request.device))
    _check_folder(request)
    root = survey(request.data_root)["data_root"]
    place = None if root is None else Path(root).expanduser()
    lines = tuple(
        replace(_line(request, table, row, seeds, device, place), asked=asked)
        for row, asked in _rows(request, table)
    )
    plan = Plan(request, table, seeds, device, lines)
    for cell in plan.cells:
        if cell.folder.exists():
            prepare(cell.folder, cell.config, resume=(cell.folder / "config.json").exists())
    return plan


def _check_folder(request: Request) -> None:
    """Refuse a folder that holds anything but tables and their runs."""
    folder = request.out
    if not folder.exists():
        return
    places = {row.place for table in TABLES.values() for row in table.rows}
    found = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else ["a file"]
    tables = tuple(TABLES)
    foreign = [name for name in found if name not in places and not name.startswith(tables)]
    if foreign:
        raise ConfigError(
            f"{folder} is no folder of reproduced tables",
            got=", ".join(foreign[:3]) + (f" and {len(foreign) - 3} more" if foreign[3:] else ""),
            fix="Choose another folder with --out",
        )


def _rows(request: Request, table: Table) -> list[tuple[Row, bool]]:
    """The rows of a scale, and which of them ``only`` names: data and rules, DATA/RULE.

    With settings of the user's own the others are left out: these may mean nothing to them.
    """
    rows = [row for row in table.rows if request.scale == "small" or not row.stands_for]
    places, _, names = request.only.partition("/")
    wanted = _named(places, [(row.place, row.data) for row in rows], "data set")
    rules = _named(names, [(row.name, row.entry, row.rule) for row in rows], "rule")
    asked = [by_place and by_rule for by_place, by_rule in zip(wanted, rules, strict=True)]
    if not any(asked):
        raise ConfigError(f"no row of {table.name} is both", got=f"--only {request.only}")
    found = list(zip(rows, asked, strict=True))
    return [(row, chosen) for row, chosen in found if chosen or not request.settings]


def _named(text: str, known: Sequence[tuple[str, ...]], what: str) -> list[bool]:
    """For every row whether one of its names is in the list; an empty list takes all.

    A row's names go from its own to the most general; one that is some row's own means that alone.
    """
    asked = {name.strip() for name in text.split(",") if name.strip()}
    every, own = {name for names in known for name in names}, {names[0] for names in known}
    for name in sorted(asked - every):
        raise ConfigError(f"unknown {what} {name!r} in --only", fix=nearest(name, every))
    return [
        not asked or names[0] in asked or bool((asked - own).intersection(names)) for names in known
    ]


def _line(
    request: Request, table: Table, row: Row, seeds: int, device: str, root: Path | None
) -> Line:
    if row.data not in data.names():
        return Line(row, refused="neither this data set nor its task is here")
    asked = (f"training.device={device}", *request.settings)
    config = override(run_of(table.paper, row, request.scale), asked)
    if why := lacking(row.data, root, request.scale):
        return Line(row, config, missing=why)
    try:
        config, _ = settle(config)
    except IllegalError as error:
        return Line(row, config, refused=str(error))
    return Line(row, config, tuple(_cells(request, row, config, seeds)))


def run_of(paper: str, row: Row, scale: Scale) -> RunConfig:
    """The run a row stands for: the paper's protocol, or the scaled one.

    >>> row = TABLES["tess-3"].rows[6]
    >>> run_of("tess", row, "full").rule.options["post_gain"]
    -1.0
    """
    recipe = f"{row.place}-{row.entry}"
    if scale == "small" and is_net(row.place):
        config, settings = on_net(row.place, row.entry), row.varied
    else:
        config, settings = PROTOCOLS[paper][row.place], (*row.settings, *row.varied)
        config = scaled(config) if scale == "small" else config
        settings = (f"rule={row.rule}", *settings)
    return replace(override(config, settings), recipe=recipe)


def lacking(name: str, root: Path | None, scale: Scale) -> str:
    """Why a data set cannot be trained on at a scale: "" where it can.

    A full run asks for the official files, a scaled one takes a part of them.
    """
    entry = data.info(name)
    forms = [form for form in entry.files if root is not None and whole(entry, root, form)]
    if not entry.files or any(scale == "small" or f not in entry.card.parts for f in forms):
        return ""
    where = f"(what to put where: localspike data get {name})"
    return f"only a part is on disk {where}" if forms else f"data not on disk {where}"


def _cells(request: Request, row: Row, config: RunConfig, seeds: int) -> Iterator[Cell]:
    for seed in range(seeds):
        seeded = replace(config, training=replace(config.training, seed=seed))
        # By the rule alone: tables that ask for the same run share it.
        folder = request.out / row.place / f"{row.rule}-{seed}-{fingerprint(seeded, ())}"
        yield Cell(row.place, row.name, seeded, folder, request.data_root)
