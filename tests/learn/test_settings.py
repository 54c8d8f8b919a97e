"""What a learner refuses, what may be set while it learns, and combinations schedules agree on."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from helpers import batch
from localspike import FPTT, CrossEntropy, FiringRate, Learner, SquaredError, models, rules
from localspike.errors import CheckpointError, ConfigError, IllegalError
from localspike.nn import ALIF, LIF, CubaLIF, Dropout, Linear, Network, Readout, Spiking
from localspike.rules import (
    Backprop,
    ClassBasis,
    MembraneBand,
    Projection,
    Rule,
    Triangle,
    TwoTrace,
)
from localspike.rules.signal import BlockInfo


def small(dtype: torch.dtype = torch.float64) -> Network:
    torch.manual_seed(0)
    return models.mlp(14, (12, 10), 5, rate=0.25).to(dtype)


def sgd(net: Network, rate: float = 0.1) -> torch.optim.Optimizer:
    return torch.optim.SGD(net.parameters(), lr=rate)


def weights(net: Network) -> Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


# -- refusals ------------------------------------------------------------------------------


def test_inference_mode_ends_backpropagation_through_time_and_no_other_rule() -> None:
    moved = []
    for mode in (True, False):
        net = small()
        learner = Learner(net, rules.tess(), sgd(net), schedule="streaming")
        frames, labels = batch(net, 12)
        with torch.inference_mode(mode):
            learner.fit(frames, labels)
        moved.append(weights(net) - weights(small()))
    assert torch.equal(*moved) and bool(moved[0].any())
    learner = Learner(net, rules.bptt(), sgd(net))
    with torch.inference_mode():
        for call in (learner.fit, learner.gradient):
            with pytest.raises(IllegalError, match=r"under torch\.inference_mode\(\).*evaluate"):
                call(frames, labels)
        assert learner.evaluate(frames, labels).loss > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"accumulate": 1.5}, "accumulate: got 1.5; expected a whole number"),
        ({"accumulate": "2"}, "accumulate: got '2'"),
        ({"accumulate": True}, "accumulate: got True"),
        ({"clip_norm": "1"}, "clip_norm: got '1'; expected a norm > 0"),
        ({"clip_norm": float("nan")}, "clip_norm: got nan"),
        ({"active_steps": [1.5]}, r"active_steps: got \[1\.5\]"),
        ({"active_steps": [True, False]}, r"active_steps: got \[True"),
        ({"active_steps": 2.0}, "active_steps: got 2.0"),
        ({"active_steps": 0}, "active_steps: got 0"),
        ({"active_steps": None}, "active_steps: got None"),
        ({"active_steps": "some"}, "active_steps: got 'some'.*'random-k'"),
        ({"seed": 1.5}, "seed: got 1.5; expected a whole number"),
        ({"seed": None}, "seed: got None"),
    ],
)
def test_settings_of_the_wrong_kind_are_refused(settings: dict[str, object], message: str) -> None:
    net = small()
    with pytest.raises(ConfigError, match=message):
        Learner(net, rules.tess(), **settings)
    if "seed" not in settings:  # set later, alike
        learner = Learner(net, rules.tess())
        with pytest.raises(ConfigError, match=message):
            setattr(learner, *next(iter(settings.items())))
        assert (learner.accumulate, learner.clip_norm, learner.active_steps) == (1, None, "all")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CrossEntropy(scale=float("nan")), "scale of a loss: got nan"),
        (lambda: CrossEntropy(scale=-1.0), "scale of a loss: got -1"),
        (lambda: SquaredError(scale=float("inf")), "scale of a loss: got inf"),
        (lambda: FiringRate(0.1, float("nan")), "finite strength"),
        (lambda: FiringRate(0.1, float("inf")), "finite strength"),
        (lambda: rules.tess(post_gain=float("nan")), "post_gain: got nan; expected a finite"),
        (lambda: rules.tess(post_gain="1"), "post_gain: got '1'"),  # type: ignore[arg-type]
        (lambda: rules.tess(post_gain=None), "post_gain: got None"),  # type: ignore[arg-type]
        (lambda: CrossEntropy(scale="1"), "scale of a loss: got 1"),  # type: ignore[arg-type]
        (lambda: CrossEntropy(class_weights=2.0), "class_weights: got"),  # type: ignore[arg-type]
        (lambda: CrossEntropy(class_weights="ab"), "class_weights: got"),  # type: ignore[arg-type]
        (lambda: CrossEntropy(class_weights=torch.ones(2, 2)), "class_weights: got"),  # type: ignore[arg-type]
    ],
)
def test_numbers_that_mean_nothing_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


NUMBERS: dict[str, Callable[[Any], object]] = {
    "pre_decay": lambda x: rules.tess(pre_decay=x),
    "post_gain": lambda x: rules.tess(post_gain=x),
    "latent_decay": lambda x: rules.tess(latent_decay=x),
    "decay": lambda x: LIF(decay=x),
    "threshold": lambda x: LIF(threshold=x),
    "reset_by": lambda x: LIF(reset_by=x),
    "adaptation": lambda x: ALIF(adaptation=x),
    "momentum": lambda x: models.mlp(8, (4,), 3, norm_momentum=x),
    "dropout": lambda x: Dropout(x),
    "band": lambda x: MembraneBand(upper=x),
    "target": lambda x: FiringRate(x, 1.0),
    "strength": lambda x: FiringRate(0.1, x),
    "alpha": lambda x: FPTT(sgd(small()), alpha=x),
    "beta": lambda x: FPTT(sgd(small()), beta=x),
    "label_smoothing": lambda x: CrossEntropy(label_smoothing=x),
    "mse": lambda x: CrossEntropy(mse=x),
}


@pytest.mark.parametrize("given", ["0.5", [0.5], torch.ones(2), float("nan")], ids=repr)
@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_no_number_is_refused_by_name(name: str, given: object) -> None:
    NUMBERS[name](0.5)
    with pytest.raises(ConfigError):
        NUMBERS[name](given)


def test_class_weights_may_be_a_tensor() -> None:
    found = CrossEntropy(class_weights=torch.tensor([1.0, 2.0]))  # type: ignore[arg-type]
    assert found == CrossEntropy(class_weights=(1.0, 2.0))
    assert hash(found) == hash(CrossEntropy(class_weights=[1.0, 2.0]))  # type: ignore[arg-type]


@pytest.mark.parametrize("matrices", [(), (torch.zeros(5, 7),)])
def test_projection_matrices_that_do_not_fit_are_named(matrices: tuple[Tensor, ...]) -> None:
    info = BlockInfo(0, (12,), None, 5, "hidden1")
    with pytest.raises(ConfigError, match=r"'hidden1': got .*number 0 being \[5, 12\]"):
        Projection("dfa", matrices=matrices).bind(info, torch.zeros(()))


def test_a_refused_state_changes_nothing() -> None:
    net = small()
    learner = Learner(net, rules.tess_plus(), sgd(net), accumulate=3)
    frames, labels = batch(net, 12)
    learner.fit(frames, labels)
    before = copy.deepcopy(learner.state_dict())
    with pytest.raises(CheckpointError, match=r"no learner's state.*generator and gathered"):
        learner.load_state_dict(net.state_dict())
    other = {"generator": torch.Generator().manual_seed(9).get_state(), "gathered": torch.tensor(2)}
    with pytest.raises(CheckpointError, match="not of rule 'tess_plus'"):
        learner.load_state_dict(other)
    after = learner.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[k], after[k]) for k in before)


@pytest.mark.parametrize("name", ["net", "rule", "loss", "schedule", "update"])
def test_what_a_learner_is_made_of_stays(name: str) -> None:
    net = small()
    learner = Learner(net, rules.tess(), schedule="streaming")
    others = {
        "net": copy.deepcopy(net),
        "rule": rules.frozen(),
        "loss": CrossEntropy(mse=0.5),
        "schedule": "layerwise",
        "update": "step",
    }
    with pytest.raises(IllegalError, match=f"{name} of a learner cannot.*Make a new Learner"):
        setattr(learner, name, others[name])
    setattr(learner, name, getattr(learner, name))  # the same is no change


def test_a_neuron_that_is_refused_once_is_refused_again() -> None:
    net = small()
    learner = Learner(net, Rule("r", TwoTrace(None), ClassBasis(), Triangle(), None))
    frames, labels = batch(net, 12)
    kept = net.blocks["hidden1"].neuron
    wrong = net.blocks["hidden1"].neuron = copy.copy(kept)
    object.__setattr__(wrong, "decay", 2.0)  # which no trace can have
    for _ in range(2):
        with pytest.raises(ConfigError, match="decay per step"):
            learner.gradient(frames, labels)
    net.blocks["hidden1"].neuron = kept
    learner.gradient(frames, labels)


@pytest.mark.parametrize("rule", [rules.ottt, rules.tess, rules.e_prop])
@pytest.mark.parametrize("name", ["hidden2", "readout"])
def test_neurons_that_are_changed_take_their_traces_along(
    rule: Callable[[], Rule], name: str
) -> None:
    net = small()
    learner = Learner(net, rule(), schedule="streaming")
    frames, labels = batch(net, 12)
    found = []
    before = learner.gradient(frames, labels).loss
    block = net.modules_by_name[name]
    block.neuron = replace(block.neuron, decay=0.9)
    for one in (learner, Learner(net, rule(), schedule="streaming")):
        one._zero_grad()
        assert one.gradient(frames, labels).loss != before
        found.append([p.grad for p in net.parameters()])
    assert all(map(torch.equal, *found))


# -- what may be set -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "given", "meant"),
    [
        ("accumulate", np.int64(2), 2),
        ("clip_norm", np.float32(0.5), 0.5),
        ("clip_norm", torch.tensor(2), 2.0),
        ("active_steps", np.array([2, 5]), [2, 5]),
        ("active_steps", torch.tensor(3), 3),
        ("active_steps", range(2, 5), [2, 3, 4]),
        ("active_steps", (1, np.int32(4)), [1, 4]),
    ],
)
def test_numbers_of_any_library_are_taken(name: str, given: object, meant: object) -> None:
    learner = Learner(small(), rules.tess(), **{name: given})  # type: ignore[arg-type]
    assert getattr(learner, name) == meant and type(getattr(learner, name)) is type(meant)
    assert rules.tess(post_gain=np.float32(0.5)) == rules.tess(post_gain=0.5)


def test_an_optimizer_set_later_trains_what_the_rule_brings() -> None:
    net = small()
    learner = Learner(net, rules.tess_plus())
    own = {name: p.detach().clone() for name, p in learner.credit.own_parameters().items()}
    learner.optimizer = sgd(net)
    learner.fit(*batch(net, 12))
    assert own and all(
        not torch.equal(own[n], p) for n, p in learner.credit.own_parameters().items()
    )
    held = learner.optimizer
    with pytest.raises(ConfigError, match="holds no parameter of this network"):
        learner.optimizer = sgd(small())
    assert learner.optimizer is held


def test_fewer_batches_to_gather_than_are_gathered_step_at_once() -> None:
    net = small()
    learner = Learner(net, rules.tess(), sgd(net), accumulate=4)
    frames, labels = batch(net, 12)
    for _ in range(3):
        learner.fit(frames, labels)
    fewer = Learner(copy.deepcopy(net), rules.tess(), accumulate=2)
    fewer.optimizer = sgd(fewer.net)
    fewer.load_state_dict(learner.state_dict())
    before, learner.accumulate = weights(net), 2
    for one in (learner, fewer):
        one.fit(frames, labels)
        assert one.gathered == 0
        assert not torch.equal(before, weights(one.net))
    with pytest.raises(IllegalError, match="cannot accumulate"):
        Learner(net, rules.tess(), update="step").accumulate = 2


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.uint16])
def test_lengths_count_alike_in_any_integer(dtype: torch.dtype) -> None:
    net = small()
    learner = Learner(net, rules.tess(), active_steps=5)
    frames, labels = batch(net, 12)
    lengths, found = torch.tensor([3, 12, 7]), []
    for given in (lengths, lengths.to(dtype)):
        learner._zero_grad()
        loss = learner.gradient(frames, labels, given).loss
        found.append([loss, *(p.grad for p in net.parameters())])
    assert all(map(torch.equal, *found))
    assert torch.equal(net(frames, lengths), net(frames, lengths.to(dtype)))


# -- schedules agree -----------------------------------------------------------------------


def agree(net: Network, rule: Rule, schedules: tuple[str, str], fits: int = 1) -> float:
    """Weights after some updates are equal on two schedules; gives back how far they moved."""
    frames, labels = batch(net, 14)
    ends = []
    for schedule in schedules:
        mine = copy.deepcopy(net)
        learner = Learner(mine, rule, sgd(mine), schedule=schedule)
        for _ in range(fits):
            learner.fit(frames, labels)
        grads = {n: p.grad for n, p in mine.named_parameters()}
        state = torch.cat([x.flatten().double() for x in mine.state_dict().values()])
        own = [p.detach().flatten() for p in learner.credit.own_parameters().values()]
        ends.append((torch.cat([state, *own]), grads))
    (one, first), (other, second) = ends
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)
    assert {n for n, g in first.items() if g is None} == {n for n, g in second.items() if g is None}
    return float((one[: len(weights(net))] - weights(net)).abs().max())


def test_a_double_exponential_trace_of_recurrent_weights_alone() -> None:
    """The first block's input is untraced, which says nothing of what it sends to itself."""
    torch.manual_seed(0)
    net = models.recurrent(14, (12,), 5, rate=0.25).double()
    traces = TwoTrace(pre_decay=0.0, synaptic_decay=0.4, trace_input=False)
    rule = Rule("double", traces, ClassBasis(), Triangle())
    assert agree(net, rule, ("layerwise", "streaming")) > 1e-3


