"""The honest table of CIFAR-10: who takes part, the grid of step sizes, and which one won it.

Every rule runs on the net, neuron, loss, schedule and budget of `protocol.py`. Its step size is the
best of one grid of five, by validation after a run of a third of the length (seed 0); ties go to
the smaller. Then it is trained anew with three other seeds, and the whole test split is read once
a run, with the weights of the final epoch.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

RECORDS = Path(__file__).parent.parent / "records" / "study"
GRID = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
GRID_EPOCHS = 4
GRID_SEED = 0
SEEDS = (1, 2, 3)


class Contestant(NamedTuple):
    """A rule in the table; ``tuned`` is what was chosen on this protocol before its grid."""

    title: str
    recipe: str
    settings: tuple[str, ...] = ()
    tuned: str = "nothing"


_PLUS_TUNED = (
    "by the trials below, on validation with seed 0: basis, running statistics and their momentum, "
    "both step size factors, votes"
)

CONTESTANTS: dict[str, Contestant] = {
    "bptt": Contestant("BPTT", "cifar10-bptt"),
    "bptt-running": Contestant(
        "BPTT on the net with running statistics", "cifar10-bptt", ("model.norm_momentum=0.1",)
    ),
    "tess_plus": Contestant("tess_plus, local only", "cifar10-tess-plus", tuned=_PLUS_TUNED),
    "tess": Contestant("TESS as published, local only", "cifar10-tess"),
    "frozen": Contestant("frozen hidden layers", "cifar10-frozen"),
    "s_tllr": Contestant("S-TLLR", "cifar10-s-tllr"),
    "ottt": Contestant("OTTT", "cifar10-ottt"),
    "tp": Contestant(
        "Traces Propagation", "cifar10-tess", ("rule=tp", "rule.decay=0.5", "learner.update=step")
    ),
}


def grid_record(name: str, lr: float) -> Path:
    """Where the record of one point of the grid lies."""
    return RECORDS / "grid" / f"{name}-{lr:g}-{GRID_SEED}.json"


def grid_of(name: str) -> dict[float, float]:
    """Validation accuracy by step size, of the points that have a record."""
    paths = {lr: grid_record(name, lr) for lr in GRID}
    return {
        lr: json.loads(path.read_text(encoding="utf-8"))["val_accuracy"]
        for lr, path in paths.items()
        if path.exists()
    }


def chosen(name: str) -> float | None:
    """The best step size, the smaller of equal ones; None until the grid is whole."""
    found = grid_of(name)
    return max(sorted(found), key=found.__getitem__) if len(found) == len(GRID) else None
