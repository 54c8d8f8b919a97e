"""The papers' own cost figures beside ours, on the networks they were published for."""

from __future__ import annotations

from typing import Any

import torch

from .. import rules
from ..cost import Setting
from ..cost.orders import PUBLISHED, orders
from ..cost.paper import TABLE, Figure, Published, figures
from ..cost.report import bytes_of, report_on
from ..describe import Description, describe
from ..nn import Network, models
from ..rules import Rule

LEFT_OUT = (
    ("bptt", "bptt"),
    ("s_tllr", "streaming"),
    ("tess", "streaming"),
    ("tess", "layerwise"),
)
"""Rules and schedules whose whole cost stands beside the paper's."""


def tess_table() -> list[dict[str, Any]]:
    """The TESS paper's table of costs: its figures, ours, and the totals it leaves out.

    >>> row = tess_table()[2]
    >>> row["data"], row["figures"][1]["paper"], row["figures"][1]["ours"]
    ('CIFAR10', '5.48', '5.35')
    """
    return [_row(row) for row in TABLE]


def _row(row: Published) -> dict[str, Any]:
    found = {name: describe(_net(row, row.classes), rule) for name, rule in _rules(row).items()}
    fewer = describe(_net(row, row.bptt_classes), rules.bptt())
    return {
        "data": row.data,
        "steps": row.steps,
        "figures": [_tree(f) for f in figures(row, found["tess"], found["bptt"], fewer)],
        "totals": [_total(row, found[name], name, schedule) for name, schedule in LEFT_OUT],
    }


def _rules(row: Published) -> dict[str, Rule]:
    """Constants change no count, but for a post trace that is off."""
    return {
        "bptt": rules.bptt(),
        "s_tllr": rules.s_tllr(),
        "tess": rules.tess(post_gain=row.post_gain),
    }


def _net(row: Published, classes: int) -> Network:
    """VGG-9 of the paper without memory for its weights."""
    with torch.device("meta"):
        return models.vgg9(row.channels, classes, image=row.side, rate=None)


def _tree(figure: Figure) -> dict[str, Any]:
    written = figure.written
    return {
        "figure": figure.name,
        "paper": written(figure.paper),
        "ours": written(figure.ours),
        "difference": written(figure.ours - figure.paper),
        "first_block_twice": written(figure.recounted),
        "follows": figure.follows,
    }


def _total(row: Published, about: Description, name: str, schedule: str) -> dict[str, Any]:
    """One sample's sequence, all products, and the bytes a stream carries or BPTT keeps."""
    report = report_on(about, Setting(row.steps, 1, schedule, static=row.static))
    return {
        "rule": name,
        "schedule": schedule,
        "forward": report.total.forward,
        "learning": report.total.total - report.total.forward,
        "total": report.total.total,
        "bytes": None if report.numbers is None else bytes_of(report.numbers),
    }


def order_table() -> list[dict[str, str]]:
    """The TP paper's orders of space, time and auxiliary matrices, and ours for a batch.

    >>> [row["auxiliary"] for row in order_table()]
    ['H O', 'L H O']
    """
    made = {"tp": rules.tp(), "tess": rules.tess()}
    rows = []
    for name, rule in made.items():

        def build(layers: int, neurons: int, classes: int, rule: Rule = rule) -> Description:
            with torch.device("meta"):
                net = models.mlp(8, (neurons,) * layers, classes, rate=None)
            return describe(net, rule)

        said = {f"paper_{what}": order for what, order in PUBLISHED[name].items()}
        rows.append({"rule": name, **orders(build), **said})
    return rows
