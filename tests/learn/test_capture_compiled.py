"""A captured step in machine code."""

from __future__ import annotations

import pytest
import torch

from localspike import Learner, rules
from localspike.nn import Linear, Network, Readout, Spiking


def _net() -> Network:
    torch.manual_seed(0)
    blocks = {"a": Spiking(Linear(6, 5, standardised=True)), "readout": Readout(Linear(5, 3))}
    net = Network(blocks, (6,)).double()
    with torch.no_grad():
        net.blocks["a"].synapse.gain.fill_(4.0)
    return net


def test_compiled_steps_agree_within_rounding() -> None:
    net, other = _net(), _net()
    frames, labels = torch.rand(6, 2, 6).double(), torch.tensor([0, 2])
    fast = Learner(net, rules.tess(), update="step", capture="on", compile="on")
    plain = Learner(other, rules.tess(), update="step", capture="off")
    rates = []
    for x in frames:
        found, expected = fast.stream(x, labels), plain.stream(x, labels)
        torch.testing.assert_close(found.logits, expected.logits)
        assert found.rates == pytest.approx(expected.rates)
        rates += found.rates.values()
        for p, q in zip(net.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(p.grad, q.grad)
    assert max(rates) > 0
    assert "(compiled)" in fast.capture_reason
    assert plain.capture_reason == "eager: capture is off"
