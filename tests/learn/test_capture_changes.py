"""What may change between captured steps, and what keeps a step from being captured."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from helpers import CLASSES, EVERY_RULE, batch, make
from localspike import Learner, models, rules
from localspike.errors import ConfigError, DataError, NumericalError
from localspike.learn.probe import Probe
from localspike.nn import LIF, Linear, Network, Readout, Spiking
from localspike.rules import Rule, Triangle

Change = Callable[[Learner], None]


def _rate(learner: Learner) -> None:
    learner.optimizer.param_groups[0]["lr"] = 0.5


def _reload(learner: Learner) -> None:
    learner.net.load_state_dict({k: 0.5 * v for k, v in learner.net.state_dict().items()})


def _scale(learner: Learner) -> None:
    with torch.no_grad():
        for p in learner.net.parameters():
            p.mul_(0.7)


def _freeze(learner: Learner) -> None:
    learner.net.blocks["hidden1"].requires_grad_(False)


def _freeze_bias(learner: Learner) -> None:
    learner.net.blocks["hidden2"].synapse.bias.requires_grad_(False)


def _replace(learner: Learner) -> None:
    synapse = learner.net.blocks["hidden1"].synapse
    synapse.weight = nn.Parameter(0.5 * synapse.weight.detach())


def _neuron(learner: Learner) -> None:
    learner.net.blocks["hidden1"].neuron = LIF(decay=0.9, threshold=0.4)


def _group(learner: Learner) -> None:
    weights = [learner.optimizer.param_groups[0]["params"].pop()]
    learner.optimizer.add_param_group({"params": weights, "lr": 0.3})


def _state(learner: Learner) -> None:
    learner._own_stream.net["hidden1"].v.mul_(0.5)


def _traces(learner: Learner) -> None:
    learner._own_stream.traces.clear()


def _method(learner: Learner) -> None:
    block = learner.net.blocks["hidden1"]
    distance = block.distance
    block.distance = lambda activity: distance(activity) + 0.3


def _layout(learner: Learner) -> None:
    weight = learner.net.blocks["hidden1"].synapse.weight
    weight.data = weight.data.t().contiguous().t()


CHANGES: dict[str, Change] = {
    f.__name__[1:]: f
    for f in (
        _rate, _reload, _scale, _freeze, _freeze_bias, _replace,
        _neuron, _group, _state, _traces, _method, _layout,
    )
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_between_steps_is_followed(change: str) -> None:
    """And it matters: a program that did not see it would not give these numbers."""
    ends: list[list[Tensor]] = []
    for choice, changed in (("off", True), ("on", True), ("on", False)):
        net = make("linear", torch.float32)
        frames, labels = batch(net, 14)
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        learner = Learner(net, EVERY_RULE["tess"](), optimizer, update="step", capture=choice)
        for t, x in enumerate(frames):
            if t == 6 and changed:
                CHANGES[change](learner)
            logits = learner.stream(x, labels).logits
        ends.append([logits, *(p.detach() for p in net.parameters())])
    assert all(map(torch.equal, ends[0], ends[1]))
    if change != "layout":
        assert not all(map(torch.equal, ends[0], ends[2]))
    assert learner._stepper.capturing.calls == 13


def test_a_rules_own_tensors_may_be_loaded() -> None:
    ends = []
    for choice in ("off", "on"):
        net = make("linear", torch.float32)
        frames, labels = batch(net, 10)
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        learner = Learner(net, EVERY_RULE["local_loss"](), optimizer, update="step", capture=choice)
        for t, x in enumerate(frames):
            if t == 4:
                saved = {k: v.clone() for k, v in learner.state_dict().items()}
            if t == 7:
                learner.load_state_dict(saved)
            learner.stream(x, labels)
        ends.append([p.detach() for p in learner._parameters()])
    assert all(map(torch.equal, *ends))


def test_a_moved_network_is_followed_between_captured_steps() -> None:
    ends = []
    for choice in ("off", "on"):
        net = make("conv", torch.float32)
        frames, labels = batch(net, 12)
        learner = Learner(net, EVERY_RULE["tess"](), update="step", capture=choice)
        for x in frames[:6]:
            learner.stream(x, labels)
        learner.end_sequence()
        net.double()
        for x in frames[6:]:
            result = learner.stream(x.double(), labels)
        ends.append([result.logits, *(p.grad for p in net.parameters())])
    assert all(map(torch.equal, *ends))
    assert ends[1][0].dtype == torch.float64
    assert learner._stepper.capturing.calls == 10


def test_interleaved_streams_have_states_of_their_own() -> None:
    net = make("recurrent", torch.float32)
    (frames, labels), (others, _) = batch(net, 10), batch(net, 10, seed=5)
    alone, mixed = [
        Learner(make("recurrent", torch.float32), EVERY_RULE["tess"](), capture=c)
        for c in ("off", "on")
    ]
    expected = [[alone.stream(x, labels).logits for x in frames], []]
    alone.end_sequence()
    expected[1] = [alone.stream(x, labels).logits for x in others]
    one, two = mixed.init_stream(len(labels)), mixed.init_stream(len(labels))
    for t, (x, y) in enumerate(zip(frames, others, strict=True)):
        assert torch.equal(mixed.stream(x, labels, one).logits, expected[0][t])
        assert torch.equal(mixed.stream(y, labels, two).logits, expected[1][t])
    assert mixed._stepper.capturing.calls > 10


def test_results_are_the_callers_own() -> None:
    """A readout without leak: its state is the logits, which the caller may write into."""
    net = make("recurrent", torch.float32)
    frames, labels = batch(net, 6)
    first, second = (Learner(net, EVERY_RULE["tess"](), capture="on") for _ in range(2))
    for x in frames:
        expected = first.stream(x, labels).logits.clone()
        found = second.stream(x, labels).logits
        assert torch.equal(found, expected)
        found.zero_()


def _overflowing(capture: str) -> Learner:
    net = Network({"a": Spiking(Linear(6, 5)), "readout": Readout(Linear(5, CLASSES))}, (6,))
    with torch.no_grad():
        net.blocks["a"].synapse.weight.copy_(torch.full((5, 6), 3e38))
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    return Learner(net, rules.tess(), optimizer, update="step", capture=capture)


def test_a_captured_step_names_block_and_step_of_an_infinite_membrane() -> None:
    learner = _overflowing("on")
    labels = torch.tensor([0, 1])
    for _ in range(4):
        learner.stream(torch.zeros(2, 6), labels)
    before = [p.detach().clone() for p in learner.net.parameters()]
    with pytest.raises(NumericalError, match="non-finite membrane appeared in block 'a' at step 4"):
        learner.stream(torch.ones(2, 6), labels)
    assert learner._stepper.capturing.calls == 4
    assert all(map(torch.equal, before, learner.net.parameters()))


def test_a_large_sum_of_finite_membranes_is_no_fault() -> None:
    """The sum overflows where no membrane does."""
    learner = _overflowing("on")
    with torch.no_grad():
        learner.net.blocks["a"].synapse.weight.fill_(4e37)
    labels = torch.tensor([0, 1])
    for x in (0.0, 0.0, 0.0, 1.0):
        learner.stream(torch.full((2, 6), x), labels)
    assert learner._stepper.capturing.calls == 3


def test_a_gradient_that_is_not_finite_changes_nothing() -> None:
    net = make("linear", torch.float32)
    frames, labels = batch(net, 6)
    learner = Learner(
        net, EVERY_RULE["tess"](), torch.optim.SGD(net.parameters(), 0.1), update="step",
        loss=None, capture="on",
    )  # fmt: skip
    for x in frames[:5]:
        learner.stream(x, labels)
    with torch.no_grad():
        net.readout.synapse.weight.fill_(torch.nan)
    before = [p.detach().clone() for p in net.parameters()]
    with pytest.raises(NumericalError, match="readout"):
        learner.stream(frames[5], labels)
    now = [p.detach() for p in net.parameters()]
    assert all(
        torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(before, now, strict=True)
    )


@pytest.mark.parametrize("update", ["step", "sequence"])
def test_a_frame_that_is_not_finite_leaves_the_stream_as_it_was(update: str) -> None:
    ends = []
    for spoilt in (False, True):
        net = make("linear", torch.float32)
        frames, labels = batch(net, 8)
        learner = Learner(net, EVERY_RULE["tess"](), update=update, capture="on")
        for t, x in enumerate(frames):
            if spoilt and t == 5:
                with pytest.raises(DataError, match="a frame holds a non-finite value"):
                    learner.stream(torch.full_like(x, torch.nan), labels)
            logits = learner.stream(x, labels).logits
        learner.end_sequence()
        ends.append([logits, *(p.grad for p in net.parameters())])
    assert all(map(torch.equal, *ends))
    assert learner._stepper.capturing.calls > 5


def test_a_copied_learner_has_programs_of_its_own() -> None:
    net = make("linear", torch.float32)
    frames, labels = batch(net, 10)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    learner = Learner(net, EVERY_RULE["tess"](), optimizer, update="step", capture="on")
    for x in frames[:5]:
        learner.stream(x, labels)
    other = copy.deepcopy(learner)
    other.net.blocks["hidden1"].neuron = LIF(decay=0.1)
    kept = [p.detach().clone() for p in net.parameters()]
    found = [other.stream(x, labels).logits for x in frames[5:]]
    assert all(map(torch.equal, kept, net.parameters()))
    expected = [learner.stream(x, labels).logits for x in frames[5:]]
    assert not torch.equal(found[-1], expected[-1])
    assert other._stepper.capturing.calls == 5


class Host(Triangle):
    """A user's Ψ that looks at a number."""

    def __call__(self, d: Tensor) -> Tensor:
        return super().__call__(d) * (2.0 if bool(d.max() > 0) else 1.0)


