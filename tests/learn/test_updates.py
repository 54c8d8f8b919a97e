"""When and how gradients become weights: per step, per sequence, clipped, accumulated."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from helpers import (
    CLASSES,
    NETS,
    RULES,
    TRACED,
    assert_same,
    batch,
    close,
    gradient,
    grads,
    legal,
    make,
    norm,
)
from localspike import CrossEntropy, FiringRate, Learner, SquaredError, rules
from localspike.errors import DataError
from localspike.nn import Network


class Recorder(torch.optim.SGD):
    """Plain descent that keeps a copy of every gradient it is given."""

    def __init__(self, net: Network, lr: float) -> None:
        super().__init__(net.parameters(), lr=lr)
        self.net, self.seen = net, []

    def step(self, closure=None):  # type: ignore[no-untyped-def]
        self.seen.append(grads(self.net))
        return super().step(closure)


def total(seen: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {k: torch.stack([s[k] for s in seen]).sum(0) for k in seen[0]}


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("rule", TRACED)
def test_step_updates_with_no_step_size_add_up_to_the_sequence(rule: str, net: str) -> None:
    made = make(net)
    frames, labels = batch(made)
    whole, _ = gradient(
        made, RULES[rule](), frames, labels, train=True, seed=4, schedule="streaming"
    )
    recorder = Recorder(made, 0.0)
    learner = Learner(made, RULES[rule](), recorder, update="step", seed=4)
    assert learner.schedule == "streaming"
    learner.fit(frames, labels)
    assert len(recorder.seen) == len(frames)
    own = {k for k in whole if ".own." in k}  # the recorder holds the network's parameters only
    assert_same(total(recorder.seen), {k: g for k, g in whole.items() if k not in own}, 1e-12)


@pytest.mark.parametrize("rule", TRACED)
def test_a_sequence_of_one_step_is_a_step(rule: str) -> None:
    ends = []
    for update in ("step", "sequence"):
        made = make("recurrent")
        frames, labels = batch(made, steps=1)
        learner = Learner(
            made, RULES[rule](), torch.optim.Adam(made.parameters(), 0.1), update=update
        )
        learner.fit(frames, labels)
        ends.append({k: p.detach() for k, p in made.named_parameters()})
    assert_same(*ends, 1e-12)


@pytest.mark.parametrize("rule", ["tess", "s_tllr-dfa", "ottt"])
def test_step_updates_use_the_new_weights_at_once(rule: str) -> None:
    """By hand: one streamed step, descend, next step from the same state and traces."""
    made, by_hand = make("recurrent"), make("recurrent")
    frames, labels = batch(made, steps=5)
    learner = Learner(made, RULES[rule](), torch.optim.SGD(made.parameters(), 0.3), update="step")
    learner.fit(frames, labels)
    other = Learner(by_hand, RULES[rule]())
    state = other.init_stream(len(labels))
    for x in frames:
        other.stream(x, labels, state)
        other.end_sequence(state)
        with torch.no_grad():
            for p in by_hand.parameters():
                p -= 0.3 * p.grad
    ends = [{k: p.detach() for k, p in n.named_parameters()} for n in (made, by_hand)]
    assert_same(*ends, 1e-12)


@pytest.mark.parametrize("rule", ["tess", "ottt"])
def test_step_updates_skip_inactive_steps(rule: str) -> None:
    made = make("linear")
    frames, labels = batch(made)
    recorder = Recorder(made, 0.1)
    Learner(made, RULES[rule](), recorder, update="step", active_steps=3).fit(frames, labels)
    assert len(recorder.seen) == 3


@pytest.mark.parametrize("rule", ["tess", "s_tllr-dfa", "ottt", "bptt", "frozen"])
def test_accumulated_batches_are_one_big_batch(rule: str) -> None:
    made = make("conv")
    frames, labels = batch(made, size=6)
    want, _ = gradient(made, RULES[rule](), frames, labels)
    recorder = Recorder(made, 0.0)
    learner = Learner(made, RULES[rule](), recorder, accumulate=3)
    for repeat in (1, 2):
        for b in range(0, 6, 2):
            learner.fit(frames[:, b : b + 2], labels[b : b + 2])
        assert len(recorder.seen) == repeat
    assert_same(recorder.seen[0], want, 1e-11)
    assert_same(recorder.seen[1], want, 1e-11)


@pytest.mark.parametrize("rule", ["tess", "ottt", "bptt"])
def test_accumulation_survives_a_checkpoint(rule: str) -> None:
    made = make("linear")
    frames, labels = batch(made, size=4)
    want, _ = gradient(made, RULES[rule](), frames, labels)
    first = Learner(made, RULES[rule](), accumulate=2)
    first.fit(frames[:, :2], labels[:2])
    saved = {k: v.clone() for k, v in first.state_dict().items()}
    for _ in range(2):  # loading must not tie the learner to the loaded tensors
        other = make("linear")
        recorder = Recorder(other, 0.0)
        second = Learner(other, RULES[rule](), recorder, accumulate=2)
        second.load_state_dict(saved)
        second.fit(frames[:, 2:], labels[2:])
        assert_same(recorder.seen[0], want, 1e-11)


@pytest.mark.parametrize("rule", ["tess", "s_tllr-dfa", "ottt", "bptt"])
@pytest.mark.parametrize("update", ["sequence", "step"])
def test_clipping_bounds_the_whole_gradient(rule: str, update: str) -> None:
    if rule == "bptt" and update == "step":
        return
    made = make("linear")
    frames, labels = batch(made)
    free, held = Recorder(made, 0.0), Recorder(made, 0.0)
    Learner(made, RULES[rule](), free, update=update).fit(frames, labels)
    limit = norm(free.seen[0]) / 3
    Learner(made, RULES[rule](), held, update=update, clip_norm=limit).fit(frames, labels)
    assert norm(held.seen[0]) == pytest.approx(limit, rel=1e-4)
    assert_same({k: g / 3 for k, g in free.seen[0].items()}, held.seen[0], 1e-4)
    loose = Recorder(made, 0.0)
    Learner(made, RULES[rule](), loose, update=update, clip_norm=1e6).fit(frames, labels)
    assert_same(loose.seen[0], free.seen[0], 0.0)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("direction", [0.02, 0.9])
def test_firing_rate_regulariser_moves_the_rate(rule: str, direction: float) -> None:
    if rule == "frozen":
        return
    made = make("linear", torch.float32)
    frames, labels = batch(made)
    silent = CrossEntropy(scale=0.0)
    learner = Learner(
        made,
        RULES[rule](),
        torch.optim.SGD(made.parameters(), 0.05),
        loss=silent,
        firing_rate=FiringRate(direction, 40.0),
    )
    before = learner.evaluate(frames, labels).rates
    for _ in range(15):
        learner.fit(frames, labels)
    after = learner.evaluate(frames, labels).rates
    for name in before:
        moved = (after[name] - before[name]) * (1 if direction > 0.5 else -1)
        assert moved > 0.01, (name, before, after)


@pytest.mark.parametrize("net", ["linear", "conv"])
def test_firing_rate_gradient_is_autograd(net: str) -> None:
    from helpers import named, twin
    from helpers_reference import PSI, simulate

    made = make(net)
    frames, labels = batch(made)
    layers, _ = twin(made)
    trial = simulate(layers, None, frames, PSI["triangle"], through_time=True)
    penalty = 0.0
    for layer in layers:
        for o in trial.o[layer.name]:
            penalty = penalty + 2.5 / (2 * len(labels)) * ((o.flatten(1).mean(1) - 0.1) ** 2).sum()
    penalty.backward()
    found, _ = gradient(
        made,
        RULES["bptt"](),
        frames,
        labels,
        loss=CrossEntropy(scale=0.0),
        firing_rate=FiringRate(0.1, 2.5),
    )
    for layer in layers:
        want = named(layer.name, {k: p.grad for k, p in layer.params.items()})
        assert_same({k: found[k] for k in want}, want, 1e-11)


def test_firing_rate_term_is_the_same_signal_under_local_rules() -> None:
    """One layer, λ_pre = γ: the two-trace gradient of R is exact, so it equals BPTT's."""
    from localspike import rules
    from localspike.nn import LIF, Linear, Readout, Spiking

    made = Network(
        {
            "a": Spiking(Linear(14, 12, standardised=True), LIF(0.8)),
            "readout": Readout(Linear(12, 5)),
        },
        (14,),
    ).double()
    frames, labels = batch(made)
    options = {"loss": CrossEntropy(scale=0.0), "firing_rate": FiringRate(0.1, 2.5)}
    exact, _ = gradient(made, rules.bptt(), frames, labels, **options)
    local = rules.tess(pre_decay=0.8, post_gain=0.0)
    for schedule in ("layerwise", "streaming"):
        found, _ = gradient(made, local, frames, labels, schedule=schedule, **options)
        assert norm({"w": exact["a.synapse.weight"]}) > 1e-4
        assert_same(found, exact, 1e-11)


