"""Formats are found by content; what is not read here is named in the refusal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from localspike.data import Sensor, formats
from localspike.errors import DataError

KINDS = [name for name in formats.READERS if name != "shd"]
KINDS += ["aedat4-lz4", "aedat4-zstd", "shd"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_misleading_name_does_not_matter(
    kind: str, whole: Callable[[str], bytes], tmp_path: Path, small: formats.Recording
) -> None:
    path = tmp_path / "photo.jpeg"
    path.write_bytes(whole(kind))
    assert formats.recognise(path) == kind.partition("-")[0]
    one = formats.read(path)
    assert np.array_equal(one.events["t"], small.events["t"])
    assert np.array_equal(one.events["x"], small.events["x"])


def test_five_byte_events_of_a_larger_sensor(tmp_path: Path, small: formats.Recording) -> None:
    small.events["x"][3], small.events["y"][5] = 250, 179
    one = formats.Recording(small.events, Sensor(2, 200, 256))
    formats.write_nmnist(tmp_path / "file", one)
    assert formats.read(tmp_path / "file").sensor == formats.NCALTECH


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"", "an empty file"),
        (b"\x93NUMPY\x01\0v\0", r"an npy file; .*with chunks_of"),
        (b"GIF89a..", r"a file that begins with b'GIF89a\.\.'"),
        (b"#!AER-DAT1.0\r\n", r"AER-DAT1\.0"),
        (b"#!AER-DAT3.0\r\n", r"AER-DAT3\.0"),
        (b"% evt 2.1\n% end\n\0\0", "EVT21"),
        (b"% some\n% text\nmore", "a '%' header of no known format"),
        (bytes([200, 10, 0, 0, 9, 200, 10, 0, 0, 1]), "a file that begins with"),
    ],
)
def test_what_is_not_read_here_is_named(content: bytes, got: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    for function in (formats.recognise, formats.read):
        with pytest.raises(DataError, match=rf"file: not in a format .* got {got}"):
            function(path)


@pytest.mark.parametrize("name", formats.READERS)
def test_every_reader_refuses_the_other_formats(
    name: str, whole: Callable[[str], bytes], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    for other in KINDS[:-1]:
        if other.partition("-")[0] != name:
            path.write_bytes(whole(other))
            with pytest.raises(DataError, match=str(path)):
                formats.READERS[name](path)


def test_every_reader_is_exported_with_its_writer() -> None:
    for name, reader in formats.READERS.items():
        assert getattr(formats, f"read_{name}") is reader
        assert f"write_{name}" in formats.__all__
