"""Non-finite values name block and step and change nothing; streams refuse what cannot be."""

from __future__ import annotations

import re

import pytest
import torch

from helpers import CLASSES, RULES, batch, legal, make
from localspike import Learner, models, rules
from localspike.errors import (
    ConfigError,
    DataError,
    IllegalError,
    LocalspikeError,
    NumericalError,
    ShapeError,
)
from localspike.nn import Linear, Network, Readout, Spiking

X, Y = torch.rand(12, 3, 14), torch.tensor([0, 1, 4])


BROKEN = [
    (r, s)
    for r in ("tess", "s_tllr-bp", "s_tllr-dfa", "s_tllr-drtp", "ottt", "bptt")
    for s in legal(r)
]


@pytest.mark.parametrize("update", ["sequence", "step"])
@pytest.mark.parametrize(("rule", "schedule"), BROKEN)
@pytest.mark.parametrize("where", ["hidden2.synapse.weight", "readout.synapse.weight"])
def test_non_finite_weights_name_their_place_and_change_nothing(
    rule: str, schedule: str, where: str, update: str
) -> None:
    if update == "step" and schedule != "streaming":
        return
    net = make("linear", torch.float32)
    with torch.no_grad():
        dict(net.named_parameters())[f"modules_by_name.{where}"][0, 0] = torch.nan
    before = [p.detach().clone() for p in net.parameters()]
    optimizer = torch.optim.Adam(net.parameters(), 0.1)
    learner = Learner(net, RULES[rule](), optimizer, schedule=schedule, update=update)
    with pytest.raises(NumericalError, match=re.escape(where)) as caught:
        learner.fit(X, Y)
    assert "\n" not in str(caught.value)
    assert all(
        torch.equal(
            a,
            b,
        )
        or bool(a.isnan().any())
        for a, b in zip(before, net.parameters(), strict=True)
    )
    assert not optimizer.state
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize("rule", ["tess", "s_tllr-dfa", "ottt", "bptt"])
def test_overflow_names_block_and_step(rule: str) -> None:
    """Finite weights whose currents overflow at the first loud frame, step 5."""
    torch.manual_seed(0)
    net = Network({"a": Spiking(Linear(6, 5)), "readout": Readout(Linear(5, CLASSES))}, (6,))
    with torch.no_grad():
        net.blocks["a"].synapse.weight.copy_(torch.randn(5, 6).sign() * 3e38)
    frames = torch.zeros(9, 2, 6)
    frames[5] = 1.0
    before = [p.detach().clone() for p in net.parameters()]
    learner = Learner(net, RULES[rule](), torch.optim.SGD(net.parameters(), 0.1))
    with pytest.raises(
        NumericalError, match=r"non-finite membrane appeared in block 'a' at step 5"
    ):
        learner.fit(frames, torch.tensor([0, 1]))
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


@pytest.mark.parametrize("rule", ["tess", "bptt"])
def test_infinite_weights_never_pass_silently(rule: str) -> None:
    """u = ∞ spikes for ever with Ψ = 0: loss and gradient look finite, the network is not."""
    net = make("linear", torch.float32)
    plain = models.mlp(14, (12, 10), CLASSES, standardised=False)
    with torch.no_grad():
        plain.blocks["hidden1"].synapse.weight[0, 0] = torch.inf
    frames = torch.ones(12, 3, 14)
    learner = Learner(plain, RULES[rule](), torch.optim.SGD(plain.parameters(), 0.1))
    with pytest.raises(NumericalError, match="hidden1"):
        learner.fit(frames, Y)
    assert net is not None


def test_a_batch_may_not_change_within_a_stream() -> None:
    net = make("linear", torch.float32)
    learner = Learner(net, RULES["tess"]())
    learner.stream(X[0], Y)
    with pytest.raises(
        ShapeError,
        match=r"the batch changed within a stream: got 2; expected 3\. Call end_sequence",
    ):
        learner.stream(X[1, :2], Y[:2])
    learner.end_sequence()
    learner.stream(X[1, :2], Y[:2])


STREAMS = [
    (X[0, :, :5], Y, ShapeError, r"frames have the wrong shape: got \[3, 5\]; expected \[B, 14\]"),
    (X[0].double(), Y, ShapeError, r"wrong dtype: got torch.float64"),
    (torch.full((3, 14), torch.nan), Y, DataError, r"a frame holds a non-finite value"),
    (X[0], torch.tensor([0, 1, 9]), DataError, r"labels out of range: got 0\.\.9"),
    (X[0, :0], Y[:0], ShapeError, r"empty"),
]


@pytest.mark.parametrize("case", range(len(STREAMS)))
def test_bad_steps_of_a_stream(case: int) -> None:
    x, labels, kind, text = STREAMS[case]
    with pytest.raises(kind, match=text):
        Learner(make("linear", torch.float32), RULES["tess"]()).stream(x, labels)


def test_rules_and_settings_that_cannot_stream() -> None:
    with pytest.raises(IllegalError, match=r"rule 'bptt' cannot stream: credit flows backward"):
        Learner(make("linear"), rules.bptt()).stream(X[0], Y)
    with pytest.raises(IllegalError, match=r"an endless stream has no last step.*Pass labels only"):
        Learner(make("linear"), rules.tess(), active_steps=5).stream(X[0], Y)


def test_every_error_is_one_family() -> None:
    for kind in (ConfigError, DataError, IllegalError, NumericalError, ShapeError):
        assert issubclass(kind, LocalspikeError)
    net = make("linear")
    with pytest.raises(LocalspikeError, match="wrong rank"):
        Learner(net, RULES["tess"]()).fit(batch(net)[0][0], Y)


@pytest.mark.parametrize("kind", ["fused", "data"])
def test_a_stream_sees_weights_that_changed_without_a_trace(kind: str) -> None:
    """Optimisers that write past autograd's version counter teach like those that do not."""

    class PastTheCounter(torch.optim.SGD):
        def step(self, closure=None):  # type: ignore[no-untyped-def]
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        p.data.add_(p.grad, alpha=-group["lr"])

    found = []
    for odd in (False, True):
        net = make("linear")
        make_one = PastTheCounter if odd and kind == "data" else torch.optim.SGD
        extra = {"fused": True} if odd and kind == "fused" else {}
        optimizer = make_one(net.parameters(), lr=0.05, **extra)
        learner = Learner(net, rules.tess(), optimizer, update="step")
        for _ in range(6):
            logits = learner.stream(X[0].double(), Y).logits
        found.append(logits)
    torch.testing.assert_close(found[0], found[1])
