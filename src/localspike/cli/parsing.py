"""tyro's parser with its errors, drawn as boxes, told in one line like all others."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from contextlib import redirect_stderr
from typing import Any

import tyro

from ..errors import ConfigError
from .options import check

MISPLACED = re.compile(r"Unrecognized options: [\w.]+=")


def parse(kinds: Any, arguments: Sequence[str], description: str) -> Any:
    """The command the arguments ask for.

    Raises
    ------
    ConfigError
        If they cannot be parsed.
    SystemExit
        After ``--help``.
    """
    check(kinds, arguments)
    drawn = io.StringIO()
    try:
        with redirect_stderr(drawn):
            return tyro.cli(
                kinds,
                prog="localspike",
                description=description,
                args=arguments,
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        error = told(drawn.getvalue())
        if MISPLACED.match(error.what):
            error = ConfigError(
                error.what, fix="Put settings right after the name of the recipe or table"
            )
        raise error from None


def told(box: str) -> ConfigError:
    """One line from a box: what is wrong, then what to run.

    >>> print(told("│ Missing: RECIPE │\\n│ ─────── │\\n│ For help, run x --help │"))
    Missing: RECIPE. For help, run x --help.
    """
    lines = [line.strip("│ ") for line in box.splitlines() if line.startswith("│")]
    parts = re.split(r"─{3,}", " ".join(lines) or box)
    what, *hints = [_sentence(part) for part in parts if part.strip()]
    return ConfigError(what, fix=". ".join(hints))


def _sentence(part: str) -> str:
    return " ".join(re.split(r" \((?:default|required)|, in:", part)[0].split()).rstrip(".:")
