"""The lean two-sweep schedule against the plain one and against streaming: the same gradient."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from helpers_lean import CLASSES, NETS, SENT, apart, batch, conv, firing, fitted, lean_from_plain
from localspike import Learner, models, rules
from localspike.kernels import compiling, pooled, synapse, unfold
from localspike.learn.lean_sweep import LeanTwoSweep
from localspike.learn.meter import macs_of
from localspike.nn import AvgPool, Conv2d, Linear, MaxPool, Network, Readout, Spiking


def swept(net: Network, rule: str, **options: str) -> Learner:
    return Learner(net, SENT[rule](), schedule="two_sweep", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("static", "lengths"),
    [(False, torch.tensor([13, 4, 9, 1])), (True, None)],
    ids=["padded", "static"],
)
@pytest.mark.parametrize("rule", SENT)
@pytest.mark.parametrize("net", NETS)
def test_the_lean_gradient_is_the_plain_one(
    net: str, rule: str, static: bool, lengths: Tensor | None
) -> None:
    torch.manual_seed(0)
    network = NETS[net]()
    for dtype, tolerance in ((torch.float32, 5e-5), (torch.float64, 1e-12)):
        learner = swept(network.to(dtype), rule)
        assert lean_from_plain(network, learner, LeanTwoSweep, static, lengths) <= tolerance


@pytest.mark.parametrize("rule", ["s_tllr", "dfa"])
def test_streaming_has_the_same_gradient(rule: str) -> None:
    torch.manual_seed(0)
    network = NETS["max"]().double()
    whole = fitted(network, swept(network, rule), False, None)
    step_by_step = fitted(
        network, Learner(network, SENT[rule](), schedule="streaming"), False, None
    )
    assert apart(whole, step_by_step) <= 1e-12


@pytest.mark.skipif(
    compiling.obstacle(torch.device("cpu")) is not None, reason="no C++ compiler for kernels"
)
def test_compiled_is_eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neurons pooled as they come, and m at the pooled ones; few steps, which compile sooner."""
    scans, scan = list[int](), pooled.scan
    monkeypatch.setattr(pooled, "scan", lambda *told: scans.append(1) or scan(*told))
    torch.manual_seed(0)
    net, found = conv(), []
    frames, labels = batch(net, False, torch.float32)
    for choice in ("off", "on"):
        assert not scans
        net.zero_grad()
        result = swept(net, "s_tllr", compile=choice).gradient(frames[:4], labels)
        grads = [p.grad.clone() for p in net.parameters() if p.grad is not None]
        assert 0.02 < max(result.rates.values()) < 0.7
        found.append([result.loss, result.logits, *grads])
    assert len(scans) == len(net.blocks)
    assert apart(found[1], found[0]) <= 1e-4


@pytest.mark.parametrize("rule", ["s_tllr", "dfa"])
def test_running_statistics_are_taken_out_as_in_the_plain_schedule(rule: str) -> None:
    torch.manual_seed(0)
    net = models.convnet(2, CLASSES, image=16, channels=(4, 6), norm_momentum=0.3)
    learner = swept(net, rule)
    assert learner.credit.recentred
    lean = fitted(net, learner, False, torch.tensor([13, 4, 9, 1]))
    learner.lean = False
    assert apart(lean, fitted(net, learner, False, torch.tensor([13, 4, 9, 1]))) <= 1e-4


def test_bf16_products_lose_no_more_lean_than_plain() -> None:
    torch.manual_seed(0)
    network = conv()
    exact = fitted(network, swept(network, "s_tllr"), False, None)[3:]
    learner, errors = swept(network, "s_tllr", precision="bf16"), []
    for lean in (True, False):
        learner.lean = lean
        found = fitted(network, learner, False, None)[3:]
        errors.append(sum(float((a - b).norm()) for a, b in zip(found, exact, strict=True)))
    assert 0 < errors[0] <= 1.5 * errors[1]


def test_a_frozen_block_is_crossed_and_one_nobody_reads_is_not() -> None:
    torch.manual_seed(0)
    blocks = {
        "first": Spiking(Linear(20, 15, standardised=True)),
        "frozen": Spiking(Linear(15, 15, standardised=True)),
        "aside": Spiking(Linear(15, 8, standardised=True)),
        "readout": Readout(Linear(15, CLASSES)),
    }
    wires = {"frozen": ("first",), "aside": ("first",), "readout": ("frozen",)}
    net = firing(Network(blocks, (20,), wires=wires))
    net.blocks["frozen"].requires_grad_(False)
    learner = swept(net, "ottt")
    fitted(net, learner, False, None)
    assert net.blocks["first"].synapse.weight.grad.norm() > 0  # type: ignore[union-attr, operator]
    assert net.blocks["frozen"].synapse.weight.grad is None
    assert not net.blocks["aside"].synapse.weight.grad.any()  # type: ignore[union-attr, operator]
    lean = fitted(net, learner, False, None)
    learner.lean = False
    assert apart(lean, fitted(net, learner, False, None)) <= 5e-5


class Tripled(AvgPool):
    """A user's tail, which carries back otherwise."""

    def pullback(self, grad: Tensor, context: Any) -> Tensor:
        return 3.0 * super().pullback(grad, context)


