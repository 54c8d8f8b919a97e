"""Which format a file is in, by what is in it: names and suffixes are not looked at."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ...errors import DataError
from ..events import Sensor
from ..files import NPY
from . import aedat2, aedat3, aedat4, dat, npz, raw, shd
from .aedat2 import read_aedat2
from .aedat3 import read_aedat3
from .aedat4 import read_aedat4
from .dat import read_dat
from .evt2 import read_evt2
from .evt3 import read_evt3
from .nmnist import looks_like, read_nmnist
from .npz import read_npz
from .recording import Recording
from .shd import read_shd
from .source import MAX_HEADER, beginning, load, text_header

READERS: dict[str, Callable[..., Recording]] = {
    "aedat2": read_aedat2,
    "aedat3": read_aedat3,
    "aedat4": read_aedat4,
    "dat": read_dat,
    "evt2": read_evt2,
    "evt3": read_evt3,
    "nmnist": read_nmnist,
    "shd": read_shd,
    "npz": read_npz,
}
MAGIC = {
    aedat2.MAGIC: "aedat2",
    aedat3.MAGIC: "aedat3",
    aedat4.MAGIC: "aedat4",
    shd.MAGIC: "shd",
    npz.MAGIC: "npz",
}
CONVERT = "Convert it with its maker's tools"


def recognise(path: str | os.PathLike[str]) -> str:
    """The name in ``READERS`` of the format of a file, by its content alone.

    5-byte events have no header: a file is taken for them when all of it makes sense as such.
    Raises DataError, saying what the file begins with, for formats that are not read here.
    """
    return _recognise(Path(path))[0]


def _recognise(path: Path) -> tuple[str, dict[str, Sensor]]:
    """The name of the format, and what its reader must be told."""
    content, source = beginning(path, MAX_HEADER + 2), str(path)
    for magic, name in MAGIC.items():
        if content.startswith(magic):
            return name, {}
    if content.startswith(b"%"):
        name = _prophesee(content, source)
        if name in READERS:
            return name, {}
        raise _unknown(source, name.upper() if name else "a '%' header of no known format", CONVERT)
    if content.startswith(NPY):
        raise _unknown(source, "an npy file", "Read what save_chunks wrote with chunks_of")
    if content.startswith(b"#!AER-DAT"):
        raise _unknown(source, content[2:12].decode("ascii", "replace").strip(), CONVERT)
    sensor = looks_like(load(path))
    if sensor is not None:
        return "nmnist", {"sensor": sensor}
    begins = f"a file that begins with {content[:8]!r}" if content else "an empty file"
    raise _unknown(source, begins, "Check that this is the file you mean, or call its own reader")


def _prophesee(content: bytes, source: str) -> str:
    lines, start = text_header(content, b"%", "% end", source)
    named = raw.encoding(lines)
    return named or ("dat" if dat.is_dat(content, start) else "")


def _unknown(source: str, got: str, fix: str) -> DataError:
    return DataError(
        f"{source}: not in a format that is read here",
        got=got,
        expected="AEDAT 2.0, 3.1, 4.0, DAT, RAW in EVT 2 or 3, 5-byte events, SHD, or npz",
        fix=fix,
    )


def read(path: str | os.PathLike[str], *, sort: bool = False) -> Recording:
    """Read an event file in whatever format it is, found by ``recognise``.

    ``sort=True`` sorts events by time within each recording, for files whose times run backwards;
    without it such files are refused. Raises DataError; MissingDependencyError where the format
    needs a package that is not installed (h5py for SHD, lz4 or zstandard for packed AEDAT 4.0).
    """
    name, more = _recognise(Path(path))
    return READERS[name](path, sort=sort, **more)
