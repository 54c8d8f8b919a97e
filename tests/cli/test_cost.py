"""`localspike cost`: of a recipe, of a run as it ran, of the papers; and what it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers_cli import Said
from localspike import data, models, rules
from localspike.config import RunConfig, build_network, build_rule
from localspike.cost import Setting
from localspike.cost.report import Report
from localspike.learn import Learner
from localspike.learn.meter import macs_of
from localspike.recipes import recipe
from localspike.recipes.costs import STILL, Asked, costs, report_for

MINE = """
from dataclasses import dataclass
from localspike import rules
from localspike.rules.signal import Signal

@dataclass(frozen=True)
class Unheard(Signal):
    def bind(self, block, like):
        return type("Bound", (), {"parameters": {}})()

@rules.register
def unheard():
    return rules.Rule("unheard", rules.TwoTrace(None), Unheard(), rules.Triangle())
"""


def test_a_run_costs_what_it_counted_while_it_ran(
    command: Callable[..., Said], finished: Path
) -> None:
    result = json.loads((finished / "result.json").read_text())
    found = json.loads(command("cost", finished, "--rules", "tess", "--json").out)
    assert (found["batch"], found["steps"]) == (8, 12)
    batch = found["rules"]["tess"]["schedules"]["layerwise"]["products"]["total"]
    assert batch * result["train_samples"] * 2 // 8 == result["training_macs"] > 0


def test_a_recipe_prints_every_rule_and_its_own_by_block(command: Callable[..., Said]) -> None:
    said = command("cost", "keywords-tess", "--rate", "0.1")
    assert said.code == 0 and said.err == ""
    lines = said.out.splitlines()
    assert "T = 50, batch of 64" in lines[0]
    assert lines[1] == "weights 233,640 bytes; without learning 104,960 held"  # 4 · 64 · 410
    for name in rules.PRESETS:
        assert any(line.split()[:1] == [name] for line in lines), name
    row = next(line for line in lines if re.match(r"tess +layerwise", line))
    assert row.split()[2:8] == ["58,000", "8,000", "58,000", "0", "0", "124,000"]
    assert any(re.match(r"hidden1 .*membrane 51,200, pre trace 20,480", line) for line in lines)
    assert re.search(r"^hidden2 +4,000 +0$", said.out, re.M)  # 0.1 · 200 · 200


def test_batch_steps_and_rules_are_taken(command: Callable[..., Said]) -> None:
    asked = ["--batch", "1", "--steps", "7", "--rules", "s_tllr, bptt"]
    found = json.loads(command("cost", "keywords-tess", *asked, "--json").out)
    assert list(found["rules"]) == ["s_tllr", "bptt"]
    assert (found["batch"], found["steps"]) == (1, 7)
    held = found["rules"]["bptt"]["schedules"]["bptt"]["bytes"]
    assert held == 4 * 7 * (80 + 200 + 200 + 200 + 200 + 10)


def test_what_is_not_defined_is_named_with_the_reason(command: Callable[..., Said]) -> None:
    said = command("cost", "keywords-tess", "--batch", "1", "--rules", "tess,tp")
    assert "tp is not defined here: contrasting a batch with its own labels needs" in said.out
    found = costs(recipe("keywords-tess"), Asked(batch=1, rules=("tp", "tess")))
    assert not found["rules"]["tp"]["defined"] and found["rules"]["tp"]["schedules"] == {}
    why = found["rules"]["tess"]["illegal"]
    assert "defined by traces" in why["bptt"] and "layerwise" not in why


def test_a_rule_of_one_s_own_has_no_formula(command: Callable[..., Said], tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    try:
        said = command(
            "cost", "keywords-tess", "--plugin", tmp_path / "mine.py", "--rules", "unheard,tess"
        )
    finally:
        rules.PRESETS.pop("unheard", None)
    assert said.code == 0
    assert "unheard is not defined here: the cost model has no formula for Unheard" in said.out


def changed(name: str, **learner: object) -> RunConfig:
    config = recipe(name)
    return replace(config, learner=replace(config.learner, **learner))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("active", "steps"), [(5, 5), ("every-7", 7), ("random-4", 4), ((2, 9), 2)]
)
def test_only_steps_with_a_signal_contract(active: object, steps: int) -> None:
    asked = Asked(rules=("s_tllr",))

    def contraction(**learner: object) -> int:
        found = costs(changed("keywords-s-tllr", **learner), asked)
        total: int = found["rules"]["s_tllr"]["schedules"]["streaming"]["products"]["contraction"]
        return total

    assert steps * contraction() == 50 * contraction(active_steps=active)


def test_a_long_run_is_counted_in_the_parts_it_is_worked_through() -> None:
    config = recipe("keywords-leaky-tess")
    found = costs(config, Asked(steps=100, batch=64, rules=("tess",)))["rules"]["tess"]
    net = build_network(config)
    learner = Learner(net, build_rule(config), compile="off")
    ran = macs_of(learner, torch.zeros(100, 64, 80), torch.zeros(64, dtype=torch.int64))
    layerwise, streaming = (found["schedules"][s]["products"] for s in ("layerwise", "streaming"))
    assert layerwise["total"] == ran
    assert layerwise["contraction"] > streaming["contraction"]


def test_updates_at_every_step_leave_only_streaming() -> None:
    asked = Asked(rules=("tess",))
    for update, schedules in (("sequence", ["streaming", "layerwise"]), ("step", ["streaming"])):
        found = costs(changed("keywords-tess", update=update), asked)["rules"]["tess"]
        assert list(found["schedules"]) == schedules


def test_still_images_are_those_whose_loaders_say_so() -> None:
    saying = {n for n in data.names() if "static frames" in (data.info(n).loader.__doc__ or "")}
    assert saying == set(STILL)


@pytest.mark.parametrize(("paper", "rows"), [("tess", 4), ("tp", 2)])
def test_papers(command: Callable[..., Said], paper: str, rows: int) -> None:
    said = command("cost", "--paper", paper)
    assert said.code == 0 and said.err == ""
    found = json.loads(command("cost", "--paper", paper, "--json").out)
    assert found["paper"] == paper and len(found["rows"]) == rows
    if paper == "tess":
        assert re.search(r"signal MACs, TESS \(1e6\) +5\.48 +5\.35 +-0\.13 +5\.48 +no", said.out)
        assert re.search(r"^tess +layerwise +3,625\.68 +3,626\.91 +7,252\.59$", said.out, re.M)
    else:
        assert re.search(r"^tp +L H B +L H B² +H O +LH ", said.out, re.M)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], r"no recipe and no run is named\. Name one"),
        (["keyword-tess"], r"'keyword-tess' is no recipe and no run folder\. Nearest names"),
        (["keywords-tess", "--paper", "tess"], r"--paper has networks of its own"),
        (["--paper", "lls"], r"invalid choice 'lls' for argument '--paper'"),
        (["keywords-tess", "--rules", "tes"], r"unknown rule 'tes'\. Nearest names: tess"),
        (["keywords-tess", "--rules", ","], r"no rule is named: got ,"),
        (["keywords-tess", "--steps", "0"], r"steps: got 0; expected a whole number >= 1"),
        (["keywords-tess", "--batch", "-3"], r"batch: got -3"),
        (
            ["keywords-tess", "--steps", "1000001"],
            r"steps: got 1000001; expected at most 1,000,000",
        ),
        (["keywords-tess", "--steps", "9" * 30], r"steps: got 9+; expected at most"),
        (["keywords-tess", "--batch", "9" * 400], r"batch: got 9+; expected at most"),
        (["keywords-tess", "--rate", "1.2"], r"the rate of 'every block': got 1\.2"),
        (["keywords-tess", "--input-rate", "0.2"], r"an input rate alone.*--rate 0\.1"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    command: Callable[..., Said], arguments: list[str], message: str
) -> None:
    said = command("cost", *arguments)
    assert said.code == 2 and said.out == "" and said.err.count("\n") == 1
    assert re.search(message, said.err), said.err


def test_a_folder_without_a_run_is_refused(command: Callable[..., Said], tmp_path: Path) -> None:
    said = command("cost", tmp_path)
    assert said.code == 2 and re.search(r"no run in .*Give the folder of a run", said.err)


def test_a_long_sequence_swept_twice_is_not_in_parts() -> None:
    """Only layerwise hands a long sequence on from part to part."""
    net = models.mlp(6, (64,), 5, rate=None)
    frames, labels = torch.zeros(400, 32, 6), torch.arange(32) % 5
    for schedule, rule in (("two_sweep", rules.ottt()), ("layerwise", rules.drtp())):
        learner = Learner(net, rule, schedule=schedule, compile="off")  # type: ignore[arg-type]
        said = report_for(net, rule, recipe("keywords-tess"), Setting(400, 32), schedule)
        assert isinstance(said, Report)
        assert said.total.total == macs_of(learner, frames, labels)
