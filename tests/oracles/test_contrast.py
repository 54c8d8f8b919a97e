"""Traces Propagation against autograd of its contrastive loss, pair by pair, step by step."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from helpers import assert_same, batch, close, gradient, hidden, make, norm, twin
from helpers_oracle import of_block, parameter_gradient
from helpers_reference import PSI, simulate
from localspike import Learner, rules
from localspike.errors import IllegalError
from localspike.nn import Network
from localspike.rules import Contrast, Rule, TwoTrace

NETS = ("linear", "conv", "recurrent", "dropout", "alif", "cuba", "conv-alif", "single")
SCHEDULES = ("layerwise", "streaming")
LENGTHS = torch.tensor([12, 7, 4])


def expected(
    net: Network,
    rule: Rule,
    frames: Tensor,
    labels: Tensor,
    weight: Tensor,
    running: Tensor | None = None,
    targets_learn: bool = True,
) -> dict[str, Tensor]:
    """Σ_t ∂E_l[t]/∂W_l through step t alone; ``weight`` [T, B], ``running`` [T, B] by masks."""
    spec, steps, size = rule.signal, len(frames), len(labels)
    learner = Learner(net, rule)
    (entry,) = learner.credit.companion.entries.values()
    shown = torch.arange(len(entry)) if spec.against == "classes" else labels
    own = labels if spec.against == "classes" else torch.arange(size)
    count = len(shown)
    both = torch.cat(
        (frames, torch.zeros_like(frames[:, :1]).expand(-1, count, *frames.shape[2:])), 1
    )
    drive = torch.cat((torch.zeros_like(entry[:1]).expand(size, *entry.shape[1:]), entry[shown]))
    layers, _ = twin(net)
    trial = simulate(layers, None, both, PSI["arctan"], drive=drive)
    below = [torch.eye(len(entry), dtype=torch.float64)[shown]] * steps
    below = traces(below, spec.decay)
    found: dict[str, Tensor] = {}
    for depth, layer in enumerate(layers):
        total = torch.zeros((), dtype=torch.float64)
        held, after = None, []
        for t, out in enumerate(trial.out[layer.name]):
            eps = out if held is None else spec.decay * held + out
            held = eps.detach()
            after.append(held[size:])
            seen = eps if depth and targets_learn else torch.cat((eps[:size], held[size:]))
            alive = range(count) if running is None else running[t].nonzero().flatten().tolist()
            total = total + energy(seen, below[t], own, weight[t], size, list(alive))
        found |= parameter_gradient(layer, total)
        below = after
    return found


def traces(series: list[Tensor], decay: float) -> list[Tensor]:
    out: list[Tensor] = []
    for s in series:
        out.append(s if not out else decay * out[-1] + s)
    return out


def energy(
    eps: Tensor, below: Tensor, own: Tensor, weight: Tensor, size: int, alive: list[int]
) -> Tensor:
    """E of one step in double loops; positions of a feature map are averaged."""
    total = torch.zeros((), dtype=torch.float64)
    for b in range(size):
        if float(weight[b]) == 0.0:
            continue
        z = torch.stack([product(eps[b], eps[size + k]) for k in alive])
        far = torch.stack([distance(below[own[b]], below[k]) for k in alive])
        y = torch.softmax(-far, 0).detach()
        total = total - weight[b] * (y * torch.log_softmax(z, 0)).sum()
    return total


def product(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum() if a.ndim == 1 else (a * b).sum(0).mean()


def distance(a: Tensor, b: Tensor) -> Tensor:
    squares = (a - b) ** 2
    return squares.sum().sqrt() if a.ndim == 1 else squares.sum(0).sqrt().mean()


def even(frames: Tensor, labels: Tensor, active: list[int] | None = None) -> Tensor:
    """1/B at every active step."""
    weight = torch.zeros(len(frames), len(labels), dtype=torch.float64)
    weight[list(range(len(frames))) if active is None else active] = 1 / len(labels)
    return weight


@pytest.mark.parametrize("against", ["batch", "classes"])
@pytest.mark.parametrize("net", NETS)
def test_gradient_is_autograd_of_the_contrast_through_the_current_step(
    net: str, against: str
) -> None:
    made = make(net)
    frames, labels = batch(made, size=4)
    rule = rules.tp(0.9, against, seed=2)
    for active in (None, [2, 3, 11]):
        want = expected(made, rule, frames, labels, even(frames, labels, active))
        for schedule in SCHEDULES:
            found, result = gradient(
                made,
                rule,
                frames,
                labels,
                schedule=schedule,
                active_steps="all" if active is None else active,
            )
            assert all(0.05 <= rate <= 0.6 for rate in result.rates.values())
            for name in made.blocks:
                mine = of_block(want, name)
                assert norm(mine) > 1e-3
                assert_same(of_block(found, name), mine, 1e-10)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("lengths", [None, torch.tensor([12, 7, 4, 9, 12, 12, 3])])
def test_equal_labels_merged_are_the_contrast_of_the_batch(
    net: str, lengths: Tensor | None
) -> None:
    """Of 5 classes one has three samples, two have two and two none, which count nothing."""
    made = make(net)
    frames, _ = batch(made, size=7)
    labels = torch.tensor([3, 1, 1, 3, 0, 3, 0])
    for schedule in SCHEDULES:
        one, all_alike = (
            gradient(
                made, rules.tp(0.9, against, seed=2), frames, labels, lengths, schedule=schedule
            )[0]
            for against in ("merged", "classes")
        )
        want, result = gradient(
            made, rules.tp(0.9, seed=2), frames, labels, lengths, schedule=schedule
        )
        assert all(0.05 <= rate <= 0.6 for rate in result.rates.values())
        assert_same(one, want, 1e-8)  # the root of a rounded zero between equal targets
        moved = hidden({k: all_alike[k] - want[k] for k in want})
        assert norm(moved) > 0.05 * norm(hidden(want))


@pytest.mark.parametrize("net", ["linear", "conv", "recurrent"])
def test_both_streams_teach_above_the_first_block_and_only_there(net: str) -> None:
    made = make(net)
    frames, labels = batch(made, size=4)
    rule, weight = rules.tp(0.9), even(frames, labels)
    both = expected(made, rule, frames, labels, weight)
    data = expected(made, rule, frames, labels, weight, targets_learn=False)
    first, second, *_ = made.blocks
    assert_same(of_block(both, first), of_block(data, first), 1e-14)
    moved = norm({k: both[k] - data[k] for k in of_block(both, second)})
    assert moved / norm(of_block(both, second)) > 0.05


@pytest.mark.parametrize("net", ["linear", "conv", "recurrent"])
@pytest.mark.parametrize("per_step", [False, True])
def test_ended_samples_are_no_targets_any_more(net: str, per_step: bool) -> None:
    """With lengths the contrast of a step is among the samples that still run."""
    made = make(net)
    frames, labels = batch(made)
    running = torch.arange(len(frames))[:, None] < LENGTHS
    frames = torch.where(running.view(12, 3, *(1,) * (frames.ndim - 2)), frames, 0.0 * frames)
    rule, weight = rules.tp(0.9), running.double() / 3
    want = expected(made, rule, frames, labels, weight, running)
    given = labels.expand(12, 3).clone() if per_step else labels
    for fill in (0.0, -1e12):
        padded = torch.where(running.view(12, 3, *(1,) * (frames.ndim - 2)), frames, fill)
        for schedule in SCHEDULES:
            found, _ = gradient(made, rule, padded, given, LENGTHS, schedule=schedule)
            assert_same(hidden(found), want, 1e-10)


@pytest.mark.parametrize("net", ["linear", "conv", "recurrent"])
def test_longer_padding_changes_nothing(net: str) -> None:
    made = make(net)
    frames, labels = batch(made)
    longer = torch.cat((frames, torch.rand_like(frames[:5])))
    want, first = gradient(made, rules.tp(), frames, labels, LENGTHS)
    for schedule in SCHEDULES:
        found, second = gradient(made, rules.tp(), longer, labels, LENGTHS, schedule=schedule)
        assert_same(found, want, 1e-12)
        assert close(first.loss, second.loss, 1e-13)


@pytest.mark.parametrize("net", ["linear", "conv", "recurrent"])
def test_order_and_repetition_of_a_batch_change_nothing(net: str) -> None:
    """Samples are coupled, but as a set: twice the same batch is the same contrast."""
    made = make(net)
    frames, labels = batch(made, size=4)
    want, _ = gradient(made, rules.tp(), frames, labels)
    for order in ([2, 0, 3, 1], [0, 1, 2, 3, 0, 1, 2, 3]):
        found, _ = gradient(made, rules.tp(), frames[:, order], labels[order])
        assert_same(found, want, 1e-11)
    subset, _ = gradient(made, rules.tp(), frames[:, :3], labels[:3])
    other, _ = gradient(
        made,
        rules.tp(),
        frames[:, 3:].repeat(1, 2, *(1,) * (frames.ndim - 2)),
        labels[3:].repeat(2),
    )
    mean = {k: 0.75 * subset[k] + 0.25 * other[k] for k in hidden(want)}
    assert norm({k: mean[k] - want[k] for k in mean}) > 0.01 * norm(hidden(want))


@pytest.mark.parametrize("net", ["linear", "conv"])
def test_a_batch_of_one_class_teaches_hidden_blocks_nothing(net: str) -> None:
    made = make(net)
    frames, _ = batch(made)
    for rule in (rules.tp(), rules.tp(against="merged")):
        found, _ = gradient(made, rule, frames, torch.full((3,), 2))
        assert norm(hidden(found)) < 1e-12
        assert norm(found) > 0.1
    against, _ = gradient(made, rules.tp(against="classes"), frames, torch.full((3,), 2))
    assert norm(hidden(against)) > 0.1


def test_a_frozen_block_below_does_not_stop_the_ones_above() -> None:
    made = make("linear")
    frames, labels = batch(made)
    for schedule in SCHEDULES:
        made.blocks["hidden1"].requires_grad_(True)
        want, _ = gradient(made, rules.tp(), frames, labels, schedule=schedule)
        made.blocks["hidden1"].requires_grad_(False)
        found, _ = gradient(made, rules.tp(), frames, labels, schedule=schedule)
        assert norm(of_block(found, "hidden1")) == 0.0
        assert all(torch.equal(found[k], want[k]) for k in of_block(want, "hidden2"))


def test_the_labels_entry_is_fixed_seeded_and_in_range() -> None:
    made = make("linear")
    entry = Learner(made, rules.tp(drive=2.0, seed=4)).credit.companion.entries["hidden1"]
    again = Learner(made, rules.tp(drive=2.0, seed=4)).credit.companion.entries["hidden1"]
    other = Learner(made, rules.tp(drive=2.0, seed=5)).credit.companion.entries["hidden1"]
    assert entry.shape == (5, 12)
    assert torch.equal(entry, again)
    assert not torch.equal(entry, other)
    top = 2.0 * made.blocks["hidden1"].neuron.threshold
    assert 0.9 * top < float(entry.max()) <= top
    assert -0.9 * top > float(entry.min()) >= -top
    assert abs(float(entry.mean())) < 0.2 * top
    assert list(Learner(make("conv"), rules.tp()).credit.companion.entries) == ["a"]


ONE = (
    r"^contrasting a batch with its own labels needs at least 2 samples: got a batch of 1\. "
    r"Use larger batches, or against='classes' to contrast with every class\.$"
)
CHAIN = (
    r"^Traces Propagation is not defined for block 'join': got a block that adds left, right, "
    r"stem; expected one layer below, whose target traces it can be compared with\. "
    r"Use a network that is a chain\.$"
)
LABELS = (
    r"^this rule runs the labels through the network beside the data: got a step without labels; "
    r"expected labels at every step\. Pass labels, or use another rule where there are none\.$"
)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_batch_of_one_is_refused_unless_contrasted_with_classes(schedule: str) -> None:
    made = make("linear")
    frames, labels = batch(made, size=1)
    for against in ("batch", "merged"):
        with pytest.raises(IllegalError, match=ONE):
            gradient(made, rules.tp(against=against), frames, labels, schedule=schedule)
    found, _ = gradient(made, rules.tp(against="classes"), frames, labels, schedule=schedule)
    assert norm(hidden(found)) > 0.1
    assert Learner(made, rules.tp()).evaluate(frames, labels).logits.shape == (1, 5)


def test_what_contrast_cannot_do_is_refused_with_its_text() -> None:
    with pytest.raises(IllegalError, match=CHAIN):
        Learner(make("residual"), rules.tp())
    made = make("linear")
    frames, labels = batch(made)
    for rule in (rules.tp(), rules.tp(against="classes")):
        with pytest.raises(IllegalError, match=LABELS):
            Learner(made, rule).stream(frames[0])
    with pytest.raises(IllegalError, match=ONE):
        Learner(made, rules.tp()).stream(frames[0, :1], labels[:1])


def test_traces_of_the_eligibility_combine_with_the_contrast() -> None:
    """TP's pre factor is the current input; a trace there is another rule, and moves it."""
    made = make("linear")
    data = batch(made)
    plain, _ = gradient(made, rules.tp(), *data)
    rule = Rule("r", TwoTrace(0.5), Contrast(), rules.tp().surrogate)
    traced, _ = gradient(made, rule, *data)
    assert norm({k: plain[k] - traced[k] for k in plain}) > 0.1 * norm(plain)
