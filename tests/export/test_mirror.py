"""The runtime's mirror in NumPy against PyTorch's online mode: spikes, logits, learnt weights."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from helpers_export import CASES, RATES, events, on_device, planned
from localspike import models, rules
from localspike.export import Plan, plan_of
from localspike.export.mirror import Mirror
from localspike.learn import Learner, online
from localspike.nn import fold
from localspike.recipes.exporting import matrices_of

STEPS, SEQUENCES, RATE, MOMENTUM = 15, 14, 0.02, 0.5


class Compared(NamedTuple):
    """What both have done with the same events: logits by sequence, weights in the end."""

    plan: Plan
    theirs: Plan
    device: Mirror
    logits: list[tuple[Any, Any]]
    rate: float | None


def compared(case: str, update: str, seed: int) -> Compared:
    """210 learning steps of the online mode and of the mirror."""
    plan, _, (net, rule) = planned(case)
    momentum = MOMENTUM if update == "sequence" else 0.0
    options = {"momentum": momentum, "update": update, "rates": RATES.get(case)}
    learner = online(net, rule, rate=RATE, **options)  # type: ignore[arg-type]
    device, rates, logits = Mirror(plan, RATE, gather=update == "sequence"), [], []
    for sequence in range(SEQUENCES):
        frames = events(net.sample_shape, STEPS, 100 * seed + sequence)
        label = sequence % plan.classes
        said = learner.fit(frames, torch.tensor([label])).logits
        device.reset()
        for frame in frames:
            device.step(on_device(frame))
            device.learn(label)
            rates.append([float(s.spikes.mean()) for s in device.slots[:-1]])
        if update == "sequence":
            device.update(momentum)
        logits.append((device.logits.copy(), said[0].detach().numpy()))
    after = plan_of(learner.net, rule, matrices_of(learner.credit))
    rate = float(np.mean(rates)) if rates[0] else None
    return Compared(plan, after, device, logits, rate)


@pytest.mark.parametrize("update", ["step", "sequence"])
@pytest.mark.parametrize("case", CASES)
def test_learns_what_the_online_mode_learns(case: str, update: str) -> None:
    """Logits within rounding, so the same spikes, and weights within 1e-5 after 210 steps.

    In events that bring some membrane within 5e-6 of its threshold the order of a sum decides on a
    spike; the first events that do not are taken.
    """
    tried = (compared(case, update, seed) for seed in range(12))
    found = next(c for c in tried if c.device.margin > 5e-6)
    assert found.rate is None or 0.05 < found.rate < 0.6
    for ours, theirs in found.logits:
        size = max(1.0, float(np.abs(theirs).max()))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5 * size)
    layers = zip(found.plan.layers, found.theirs.layers, found.device.slots, strict=True)
    for before, after, slot in layers:
        arrays = (
            (before.weight, after.weight, slot.weight),
            (before.recurrent_weight, after.recurrent_weight, slot.recurrent),
            (before.bias, after.bias, slot.bias),
        )
        for start, expected, got in arrays:
            assert (start is None) == (expected is None) == (got is None)
            if start is None or expected is None or got is None:
                continue
            np.testing.assert_allclose(got, expected, atol=1e-5, rtol=0)
            moved = float(np.abs(expected - start).max())
            assert (moved > 1e-3) == (before.signal != "none"), before.name


def test_every_part_of_what_is_carried_matters() -> None:
    """Without a reset, without a trace or with another label the weights differ by far more."""
    plan, _, (net, _) = planned("conv")
    found = {}
    for knob in ("as it is", "no reset", "no trace", "label"):
        device = Mirror(plan, RATE)
        for sequence in range(3):
            if knob != "no reset":
                device.reset()
            for frame in events(net.sample_shape, STEPS, sequence):
                device.step(on_device(frame))
                if knob == "no trace":
                    device.slots[1].pre[...] = 0
                device.learn((sequence + (knob == "label")) % plan.classes)
        found[knob] = device.slots[1].weight.copy()
    base = found.pop("as it is")
    for knob, weight in found.items():
        assert np.abs(weight - base).max() > 1e-3, knob


def test_a_frozen_layer_stays() -> None:
    plan, _, (net, _) = planned("conv", learns={"conv3", "readout"})
    device = Mirror(plan, RATE)
    device.trainable[2] = False
    for frame in events(net.sample_shape, STEPS, 0):
        device.step(on_device(frame))
        device.learn(1)
    for i, moves in enumerate((False, False, False, True)):
        moved = not np.array_equal(device.slots[i].weight, plan.layers[i].weight)
        assert moved == moves, i


def test_a_layer_frozen_later_keeps_what_was_gathered_to_itself() -> None:
    plan, _, (net, _) = planned("linear")
    device = Mirror(plan, RATE, gather=True)
    for frame in events(net.sample_shape, STEPS, 0):
        device.step(on_device(frame))
        device.learn(1)
    device.update(0.9)
    device.trainable[0] = False
    before = [slot.weight.copy() for slot in device.slots[:2]]
    device.update(0.9)
    moved = [not np.array_equal(a, s.weight) for a, s in zip(before, device.slots, strict=False)]
    assert moved == [False, True]


def test_folding_keeps_what_a_network_does() -> None:
    """Spikes and logits of a net with running statistics that have been settled."""
    net = models.convnet(2, 6, image=16, channels=(6, 8), norm_momentum=0.3)
    learner = Learner(net, rules.tess(), torch.optim.Adam(net.parameters(), lr=1e-2))
    for seed in range(3):
        learner.fit(events((2, 16, 16), 12, seed).expand(-1, 4, -1, -1, -1), torch.arange(4))
    frames = events((2, 16, 16), 12, 9)
    ours, theirs = fold(net).run(frames), net.run(frames)
    assert ours.logits is not None and theirs.logits is not None
    torch.testing.assert_close(ours.logits, theirs.logits, atol=1e-4, rtol=1e-4)
    bias = fold(net).blocks["conv1"].synapse.bias
    assert bias is not None and bias.abs().max() > 1e-2
