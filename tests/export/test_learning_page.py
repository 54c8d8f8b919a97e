"""The tables of docs/device_learning.md are those of the records."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "device" / "tables.py"


def test_the_page_is_what_the_records_say() -> None:
    """And another accuracy in a record changes it."""
    if not SCRIPT.exists():
        pytest.skip("no benchmarks beside the tests")
    spec = importlib.util.spec_from_file_location("device_tables", SCRIPT)
    assert spec is not None and spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    text, found = tables.PAGE.read_text(encoding="utf-8"), tables.records()
    assert tables.page(text, found) == text
    one = next(r for r in found if r["split"] == "test")
    next(iter(one["seeds"].values()))["accuracy"] = 0.123
    assert tables.page(text, found) != text
