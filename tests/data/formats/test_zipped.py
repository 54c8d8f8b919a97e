"""Entries of ZIP archives: unpacked as zipfile does, and refused where they are not whole."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from localspike.data.formats import zipped

Opened = Callable[[bytes], IO[bytes]]


def archive(content: bytes, method: int = zipfile.ZIP_DEFLATED) -> tuple[bytes, zipfile.ZipInfo]:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        file.writestr("first", b"something else")
        file.writestr("one", content)
    with zipfile.ZipFile(out) as file:
        return out.getvalue(), file.getinfo("one")


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """Opens a file with that content."""
    with ExitStack() as stack:

        def put(content: bytes) -> IO[bytes]:
            (tmp_path / "file").write_bytes(content)
            return stack.enter_context((tmp_path / "file").open("rb"))

        yield put


NOISE = np.random.default_rng(0).integers(0, 9, 300_000).astype(np.uint8).tobytes()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("content", [b"", b"a", bytes(1 << 20), NOISE])
@pytest.mark.parametrize("size", [1 << 12, 1 << 17, 1 << 30])
def test_in_pieces_of_any_size(size: int, content: bytes, method: int, opened: Opened) -> None:
    whole, info = archive(content, method)
    entry = zipped.Entry(opened(whole), info)
    parts = []
    while part := entry.read(size):
        assert len(part) <= size
        parts.append(part)
    assert b"".join(parts) == content
    assert all(len(part) == size for part in parts[:-1])
    entry.finish()


def test_what_is_left_over_or_altered_is_noticed(opened: Opened) -> None:
    content, info = archive(NOISE)
    entry = zipped.Entry(opened(content), info)
    entry.read(len(NOISE) - 1)
    with pytest.raises(ValueError, match="one is longer than its header says"):
        entry.finish()
    info.CRC ^= 1
    entry = zipped.Entry(opened(content), info)
    entry.read(len(NOISE))
    with pytest.raises(ValueError, match="one has checksum"):
        entry.finish()
    at = content.index(b"one") + 3
    damaged = content[:at] + b"\xff" * 50 + content[at + 50 :]
    with pytest.raises(zlib.error):
        zipped.Entry(opened(damaged), info).read(1 << 20)


def test_what_is_not_an_entry(opened: Opened) -> None:
    content, info = archive(NOISE)
    for change, text in (
        ({"header_offset": info.header_offset + 1}, "one is not where the archive says"),
        ({"header_offset": -5}, "one is not where the archive says"),
        ({"header_offset": len(content)}, "one is not where the archive says"),
        ({"compress_type": zipfile.ZIP_BZIP2}, "one is compressed in an unusual way"),
        ({"flag_bits": 1}, "one is compressed in an unusual way"),
    ):
        _, other = archive(NOISE)
        for name, value in change.items():
            setattr(other, name, value)
        with pytest.raises(ValueError, match=text):
            zipped.Entry(opened(content), other)
