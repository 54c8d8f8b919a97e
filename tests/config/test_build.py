"""From configuration to live objects."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from localspike import data
from localspike.config import Part, build_network, build_rule, build_session, override, pick_device
from localspike.errors import ConfigError, LocalspikeError
from localspike.nn.init import RATE_BAND
from localspike.recipes import RECIPES, recipe

SMALL = ["limit=40", "hidden=12,8", "batch_size=8"]


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_a_network_and_a_rule(name: str) -> None:
    narrow = ["width=0.125"] if recipe(name).model.name == "vgg9" else []
    config = override(recipe(name), narrow)
    assert build_network(config).classes == len(data.info(config.data.name).classes)
    assert build_rule(config).name == config.rule.name


def test_a_session_is_calibrated_on_the_data_and_repeatable() -> None:
    config = override(recipe("keywords-tess"), SMALL)
    first, second = build_session(config), build_session(config)
    for a, b in zip(first.net.parameters(), second.net.parameters(), strict=True):
        assert torch.equal(a, b)
    frames, labels, _ = next(first.train.batches())
    rates = first.learner.evaluate(frames, labels).rates
    assert all(RATE_BAND[0] <= rate <= RATE_BAND[1] for rate in rates.values())


def test_another_seed_gives_other_weights_and_another_order() -> None:
    config = override(recipe("keywords-tess"), SMALL)
    first, second = build_session(config), build_session(override(config, ["seed=1"]))
    weights = [next(session.net.parameters()) for session in (first, second)]
    orders = [next(session.train.batches()).labels for session in (first, second)]
    assert not torch.equal(*weights)
    assert not torch.equal(*orders)


def test_ottt_is_told_the_decay_of_the_membrane() -> None:
    config = override(recipe("keywords-ottt"), ["neuron.decay=0.75"])
    assert build_rule(config).eligibility.pre_decay is None  # every block's own
    assert build_session(override(config, SMALL)).net.blocks["hidden1"].neuron.decay == 0.75
    assert build_rule(override(config, ["rule.decay=0.3"])).eligibility.pre_decay == 0.3


def test_scheduler_learns_the_length_of_the_run() -> None:
    config = override(recipe("keywords-tess"), [*SMALL, "epochs=7"])
    assert build_session(config).scheduler.T_max == 7
    per_step = override(config, ["every=step"])
    assert build_session(per_step).scheduler.T_max == 7 * 5


def test_every_learner_setting_arrives() -> None:
    config = override(
        recipe("keywords-tess"),
        [*SMALL, "schedule=streaming", "active_steps=5", "clip_norm=1", "accumulate=2",
         "firing_rate=0.1", "label_smoothing=0.1", "precision=bf16"],
    )  # fmt: skip
    learner = build_session(config).learner
    assert learner.schedule == "streaming"
    assert (learner.active_steps, learner.clip_norm, learner.accumulate) == (5, 1.0, 2)
    assert learner.credit.regulariser.target == 0.1
    assert learner.loss.label_smoothing == 0.1
    assert learner.dtype is torch.bfloat16


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["model=vgg9"], r"the model vgg9 needs square images: got samples of shape \[80\]"),
        (["optimizer=Muon"], r"optimizer Muon cannot be built"),
        (["scheduler=StepLR"], r"scheduler StepLR cannot be built.*Change scheduler\.step_size"),
        (
            ["lr=-1"],
            r"Adam cannot be built: Invalid learning rate: -1\.0: got lr=.*Change optimizer\.lr",
        ),
        (["betas=0.9,1.5"], r"Invalid beta parameter at index 1: 1\.5: .*Change optimizer\.betas"),
        (["rule=bptt", "schedule=layerwise"], r"schedule 'layerwise' is illegal"),
        (["model.rate=0.9"], r"calibration rate outside the band"),
    ],
)
def test_what_cannot_be_built_says_so_in_one_line(settings: list[str], message: str) -> None:
    config = override(recipe("keywords-tess"), [*SMALL[:1], *settings])
    with pytest.raises(LocalspikeError, match=message) as caught:
        build_session(config)
    assert "\n" not in str(caught.value)


def test_a_device_that_is_not_there_is_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(ConfigError, match=r"device is not there: got cuda; expected auto or"):
        pick_device("cuda")


@pytest.mark.parametrize("name", ["OneCycleLR", "CyclicLR"])
def test_a_scheduler_of_one_step_size_is_refused_beside_factors(name: str) -> None:
    options = {"OneCycleLR": ["max_lr=0.1"], "CyclicLR": ["base_lr=0.1", "max_lr=0.2"]}[name]
    changes = [*SMALL, f"scheduler={name}", *options, "readout_factor=5"]
    with pytest.raises(ConfigError, match="one step size for all"):
        build_session(override(recipe("keywords-tess"), changes))


def test_factors_are_on_the_step_sizes_of_readout_and_rule() -> None:
    changes = [*SMALL, "rule=tess_plus", "readout_factor=5", "rule_factor=10", "lr=0.002"]
    session = build_session(override(recipe("keywords-tess"), changes))
    rates = {}
    for group in session.optimizer.param_groups:
        rates |= {id(p): group["lr"] for p in group["params"]}
    net = session.net
    assert net.readout is not None
    own = list(session.learner.credit.own_parameters().values())
    hidden, last = list(net.blocks["hidden1"].parameters()), list(net.readout.parameters())
    for parameters, lr in ((last, 0.01), (hidden, 0.002), (own, 0.02)):
        assert [rates[id(p)] for p in parameters] == pytest.approx([lr] * len(parameters))


def test_a_factor_for_a_rule_that_trains_nothing_is_refused() -> None:
    changes = [*SMALL, "rule_factor=10"]
    with pytest.raises(ConfigError, match="trains nothing of its own"):
        build_session(override(recipe("keywords-tess"), changes))


def test_an_optimizer_of_the_plain_kind_is_taken() -> None:
    """As configurations in code had it before there were factors."""
    config = replace(recipe("keywords-tess"), optimizer=Part("Adam", {"lr": 0.1}))  # type: ignore[arg-type]
    assert config.optimizer.readout_factor == 1.0 and config.optimizer.options == {"lr": 0.1}
