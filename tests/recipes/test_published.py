"""The published tables, stated a second time, and the protocols they are run by."""

from __future__ import annotations

from dataclasses import fields

import pytest

from localspike import data
from localspike.config import from_json, to_json
from localspike.recipes import small
from localspike.recipes.compare_plan import settle
from localspike.recipes.protocols import DIFFERS, PROTOCOLS
from localspike.recipes.published import TABLES, Row
from localspike.recipes.reproduce_plan import run_of

# place: the numbers of a line, in the order of the columns below it; "-" where none is printed.
STATED = {
    "tess-1": (
        "bptt s_tllr tess",
        """
        cifar10dvs   76.40±.66   75.14±1.37  75.00±.65
        dvs_gesture  97.95±.68   98.48±.37   98.56±.31
        cifar10      92.55±.06   91.88±.28   92.55±.16
        cifar100     69.28±.37   68.00±.71   70.00±.34
        """,
    ),
    "tess-3": (
        "tess:-1 tess:0 tess:+1",
        """
        cifar10dvs   75.00  75.00  74.36
        dvs_gesture  98.56  98.33  98.56
        cifar10      89.93  91.99  92.55
        cifar100     62.49  68.19  70.00
        """,
    ),
    "s-tllr-2": (
        "bptt s_tllr s_tllr:last-5 s_tllr-dfa",
        """
        dvs_gesture  95.58±1.08  97.72±.38   -      -
        cifar10dvs   75.44±.76   75.60±.10   73.93  -
        ncaltech101  65.92±.82   66.06±.92   -      -
        shd-rec      70.57±.96   78.24±1.84  -      74.60±.52
        mvsec        3.40        3.45        -      -
        """,
    ),
    "tp-1": (
        "bptt tp logs",
        """
        nmnist-fc  98.45  97.33±.06  96.53±.14
        shd-ff     75.86  67.06      61.62
        shd-rec    83.23  81.80±.51  76.43
        """,
    ),
    "tp-2": (
        "bptt tp logs",
        """
        dvs_gesture  98.56  98.18±.15  95.61
        cifar10dvs   -      71.62±.31  69.35
        """,
    ),
}
# paper place: T, batch, epochs, step size, net, readout's leak, γ, θ
PROTOCOL = """
tess    cifar10dvs    10   64  200  1e-3  vgg9       0     0.5   0.6
tess    dvs_gesture   20   16  200  1e-3  vgg9       0     0.5   0.6
tess    cifar10       6   128  200  1e-3  vgg9       0     0.5   0.6
tess    cifar100      6   128  200  1e-3  vgg9       0     0.5   0.6
s_tllr  dvs_gesture   20   16  300  1e-3  vgg9       0     0.5   0.6
s_tllr  cifar10dvs    10   64  300  1e-3  vgg9       0     0.5   0.6
s_tllr  ncaltech101   10   64  300  1e-3  vgg9       0     0.5   0.6
s_tllr  shd-rec       100 128  200  2e-4  recurrent  0.99  0.9   0.6
tp      nmnist-fc     30  128  100  1e-4  mlp        1     0.98  1.0
tp      shd-ff        100 128  100  1e-4  mlp        1     0.96  1.0
tp      shd-rec       100 128  100  1e-4  recurrent  1     0.85  0.5
tp      dvs_gesture   20   64  200  1e-4  vgg9       1     0.53  1.0
tp      cifar10dvs    10   64  300  1e-4  vgg9       1     0.18  0.5
"""
LINES = [tuple(line.split()) for line in PROTOCOL.split("\n") if line]
CASES = [(table, row) for table in TABLES.values() for row in table.rows]


def read(cell: str) -> tuple[float, float | None]:
    mean, _, sd = cell.partition("±")
    return float(mean), float(sd) if sd else None


def stated(table: str) -> dict[tuple[str, str], tuple[float, float | None]]:
    columns, block = STATED[table]
    found = {}
    for line in filter(None, map(str.split, block.split("\n"))):
        for name, cell in zip(columns.split(), line[1:], strict=True):
            if cell != "-":
                found[line[0], name] = read(cell)
    return found


@pytest.mark.parametrize("table", STATED)
def test_every_number_is_the_published_one(table: str) -> None:
    numbered = [row for row in TABLES[table].rows if row.paper]
    held = {(row.place, row.name): tuple(row.paper) for row in numbered}
    held |= {(row.place, "logs"): tuple(row.logs) for row in numbered if row.logs}
    assert held == stated(table)


def test_all_tables_are_stated_here_or_worked_out() -> None:
    worked_out = {name for name, table in TABLES.items() if table.kind != "accuracy"}
    assert worked_out == {"tess-2", "tp-3"}
    assert set(TABLES) == worked_out | set(STATED)
    assert not [name for name in worked_out if TABLES[name].rows]
    assert set(DIFFERS) == {table.paper for table in TABLES.values()} == set(PROTOCOLS)


def test_rows_without_a_number_stand_in_for_something() -> None:
    for table, row in CASES:
        assert (row.paper is None) == bool(row.stands_for), (table.name, row)
        assert row.stands_for == "" or small.is_net(row.place)