LOSSES = {
    "weights": CrossEntropy(class_weights=(0.5, 2.0, 1.0, 3.0, 0.1)),
    "smoothing": CrossEntropy(label_smoothing=0.2),
    "mse": CrossEntropy(mse=0.05, scale=1 / 12),
    "all": CrossEntropy((0.5, 2.0, 1.0, 3.0, 0.1), 0.1, 0.3, 0.7),
}


def written_out(loss: CrossEntropy, z: Tensor, label: int) -> Tensor:
    onehot = torch.eye(len(z), dtype=z.dtype)[label]
    y = (1 - loss.label_smoothing) * onehot + loss.label_smoothing / len(z)
    ce = -(y * (z - torch.logsumexp(z, 0))).sum()
    value = (1 - loss.mse) * ce + loss.mse * ((z - y) ** 2).mean()
    return value * loss.scale * (loss.class_weights[label] if loss.class_weights else 1.0)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("per_step", [False, True])
def test_losses_are_written_out(name: str, per_step: bool) -> None:
    """Values and readout gradients of every option in float64, labels per sequence and per step."""
    loss, made = LOSSES[name], make("linear")
    frames, labels = batch(made)
    if per_step:
        labels = torch.randint(0, 5, (len(frames), 3))
    run = made.run(frames)
    w = made.readout.synapse.weight.detach().clone().requires_grad_(True)
    value = torch.zeros((), dtype=torch.float64)
    for t, x in enumerate(run.readout_input.detach()):
        z = x @ w.t() + made.readout.synapse.bias.detach()
        for b in range(3):
            y = int(labels[t, b] if per_step else labels[b])
            value = value + written_out(loss, z[b], y) / 3
    value.backward()
    for rule in ("tess", "s_tllr-dfa", "bptt"):
        for schedule in legal(rule):
            found, result = gradient(
                made, RULES[rule](), frames, labels, schedule=schedule, loss=loss
            )
            assert close(result.loss, value.detach(), 1e-12)
            assert close(found["readout.synapse.weight"], w.grad, 1e-12)


