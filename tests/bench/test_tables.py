"""README tables come from records and from nothing else."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from helpers_bench import BLOCKS
from localspike.bench import memory, peers, record, scale, train
from localspike.bench.report import (
    memory_text,
    passes_text,
    peers_text,
    scale_text,
    stream_text,
    train_text,
)

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "tables.py"
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="no checkout")


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tables", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def head(kind: str) -> dict[str, Any]:
    return {**record.about("what", kind, {}), "threads": 2, "revision": "0123456789abcdef+changes"}


def trained(missing: bool = False) -> dict[str, Any]:
    blocks = {k: v for k, v in BLOCKS.items() if not (missing and k.startswith("spiking"))}
    found = train.summary(blocks, {"spikingjelly bptt": "run make bench-peers"})
    case = train.case(train.Request(train.Workload.of("vgg9"), rounds=7))
    return {**head("train"), **case, **found}


def remembered() -> dict[str, Any]:
    rows = [
        {"net": "mlp", "title": "MLP", "method": name, **memory.fitted(points)}
        for name, points in {
            "bptt": [(100, 40.0), (200, 80.0), (300, 120.0)],
            "tess streaming": [(100, 2.0), (200, 2.0), (300, 2.0)],
        }.items()
    ]
    return {**head("memory"), "batch": 32, "rows": rows, "ratios": memory.ratios(rows)}


def streamed() -> dict[str, Any]:
    over = {"share": 0.25, "low": 0.2, "high": 0.3, "operations_per_step": 90.0}
    took = {"median": 0.002, "min": 0.0019, "max": 0.0021, "n": 9}
    own = {"title": "conv net", "rule": "tess", "batch": 1, "step_s": took, "overhead": over}
    return {**head("stream"), **own, "steps_per_second": 500.0}


def scaled() -> dict[str, Any]:
    points = [
        {"size": n, "products": n, "step_s": {"median": 2.0 * n}, "rise_mib": {"median": 3.0}}
        for n in (10, 100, 1000)
    ]
    row = {"axis": "T", "schedule": "streaming", "points": points, **scale.exponents(points)}
    return {**head("scale"), "rows": [row]}


def passed() -> dict[str, Any]:
    one = {"name": "neurons", "seconds": {"median": 0.02}, "of_copy": 0.5}
    rows = [
        {**one, "precision": "float32", "bytes": 8.0, "bytes_per_second": 4e9},
        {**one, "precision": "bf16", "bytes": 4.0, "bytes_per_second": 2e9},
    ]
    own = {"title": "128 channels", "batch": 32, "steps": 6, "rounds": 9, "rows": rows}
    return {**head("passes"), **own}


def beside_peers() -> dict[str, Any]:
    blocks = {"tess float32": [[0.1], [0.1]], "norse bptt": [[0.3], [0.3]]}
    case = {"title": "MLP", "batch": 32, "steps": 800, "missing": {"sinabs bptt": "not here."}}
    found = {**case, **peers.compared(blocks, {"norse bptt": 700.0})}
    return {**head("peers"), "rounds": 7, "cases": [found]}


RECORDS = {
    "train": trained, "memory": remembered, "stream": streamed, "scale": scaled,
    "passes": passed, "peers": beside_peers,
}  # fmt: skip
TEXTS = {
    "train": train_text, "memory": memory_text, "stream": stream_text, "scale": scale_text,
    "passes": passes_text, "peers": peers_text,
}  # fmt: skip
SHOWN = {
    "train": ["**11.00** (", "**0.75** (0.38–0.80)", "0123456789+changes", "n=7", "bf16"],
    "memory": ["| MLP | tess streaming | 2.0 | 2.0 | 2.0 | 0.00 ± 0.00 | 1/60.0 |", "409.60"],
    "stream": ["| conv net | tess | 500 | 2 | 25 % (20–30) |"],
    "scale": ["| T | streaming | 10–1000 | 1.00 ± 0.00 | 1.00 ± 0.00 | 0.00 ± 0.00 |"],
    "passes": ["| neurons | 8.00 | 20 | 4.0 | 0.50 | 4.00 | 20 | 2.0 | 0.50 |", "bf16: GB/s"],
    "peers": ["| norse bptt | 300 | 3.00 (3.00–3.00) | 700 |", "Left out: sinabs bptt (not here)."],
}


def page(*kinds: str) -> str:
    places = (f"<!-- bench:{kind} -->\nold figures\n<!-- /bench:{kind} -->" for kind in kinds)
    return "\n\nprose\n\n".join(["# Title", *places, "end\n"])


@pytest.mark.parametrize("kind", RECORDS)
def test_a_table_shows_its_record(tables: ModuleType, tmp_path: Path, kind: str) -> None:
    (tmp_path / "one.json").write_text(json.dumps(RECORDS[kind]()))
    (tmp_path / "other.json").write_text('{"what": "formats"}')
    readme = tmp_path / "README.md"
    readme.write_text(page(kind))
    assert tables.main([str(readme), "--records", str(tmp_path), "--check"]) == 1
    assert readme.read_text() == page(kind)
    assert tables.main([str(readme), "--records", str(tmp_path)]) == 0
    text = readme.read_text()
    assert text.startswith("# Title\n\nprose") and text.endswith("prose\n\nend\n")
    assert "old figures" not in text
    for part in SHOWN[kind]:
        assert part in text, text
    assert tables.main([str(readme), "--records", str(tmp_path), "--check"]) == 0


@pytest.mark.parametrize("kind", RECORDS)
def test_the_terminal_shows_a_record(kind: str) -> None:
    text = TEXTS[kind](RECORDS[kind]())
    assert len(text.splitlines()) >= 2 and "None" not in text and "nan" not in text


def test_a_ratio_that_is_null_is_a_dash_with_its_reason(tables: ModuleType) -> None:
    made = tables.rewritten(page("train"), [trained(missing=True)])
    assert "| – |" in made and "run make bench-peers" in made
    assert "vs_spikingjelly: none. run make bench-peers" in train_text(trained(missing=True))


def test_machines_are_told_apart_where_there_are_several(tables: ModuleType) -> None:
    one, other, card = (json.loads(json.dumps(trained())) for _ in range(3))
    one["hardware"] |= {"processor": "A", "flags": ["avx512_bf16", "amx_bf16"]}
    other["hardware"] |= {"processor": "B", "flags": []}
    card["hardware"] |= {"processor": "B", "accelerators": ["a card"]}
    card["device"] = "cuda"
    alone = tables.train([one, one])
    assert "n=7 |" in alone and "AMX" not in alone
    together = tables.train([one, other, card])
    for named in ("n=7; A, AMX |", "n=7; B, no units for bf16 |", "n=7; a card |"):
        assert named in together


def test_without_a_record_no_figure_stays(tables: ModuleType) -> None:
    made = tables.rewritten(page("stream", "train"), [trained()])
    assert "old figures" not in made
    assert "Not measured yet: `localspike bench stream`." in made and "**11.00**" in made


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<!-- bench:speed -->\n<!-- /bench:speed -->", "unknown table 'speed'"),
        ("<!-- bench:train -->\nnever closed", "opened for"),
        ("<!-- bench:train -->\n<!-- /bench:memory -->", "opened for"),
    ],
)
def test_damaged_pages_are_left_alone(
    tables: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, why: str
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(text)
    assert tables.main([str(readme), "--records", str(tmp_path)]) == 2
    assert readme.read_text() == text
    assert why in capsys.readouterr().err


def test_a_damaged_record_is_named(
    tables: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.json").write_text("{")
    readme = tmp_path / "README.md"
    readme.write_text(page("train"))
    assert tables.main([str(readme), "--records", str(tmp_path)]) == 2
    assert "bad.json is no JSON" in capsys.readouterr().err
