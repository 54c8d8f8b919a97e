"""A record: figures with everything they depend on, as JSON in a folder."""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..learn.atomic import writing
from ..recipes.folder import revision, versions, write_json
from .environment import hardware, load, told
from .places import RECORDS, benchmarks

BUSY = 0.7
ENOUGH = 7
"""Rounds from which on a run is recorded without being asked to."""


def about(what: str, kind: str, own: dict[str, str]) -> dict[str, Any]:
    """The head of a record, taken when a run begins."""
    return {
        "kind": kind,
        "what": what,
        "command": shlex.join(["localspike", *sys.argv[1:]]),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": revision(),
        "hardware": hardware(),
        "load_average": load(),
        "versions": versions(),
        "environment": told(own),
    }


def warn_of_load(say: Callable[[str], None]) -> None:
    """Say so where other work runs on this machine: what it does is measured as well.

    >>> warn_of_load(lambda line: None)
    """
    now = load()
    if now is not None and now[0] > BUSY:
        say(f"other work runs on this machine (load average {now[0]:.1f}): times may mean little")


def folder_for(out: Path | None, rounds: int, checkout: Path | None) -> Path | None:
    """Where a run is recorded: as asked, or among the checkout's records if it is long enough.

    The folder is made and tried: a run must not find out after an hour that it cannot write.

    Raises
    ------
    CheckpointError
        If the folder cannot be written to.
    """
    home = benchmarks() if checkout is None else checkout
    if out is None and (home is None or rounds < ENOUGH):
        return None
    folder = home / RECORDS if out is None and home is not None else out
    assert folder is not None  # one of the two
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    return folder


def write(record: dict[str, Any], folder: Path | None, name: str) -> Path | None:
    """Write a record as ``name``.json; None where there is no folder for it."""
    if folder is None:
        return None
    path = folder / f"{name}.json"
    write_json(path, {**record, "load_average_after": load()})
    return path