@pytest.mark.parametrize("per_step", [False, True])
def test_squared_error_is_written_out(per_step: bool) -> None:
    made = make("recurrent")
    frames, _ = batch(made)
    values = torch.randn(*((len(frames),) if per_step else ()), 3, 5, dtype=torch.float64)
    logits = made.run(frames).logits.detach()
    want = ((logits - values) ** 2).sum() / 2 / 3 * 0.5
    for rule in ("tess", "s_tllr-dfa", "bptt"):
        for schedule in legal(rule):
            found, result = gradient(
                made, RULES[rule](), frames, values, schedule=schedule, loss=SquaredError(scale=0.5)
            )
            assert close(result.loss, want, 1e-12)
            assert norm(found) > 1e-3


@pytest.mark.parametrize("rule", RULES)
def test_labels_per_step_that_repeat_are_labels_per_sequence(rule: str) -> None:
    made = make("linear")
    frames, labels = batch(made)
    for schedule in legal(rule):
        a, _ = gradient(made, RULES[rule](), frames, labels, schedule=schedule)
        b, _ = gradient(
            made, RULES[rule](), frames, labels.expand(len(frames), 3), schedule=schedule
        )
        assert_same(a, b, 0.0)


@pytest.mark.parametrize("net", ["conv", "linear", "residual", "recurrent"])
@pytest.mark.parametrize("rule", RULES)
def test_one_frame_expanded_is_one_frame_repeated(rule: str, net: str) -> None:
    made = make(net)
    image, labels = batch(made, steps=1)
    expanded = image.expand(12, *image.shape[1:])
    for schedule in legal(rule):
        a, first = gradient(made, RULES[rule](), expanded, labels, schedule=schedule)
        b, second = gradient(made, RULES[rule](), expanded.contiguous(), labels, schedule=schedule)
        assert_same(a, b, 1e-12)
        assert close(first.loss, second.loss, 1e-12)
        assert first.rates == pytest.approx(second.rates)
    assert torch.equal(made.predict(expanded), made.predict(expanded.contiguous()))


