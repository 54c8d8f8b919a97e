"""The cost model's state is what a stream holds, byte for byte; BPTT's is a floor of its own."""

from __future__ import annotations

import pytest
import torch

from helpers import BATCH, EVERY_RULE, batch, cells, make
from localspike import Learner, models, rules
from localspike.cost import Setting, activations, inference, matrices, state
from localspike.cost.report import bytes_of, report_on
from localspike.cost.view import View
from localspike.describe import describe
from localspike.errors import IllegalError
from localspike.learn.meter import sequence_bytes, state_bytes
from localspike.nn import Network
from localspike.rules import PRESETS, Rule
from localspike.rules.factors import tensors_of


def held(net: Network, rule: Rule, size: int, steps: int = 3) -> dict[str, int]:
    """Numbers of every tensor a stream carries, by block."""
    learner = Learner(net, rule, schedule="streaming")
    frames, labels = batch(net, steps, size)
    stream = learner.init_stream(size)
    for x in frames:
        learner.stream(x, labels, stream)
    found = {
        name: sum(
            x.numel()
            for part in (stream.net, stream.traces, stream.signals)
            for x in tensors_of(part.get(name))
        )
        for name in net.modules_by_name
    }
    assert sum(found.values()) == sum(x.numel() for x in stream.tensors())
    return found


def said(net: Network, rule: Rule, size: int) -> dict[str, int]:
    found = state(describe(net, rule), Setting(batch=size))
    return {name: sum(buffers.values()) for name, buffers in found.items()}


@pytest.mark.parametrize(("rule", "net"), cells([r for r in EVERY_RULE if r != "bptt"], some=True))
def test_the_model_says_what_a_stream_holds(rule: str, net: str) -> None:
    made = make(net)
    assert said(made, EVERY_RULE[rule](), BATCH) == held(made, EVERY_RULE[rule](), BATCH)


@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "bptt"])
@pytest.mark.parametrize("net", ["convnet", "recurrent"])
def test_every_preset_byte_for_byte(preset: str, net: str) -> None:
    """The presets as they are, in float32, on a conv and a recurrent net with a leaky readout."""
    made = (
        models.convnet(2, 4, image=8, channels=(3, 4), readout_decay=0.9, rate=None)
        if net == "convnet"
        else models.recurrent(9, (7, 6), 4, rate=None)
    )
    rule = PRESETS[preset]()
    frames, labels = batch(made, 3)
    learner = Learner(made, rule, schedule="streaming")
    numbers = report_on(describe(made, rule), Setting(batch=BATCH)).numbers
    assert numbers is not None
    assert bytes_of(numbers) == state_bytes(learner, frames, labels % 4)


@pytest.mark.parametrize("preset", ["tess", "ottt", "frozen", "e_prop"])
def test_running_statistics_byte_for_byte(preset: str) -> None:
    made = models.convnet(2, 4, image=8, channels=(3, 4), norm_momentum=0.1, rate=None)
    rule = PRESETS[preset]()
    frames, labels = batch(made, 3)
    about = describe(made, rule)
    numbers = report_on(about, Setting(batch=BATCH)).numbers
    assert numbers is not None
    learner = Learner(made, rule, schedule="streaming")
    assert bytes_of(numbers) == state_bytes(learner, frames, labels % 4)
    assert state(about, Setting())["conv2"]["moments"] == 3 * 4


def test_buffers_by_name_and_what_width_does() -> None:
    def found(width: int) -> dict[str, dict[str, int]]:
        net = models.recurrent(9, (width,), 4, readout_decay=0.9, rate=None)
        return state(describe(net, rules.tess(latent_decay=0.5)), Setting(batch=2))

    assert found(7) == {
        "hidden1": {
            "membrane": 14, "spikes": 14, "pre trace": 2 * (9 + 7), "post trace": 14, "latents": 14,
        },
        "readout": {"membrane": 8, "pre trace": 14},
    }  # fmt: skip
    assert found(8)["hidden1"]["pre trace"] == 2 * (9 + 8)