def test_statistics_of_a_normalised_block_whose_input_is_untraced() -> None:
    torch.manual_seed(1)
    synapse = Linear(14, 12, standardised=True, norm_momentum=0.5)
    blocks = {"a": Spiking(synapse, CubaLIF(synaptic_decay=0.6)), "out": Readout(Linear(12, 5))}
    net = Network(blocks, (14,)).double()
    with torch.no_grad():
        synapse.gain.mul_(2.0)
    traces = TwoTrace(pre_decay=0.5, synaptic_decay=None, trace_input=False)
    rule = Rule("untraced", traces, ClassBasis(), Triangle())
    assert agree(net, rule, ("layerwise", "streaming"), fits=3) > 1e-3


@pytest.mark.parametrize("band", [MembraneBand(0.3, 0.2), None])
@pytest.mark.parametrize("momentum", [None, 0.5])
def test_a_block_that_nobody_reads(band: MembraneBand | None, momentum: float | None) -> None:
    torch.manual_seed(0)
    blocks = {
        "a": Spiking(Linear(14, 12, standardised=True), LIF()),
        "b": Spiking(Linear(12, 6, standardised=True, norm_momentum=momentum), LIF()),
        "out": Readout(Linear(12, 5)),
    }
    net = Network(blocks, (14,), {"out": ("a",)}).double()
    with torch.no_grad():
        for block in net.blocks.values():
            block.synapse.gain.mul_(3.0)
    rule = Rule("sent", TwoTrace(None), Backprop(), Triangle(), band)
    assert agree(net, rule, ("streaming", "two_sweep"), fits=2) > 1e-3


@pytest.mark.parametrize("active", [5, "every-5", [2, 5, 9]])
@pytest.mark.parametrize("against", ["batch", "merged"])
def test_captured_steps_forget_gradients_they_have_applied(active: object, against: str) -> None:
    """Targets beside the samples are asked at every step, and leave zeros where none is active."""
    ends = []
    for capture in ("off", "on"):
        net = small(torch.float32)
        rule = rules.tp(against=against)
        learner = Learner(net, rule, sgd(net), update="step", active_steps=active, capture=capture)
        frames, labels = batch(net, 14)
        for _ in range(4):
            learner.fit(frames, labels)
        ends.append(weights(net))
    assert learner._stepper.capturing.calls > 40  # of 56 steps, the first ones being eager
    torch.testing.assert_close(*ends, rtol=1e-5, atol=1e-6)
    assert float((ends[0] - weights(small(torch.float32))).abs().max()) > 1e-3
