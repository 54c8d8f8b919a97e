"""The very runs of the CIFAR-10 table: what is called local there is, and its state stays flat."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType

import pytest
import torch
from torch import Tensor

from helpers_study import STUDY
from localspike import Learner
from localspike.config import RunConfig
from localspike.config.build import build_learner, build_network
from localspike.learn.meter import state_bytes
from localspike.nn.init import calibrate

LOCAL = ("tess_plus", "tess", "frozen")
BELOW = ("conv1", "conv2", "conv3", "conv4", "conv5")
CHANGED = ("conv6", "conv7", "conv8", "readout")
BATCH = 2


@pytest.fixture
def contest(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(STUDY))
    names = ("jobs", "records", "contest", "protocol")
    yield importlib.import_module("contest")
    for name in names:
        sys.modules.pop(name, None)


def config_of(contest: ModuleType, rule: str) -> RunConfig:
    """A final run's configuration: bfloat16 products too, only not compiled."""
    protocol = importlib.import_module("protocol")
    _, _, source, settings = next(iter(contest.sources([f"cifar10/{rule}"])))
    config: RunConfig = protocol.config_of(source, settings, 1)
    return replace(config, learner=replace(config.learner, compile="off"))


def learner_of(config: RunConfig, change: tuple[str, ...] = (), **options: object) -> Learner:
    """The run's learner; the same but for other weights in some blocks."""
    torch.manual_seed(0)
    net = build_network(config)
    calibrate(net, images(config)[0], 0.15)
    with torch.no_grad():
        for name in change:
            weight: Tensor = net.modules_by_name[name].synapse.weight  # type: ignore[union-attr, assignment]
            weight += torch.randn_like(weight)
    learning = replace(config.learner, **options)  # type: ignore[arg-type]
    return build_learner(replace(config, learner=learning), net, None)


def images(config: RunConfig, steps: int = 4) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    frame = torch.randn(BATCH, 3, 32, 32, generator=draw)
    return frame.expand(steps, *frame.shape), torch.tensor([3, 7])


def gradients(learner: Learner, config: RunConfig) -> dict[str, Tensor]:
    learner.gradient(*images(config))
    named = learner.net.named_parameters()
    return {name: p.grad.clone() for name, p in named if p.grad is not None}


@pytest.mark.parametrize("rule", [*LOCAL, "bptt"])
def test_what_is_called_local_is(contest: ModuleType, rule: str) -> None:
    """Other weights above conv5 change nothing below; by backpropagation they do."""
    config = config_of(contest, rule)
    assert config.model.options["width"] == 0.25 and config.data.options["steps"] == 4
    usual = gradients(learner_of(config), config)
    other = gradients(learner_of(config, CHANGED), config)
    assert usual.keys() == other.keys() and any("readout" in name for name in usual)
    for name in usual:
        if name.split(".")[1] in BELOW:
            same = torch.equal(usual[name], other[name])
            assert same == (rule != "bptt"), name
            assert rule == "bptt" or bool(usual[name].any()), name


@pytest.mark.parametrize("rule", LOCAL)
def test_state_stays_flat_in_time(contest: ModuleType, rule: str) -> None:
    config = config_of(contest, rule)
    learner = learner_of(config, schedule="streaming")
    sizes = [state_bytes(learner, *images(config, steps)) for steps in (2, 8)]
    assert sizes[0] == sizes[1] > 0
