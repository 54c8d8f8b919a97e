"""`localspike data list`, `get`, `check` and `show`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import tyro

from ..data.check import Report, check
from ..data.files import resolve_root
from ..data.get import Got, get
from ..data.reach import PATIENCE, check_patience
from ..data.registry import info
from ..data.survey import survey
from ..recipes.picture import draw_sample
from .arguments import DataRoot, Json
from .output import FAILED, print_json, say, speaker, table

Name = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
MARKS = {True: "ok", False: "WRONG", None: ""}
WIDEST, EXPECTED = 100, 12


@dataclass(frozen=True)
class ListData:
    """Show every data set: shape, steps, official splits, licence, and whether it is here."""

    data_root: DataRoot = None
    json: Json = False

    def __call__(self) -> int:
        found = survey(self.data_root)
        if self.json:
            print_json(found)
            return 0
        head = ("name", "what it is", "shape", "T", "official", "licence", "here")
        rows = [
            (
                entry["name"],
                shortened(entry["title"], 27),
                "x".join(map(str, entry["shape"])),
                entry["steps"],
                " ".join(entry["official"]),
                shortened(entry["licence"], 14),
                entry["here"],
            )
            for entry in found["data"]
        ]
        say(table([head, *rows]))
        root = found["data_root"] or "not set: set LOCALSPIKE_DATA or give --data-root"
        say(f"\ndata root: {root}\nto fetch one: localspike data get NAME")
        return 0


def shortened(text: str, width: int) -> str:
    """What stands before the first comma, semicolon or bracket, at most ``width`` letters of it.

    >>> shortened("CIFAR-10, 32 x 32 colour images", 12), shortened("Braille letters", 8)
    ('CIFAR-10', 'Braille…')
    """
    for mark in (",", ";", "("):
        text = text.split(mark)[0].strip()
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


@dataclass(frozen=True)
class GetData:
    """Fetch a data set's official files, verify and unpack them; goes on where it was cut."""

    name: Name
    """Name of a data set; `localspike data list` shows them."""
    out: Path | None = None
    """Folder to put the files in, in place of the data root; made if it is not there."""
    data_root: DataRoot = None
    keep: bool = False
    """Keep archives after they are unpacked."""
    patience: float = PATIENCE
    """Seconds to wait for a server's answer."""
    json: Json = False

    def __call__(self) -> int:
        check_patience(self.patience)
        root = self.out
        if root is None and info(self.name).files:
            root = resolve_root(self.data_root)
        done = get(
            self.name,
            root or Path(),
            patience=self.patience,
            keep=self.keep,
            bar=not self.json,
            say=speaker(self.json),
        )
        if self.json:
            place = None if root is None else str(root)
            print_json({"name": self.name, "root": place, "files": [asdict(f) for f in done]})
            return 0
        rows = [(one.path, one.state, _checked(one)) for one in done]
        say(table([("file", "state", "checksum"), *rows]))
        return 0


def _checked(one: Got) -> str:
    return "not checked" if one.state == "there" else one.checksum or "none published"


@dataclass(frozen=True)
class CheckData:
    """Compare a data set with its card, and look for samples that are in two splits."""

    name: Name
    """Name of a data set; `localspike data list` shows them."""
    data_root: DataRoot = None
    json: Json = False

    def __call__(self) -> int:
        report = check(self.name, self.data_root, speaker(True))
        if self.json:
            print_json({"ok": report.ok, **asdict(report)})
        else:
            say(_told(report))
        return 0 if report.ok else FAILED


def _told(report: Report) -> str:
    first = max(len(line.what) for line in report.findings)
    room = WIDEST - first - EXPECTED - 11
    rows = [
        (line.what, _cut(line.found, room), _cut(line.expected, EXPECTED), MARKS[line.ok])
        for line in report.findings
    ]
    verdict = "all as it should be" if report.ok else "something is WRONG"
    return "\n".join(
        [
            f"{report.name}, {report.form}",
            table([("", "found", "expected", ""), *rows]),
            f"{report.name}: {verdict}",
        ]
    )


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


@dataclass(frozen=True)
class ShowData:
    """Draw one sample as PNG: an image, event frames, a raster or a spectrogram of events."""

    name: Name
    """Name of a data set; `localspike data list` shows them."""
    index: int = 0
    """Number of the sample in its split, from 0."""
    split: Literal["train", "val", "test"] = "train"
    """Which split."""
    out: Path | None = None
    """The picture, a .png file; NAME-SPLIT-INDEX.png where none is given."""
    data_root: DataRoot = None
    json: Json = False

    def __call__(self) -> int:
        out = self.out or Path(f"{self.name}-{self.split}-{self.index}.png")
        drawn = draw_sample(self.name, self.split, self.index, out, self.data_root)
        if self.json:
            print_json(asdict(drawn))
        else:
            say(f"{drawn.name} {drawn.split} {drawn.index} ({drawn.label}): {drawn.file}")
        return 0


Action = (
    Annotated[ListData, tyro.conf.subcommand("list")]
    | Annotated[GetData, tyro.conf.subcommand("get")]
    | Annotated[CheckData, tyro.conf.subcommand("check")]
    | Annotated[ShowData, tyro.conf.subcommand("show")]
)


@dataclass(frozen=True)
class Data:
    """List, fetch, check or draw data sets."""

    PARTS: ClassVar[Any] = Action
    action: tyro.conf.OmitSubcommandPrefixes[tyro.conf.OmitArgPrefixes[Action]]

    def __call__(self) -> int:
        return self.action()
