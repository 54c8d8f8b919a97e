"""Configurations as JSON: round trip, refusal of foreign keys, digest and differences."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localspike.config import differences, digest, from_json, override, to_json
from localspike.errors import ConfigError
from localspike.recipes import RECIPES, recipe


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_survives_the_round_trip(name: str) -> None:
    config = recipe(name)
    assert from_json(json.loads(json.dumps(to_json(config)))) == config


@settings(max_examples=40, deadline=None)
@given(
    lr=st.floats(1e-6, 1.0),
    hidden=st.lists(st.integers(1, 500), min_size=1, max_size=3),
    steps=st.one_of(st.just("all"), st.integers(1, 50)),
)
def test_overridden_values_survive_the_round_trip_exactly(
    lr: float, hidden: list[int], steps: object
) -> None:
    sizes = ",".join(map(str, hidden))
    config = override(
        recipe("keywords-tess"), [f"lr={lr!r}", f"hidden={sizes}", f"active_steps={steps}"]
    )
    again = from_json(json.loads(json.dumps(to_json(config))))
    assert again == config and again.optimizer.options["lr"] == lr


@pytest.mark.parametrize(
    ("section", "key", "message"),
    [
        ("training", "epoch", r"unknown key 'training\.epoch'\. Nearest names: training\.epochs"),
        ("rule", "post_gian", r"Nearest names: rule\.post_gain"),
        ("model", "widht", r"unknown key 'model\.widht'"),
    ],
)
def test_a_stored_key_nobody_knows_is_refused(section: str, key: str, message: str) -> None:
    tree = to_json(recipe("keywords-tess"))
    tree[section][key] = 1
    with pytest.raises(ConfigError, match=message):
        from_json(tree)


def test_a_stored_section_nobody_knows_is_refused() -> None:
    tree = {**to_json(recipe("keywords-tess")), "trainig": {}}
    with pytest.raises(ConfigError, match=r"unknown section 'trainig'\. Nearest names: training"):
        from_json(tree)


def test_an_incomplete_configuration_is_refused() -> None:
    tree = to_json(recipe("keywords-tess"))
    del tree["rule"]["name"]
    with pytest.raises(ConfigError, match=r"incomplete: expected rule\.name"):
        from_json(tree)


def test_stored_values_are_checked_like_overrides() -> None:
    tree = copy.deepcopy(to_json(recipe("keywords-tess")))
    tree["training"]["epochs"] = "three"
    with pytest.raises(ConfigError, match=r"training\.epochs has a value of the wrong kind"):
        from_json(tree)


def test_digest_is_of_what_is_computed_not_of_where() -> None:
    config = recipe("keywords-tess")
    elsewhere = override(config, ["device=cpu", "checkpoint_every=7"])
    assert digest(config) == digest(elsewhere)
    assert digest(config) != digest(override(config, ["seed=1"]))


def test_differences_name_the_keys() -> None:
    config = recipe("keywords-tess")
    other = override(config, ["epochs=3", "rule.pool=2"])
    assert differences(config, other) == [
        "rule.pool (default, 2)",
        f"training.epochs ({config.training.epochs}, 3)",
    ]
    assert differences(config, config) == []
