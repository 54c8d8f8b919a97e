"""What the recipe of tess_plus trains learns locally, in memory that time does not change."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from localspike import Learner, models
from localspike.config.build import build_rule
from localspike.learn.meter import state_bytes
from localspike.nn import Network
from localspike.recipes.registry import recipe

CONFIG = recipe("cifar10-tess-plus")
STEPS, BATCH = 12, 3


def made() -> Network:
    torch.manual_seed(0)
    options = {**CONFIG.model.options, "width": 1 / 16, "image": 16, "neuron": CONFIG.neuron}
    net = models.MODELS[CONFIG.model.name](3, 10, **options)  # type: ignore[operator]
    assert len(net.normalised) == len(net.blocks)
    return net.double()


def moving(net: Network, steps: int = STEPS) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(steps, BATCH, *net.sample_shape, generator=generator, dtype=torch.float64)
    return frames, torch.tensor([1, 2, 3])


def gradients(net: Network, schedule: str, rounds: int = 2) -> dict[str, Tensor]:
    """After an update, so that push and along are not zero."""
    parameters = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, 1e-3)
    learner = Learner(net, build_rule(CONFIG), optimizer, schedule=schedule)  # type: ignore[arg-type]
    for _ in range(rounds - 1):
        learner.fit(*moving(net))
    net.zero_grad()
    learner.gradient(*moving(net))
    return {k: p.grad.clone() for k, p in net.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("schedule", ["layerwise", "streaming"])
def test_nothing_comes_down_from_the_layers_above(schedule: str) -> None:
    """Other weights in conv5 and above: blocks below learn what they learned, bit for bit."""
    before = gradients(made(), schedule)
    changed = made()
    with torch.no_grad():
        for name in ("conv5", "conv8", "readout"):
            weight: Tensor = changed.modules_by_name[name].synapse.weight  # type: ignore[union-attr, assignment]
            weight += torch.randn_like(weight)
    after = gradients(changed, schedule)
    assert before.keys() == after.keys()
    for name, grad in before.items():
        block = name.split(".")[1]
        same = bool((grad == after[name]).all())
        assert same == (block in ("conv1", "conv2", "conv3", "conv4")), name


def test_nothing_comes_from_the_future() -> None:
    """Two streams that differ from step 6 on have gathered the same gradient until then."""
    net = made()
    learner = Learner(net, build_rule(CONFIG), schedule="streaming")
    frames, labels = moving(net)
    states = [learner.init_stream(BATCH) for _ in range(2)]
    for t, x in enumerate(frames):
        for state, change in zip(states, (0.0, 1.0), strict=True):
            learner.stream(x + change * (t > 5), labels, state)
        same = all(
            bool((a == states[1].gradients.weight[k]).all())
            for k, a in states[0].gradients.weight.items()
        )
        assert same == (t <= 5), t


def test_state_does_not_grow_with_time() -> None:
    net = made()
    learner = Learner(net, build_rule(CONFIG), schedule="streaming")
    sizes = {steps: state_bytes(learner, *moving(net, steps)) for steps in (2, 5, 40)}
    assert len(set(sizes.values())) == 1, sizes
