"""What every rule must satisfy on every kind of network and every legal schedule."""

from __future__ import annotations

import pytest
import torch

from helpers import (
    LOCAL,
    NETS,
    RULES,
    TRACED,
    assert_same,
    batch,
    close,
    gradient,
    grads,
    hidden,
    legal,
    make,
    norm,
)
from localspike import CrossEntropy, Learner, SquaredError
from localspike.learn.schedule import obstacles

EVERY = [(rule, net) for rule in RULES for net in NETS]
RUNS = [(rule, net, schedule) for rule, net in EVERY for schedule in legal(rule)]
"""Signals that carry a label or a sign: not linear in the loss."""


@pytest.mark.parametrize("net", NETS)
def test_nets_spike_in_the_band_that_makes_tests_see(net: str) -> None:
    made = make(net)
    result = Learner(made, RULES["tess"]()).evaluate(*batch(made))
    assert all(0.05 <= rate <= 0.6 for rate in result.rates.values())
    assert set(result.rates) == set(made.blocks)


@pytest.mark.parametrize("rule", RULES)
def test_legal_schedules_are_those_written_down(rule: str) -> None:
    found = obstacles(RULES[rule](), "sequence")
    assert {name for name, why in found.items() if why is None} == set(legal(rule))


@pytest.mark.parametrize(("rule", "net", "schedule"), RUNS)
def test_every_parameter_gets_a_gradient_of_its_shape(rule: str, net: str, schedule: str) -> None:
    made = make(net, torch.float32)
    gradient(made, RULES[rule](), *batch(made), schedule=schedule)
    for name, p in made.named_parameters():
        if rule == "frozen" and "readout" not in name:
            assert p.grad is None
            continue
        assert p.grad is not None, name
        assert p.grad.shape == p.shape
        assert p.grad.dtype == p.dtype
        assert p.grad.grad_fn is None
        assert not p.grad.requires_grad
        assert bool(torch.isfinite(p.grad).all())
        assert float(p.grad.abs().max()) > 1e-7, name


@pytest.mark.parametrize(("rule", "net", "schedule"), RUNS)
def test_no_signal_no_gradient(rule: str, net: str, schedule: str) -> None:
    made = make(net)
    for options in ({"loss": CrossEntropy(scale=0.0)}, {"active_steps": []}):
        found, result = gradient(made, RULES[rule](), *batch(made), schedule=schedule, **options)
        assert norm(found) == 0.0
        assert float(result.loss) == 0.0


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("rule", ["s_tllr-bp", "s_tllr-dfa", "ottt", "sltt", "bptt"])
def test_met_targets_leave_nothing_to_learn(rule: str, net: str) -> None:
    made = make(net)
    frames, _ = batch(made)
    targets = made.run(frames).logits
    assert targets is not None
    found, result = gradient(made, RULES[rule](), frames, targets.detach(), loss=SquaredError())
    assert norm(found) < 1e-12
    assert float(result.loss) < 1e-20


@pytest.mark.parametrize(("rule", "net", "schedule"), RUNS)
def test_twice_the_loss_twice_the_gradient(rule: str, net: str, schedule: str) -> None:
    made = make(net)
    frames, labels = batch(made)
    one, first = gradient(made, RULES[rule](), frames, labels, schedule=schedule)
    two, second = gradient(
        made, RULES[rule](), frames, labels, schedule=schedule, loss=CrossEntropy(scale=2.0)
    )
    assert_same(two, {k: 2.0 * g for k, g in one.items()}, 1e-12)
    assert close(second.loss, 2 * first.loss, 1e-12)


@pytest.mark.parametrize(("rule", "net", "schedule"), RUNS)
def test_a_batch_is_the_mean_of_its_samples(rule: str, net: str, schedule: str) -> None:
    made = make(net)
    frames, labels = batch(made)
    whole, result = gradient(made, RULES[rule](), frames, labels, schedule=schedule)
    singles = [
        gradient(made, RULES[rule](), frames[:, b : b + 1], labels[b : b + 1], schedule=schedule)
        for b in range(len(labels))
    ]
    mean = {k: torch.stack([g[k] for g, _ in singles]).mean(0) for k in whole}
    assert_same(whole, mean, 1e-11)
    assert close(result.loss, torch.stack([r.loss for _, r in singles]).mean(), 1e-12)
    assert close(result.logits, torch.cat([r.logits for _, r in singles]), 1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("rule", LOCAL)
def test_streaming_is_layerwise(rule: str, net: str, dtype: torch.dtype) -> None:
    made = make(net, dtype)
    frames, labels = batch(made)
    for steps in ("all", 4, [0, 3, 11]):
        options = {"active_steps": steps, "train": True, "seed": 5}
        a, first = gradient(made, RULES[rule](), frames, labels, schedule="streaming", **options)
        b, second = gradient(made, RULES[rule](), frames, labels, schedule="layerwise", **options)
        exact = dtype == torch.float64
        assert_same(a, b, 1e-12 if exact else 2e-5)
        assert close(first.loss, second.loss, 1e-12 if exact else 1e-5)
        assert close(first.logits, second.logits, 1e-12 if exact else 1e-5)
        assert first.rates == pytest.approx(second.rates, abs=1e-6)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("rule", TRACED)
def test_two_halves_are_the_whole(rule: str, net: str) -> None:
    made = make(net)
    frames, labels = batch(made)
    whole, result = gradient(made, RULES[rule](), frames, labels, schedule="streaming")
    made.zero_grad(set_to_none=True)
    learner = Learner(made, RULES[rule]())
    state, loss, logits = learner.init_stream(len(labels)), 0.0, 0.0
    for half in frames.split(5):
        for x in half:
            step = learner.stream(x, labels, state)
            loss, logits = loss + step.loss, logits + step.logits
    learner.end_sequence(state)
    assert_same(grads(made), whole, 1e-12)
    assert close(loss, result.loss, 1e-12)
    assert close(logits, result.logits, 1e-12)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("rule", TRACED)
def test_steps_without_labels_only_run_states(rule: str, net: str) -> None:
    made = make(net)
    frames, labels = batch(made)
    late, _ = gradient(made, RULES[rule](), frames, labels, schedule="streaming", active_steps=4)
    learner = Learner(made, RULES[rule]())
    for t, x in enumerate(frames):
        learner.stream(x, labels if t >= 8 else None)
    learner.end_sequence()
    assert_same(grads(made), late, 1e-12)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("rule", ["frozen", "s_tllr-bp", "tess"])
def test_frozen_hidden_blocks_match_any_rules_readout(rule: str, net: str) -> None:
    made = make(net)
    floor, _ = gradient(made, RULES["frozen"](), *batch(made))
    found, _ = gradient(made, RULES[rule](), *batch(made))
    assert norm(hidden(floor)) == 0.0
    readout = {k: g for k, g in found.items() if k.startswith("readout")}
    assert_same(readout, {k: floor[k] for k in readout}, 1e-12)
