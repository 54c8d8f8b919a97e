"""Compiled, a net in parts of its sequence has the gradient that eager code has in one piece."""

from __future__ import annotations

import pytest
import torch

from helpers_lean import CLASSES, NETS
from localspike import Learner, rules
from localspike.kernels import compiling
from localspike.learn.learner import LeanLayerwise

ENGINE = LeanLayerwise.parts.__globals__


@pytest.mark.skipif(
    compiling.obstacle(torch.device("cpu")) is not None, reason="no C++ compiler for kernels"
)
@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("net", ["max", "recurrent"])
def test_compiled_parts_are_the_eager_whole(net: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pooled as they come, Ψ found again, traces' ends, the loop: all in machine code."""
    torch.manual_seed(0)
    network = NETS[net]().double()
    frames = (torch.rand(6, 4, *network.sample_shape) < 0.3).double() * 1.5
    labels = torch.randint(CLASSES, (4,))
    found = []
    for choice, size in (("off", 6), ("on", 3)):
        monkeypatch.setitem(ENGINE, "steps_at_once", lambda *_, size=size: size)
        network.zero_grad()
        learner = Learner(network, rules.tess(post_gain=0.7), compile=choice)  # type: ignore[arg-type]
        result = learner.gradient(frames, labels)
        rates = torch.tensor(list(result.rates.values()))
        assert 0.02 < float(rates.max()) < 0.7
        grads = [p.grad.clone() for p in network.parameters() if p.grad is not None]
        found.append([result.loss, result.logits, rates, *grads])
    for one, other in zip(*found, strict=True):
        assert float((one - other).norm()) <= 1e-6 * float(other.norm())  # rates are float32
