"""The family's table: every rule is in it, every entry can be built, names lead somewhere."""

from __future__ import annotations

import inspect
from typing import Literal

import pytest
import torch

from localspike import rules
from localspike.config import build_learner, build_network, from_json, to_json
from localspike.errors import ConfigError
from localspike.recipes import RECIPES, recipe, summary
from localspike.recipes.compare_plan import Request, make_case
from localspike.recipes.family import ENTRIES, Entry, chosen, entries
from localspike.recipes.nets import NETS, base_of
from localspike.recipes.step_sizes import STEP_SIZES

COMPARED = [(data, net) for data, nets in NETS.items() for net in nets]
ONE_BLOCK = {"e_prop-symmetric"}
"""Entries that are not defined on nets of two spiking blocks."""


def test_every_rule_is_in_the_table() -> None:
    assert {entry.rule for entry in ENTRIES.values()} == set(rules.PRESETS)
    assert list(entries()) == list(ENTRIES)


def test_every_variant_says_what_it_changes() -> None:
    for name, entry in ENTRIES.items():
        assert entry.summary.endswith("."), name
        assert name == entry.rule or entry.settings or entry.on, name


@pytest.mark.parametrize(("data", "net"), COMPARED)
def test_every_entry_is_built_or_refused_with_a_reason(data: str, net: str) -> None:
    two_blocks = (data, net) in {("nmnist", "conv"), ("keywords", "fc")}
    for name, entry in ENTRIES.items():
        case = make_case(Request(data), net, entry)
        if two_blocks and name in ONE_BLOCK:
            assert "symmetric feedback is not defined" in (case.refused or "")
        else:
            assert case.refused is None, name
            assert case.schedule in ("layerwise", "streaming", "two_sweep", "bptt")
            assert from_json(to_json(case.config)) == case.config


def test_a_rule_changes_nothing_of_the_net_but_what_its_entry_names() -> None:
    base = base_of("nmnist", "fc")
    for name, entry in ENTRIES.items():
        config = entry.apply(base, "nmnist", "fc")
        if "model.norm_momentum=0.1" in entry.settings:  # its blocks keep running statistics
            assert config.model.options.pop("norm_momentum") == 0.1  # type: ignore[attr-defined]
        assert (config.model, config.data, config.loss, config.training, config.scheduler) == (
            base.model, base.data, base.loss, base.training, base.scheduler,
        ), name  # fmt: skip
        assert config.neuron.decay == base.neuron.decay, name
        assert (type(config.neuron) is type(base.neuron)) == ("neuron=alif" not in entry.settings)


def test_variants_are_what_they_are_called() -> None:
    base = base_of("nmnist", "fc")

    def made(name: str):
        return ENTRIES[name].apply(base, "nmnist", "fc")

    assert made("fptt").optimizer.name == "FPTT"
    assert made("fptt").learner.update == made("tp").learner.update == "step"
    assert made("lls-matrix").rule.options["mixing"] == "matrix"
    assert made("sltt-k").learner.active_steps == "random-6"
    assert type(made("e_prop-alif").neuron).__name__ == "ALIF"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("fastest", ["bptt", "layerwise", "two_sweep", "two_sweep", "streaming"]),
        ("leanest", ["bptt", "streaming", "streaming", "streaming", "streaming"]),
    ],
)
def test_a_comparison_runs_on_the_fastest_or_the_leanest_schedule(
    wanted: Literal["fastest", "leanest"], expected: list[str]
) -> None:
    request = Request("nmnist", schedule=wanted)
    names = ("bptt", "tess", "ottt", "dfa", "fptt")
    found = [make_case(request, "fc", ENTRIES[name]) for name in names]
    assert [case.schedule for case in found] == expected


def test_step_sizes_stand_in_one_table_and_reach_the_optimiser(monkeypatch) -> None:
    assert set(STEP_SIZES) == {f"{data}/{net}" for data, net in COMPARED}
    for table in STEP_SIZES.values():
        assert set(table) <= set(ENTRIES)
    monkeypatch.setitem(STEP_SIZES["nmnist/conv"], "fptt", 0.125)
    config = ENTRIES["fptt"].apply(base_of("nmnist", "conv"), "nmnist", "conv")
    assert config.optimizer.options["lr"] == 0.125


def test_settings_for_one_data_set_and_one_net_come_last() -> None:
    on = {"nmnist": ("rule.pre_decay=0.2", "epochs=3"), "nmnist/conv": ("rule.pre_decay=0.1",)}
    entry = Entry("x", "A test.", "tess", ("rule.pre_decay=0.3",), on)
    decays = {
        (data, net): entry.apply(base_of(data, net), data, net).rule.options["pre_decay"]
        for data, net in (("keywords", "fc"), ("nmnist", "fc"), ("nmnist", "conv"))
    }
    assert list(decays.values()) == [0.3, 0.2, 0.1]
    assert entry.apply(base_of("nmnist", "fc"), "nmnist", "fc").training.epochs == 3


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("tes", r"unknown rule 'tes'\. Nearest names: tess"),
        ("tess,e-prop", r"unknown rule 'e-prop'\. Nearest names: e_prop"),
        (" , ", r"no rule is named: got ' , '; expected all, or a,b,c"),
    ],
)
def test_unknown_rules_lead_to_the_nearest(names: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        chosen(names)


def test_chosen_keeps_the_order_and_takes_each_once() -> None:
    assert [entry.name for entry in chosen("sltt, tess,sltt")] == ["sltt", "tess"]
    assert [entry.name for entry in chosen("all")] == list(ENTRIES)


@pytest.mark.parametrize("data", NETS)
def test_every_entry_is_a_recipe_on_every_data_set(data: str) -> None:
    for name, entry in ENTRIES.items():
        assert f"{data}-{name.replace('_', '-')}" in RECIPES
        if f"{data}-{name}" not in ("nmnist-tess", "keywords-tess"):
            assert summary(f"{data}-{name.replace('_', '-')}")
        assert entry.rule == recipe(f"{data}-{name.replace('_', '-')}").rule.name


def test_every_recipe_is_legal_and_knows_its_name() -> None:
    for name in RECIPES:
        if name.startswith("cifar10"):
            continue
        config = recipe(name)
        assert config.recipe == name
        with torch.random.fork_rng(devices=[]):
            build_learner(config, build_network(config), None)


def test_hand_written_recipes_keep_their_settings() -> None:
    assert inspect.getmodule(RECIPES["nmnist-tess"]).__name__.endswith("nmnist")
    assert recipe("nmnist-tess").rule.options == {}
    assert recipe("nmnist-tess").training.epochs == 20
    assert recipe("keywords-tess").rule.options["latent_decay"] == 0.99
    assert recipe("keywords-bptt").optimizer.options == {"lr": 3e-3}
