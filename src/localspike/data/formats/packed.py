"""Decompression that never gives more than was asked for, whatever a file claims."""

from __future__ import annotations

from typing import Any, Protocol

from ...errors import MissingDependencyError
from ...optional import require
from .source import bad

STEP = 1 << 20
MAX_WINDOW = 1 << 25  # zstd: what one packet may ask for as working memory
NAMES = {0: "none", 1: "lz4", 2: "lz4", 3: "zstd", 4: "zstd"}


class Source(Protocol):
    """Something that gives at most so many bytes at a time, b"" at its end."""

    def read(self, count: int) -> bytes:
        """At most ``count`` further bytes."""
        ...


class _Lz4:
    def __init__(self, content: memoryview) -> None:
        self.frame: Any = require("lz4.frame", "reading LZ4 packets").LZ4FrameDecompressor()
        self.content: bytes | memoryview = content

    def read(self, count: int) -> bytes:
        if self.frame.eof:
            return b""
        content, self.content = self.content, b""
        given: bytes = self.frame.decompress(content, max_length=count)
        return given


class _Zstd:
    def __init__(self, content: memoryview) -> None:
        library = require("zstandard", "reading zstd packets")
        self.reader: Any = library.ZstdDecompressor(max_window_size=MAX_WINDOW).stream_reader(
            content
        )

    def read(self, count: int) -> bytes:
        given: bytes = self.reader.read(count)
        return given


class Unpacker:
    """The bytes of one compressed packet, taken piece by piece.

    ``at`` is where the packet lies in the file, for errors. Raises DataError for damaged data and
    MissingDependencyError where the package of the compression is not installed.
    """

    def __init__(self, kind: int, content: memoryview, source: str, at: int) -> None:
        self.source, self.at, self.name = source, at, NAMES[kind]
        self.inner: Source = (_Lz4 if self.name == "lz4" else _Zstd)(content)

    def take(self, count: int) -> bytes:
        """``count`` bytes, fewer only at the end of the packet."""
        parts, left = [], count
        while left > 0:
            try:
                part = self.inner.read(min(left, STEP))
            except MissingDependencyError:
                raise
            except Exception as error:  # what the C libraries raise has no common base
                raise bad(
                    self.source, self.at, f"damaged {self.name} packet",
                    got=f"{type(error).__name__}: {str(error).splitlines()[:1]}",
                    expected=f"one {self.name} frame",
                ) from error  # fmt: skip
            if not part:
                break
            parts.append(part)
            left -= len(part)
        return b"".join(parts)


def pack(name: str, content: bytes) -> bytes:
    """One frame of ``content`` in the compression "none", "lz4" or "zstd"."""
    if name == "lz4":
        return bytes(require("lz4.frame", "writing LZ4 packets").compress(content))
    if name == "zstd":
        return bytes(require("zstandard", "writing zstd packets").compress(content))
    return content