@pytest.mark.parametrize("line", LINES, ids=lambda line: "-".join(line[:2]))
def test_protocols_are_the_papers(line: tuple[str, ...]) -> None:
    paper, place, *numbers, model, leak, decay, threshold = line
    config = PROTOCOLS[paper][place]
    about = data.info(config.data.name)
    steps = config.data.options.get("steps", about.steps)
    training = config.training
    held = (steps, training.batch_size, training.epochs, config.optimizer.options["lr"])
    assert held == tuple(map(float, numbers))
    assert config.model.name == model
    assert config.model.options.get("readout_decay", 0) == float(leak)
    assert (config.neuron.decay, config.neuron.threshold) == (float(decay), float(threshold))


def test_every_protocol_is_stated() -> None:
    held = {(paper, place) for paper, places in PROTOCOLS.items() for place in places}
    assert held == {line[:2] for line in LINES}


def test_details_of_the_papers_that_are_easily_lost() -> None:
    assert PROTOCOLS["s_tllr"]["dvs_gesture"].model.options["pooling"] == "avg"
    assert "pooling" not in PROTOCOLS["tess"]["cifar10"].model.options
    assert PROTOCOLS["tess"]["cifar100"].scheduler.options == {"factor": 0.5, "patience": 5}
    assert PROTOCOLS["tess"]["cifar100"].augment.name == "images"
    assert PROTOCOLS["tess"]["dvs_gesture"].data.options == {"counts": True}
    assert PROTOCOLS["tp"]["shd-ff"].scheduler.options == {"eta_min": 0.25e-4}
    assert PROTOCOLS["tp"]["shd-ff"].neuron.fires_at_threshold
    hidden = {place: run.model.options.get("hidden") for place, run in PROTOCOLS["tp"].items()}
    assert hidden["nmnist-fc"] == (200,) and hidden["shd-ff"] == hidden["shd-rec"] == (450,)


def full(table: str, place: str, name: str):
    (row,) = (r for r in TABLES[table].rows if (r.place, r.name) == (place, name))
    return run_of(TABLES[table].paper, row, "full")


def test_rules_have_the_constants_of_each_data_set() -> None:
    gains = {r.place: full("tess-1", r.place, "tess").rule.options["post_gain"]
             for r in TABLES["tess-1"].rows if r.name == "tess" and not r.stands_for}  # fmt: skip
    assert gains == {"cifar10dvs": 0, "dvs_gesture": 1, "cifar10": 1, "cifar100": 1}
    shd = full("s-tllr-2", "shd-rec", "s_tllr-dfa")
    assert shd.rule.options["signal"] == "dfa" and shd.learner.active_steps == 90
    traces = [shd.rule.options[name] for name in ("post_decay", "pre_decay", "post_gain")]
    assert (traces, shd.rule.options["surrogate"]) == ([0.5, 1.0, 1.0], "fast_sigmoid")
    last = full("s-tllr-2", "cifar10dvs", "s_tllr:last-5")
    assert (last.learner.active_steps, last.rule.options["surrogate"]) == (5, "sigmoid")
    assert full("s-tllr-2", "cifar10dvs", "s_tllr").learner.active_steps == "all"
    decays = {p: full("tp-1", p, "tp").rule.options["decay"] for p in ("nmnist-fc", "shd-ff")}
    assert decays == {"nmnist-fc": 0.98, "shd-ff": 0.97}
    assert full("tp-2", "cifar10dvs", "tp").rule.options["decay"] == 0.19
    assert full("tp-2", "cifar10dvs", "tp").learner.update == "step"


def trained(scale: str) -> list[tuple[str, Row]]:
    return [
        (table.paper, row)
        for table, row in CASES
        if row.data in data.names() and (scale == "small" or not row.stands_for)
    ]


@pytest.mark.parametrize("scale", ["full", "small"])
def test_every_row_is_a_legal_run_and_survives_storage(scale: str) -> None:
    for paper, row in trained(scale):
        config = run_of(paper, row, scale)
        assert from_json(to_json(config)) == config
        assert config.rule.name == row.rule
        settle(config)


@pytest.mark.parametrize("scale", ["full", "small"])
def test_rules_of_a_place_share_all_but_themselves(scale: str) -> None:
    shared: dict[tuple[str, str], list[object]] = {}
    for paper, row in trained(scale):
        config = run_of(paper, row, scale)
        same = {f.name: getattr(config, f.name) for f in fields(config)}
        for own in ("recipe", "rule", "learner", "optimizer"):
            del same[own]
        assert shared.setdefault((paper, row.place), same) == same, (paper, row)


def test_the_scaled_protocol_of_cifar10() -> None:
    config = small.cifar10(["rule=tess", "lr=0.002"])
    training, options = config.training, config.data.options
    assert (config.model.options["width"], options["steps"], config.data.limit) == (0.25, 4, 10_000)
    assert (training.epochs, training.batch_size) == (12, 64)
    assert (config.scheduler.name, config.learner.precision) == ("CosineAnnealingLR", "auto")
    assert (config.augment.name, config.rule.name) == ("images", "tess")
    assert config.augment.options == {"cutout": 0} and config.scheduler.every == "step"
    assert config.optimizer.options == {"lr": 0.002}


def test_scaling_keeps_the_steps_of_event_data() -> None:
    config = small.scaled(PROTOCOLS["s_tllr"]["ncaltech101"])
    assert config.data.options == {"bin_ms": 30, "steps": 10, "size": 60, "square": True}
    assert config.model.options == {"pooling": "avg", "width": 0.25}
