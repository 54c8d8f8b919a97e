"""The passes `bench passes` times are those the learner runs, and move what it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from localspike.bench import passes
from localspike.bench.passes import CHANNELS, SIDE, STEPS, Request
from localspike.errors import ConfigError


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Eager, this process left as it is."""
    monkeypatch.setattr(passes, "keep_heap", lambda: None)
    monkeypatch.setattr(passes, "obstacle", lambda device: "not in a test")
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_pass_reads_and_writes_what_it_is_said_to(dtype: torch.dtype) -> None:
    """What comes out of each is counted; what goes in are the currents, but for windows."""
    neurons, b = STEPS * CHANNELS * SIDE * SIDE, dtype.itemsize
    written = {}
    for one in passes.passes(1, dtype):
        made = one.run()
        parts = [made] if isinstance(made, torch.Tensor) else list(made)  # type: ignore[call-overload]
        told = [x for x in parts[:3] if isinstance(x, torch.Tensor) and x.shape[0] in (STEPS, 16)]
        if one.name == "currents from windows":
            told = [made]
        written[one.name] = sum(x.numel() * x.element_size() for x in told) / neurons
        assert 0 < written[one.name] < one.bytes
    assert written == {
        "copy": b,
        "neurons": b,
        "neurons and max pooling": (b + 2) / 4,
        "post factors": b,
        "post factors through max pooling": b,
        "windows of input": 4 * b,
        "currents from windows": b,
        "windows of post factors": 4 * b,
    }


def test_a_record_has_every_pass_in_both_precisions(tmp_path: Path) -> None:
    said: list[str] = []
    found = passes.run(Request(batch=1, rounds=1, out=tmp_path), said.append)
    written = json.loads((tmp_path / "passes.json").read_text())
    assert written["rows"] == found["rows"] and written["kind"] == "passes"
    assert found["compiled"] is False
    names = [one.name for one in passes.passes(1, torch.float32)]
    for precision, b in (("float32", 4), ("bf16", 2)):
        rows = [row for row in found["rows"] if row["precision"] == precision]
        assert [row["name"] for row in rows] == names
        assert rows[0]["of_copy"] == 1 and rows[0]["bytes"] == 2 * b
        assert all(row["seconds"]["n"] == 1 and row["bytes_per_second"] > 0 for row in rows)
    assert any("recorded in" in line for line in said)
    with pytest.raises(ConfigError, match="rounds"):
        Request(rounds=0)
