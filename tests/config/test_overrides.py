"""Overrides: typed, by full key or unique last word, with the nearest names when wrong."""

from __future__ import annotations

import pytest

from localspike.config import RunConfig, keys, override
from localspike.errors import ConfigError
from localspike.recipes import recipe


@pytest.fixture
def keywords() -> RunConfig:
    return recipe("keywords-tess")


def test_last_word_is_enough_where_it_is_unique(keywords: RunConfig) -> None:
    changed = override(
        keywords, ["epochs=1", "limit=2000", "hidden=50,60", "lr=1e-2", "latent_decay=0"]
    )
    assert changed.training.epochs == 1
    assert changed.data.limit == 2000
    assert changed.model.options["hidden"] == (50, 60)
    assert changed.optimizer.options["lr"] == 0.01
    assert changed.rule.options["latent_decay"] == 0.0


def test_full_keys_reach_everything(keywords: RunConfig) -> None:
    changed = override(
        keywords,
        ["rule.scale=l2", "neuron.decay=0.9", "loss.mse=0.05", "optimizer.betas=0.8,0.99"],
    )
    assert changed.rule.options["scale"] == "l2"
    assert changed.neuron.decay == 0.9
    assert changed.loss.mse == 0.05
    assert changed.optimizer.options["betas"] == (0.8, 0.99)


@pytest.mark.parametrize(
    ("text", "section", "name", "value"),
    [
        ("rule.scale=0.25", "rule", "scale", 0.25),
        ("model.standardised=no", "model", "standardised", False),
        ("hidden=100", "model", "hidden", (100,)),
        ("rule.pool=none", "rule", "pool", None),
    ],
)
def test_options_take_the_type_of_the_function_they_are_for(
    keywords: RunConfig, text: str, section: str, name: str, value: object
) -> None:
    found = getattr(override(keywords, [text]), section).options[name]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "value"), [("all", "all"), ("5", 5), ("1,3", (1, 3)), ("(0,)", (0,))]
)
def test_active_steps_are_a_word_a_number_or_a_list(
    keywords: RunConfig, text: str, value: object
) -> None:
    assert override(keywords, [f"active_steps={text}"]).learner.active_steps == value


def test_another_choice_starts_from_its_own_defaults(keywords: RunConfig) -> None:
    changed = override(keywords, ["lr=0.1", "optimizer=SGD", "momentum=0.9", "rule=sltt"])
    assert changed.optimizer.name == "SGD"
    assert changed.optimizer.options == {"lr": 0.1, "momentum": 0.9}
    assert changed.rule.name == "sltt" and not changed.rule.options


def test_seed_is_the_run_s_even_where_the_rule_has_one() -> None:
    changed = override(recipe("keywords-s-tllr"), ["seed=3", "rule.seed=4"])
    assert changed.training.seed == 3
    assert changed.rule.options["seed"] == 4


def test_width_of_the_published_net() -> None:
    assert override(recipe("cifar10-tess"), ["width=0.25"]).model.options["width"] == 0.25


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch=1", r"unknown key 'epoch'\. Nearest names: epochs"),
        ("rule.pre_decy=1", r"unknown key 'rule\.pre_decy'\. Nearest names: rule\.pre_decay"),
        ("traning.epochs=1", r"Nearest names: training\.epochs"),
        ("zzzz=1", r"unknown key 'zzzz'\. `localspike info RECIPE` shows all of them"),
        ("epochs=many", r"training\.epochs has a value of the wrong kind: got 'many'"),
        ("epochs=1.5", r"got '1\.5'; expected int"),
        ("epochs=0", r"training\.epochs is too small: got 0; expected at least 1"),
        ("limit=0", r"data\.limit is too small"),
        ("seed=-1", r"training\.seed is too small"),
        ("hidden=a,b", r"model\.hidden has a value of the wrong kind"),
        ("precision=fp8", r"expected auto or float32 or bf16"),
        ("rule.scale=big", r"expected mean or sqrt or l2 or l2_full or float"),
        ("rule=tes", r"unknown rule 'tes'\. Nearest names: tess"),
        ("optimizer=adamw", r"unknown optimiser 'adamw'\. Nearest names: AdamW"),
        ("model=vgg", r"unknown model 'vgg'\. Nearest names: vgg9"),
        ("data=cifar", r"unknown data set 'cifar'\. Nearest names: cifar10"),
        ("name=x", r"the key 'name' is ambiguous: expected data\.name or"),
        ("scale=1", r"ambiguous: expected rule\.scale or loss\.scale"),
        ("epochs", r"an override cannot be read: got 'epochs'; expected key=value"),
        ("=1", r"an override cannot be read"),
        ("neuron.decay=2", r"LIF decay out of range: got 2\.0.*Give the share that is kept"),
        ("threshold=0", r"LIF threshold: got 0\.0; expected a finite θ > 0\. Change the neuron's"),
        ("reset_by=-1", r"LIF reset_by: got -1\.0; expected a finite r >= 0.*Leave reset_by out"),
        ("loss.scale=0", r"loss\.scale: got 0\.0; expected a factor > 0"),
        ("loss.scale=-1", r"scale of a loss: got -1\.0"),
        ("class_weights=1,-2", r"class_weights: got \(1\.0, -2\.0\).*Give one number per class"),
        ("lr=inf", r"optimizer\.lr is not finite: got inf; expected a finite number"),
        ("lr=1e400", r"optimizer\.lr is not finite: got 1e400"),
        ("betas=0.9,NaN", r"optimizer\.betas is not finite: got 0\.9,NaN"),
        ("loss.scale=nan", r"loss\.scale is not finite"),
        ("pre_gain=nan", r"rule\.pre_gain is not finite"),
        ("post_gain=-inf", r"rule\.post_gain is not finite: got -inf"),
        ("rule.scale=inf", r"rule\.scale is not finite"),
        ("firing_strength=nan", r"learner\.firing_strength is not finite"),
        ("threshold=inf", r"neuron\.threshold is not finite"),
        ("model.rate=NaN", r"model\.rate is not finite"),
        ("clip_norm=Infinity", r"learner\.clip_norm is not finite"),
        (
            "seed=99999999999999999999",
            r"training\.seed is too large: got 9+; expected less than 2\^63",
        ),
        ("hidden=5,99999999999999999999", r"model\.hidden is too large"),
        ("threads=100000", r"training\.threads is too large: got 100000; expected 1\.\.1024"),
    ],
)
def test_what_cannot_be_is_refused_with_one_clear_line(
    keywords: RunConfig, text: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        override(keywords, [text])
    assert "\n" not in str(caught.value)


def test_what_the_data_decides_is_no_key(keywords: RunConfig) -> None:
    known = keys(keywords)
    assert "model.hidden" in known
    assert not {"model.inputs", "model.classes", "data.split", "optimizer.params"} & set(known)
