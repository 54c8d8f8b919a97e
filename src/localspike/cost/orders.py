"""How space, time and auxiliary matrices grow with a network: the orders of the TP paper's table.

Source: Traces Propagation (arXiv 2509.13053): TP L·H in space and time and O·H in auxiliary
matrices, with a term B²·L·H for its pairs; TESS L·H, L·O·H and L·O·H. L layers of H neurons, O
classes, a batch of B.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log2

from ..describe import Description
from .report import Report, report_on
from .setting import Setting

Build = Callable[[int, int, int], Description]
"""Hidden layers, neurons of each, classes → network and rule."""
FACTORS = ("L", "H", "O", "B")


@dataclass(frozen=True)
class Sizes:
    """L hidden layers of H neurons, O classes, a batch of B."""

    layers: int = 4
    neurons: int = 4096
    classes: int = 16
    batch: int = 16

    def doubled(self, factor: str) -> Sizes:
        """The same with one of them twice as large."""
        sizes = {"L": self.layers, "H": self.neurons, "O": self.classes, "B": self.batch}
        sizes[factor] *= 2
        return Sizes(*sizes.values())


PUBLISHED = {
    "tp": {"space": "LH", "time": "LH + B²LH a batch", "auxiliary": "OH"},
    "tess": {"space": "LH", "time": "LOH", "auxiliary": "LOH"},
}


def orders(build: Build, sizes: Sizes | None = None) -> dict[str, str]:
    """Powers of L, H, O and B in a rule's state, signal products and matrices, for a whole batch.

    A power is the logarithm of what doubling does, rounded; the readout, which all rules share, is
    left out.

    >>> from localspike import describe, rules
    >>> from localspike.nn import models
    >>> net = lambda l, h, o: models.mlp(8, (h,) * l, o, rate=None)
    >>> orders(lambda *s: describe.describe(net(*s), rules.tess()), Sizes(2, 256, 4, 4))
    {'space': 'L H B', 'time': 'L H O B', 'auxiliary': 'L H O'}
    """
    sizes = sizes or Sizes()
    before = _counts(build, sizes)
    after = {factor: _counts(build, sizes.doubled(factor)) for factor in FACTORS}
    return {
        name: _product({f: round(log2(after[f][name] / n)) for f in FACTORS}) if n else "none"
        for name, n in before.items()
    }


def _counts(build: Build, sizes: Sizes) -> dict[str, int]:
    """State, signal products and matrices of the hidden layers."""
    about = build(sizes.layers, sizes.neurons, sizes.classes)
    report: Report = report_on(about, Setting(batch=sizes.batch))
    hidden = [block.name for block in about.blocks if block.kind != "readout"]
    held = report.held or {}
    return {
        "space": sum(sum(held[name].values()) for name in hidden),
        "time": sum(report.products[name].signal for name in hidden),
        "auxiliary": sum(sum(report.matrices[name]) for name in hidden),
    }


def _product(powers: dict[str, int]) -> str:
    """Factors with their powers.

    >>> _product({"L": 1, "H": 0, "B": 2})
    'L B²'
    """
    raised = {1: "", 2: "²", 3: "³"}
    return " ".join(f"{factor}{raised[n]}" for factor, n in powers.items() if n) or "1"
