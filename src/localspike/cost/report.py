"""Products and bytes of one rule on one network under one schedule, put together."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from ..describe import Description
from .products import Products, products
from .setting import Setting
from .signals import Matrices, matrices
from .state import Buffers, activations, state
from .view import View

FLOAT32 = 4


@dataclass(frozen=True)
class Report:
    """What a sequence batch costs. Numbers are counts; `bytes_of` makes bytes of them.

    ``held`` are the buffers: what a stream carries, or for BPTT what it keeps of all T steps; None
    for the schedules of whole layers, whose sequences are of the schedule and not of the rule.
    """

    setting: Setting
    products: dict[str, Products]
    held: dict[str, Buffers] | None
    matrices: dict[str, Matrices]
    weights: dict[str, int]

    @property
    def total(self) -> Products:
        """Products of all blocks."""
        return sum(self.products.values(), Products())

    @property
    def numbers(self) -> int | None:
        """Numbers held in all."""
        if self.held is None:
            return None
        return sum(n for buffers in self.held.values() for n in buffers.values())

    @property
    def auxiliary(self) -> Matrices:
        """Auxiliary matrices of all blocks."""
        stored, generated = zip(*self.matrices.values(), strict=True)
        return Matrices(sum(stored), sum(generated))

    def a_step(self, count: int) -> int:
        """A count of the batch for one sample and step, rounded up.

        >>> from localspike import describe, models, rules
        >>> about = describe.describe(models.mlp(20, (30,), 4), rules.frozen())
        >>> report = report_on(about, Setting(steps=12, batch=3))
        >>> report.a_step(report.total.total)  # 20·30 + 2 · 30·4
        840
        """
        return ceil(count / (self.setting.steps * self.setting.batch))


def bytes_of(numbers: int, size: int = FLOAT32) -> int:
    """Bytes of so many numbers of ``size`` bytes.

    >>> bytes_of(3)
    12
    """
    return numbers * size


def report_on(about: Description, setting: Setting) -> Report:
    """All there is to say of a rule on a network.

    Raises
    ------
    IllegalError
        For signals or traces of a user's own.

    >>> from localspike import describe, models, rules
    >>> about = describe.describe(models.mlp(20, (30,), 4), rules.tess())
    >>> report = report_on(about, Setting())
    >>> report.numbers, report.auxiliary
    (84, Matrices(stored=0, generated=120))
    """
    view = View(about, setting)
    held = None
    if setting.streams:
        held = state(about, setting)
    elif setting.schedule == "bptt":
        held = activations(about, setting)
    return Report(
        setting,
        products(about, setting),
        held,
        {block.name: matrices(view, block) for block in about.blocks},
        {block.name: block.parameters for block in about.blocks},
    )
