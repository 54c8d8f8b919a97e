"""The plain autograd TESS that the benchmark divides by computes what the package computes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from localspike import Learner, models, rules

HERE = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def naive() -> ModuleType:
    spec = importlib.util.spec_from_file_location("naive", HERE / "benchmarks" / "naive.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["naive"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("post_gain", [1.0, 0.0])
@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_the_naive_baseline_has_our_gradient(
    naive: ModuleType, pooling: str, post_gain: float
) -> None:
    torch.manual_seed(1)
    net = models.vgg9(3, 10, image=16, width=0.125, pooling=pooling)
    frames = torch.rand(12, 3, 3, 16, 16) * 2
    labels = torch.tensor([1, 7, 3])
    plain = naive.Naive(net, post_gain)
    loss = plain.gradient(frames, labels)
    result = Learner(net, rules.tess(post_gain=post_gain)).gradient(frames, labels)
    assert all(0.05 < rate < 0.6 for rate in result.rates.values())
    assert float(result.loss) == pytest.approx(float(loss), rel=1e-5)
    ours = [(b.synapse.weight.grad, b.synapse.gain.grad) for b in net.blocks.values()]
    for layer, (weight, gain) in zip(plain.layers, ours, strict=True):
        assert float((layer.weight.grad - weight).norm()) <= 1e-4 * float(weight.norm())
        assert float((layer.gain.grad - gain).norm()) <= 1e-4 * float(gain.norm())
    readout = net.readout.synapse.weight.grad
    assert float((plain.readout.grad - readout).norm()) <= 1e-5 * float(readout.norm())
