"""Every process must collect the same names, whenever it does: parallel workers compare them."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("content", [b"\x1f\x8b\x08", bytearray(b"b"), b"\x1f\x8b\x08"])
def test_bytes_are_not_part_of_a_name(content: bytes, request: pytest.FixtureRequest) -> None:
    assert "x1f" not in request.node.name and request.node.name.startswith(
        "test_bytes_are_not_part_of_a_name[content"
    )
