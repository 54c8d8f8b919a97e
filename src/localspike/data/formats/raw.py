"""What Prophesee RAW files of all encodings share: the header, and words read block by block.

Header (docs.prophesee.ai, "RAW File Format"): lines ``% keyword value``; ``% evt 3.0`` or
``% format EVT3;height=720;width=1280`` name the encoding, ``% geometry 1280x720`` the sensor;
``% end``, or the first line without ``% ``, ends it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from ..events import Sensor
from .collect import Columns, collected
from .extent import blocks
from .recording import Recording
from .source import bad, camera, load, records, size_in, store, text_header

WORDS = 1 << 15
"""Words decoded together."""


@dataclass(frozen=True)
class Raw:
    """A RAW file: its header, sensor (if named), content, and where the words begin."""

    lines: list[str]
    sensor: Sensor | None
    content: bytes
    start: int


class Decoder(Protocol):
    """What an encoding is: columns of one block of words after another.

    ``skipped`` counts, by name, words that are not in the events.
    """

    skipped: dict[str, int]

    def __call__(self, start: int, words: NDArray[Any]) -> Columns:
        """The columns of the next block, which begins at byte ``start`` of the file."""
        ...

    def room(self, words: NDArray[Any]) -> int:
        """How many events to expect in all words together."""
        ...


def encoding(lines: list[str]) -> str:
    """The encoding that a RAW header names, as "evt" and digits; "" where it names none.

    >>> encoding(["% format EVT3;height=720;width=1280"]), encoding(["% evt 2.1"]), encoding([])
    ('evt3', 'evt21', '')
    """
    for line in lines:
        found = re.match(r"% (?:evt (\d)\.(\d)\s*$|format EVT(\d{1,2})\b)", line)
        if found:
            return f"evt{found[3] or found[1] + found[2].replace('0', '')}"
    return ""


def read_raw(
    path: Path, name: str, word: str, decode: Decoder, sensor: Sensor | None, sort: bool
) -> Recording:
    """Events of a RAW file in the encoding ``name``, of words of dtype ``word``; DataError."""
    source = str(path)
    raw = _open(path, name)
    words: NDArray[Any] = records(raw.content, raw.start, word, source)
    meta = {"format": name, "header": raw.lines, "skipped": decode.skipped}
    columns = _decoded(words, raw.start, decode)
    return collected(source, columns, decode.room(words), sensor or raw.sensor, meta, sort)


def _decoded(words: NDArray[Any], start: int, decode: Decoder) -> Iterator[Columns]:
    for block in blocks(words, WORDS):
        yield decode(start, block)
        start += block.nbytes


def _open(path: Path, wanted: str) -> Raw:
    """A RAW file whose header names the encoding ``wanted``; DataError for any other."""
    content = load(path)
    lines, start = header(content, wanted, str(path))
    return Raw(lines, _sensor(lines), content, start)


def header(content: bytes, wanted: str, source: str) -> tuple[list[str], int]:
    """The lines of a header that names the encoding ``wanted``, and where the words begin."""
    lines, start = text_header(content, b"% ", "% end", source)
    named = encoding(lines)
    if named != wanted:
        raise bad(
            source, 0, f"not a RAW file in {wanted.upper()}",
            got=f"a header that names {named.upper()}" if named else "no header that names it",
            expected=f"a line '% evt {wanted[3]}.0' or '% format {wanted.upper()};…'",
            fix="Use read, which finds the format, or the right reader",
        )  # fmt: skip
    return lines, start


def _sensor(lines: list[str]) -> Sensor | None:
    for line in lines:
        sides = dict(re.findall(r"\b(width|height)=(\d{1,5})\b", line, re.ASCII))
        if len(sides) == 2:
            return camera(int(sides["width"]), int(sides["height"]))
        if line.startswith("% geometry "):
            return size_in(line)
    return None


def write_raw(path: Path, name: str, words: NDArray[Any], sensor: Sensor) -> None:
    """Write words, as they are stored, behind the header of the encoding ``name``."""
    width, height, title = sensor.width, sensor.height, name.upper()
    text = (
        f"% evt {name[3]}.0\n% format {title};height={height};width={width}\n"
        f"% geometry {width}x{height}\n% end\n"
    )
    store(path, [text.encode(), words.tobytes()])
