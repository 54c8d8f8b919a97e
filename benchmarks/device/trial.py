"""One run: a net drawn from a seed, learnt from scratch at batch 1, judged with learning off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from digit_events import Digits, digits, encode
from localspike import models
from localspike.export import Plan, plan_of
from localspike.export.fixed import Dtype, in_fixed_point
from localspike.nn import Network, fold
from localspike.nn.init import calibrate
from localspike.rules import Rule, tess
from on_host import Lesson, Script, build


@dataclass(frozen=True)
class Settings:
    """What a run is made of; ``rates`` are parts of the step size by block."""

    net: str = "fc"
    sizes: tuple[int, ...] = (48, 32)
    side: int = 8
    steps: int = 20
    density: float = 1.0
    calibrated: float = 0.15
    update: str = "step"
    rate: float = 0.02
    end: float = 1.0
    momentum: float = 0.0
    first: int = 0
    epochs: int = 1
    rates: Mapping[str, float] = field(default_factory=dict)
    rule: Mapping[str, Any] = field(default_factory=lambda: {"post_gain": 0.0})
    headroom: float = 8.0
    options: Mapping[str, Any] = field(default_factory=dict)


def network(at: Settings, data: Digits, seed: int) -> Network:
    """Weights from the seed, gains such that every block fires at a rate on 16 images."""
    torch.manual_seed(seed)
    net = (
        models.mlp(at.side**2, at.sizes, 10, rate=None, **at.options)
        if at.net == "fc"
        else models.convnet(1, 10, image=at.side, channels=at.sizes, rate=None, **at.options)
    )
    some = encode(data.learnt[:16], at.steps, at.density, np.random.default_rng(seed))
    frames = torch.from_numpy(some).float().transpose(0, 1).unflatten(2, net.sample_shape)
    calibrate(net, frames, at.calibrated)
    return net


def rule_of(at: Settings) -> Rule:
    return tess(**at.rule)


def planned(at: Settings, net: Network, dtype: Dtype = "f32") -> Plan:
    plan = plan_of(fold(net), rule_of(at))
    layers = tuple(replace(x, rate=at.rates.get(x.name, 1.0)) for x in plan.layers)
    return in_fixed_point(replace(plan, layers=layers), dtype, at.headroom)


@dataclass(frozen=True)
class Stream:
    """The sequences of all epochs in the order they are learnt from."""

    events: list[NDArray[np.uint8]]
    labels: list[NDArray[np.int64]]
    rates: list[NDArray[np.float64]]
    judged: NDArray[np.uint8]


def stream(at: Settings, data: Digits, seed: int) -> Stream:
    """Every epoch in a new order with new events; the step size goes down in a line to its end."""
    draw = np.random.default_rng((seed, 1))
    n, found = len(data.learnt), Stream([], [], [], encode(data.judged, at.steps, at.density, draw))
    falling = at.rate * np.linspace(1.0, at.end, n * at.epochs)
    for epoch in range(at.epochs):
        order = draw.permutation(n)
        found.events.append(encode(data.learnt[order], at.steps, at.density, draw))
        found.labels.append(data.learnt_labels[order])
        found.rates.append(falling[epoch * n : (epoch + 1) * n])
    return found


def on_c(at: Settings, seed: int, dtype: Dtype = "f32", test: bool = False, nearest: bool = False) -> dict[str, Any]:
    data = digits(at.side, test)
    net = network(at, data, seed)
    plan = planned(at, net, dtype)
    fed = stream(at, data, seed)
    script = Script(Lesson(at.update == "sequence", at.momentum, at.first, seed + 1), fed.judged)
    script.judge()
    for events, labels, rates in zip(fed.events, fed.labels, fed.rates, strict=True):
        script.learn(events, labels, rates)
        script.judge()
    with TemporaryDirectory() as folder:
        said = script.run(build(plan, Path(folder), nearest))
    right = [float((x.predicted == data.judged_labels).mean()) for x in said]
    return {"accuracy": right[-1], "by_epoch": right, "fired": said[-1].fired, "fired_before": said[0].fired}