class Declared(Host):
    """The same, declared capturable, which it is not."""

    capturable = True


class Honest(Triangle):
    """A user's Ψ whose operations depend on shapes only."""

    capturable = True

    def __call__(self, d: Tensor) -> Tensor:
        return super().__call__(d) * 2.0


def _rule(psi: object) -> Rule:
    made = rules.tess()
    return Rule("own", made.eligibility, made.signal, psi)


@pytest.mark.parametrize(
    ("options", "rule", "why"),
    [
        ({"probe": Probe()}, rules.tess(), "a probe looks at every step"),
        ({}, _rule(Host()), "Host is not localspike's own"),
        ({}, _rule(Declared()), "it looks at a number inside a tensor"),
        ({}, rules.etlp(3, decay=0.5), "shapes or state change from step to step"),
    ],
)
def test_what_cannot_be_captured_runs_eagerly_and_says_why(
    options: dict[str, Probe], rule: Rule, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("localspike.learn.capture.PATIENCE", 2)
    monkeypatch.setattr("localspike.learn.capture._KEYS", 4)
    found = []
    for choice in ("off", "auto"):
        net = make("linear", torch.float32)
        frames, labels = batch(net, 8)
        learner = Learner(net, rule, update="step", capture=choice, **options)
        found.append([learner.stream(x, labels).logits for x in frames])
    assert learner.capture_reason.startswith(f"eager: {why}")
    assert learner._stepper.capturing.calls == 0
    assert all(map(torch.equal, *found))
    with pytest.raises(ConfigError, match="steps cannot be captured"):
        insistent = Learner(make("linear", torch.float32), rule, capture="on", **options)
        for x in frames:
            insistent.stream(x, labels)


def test_a_users_part_is_captured_on_its_word() -> None:
    net = make("linear", torch.float32)
    frames, labels = batch(net, 5)
    learner = Learner(net, _rule(Honest()), update="step", capture="on")
    for x in frames:
        learner.stream(x, labels)
    assert learner._stepper.capturing.calls == 4


def test_a_hook_or_a_counter_sees_every_step() -> None:
    """Whoever watches a step sees Python and all of its operations."""
    net = make("linear", torch.float32)
    frames, labels = batch(net, 12)
    learner, seen = Learner(net, EVERY_RULE["tess"](), update="step", capture="on"), []
    for x in frames[:4]:
        learner.stream(x, labels)
    synapse = net.blocks["hidden1"].synapse
    handle = synapse.register_forward_hook(lambda *_: seen.append(1))
    for x in frames[4:7]:
        learner.stream(x, labels)
    handle.remove()
    with FlopCounterMode(display=False) as counter:
        learner.stream(frames[7], labels)
    assert (len(seen), counter.get_total_flops() > 0) == (3, True)
    calls = learner._stepper.capturing.calls
    learner.stream(frames[8], labels)
    assert (calls, learner._stepper.capturing.calls) == (3, 4)


def test_an_unknown_choice_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown capture: got 'yes'"):
        Learner(make("linear"), rules.tess(), capture="yes")


def test_padded_batches_are_captured() -> None:
    """Padding is a number in a step's target, no other program."""
    net = models.mlp(20, (30,), 4, rate=0.2)
    learner = Learner(net, rules.tess(), schedule="streaming", capture="on")
    frames, labels = torch.rand(12, 3, 20), torch.tensor([0, 1, 2])
    for _ in range(2):
        learner.fit(frames, labels, torch.tensor([12, 7, 9]))
    assert learner.capture_reason.startswith("captured")
