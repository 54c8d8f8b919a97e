"""What goes where: results to standard output, everything else to standard error."""

from __future__ import annotations

import codecs
import json
import sys
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from typing import Any, TextIO

from ..errors import LocalspikeWarning

FAILED, REFUSED, INTERRUPTED, PIPE_CLOSED = 1, 2, 130, 141
PLAIN = "localspike.plain"
SPELLED = {"±": "+/-", "…": "...", "–": "-", "—": "-", "−": "-", "×": "x", "·": "*", "²": "2"}
SPELLED |= {"“": '"', "”": '"', "≤": "<=", "≥": ">=", "µ": "u", "→": "->"}


def signalled(number: int) -> int:
    """The exit code of a process that a signal has ended.

    >>> signalled(15)
    143
    """
    return 128 + number


def speak_plainly() -> None:
    """Let standard output and error spell out what their encoding does not have."""
    codecs.register_error(PLAIN, _spelled)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=PLAIN)


@contextmanager
def warning_plainly() -> Iterator[None]:
    """Within it the package's own warnings are one line each, without a place in its code."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def tell(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, LocalspikeWarning):
                whisper(f"localspike: warning: {' '.join(str(message).split())}")
            else:
                usual(message, category, filename, lineno, file, line)

        warnings.showwarning = tell
        yield


def _spelled(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letter = error.object[error.start]
    if "\udc80" <= letter <= "\udcff":  # a byte of a file's name that is no text
        return bytes([ord(letter) - 0xDC00]), error.start + 1
    return spelled(letter), error.start + 1


def spelled(letter: str) -> str:
    """A letter in ASCII: Greek ones by name.

    >>> spelled("θ"), spelled("±")
    ('theta', '+/-')
    """
    name = unicodedata.name(letter, "")
    if name.startswith("GREEK"):
        return name.split()[-1].lower()
    return SPELLED.get(letter, "?")


def speaker(as_json: bool) -> Callable[[str], None]:
    """Where progress lines go: standard output, or standard error if that must stay pure JSON."""
    return whisper if as_json else say


def say(line: str) -> None:
    """A line on standard output, at once."""
    print(line, flush=True)


def whisper(line: str) -> None:
    """A line on standard error; where that is full the exit code has to do."""
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def print_json(tree: Any) -> None:
    """One JSON object on standard output."""
    print(json.dumps(tree, indent=2), flush=True)


def table(rows: Sequence[Sequence[Any]]) -> str:
    """Rows as left-aligned columns; the first row is the head.

    >>> print(table([("block", "shape"), ("hidden1", "200")]))
    block    shape
    hidden1  200
    """
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in texts
    )
    return "\n".join(line.rstrip() for line in lines)


def counted(number: int, noun: str) -> str:
    """A number and its noun.

    >>> counted(1, "sample"), counted(2, "sample")
    ('1 sample', '2 samples')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def percent(share: float) -> str:
    """A share as percent with one decimal.

    >>> percent(0.625)
    '62.5 %'
    """
    return f"{100 * share:.1f} %"
