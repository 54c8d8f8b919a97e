"""A tiny data root, workers within this process, and results that nobody trained for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from localspike.recipes.compare_plan import Cell
from localspike.recipes.folder import create, write_json
from localspike.recipes.run import Result
from localspike.recipes.workers import _attempt

QUICK = ("epochs=1", "limit=24", "batch_size=8")


def cifar10_root(root: Path) -> Path:
    """CIFAR-10's official binary files with 40 images of noise."""
    rng = np.random.default_rng(0)
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        records = rng.integers(0, 256, (8, 3073), dtype=np.uint8)
        records[:, 0] %= 10
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    return root


class Inline:
    """Workers without processes; a job may be answered by ``fate`` instead of being done."""

    fate: Callable[[Any], Any] | None = None

    def __init__(self, total: int, plugins: Sequence[Path] = (), most: int | None = None) -> None:
        self.total, self.most = total, most

    def __enter__(self) -> Inline:
        return self

    def __exit__(self, *raised: object) -> None:
        return None

    def run(
        self, work: Callable[[Any], Any], jobs: Sequence[Any], what: str = "", fresh: bool = True
    ) -> Iterator[tuple[Any, Any]]:
        for job in jobs:
            decided = None if self.fate is None else type(self).fate(job)  # type: ignore[misc]
            yield job, _attempt((), work, job) if decided is None else decided


def finish(cell: Cell, accuracy: float) -> None:
    """Put a result into a cell's folder as if it had been trained."""
    create(cell.folder, cell.config)
    made = Result(
        recipe="", rule=cell.config.rule.name, folder=str(cell.folder), seed=cell.seed,
        test_accuracy=accuracy, test_loss=0.0, test_samples=10, val_accuracy=0.5, val_loss=0.0,
        steps=1, epochs=1, seconds=1.0, peak_memory_mib=1.0, parameters=7, schedule="layerwise",
        schedule_reason="", device="cpu", classes=("a",), confusion=[[1]],
    )  # fmt: skip
    write_json(cell.folder / "result.json", asdict(made))