@pytest.mark.parametrize("steps", [2, 9])
def test_state_does_not_grow_with_time(steps: int) -> None:
    made, rule = make("conv-alif"), rules.e_prop()
    assert held(made, rule, 2, steps) == said(made, rule, 2)
    about = describe(made, rule)
    assert state(about, Setting(steps=steps, batch=2)) == state(about, Setting(batch=2))


@pytest.mark.parametrize("net", ["conv", "recurrent", "alif", "cuba"])
def test_inference_holds_what_the_network_starts_with(net: str) -> None:
    made = make(net)
    found = inference(describe(made, rules.tess()), Setting(batch=BATCH))
    begun = made.init_state(BATCH)
    assert {k: sum(b.values()) for k, b in found.items()} == {
        k: sum(x.numel() for x in s.tensors()) for k, s in begun.items()
    }


@pytest.mark.parametrize("net", ["linear", "conv", "recurrent", "residual", "alif"])
def test_bptt_saves_at_least_what_the_model_says_and_both_grow_with_time(net: str) -> None:
    made = make(net)
    learner = Learner(made, rules.bptt())
    floors, saved = [], []
    for steps in (6, 12):
        found = activations(describe(made, rules.bptt()), Setting(steps, BATCH, "bptt"))
        floors.append(8 * sum(n for block in found.values() for n in block.values()))
        saved.append(sequence_bytes(learner, *batch(made, steps)))
    assert floors[1] == 2 * floors[0] > 0
    # What does not grow with T are standardised weights: no activations.
    assert floors[0] < saved[1] - saved[0] < 8 * floors[0]


def test_a_static_input_is_kept_once_by_bptt() -> None:
    about = describe(models.vgg9(3, 10, image=8, width=1 / 16, rate=None), rules.bptt())
    still = activations(about, Setting(6, 2, "bptt", static=True))
    moving = activations(about, Setting(6, 2, "bptt"))
    assert moving["conv1"]["input"] == 6 * still["conv1"]["input"]
    assert moving["conv2"] == still["conv2"]


def test_only_bases_that_are_drawn_or_trained_are_stored() -> None:
    net = models.mlp(9, (7,), 4, rate=None)

    def of(rule: Rule) -> tuple[int, int]:
        about = describe(net, rule)
        view = View(about, Setting(batch=2))
        return tuple(matrices(view, about.blocks[0]))  # type: ignore[return-value]

    assert of(rules.tess()) == (0, 28)
    assert of(rules.decolle()) == (28, 0)
    assert of(rules.lls(mixing="matrix")) == (16, 28)
    assert of(rules.local_loss()) == of(rules.drtp()) == of(rules.tess_plus()) == (28, 0)
    assert of(rules.e_prop("symmetric")) == of(rules.s_tllr()) == of(rules.frozen()) == (0, 0)
    assert of(rules.tp()) == (28, 0)
    own = Learner(net, rules.lls("trained", mixing="gain")).credit.own_parameters()
    assert of(rules.lls("trained", mixing="gain")) == (sum(p.numel() for p in own.values()), 0)


def test_credit_through_time_has_no_state_of_a_step() -> None:
    net = models.mlp(9, (7,), 4, rate=None)
    with pytest.raises(IllegalError, match="no formula for ThroughTime"):
        state(describe(net, rules.bptt()), Setting())


def test_frozen_blocks_keep_no_traces() -> None:
    net = models.mlp(9, (7, 6), 4, rate=None).to(torch.float64)
    for p in net.blocks["hidden1"].parameters():
        p.requires_grad_(False)
    found = state(describe(net, rules.tess()), Setting())
    assert found["hidden1"] == {"membrane": 7}
    assert said(net, rules.tess(), 2) == held(net, rules.tess(), 2)
