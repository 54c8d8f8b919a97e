"""The papers' figures: what follows from the network as it is, and what does not, by how much."""

from __future__ import annotations

from pathlib import Path

import pytest

from localspike import models, rules
from localspike.cost import Setting, products
from localspike.cost.orders import Sizes, orders
from localspike.cost.paper import TABLE, Published, signal_macs
from localspike.cost.report import report_on
from localspike.describe import describe
from localspike.recipes.cost_papers import order_table, tess_table

PAGE = Path(__file__).parents[2] / "docs" / "cost.md"
TESS = {row["data"]: row for row in tess_table()}
NOT_FOLLOWING = {
    "CIFAR10-DVS": {
        "signal MACs, TESS (1e6)": "-4.62",
        "ratio": "162",
        "memory, BPTT (MiB)": "-5.62",
        "memory, S-TLLR (MiB)": "-1.13",
        "memory, TESS (MiB)": "-0.57",
    },
    "DVS Gesture": {
        "signal MACs, BPTT (1e6)": "0.01",
        "signal MACs, TESS (1e6)": "-4.39",
        "ratio": "128",
        "memory, BPTT (MiB)": "-5.00",
        "memory, S-TLLR (MiB)": "-0.50",
        "memory, TESS (MiB)": "-0.50",
    },
    "CIFAR10": {
        "signal MACs, TESS (1e6)": "-0.13",
        "ratio": "15",
        "memory, BPTT (MiB)": "-1.50",
        "memory, S-TLLR (MiB)": "-0.50",
        "memory, TESS (MiB)": "-0.50",
    },
    "CIFAR100": {
        "signal MACs, TESS (1e6)": "-1.23",
        "ratio": "15",
        "memory, BPTT (MiB)": "-1.50",
        "memory, S-TLLR (MiB)": "-0.50",
        "memory, TESS (MiB)": "-0.50",
    },
}


@pytest.mark.parametrize("data", TESS)
def test_every_figure_follows_with_the_first_block_counted_twice(data: str) -> None:
    for figure in TESS[data]["figures"]:
        assert figure["first_block_twice"] == figure["paper"], figure["figure"]


@pytest.mark.parametrize("data", TESS)
def test_what_does_not_follow_from_the_network_as_it_is_is_named(data: str) -> None:
    found = {f["figure"]: f["difference"] for f in TESS[data]["figures"] if not f["follows"]}
    assert found == NOT_FOLLOWING[data]
    assert all(
        float(f["ours"]) - float(f["paper"]) == pytest.approx(float(f["difference"]), abs=1e-6)
        for f in TESS[data]["figures"]
    )


def test_the_page_has_every_figure() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for row in TESS.values():
        for f in row["figures"]:
            if "/" not in f["figure"]:
                away = "0" if f["follows"] else f["difference"]
                cells = (row["data"], f["figure"], f["paper"], f["ours"], away)
                assert f"| {' | '.join(cells)} | {f['first_block_twice']} |" in text
        totals = [f"{t['total'] / 1e6:,.0f}e6" for t in row["totals"]]
        (line,) = (x for x in text.splitlines() if x.startswith(f"| {row['data']}, T = "))
        assert [cell.split()[0].rstrip(",") for cell in line.split("|")[2:-1]] == totals


def test_the_published_ratios() -> None:
    def of(figure: str) -> list[str]:
        return [
            f["first_block_twice"]
            for row in TESS.values()
            for f in row["figures"]
            if f["figure"] == figure
        ]

    assert of("ratio") == ["613", "533", "661", "205"]
    assert of("memory, BPTT / TESS") == ["10", "10", "3", "3"]
    assert of("memory, BPTT / S-TLLR") == ["5", "10", "3", "3"]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.data)
def test_input_gradients_in_closed_form(row: Published) -> None:
    """T · (603,979,776 A + 512 C) with A = area / 32², at a sixteenth of the width."""
    net = models.vgg9(row.channels, row.classes, image=row.side, width=1 / 16, rate=None)
    sent = signal_macs(describe(net, rules.bptt()), Setting(row.steps, schedule="bptt"))
    convolutions = 603_979_776 * row.side**2 // 32**2 // 16**2
    assert sent == row.steps * (convolutions + 512 // 16 * row.classes)


def test_totals_the_table_leaves_out() -> None:
    """Streamed TESS with both traces multiplies more than BPTT does, layerwise two thirds of it."""
    row = TESS["CIFAR10"]
    totals = {(t["rule"], t["schedule"]): t for t in row["totals"]}
    whole = totals["bptt", "bptt"]["total"]
    assert totals["tess", "streaming"]["total"] > whole
    assert 1.49 < whole / totals["tess", "layerwise"]["total"] < 1.5
    assert totals["s_tllr", "streaming"]["total"] > 1.3 * whole
    states, published = totals["tess", "streaming"]["bytes"] / 2**20, 2.27
    assert states == pytest.approx(4.0118, abs=1e-3) and states > published
    assert totals["bptt", "bptt"]["bytes"] > 6.83 * 2**20


def test_totals_are_those_of_the_model() -> None:
    for row in TABLE:
        about = describe(
            models.vgg9(row.channels, row.classes, image=row.side, rate=None),
            rules.tess(post_gain=row.post_gain),
        )
        setting = Setting(row.steps, 1, "layerwise", static=row.static)
        (found,) = (t for t in TESS[row.data]["totals"] if t["schedule"] == "layerwise")
        assert found["total"] == sum(p.total for p in products(about, setting).values())
        break  # one full-sized net is enough


def test_a_width_of_the_net_moves_the_figures() -> None:
    one, other = (
        describe(models.vgg9(3, 10, width=w, rate=None), rules.tess()) for w in (1 / 16, 1 / 8)
    )
    assert signal_macs(other, Setting()) == 2 * signal_macs(one, Setting())
    assert report_on(other, Setting()).numbers > 1.9 * report_on(one, Setting()).numbers  # type: ignore[operator]


def test_orders_of_traces_propagation_and_tess() -> None:
    tp, tess = order_table()
    assert (tp["space"], tp["time"], tp["auxiliary"]) == ("L H B", "L H B²", "H O")
    assert (tess["space"], tess["time"], tess["auxiliary"]) == ("L H B", "L H O B", "L H O")


def test_orders_see_another_rule() -> None:
    def build(layers: int, neurons: int, classes: int) -> object:
        return describe(models.mlp(8, (neurons,) * layers, classes, rate=None), rules.ostl())

    found = orders(build, Sizes(4, 128, 4, 2))  # type: ignore[arg-type]
    assert found == {"space": "L H² B", "time": "none", "auxiliary": "none"}