@pytest.mark.parametrize("rule", ["tess", "s_tllr-bp", "s_tllr-dfa", "ottt", "bptt", "frozen"])
@pytest.mark.parametrize("net", ["linear", "conv", "recurrent"])
def test_bf16_products_keep_float32_gradients_close(rule: str, net: str) -> None:
    made = make(net, torch.float32)
    frames, labels = batch(made)
    full, _ = gradient(made, RULES[rule](), frames, labels)
    for schedule in legal(rule):
        low, result = gradient(
            made, RULES[rule](), frames, labels, precision="bf16", schedule=schedule
        )
        assert all(g.dtype == torch.float32 for g in low.values())
        assert result.logits.dtype == torch.float32
        for k in low:
            angle = torch.nn.functional.cosine_similarity(
                low[k].flatten(), full[k].flatten(), dim=0
            )
            assert float(full[k].norm()) == 0.0 or float(angle) > (
                0.6 if net == "recurrent" else 0.8
            ), k


def test_learner_without_optimizer_leaves_gradients() -> None:
    made = make("linear")
    frames, labels = batch(made)
    before = {k: p.detach().clone() for k, p in made.named_parameters()}
    Learner(made, RULES["tess"]()).fit(frames, labels)
    assert all(torch.equal(before[k], p) for k, p in made.named_parameters())
    assert norm(grads(made)) > 0


@pytest.mark.parametrize("rule", ["tess", "ottt", "bptt"])
def test_training_twice_from_one_seed_is_bitwise_the_same(rule: str) -> None:
    ends = []
    for _ in range(2):
        made = make("dropout", torch.float32)
        frames, labels = batch(made)
        learner = Learner(made, RULES[rule](), torch.optim.Adam(made.parameters(), 0.01), seed=9)
        for _ in range(3):
            learner.fit(frames, labels)
        ends.append({k: p.detach() for k, p in made.named_parameters()})
    assert all(torch.equal(ends[0][k], ends[1][k]) for k in ends[0])


@pytest.mark.parametrize(
    "rule", ["tess", "tess-latent", "s_tllr-bp", "s_tllr-drtp", "ottt", "sltt", "bptt"]
)
def test_learning_learns(rule: str) -> None:
    """Five fixed patterns are told apart: a sign error in any rule cannot pass."""
    torch.manual_seed(0)
    from localspike import models

    net = models.mlp(20, (40,), 5)
    patterns = (torch.rand(5, 20) < 0.3).float()
    frames = (torch.rand(12, 5, 20) < patterns * 0.7).float()
    labels = torch.arange(5)
    net.readout.requires_grad_(False)
    learner = Learner(net, RULES[rule](), torch.optim.Adam(net.parameters(), 5e-3))
    signal = float(learner.evaluate(frames, labels).loss)
    for _ in range(60):
        learner.fit(frames, labels)
    after = float(learner.evaluate(frames, labels).loss)
    if rule.startswith(("s_tllr-bp", "ottt", "sltt", "bptt")):
        assert after < 0.5 * signal


def test_shares_in_classes_are_labels_weighed_together() -> None:
    """CutMix under cross-entropy: the gradient of a mixed label is the mix of the gradients."""
    net, draw = make("linear"), torch.Generator().manual_seed(5)
    frames = (torch.rand(12, 2, *net.sample_shape, generator=draw) < 0.4).to(torch.float64)
    loss = CrossEntropy(class_weights=(1.0, 2.0, 0.5, 1.0, 3.0))
    learner = Learner(net, rules.ottt(), loss=loss)
    _, w = loss.prepare(torch.tensor([[0.3, 0.7, 0.0, 0.0, 0.0]]), CLASSES)
    assert w.item() == pytest.approx(0.3 * 1.0 + 0.7 * 2.0)
    found = []
    plain = Learner(net, rules.ottt())
    for labels in (torch.tensor([0, 4]), torch.tensor([1, 4]), None):
        net.zero_grad(set_to_none=True)
        if labels is None:
            labels = torch.zeros(2, CLASSES)
            labels[0, :2], labels[1, 4] = torch.tensor([0.3, 0.7]), 1.0
        plain.gradient(frames, labels)
        found.append(net.readout.synapse.weight.grad.clone())
    torch.testing.assert_close(found[2], 0.3 * found[0] + 0.7 * found[1])
    with pytest.raises(DataError, match=r"shares .* do not add up to one: got \[0.5, 0.2"):
        learner.gradient(frames, torch.tensor([[0.5, 0.2, 0, 0, 0], [1.0, 0, 0, 0, 0]]))
