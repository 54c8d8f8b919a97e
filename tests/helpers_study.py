"""What tests of the accuracy study share: its folder, its modules, records of made-up runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

STUDY = Path(__file__).parents[1] / "benchmarks" / "study"
MODULES = (
    "jobs", "records", "stats", "trials", "protocol", "contest", "ablation", "parts", "layers",
    "knobs", "tables", "pictures", "summary", "report", "run", "trial",
)  # fmt: skip


def write_record(folder: Path, name: str, seed: int, **numbers: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    curve = [{"val_accuracy": 0.1 * k} for k in range(5)]
    own = {"name": name, "seed": seed, "hardware": {"processor": "A"}}
    record = {**own, "curve": curve, "val_accuracy": 0.4, **numbers}
    (folder / f"{name}-{seed}.json").write_text(json.dumps(record))


def grid_of_tess(contest: ModuleType, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """A whole grid of TESS on two places."""
    monkeypatch.setattr(sys.modules["records"], "RECORDS", folder)
    for place in ("cifar10", "keywords-fc"):
        for lr, accuracy in zip(contest.steps(place), (0.2, 0.5, 0.5, 0.4, 0.1, 0.1), strict=False):
            assert contest.chosen(place, "tess") is None
            write_record(folder / "grid" / place, f"tess-{lr:g}", 0, val_accuracy=accuracy)
