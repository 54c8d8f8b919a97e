"""The cost model's products are those that run: every rule, kind of net and schedule."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from helpers import BATCH, CLASSES, EVERY_RULE, SENTINELS, batch, cells, legal, make
from localspike import Learner, models, rules
from localspike.cost import Products, Setting, products
from localspike.describe import Description, describe
from localspike.errors import ConfigError, IllegalError
from localspike.learn.lean import LeanLayerwise
from localspike.learn.meter import macs_of
from localspike.learn.regulariser import FiringRate
from localspike.learn.schedule import Name
from localspike.nn import ALIF, Network
from localspike.rules import Rule, Triangle, TwoTrace
from localspike.rules.signal import Signal

STEPS = 2
KINDS = ("recurrent", "residual", "cuba")


def as_metered(about: Description, found: dict[str, Products], schedule: str) -> int:
    """The model's total, grouped contractions as torch counts them: for g times what they are."""
    total = sum(p.total for p in found.values())
    for block in about.blocks:
        geometry = block.synapse.geometry
        dense = schedule == "streaming" and about.traces[block.name].kind == "SynapseTrace"
        if geometry is not None and not dense:
            total += (geometry.groups - 1) * found[block.name].contraction
    return total


def both(
    learner: Learner,
    steps: int = STEPS,
    size: int = BATCH,
    data: tuple[Tensor, Tensor] | None = None,
    **more: int,
) -> tuple[int, int]:
    """Products that run, and what the model says."""
    about = describe(learner.net, learner.rule)
    found = products(about, Setting(steps, size, learner.schedule, **more))
    ran = macs_of(learner, *(data or batch(learner.net, steps, size)))
    return ran, as_metered(about, found, learner.schedule)


@pytest.mark.parametrize(
    ("rule", "net"),
    [
        (rule, net)
        for rule, net in cells(some=True)
        if net == "conv" or (rule in SENTINELS and net in KINDS) or rule == "e_prop-symmetric"
    ],
)
def test_the_model_counts_what_runs(rule: str, net: str) -> None:
    made = make(net)
    for schedule in legal(rule):
        ran, said = both(Learner(made, EVERY_RULE[rule](), schedule=schedule))  # type: ignore[arg-type]
        assert ran == said > 0, schedule


@pytest.mark.parametrize("rule", ["tess", "tess-plus", "ottt", "frozen", "e_prop"])
@pytest.mark.parametrize("net", ["convnet", "recurrent"])
def test_running_statistics_cost_a_stream_one_contraction_more(rule: str, net: str) -> None:
    def made(norm_momentum: float | None) -> Network:
        if net == "recurrent":
            return models.recurrent(9, (7, 6), CLASSES, norm_momentum=norm_momentum, rate=None)
        options = {"image": 8, "channels": (3, 4), "norm_momentum": norm_momentum, "rate": None}
        return models.convnet(2, CLASSES, **options)  # type: ignore[arg-type]

    for schedule in legal(rule):
        if schedule == "bptt":
            continue
        plain, more = (
            both(Learner(made(m), EVERY_RULE[rule](), schedule=schedule))  # type: ignore[arg-type]
            for m in (None, 0.1)
        )
        assert more[0] == more[1] and plain[0] == plain[1]
        factored = rule != "frozen" and (rule, net) != ("e_prop", "recurrent")
        costs = schedule == "streaming" and factored
        assert (more[0] > plain[0]) is costs, schedule


@pytest.mark.parametrize("rule", ["tess", "s_tllr-bp", "bptt", "tp-classes", "frozen"])
@pytest.mark.parametrize("net", ["conv", "recurrent", "residual"])
def test_a_static_input_is_multiplied_once_but_not_when_streamed(rule: str, net: str) -> None:
    if net == "residual" and rule == "tp-classes":
        return  # not defined there
    made = make(net)
    frames, labels = batch(made, 1)
    still = (frames.expand(STEPS, *frames.shape[1:]), labels)
    for schedule in legal(rule):
        learner = Learner(made, EVERY_RULE[rule](), schedule=schedule)  # type: ignore[arg-type]
        ran, said = both(learner, data=still, static=True)
        assert ran == said
        moving = both(learner)[1]
        assert (said < moving) == (schedule != "streaming")


@pytest.mark.parametrize("rule", ["s_tllr-bp", "tess", "etlp-events", "tp", "decolle-band", "ostl"])
def test_steps_without_a_signal(rule: str) -> None:
    """Streamed they cost the forward pass; where targets or a regulariser act, nothing is saved."""
    made = make("recurrent")
    for schedule in legal(rule):
        learner = Learner(made, EVERY_RULE[rule](), schedule=schedule, active_steps=4)  # type: ignore[arg-type]
        ran, said = both(learner, 6, active=4)
        assert ran == said
        saves = schedule == "streaming" and rule not in ("tp", "decolle-band")
        assert (said < both(learner, 6)[1]) == saves


def test_a_synaptic_trace_alone_is_a_trace() -> None:
    traces = TwoTrace(0.0, 0.3, 0.6, -0.4, synaptic_decay=0.4)
    rule = Rule("r", traces, rules.tess().signal, Triangle())
    ran, said = both(Learner(make("recurrent"), rule, schedule="streaming"))
    assert ran == said


@pytest.mark.parametrize("schedule", ["streaming", "layerwise"])
@pytest.mark.parametrize("net", ["linear", "conv"])
def test_latents_of_another_size(net: str, schedule: Name) -> None:
    """A vector's averages are spread again by a product, a map's are not."""
    made = make(net)
    ran, said = both(Learner(made, rules.tess(pool=3), schedule=schedule))
    assert ran == said != both(Learner(made, rules.tess(), schedule=schedule))[1]