class Keen(MaxPool):
    """Another."""

    def pullback(self, grad: Tensor, context: Any) -> Tensor:
        return 3.0 * super().pullback(grad, context)


@pytest.mark.parametrize("tail", [Tripled(2), Keen(2)])
@pytest.mark.parametrize("rule", ["s_tllr", "drtp"])
def test_a_tail_of_a_users_own_carries_back_as_it_says(rule: str, tail: AvgPool | MaxPool) -> None:
    torch.manual_seed(0)
    blocks = {
        "conv": Spiking(Conv2d(2, 4, 3, padding=1), tail=[tail], latent=2),
        "readout": Readout(Linear(64, CLASSES)),
    }
    net = Network(blocks, (2, 8, 8))
    sent = rule == "s_tllr"
    learner = swept(net, rule) if sent else Learner(net, rules.drtp(), schedule="layerwise")
    assert learner.lean
    lean = fitted(net, learner, False, None)
    learner.lean = False
    assert apart(lean, fitted(net, learner, False, None)) <= 5e-5


def test_what_waits_is_no_more_than_the_way_back_needs() -> None:
    torch.manual_seed(0)
    net = conv()
    held: list[dict[str, Any]] = []

    class Watched(LeanTwoSweep):
        def _contract_readout(self, *told: Any) -> None:
            held.append({name: was.kept for name, was in self._held.items()})
            super()._contract_readout(*told)
            assert not self._held

    learner = swept(net, "s_tllr")
    learner._sequence_schedule = lambda: Watched(learner.credit)  # type: ignore[method-assign]
    fitted(net, learner, False, None)
    assert list(held[0]) == list(net.blocks)
    assert all(kept.o is None and kept.table is None for kept in held[0].values())


def test_where_no_hidden_block_learns_nothing_is_sent() -> None:
    torch.manual_seed(0)
    net = firing(models.mlp(20, (15,), CLASSES))
    net.blocks["hidden1"].requires_grad_(False)
    learner = swept(net, "ottt")
    lean = macs_of(learner, *batch(net, False, torch.float32))
    learner.lean = False
    assert lean == macs_of(learner, *batch(net, False, torch.float32)) > 0


def test_blocks_that_cannot_run_lean_hand_on_what_arrives_between_those_that_can() -> None:
    torch.manual_seed(0)
    blocks = {
        "below": Spiking(Conv2d(2, 4, 3, padding=1), tail=[MaxPool(2)], latent=2),
        "biased": Spiking(Conv2d(4, 4, 3, padding=1, bias=True), tail=[MaxPool(2)], latent=2),
        "above": Spiking(Conv2d(4, 4, 3, padding=1), latent=2),
        "readout": Readout(Linear(64, CLASSES)),
    }
    net = Network(blocks, (2, 16, 16)).double()
    learner = swept(net, "s_tllr")
    assert LeanTwoSweep(learner.credit).lean == {"below", "above"}
    lean = fitted(net, learner, False, None)
    learner.lean = False
    assert apart(lean, fitted(net, learner, False, None)) <= 1e-12


def test_a_table_of_patches_is_made_again_for_the_way_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unfold, "_quick", lambda device: True)
    monkeypatch.setattr(unfold, "FAN_IN", 1)
    monkeypatch.setattr(unfold, "FILTERS", 1)
    made = list[int]()
    make = unfold.make_table
    monkeypatch.setattr(
        unfold, "make_table", lambda x, *more: made.append(x.shape[1]) or make(x, *more)
    )
    torch.manual_seed(0)
    blocks = {
        "one": Spiking(Conv2d(2, 4, 3, padding=1)),
        "two": Spiking(Conv2d(4, 6, 3, padding=1)),
        "readout": Readout(Linear(6 * 16, CLASSES)),
    }
    net = Network(blocks, (2, 4, 4))
    learner = swept(net, "s_tllr")
    lean = fitted(net, learner, False, None)
    assert made == [2, 4, 4, 2]
    learner.lean = False
    assert apart(lean, fitted(net, learner, False, None)) <= 5e-5


def test_training_moves_weights_as_the_plain_schedule_does() -> None:
    torch.manual_seed(0)
    net = models.convnet(2, CLASSES, image=16, channels=(4, 6), dropout=0.4)
    start, found = {k: v.clone() for k, v in net.state_dict().items()}, []
    for lean in (True, False):
        net.load_state_dict(start)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        learner = Learner(net, rules.s_tllr(), optimizer, schedule="two_sweep", seed=1)
        learner.lean = lean
        learner.fit(*batch(net, False, torch.float32))
        found.append([p.detach() - start[k] for k, p in net.named_parameters()])
    assert all(p.any() for p in found[0])
    assert apart(*found) <= 1e-4


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_a_pullback_lies_in_memory_as_what_it_carries(order: torch.memory_format) -> None:
    post = torch.randn(3, 4, 6, 6).contiguous(memory_format=order)
    weight, shape = torch.randn(4, 5, 3, 3), torch.Size((3, 5, 6, 6))
    back = synapse.conv_pullback(post, weight, shape, synapse.ConvGeometry(1, 1))
    assert back.is_contiguous(memory_format=order)
    expected = torch.nn.functional.conv_transpose2d(post, weight, padding=1)
    assert torch.allclose(back, expected, atol=1e-5)
