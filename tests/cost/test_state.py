"""The cost model's state is what a stream holds, byte for byte; BPTT's is a floor of what it saves."""

from __future__ import annotations

import pytest
import torch

from helpers import BATCH, EVERY_RULE, batch, cells, make
from localspike import Learner, models, rules
from localspike.cost import Setting, activations, inference, state
from localspike.describe import describe
from localspike.errors import IllegalError
from localspike.learn.meter import sequence_bytes
from localspike.nn import Network
from localspike.rules import Rule
from localspike.rules.factors import tensors_of


def held(net: Network, rule: Rule, size: int) -> dict[str, int]:
    """Numbers of every tensor a stream carries, by block."""
    learner = Learner(net, rule, schedule="streaming")
    frames, labels = batch(net, 3, size)
    stream = learner.init_stream(size)
    for x in frames:
        learner.stream(x, labels, stream)
    assert sum(x.numel() for x in stream.tensors()) > 0
    return {
        name: sum(
            x.numel()
            for part in (stream.net, stream.traces, stream.signals)
            for x in tensors_of(part.get(name))
        )
        for name in net.modules_by_name
    }


def said(net: Network, rule: Rule, size: int) -> dict[str, int]:
    found = state(describe(net, rule), Setting(batch=size))
    return {name: sum(buffers.values()) for name, buffers in found.items()}


@pytest.mark.parametrize(("rule", "net"), cells([r for r in EVERY_RULE if r != "bptt"], some=True))
def test_the_model_says_what_a_stream_holds(rule: str, net: str) -> None:
    made = make(net, torch.float32)
    assert said(made, EVERY_RULE[rule](), BATCH) == held(made, EVERY_RULE[rule](), BATCH)