@pytest.mark.parametrize("net", ["mlp", "recurrent"])
def test_a_long_sequence_in_parts(net: str) -> None:
    made = getattr(models, net)(6, (5, 4), 3, readout_decay=0.5, rate=None)
    learner = Learner(made, rules.tess(), compile="off")
    frames, labels = batch(made, 60, 256)
    crossings = len(LeanLayerwise(learner.credit).parts(frames)) - 1
    assert crossings >= 2
    ran, said = both(learner, 60, 256, (frames, labels % 3), crossings=crossings)
    assert ran == said > both(learner, 60, 256, (frames, labels % 3))[1]


@pytest.mark.parametrize(
    "rule", ["tess", "tess-plus", "local_loss", "ottt", "bptt", "tp", "drtp", "ostl"]
)
def test_blocks_that_do_not_learn(rule: str) -> None:
    """No contraction there, and no error is sent to where nobody learns."""
    made = models.recurrent(9, (7, 6, 5), CLASSES, rate=None).double()
    whole = {s: both(Learner(made, EVERY_RULE[rule](), schedule=s))[1] for s in legal(rule)}
    for name in ("hidden1", "hidden2"):
        for p in made.blocks[name].parameters():
            p.requires_grad_(False)
        for schedule in legal(rule):
            ran, said = both(Learner(made, EVERY_RULE[rule](), schedule=schedule))  # type: ignore[arg-type]
            assert ran == said < whole[schedule]


def test_vgg9_narrow_and_wide() -> None:
    ours = []
    for width in (1 / 16, 1 / 8):
        net = models.vgg9(2, 4, image=16, width=width, rate=None)
        frames, labels = batch(net, 2, 2)
        for rule in (rules.tess(), rules.s_tllr(), rules.bptt()):
            ran, said = both(Learner(net, rule, compile="off"), 2, 2, (frames, labels % 4))
            assert ran == said
        ours.append(said)
    assert ours[1] > 3 * ours[0]


def test_tess_contracts_twice_streamed_and_once_layerwise() -> None:
    net = models.mlp(20, (30, 25), 4, rate=None)
    forward = {"hidden1": 600, "hidden2": 750, "readout": 100}
    for gain, schedule, times in (
        (1.0, "streaming", 2),
        (0.0, "streaming", 1),
        (1.0, "layerwise", 1),
    ):
        found = products(describe(net, rules.tess(post_gain=gain)), Setting(schedule=schedule))
        assert {name: p.forward for name, p in found.items()} == forward
        assert [p.contraction for p in found.values()] == [times * 600, times * 750, 100]
        assert [p.signal for p in found.values()] == [2 * 4 * 30, 2 * 4 * 25, 0]
        assert not any(p.sent for p in found.values())


def test_what_the_meter_does_not_see_of_one_sample() -> None:
    """Without a batch or positions to sum over, a trace per synapse is scaled, not contracted."""
    net = models.mlp(9, (7,), CLASSES, neuron=ALIF(), readout_decay=0.5, rate=None).double()
    learner = Learner(net, rules.e_prop(), schedule="streaming")
    ran, said = both(learner, STEPS, 1)
    assert said - ran == STEPS * 7 * 9


def test_what_the_meter_does_not_see_of_one_contrast() -> None:
    net = models.mlp(9, (7, 6), CLASSES, rate=None)
    frames, labels = batch(net, STEPS, 1)
    learner = Learner(net, rules.tp(against="classes"), schedule="streaming")
    ran, said = both(learner, STEPS, 1, (frames, labels))
    assert said - ran == STEPS * CLASSES * (7 + 6)


def test_a_regulariser_of_rates_contracts_once_more_behind_a_filter() -> None:
    net = models.mlp(9, (7,), CLASSES, neuron=ALIF(), readout_decay=0.5, rate=None).double()
    extra = {}
    for rule in (rules.e_prop(), rules.tess()):
        learner = Learner(net, rule, schedule="streaming", firing_rate=FiringRate(0.1, 1.0))
        ran, said = both(learner)
        extra[rule.name] = ran - said
    assert extra == {"e_prop": STEPS * BATCH * 7 * 9, "tess": 0}


def test_what_the_meter_counts_too_often_of_groups() -> None:
    made = make("conv")
    about = describe(made, rules.tess())
    found = products(about, Setting(STEPS, BATCH, "layerwise"))
    ran = macs_of(Learner(made, rules.tess()), *batch(made, STEPS))
    assert ran - sum(p.total for p in found.values()) == found["b"].contraction > 0


@dataclass(frozen=True)
class _Mine(Signal):
    pass


def test_signals_and_traces_of_one_s_own_are_refused_by_name() -> None:
    net = models.mlp(9, (7,), CLASSES, rate=None)
    mine = Rule("mine", TwoTrace(0.5), _Mine(), Triangle())
    with pytest.raises(IllegalError, match="no formula for _Mine"):
        products(describe(net, mine), Setting())

    class Traces(TwoTrace):
        def for_block(self, cell: object) -> object:  # type: ignore[override]
            return object()

    odd = Rule("odd", Traces(0.5), rules.tess().signal, Triangle())
    with pytest.raises(IllegalError, match="no formula for object"):
        products(describe(net, odd), Setting())


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"batch": 0}, {"active": 4, "steps": 3}, {"schedule": "lazy"}]
)
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Setting(**wrong)  # type: ignore[arg-type]


def test_a_network_of_another_dtype_costs_the_same() -> None:
    net: Network = models.mlp(9, (7,), CLASSES, rate=None)
    wide = describe(net.double(), rules.tess())
    assert products(wide, Setting()) == products(
        describe(net.to(torch.float32), rules.tess()), Setting()
    )
