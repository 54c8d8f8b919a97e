"""One run: a net drawn from a seed, learnt from scratch at batch 1, judged with learning off."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from digit_events import Digits, digits, encode
from numpy.typing import NDArray
from on_host import Lesson, Script, build
from settings import Settings
from torch import Tensor

from localspike import models
from localspike.export import Plan, plan_of
from localspike.export.fixed import in_fixed_point
from localspike.learn import online
from localspike.nn import Network, fold
from localspike.nn.init import calibrate
from localspike.rules import Rule, tess

CALIBRATING = 16


@dataclass(frozen=True)
class Asked:
    """What is varied beside settings and seed.

    ``nearest`` rounds fixed point to nearest, ``learnt`` ends every epoch after so many sequences.
    """

    dtype: str = "f32"
    test: bool = False
    nearest: bool = False
    learnt: int | None = None


def network(at: Settings, data: Digits, seed: int) -> Network:
    """Weights from the seed; gains such that every block fires at a rate on a few images."""
    torch.manual_seed(seed)
    net = (
        models.mlp(at.side**2, at.sizes, 10, rate=None)
        if at.net == "fc"
        else models.convnet(1, 10, image=at.side, channels=at.sizes, pooling=at.pooling, rate=None)
    )
    draw = np.random.default_rng(seed)
    some = encode(data.learnt[:CALIBRATING], at.steps, at.density, draw)
    calibrate(net, _frames(net, some), at.calibrated)
    return net


def rule_of(at: Settings) -> Rule:
    """TESS without a post trace."""
    return tess(
        post_gain=0.0,
        pre_decay=at.pre_decay,
        scale=at.scale,
        pool=at.pool,
        latent_decay=at.latent_decay,
    )


def planned(at: Settings, net: Network, dtype: str = "f32") -> Plan:
    """What is exported."""
    plan = plan_of(fold(net), rule_of(at), rates=at.rates)
    return in_fixed_point(plan, dtype, at.headroom)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Stream:
    """Events, labels and step sizes by epoch, in the order they are learnt from."""

    events: list[NDArray[np.uint8]]
    labels: list[NDArray[np.int64]]
    rates: list[NDArray[np.float64]]
    judged: NDArray[np.uint8]


def stream(at: Settings, data: Digits, seed: int, learnt: int | None = None) -> Stream:
    """Every epoch in a new order with new events; the step size goes in a line to its end."""
    draw = np.random.default_rng((seed, 1))
    judged = encode(data.judged, at.steps, at.density, draw)
    n, found = min(learnt or len(data.learnt), len(data.learnt)), Stream([], [], [], judged)
    falling = at.rate * np.linspace(1.0, at.end, n * at.epochs)
    for epoch in range(at.epochs):
        order = draw.permutation(len(data.learnt))[:n]
        found.events.append(encode(data.learnt[order], at.steps, at.density, draw))
        found.labels.append(data.learnt_labels[order])
        found.rates.append(falling[epoch * n : (epoch + 1) * n])
    return found


def on_c(at: Settings, seed: int, asked: Asked) -> dict[str, Any]:
    """The run in the exported C, built for this machine."""
    data = digits(at.side, asked.test)
    plan = planned(at, network(at, data, seed), asked.dtype)
    fed = stream(at, data, seed, asked.learnt)
    script = Script(Lesson(at.update == "sequence", at.momentum, seed + 1), fed.judged)
    script.judge()
    for events, labels, rates in zip(fed.events, fed.labels, fed.rates, strict=True):
        script.learn(events, labels.tolist(), rates.tolist())
        script.judge()
    with TemporaryDirectory() as folder:
        said = script.run(build(plan, Path(folder), asked.nearest))
    right = [float((x.predicted == data.judged_labels).mean()) for x in said]
    return {
        "accuracy": right[-1],
        "before": right[0],
        "by_epoch": right[1:],
        "fired_before": said[0].fired,
        "fired": said[-1].fired,
        "predicted": "".join(map(str, said[-1].predicted)),
    }


def on_torch(at: Settings, seed: int, asked: Asked) -> dict[str, Any]:
    """The same in PyTorch's online mode: floats only, and slower by two orders of magnitude."""
    data = digits(at.side, asked.test)
    net = network(at, data, seed)
    learner = online(
        net,
        rule_of(at),
        rate=at.rate,
        momentum=at.momentum,
        update=at.update,  # type: ignore[arg-type]
        rates=at.rates,
    )
    assert learner.optimizer is not None
    groups = learner.optimizer.param_groups
    fed = stream(at, data, seed, asked.learnt)
    for epoch in zip(fed.events, fed.labels, fed.rates, strict=True):
        for events, label, rate in zip(*epoch, strict=True):
            for group in groups:
                group["lr"] = float(rate) * at.rates.get(group.get("name", ""), 1.0)
            learner.fit(_frames(net, events[None]), torch.tensor([int(label)]))
    judged = learner.evaluate(_frames(net, fed.judged), torch.from_numpy(data.judged_labels))
    predicted = judged.logits.argmax(1).numpy()
    return {
        "accuracy": float((predicted == data.judged_labels).mean()),
        "fired": list(judged.rates.values()),
        "predicted": "".join(map(str, predicted)),
    }


def _frames(net: Network, events: NDArray[np.uint8]) -> Tensor:
    """Events [N, T, inputs] as frames [T, N, ...]."""
    return torch.from_numpy(events).float().transpose(0, 1).unflatten(2, net.sample_shape)
