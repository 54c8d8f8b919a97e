"""A captured step against the eager one: the same numbers, bit by bit, and really a program."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from helpers import EVERY_RULE, batch, make
from localspike import FiringRate, Learner
from localspike.learn import capture
from localspike.nn import Network

STEPS = 24
Optimizer = Callable[[Network], torch.optim.Optimizer]

OPTIMIZERS: dict[str, Optimizer] = {
    "adam": lambda net: torch.optim.Adam(net.parameters(), 1e-2),
    "fused": lambda net: torch.optim.Adam(net.parameters(), 1e-2, fused=True),
    "sgd": lambda net: torch.optim.SGD(net.parameters(), 0.1),
    "momentum": lambda net: torch.optim.SGD(net.parameters(), 0.1, momentum=0.9),
}


def streamed(
    net_name: str,
    rule: str,
    optimizer: str,
    capture: str,
    labelled: Callable[[int], bool] = lambda t: True,
    dtype: torch.dtype = torch.float32,
    **options: object,
) -> tuple[list[Tensor], Learner]:
    """Everything a stream shows and leaves behind, and its learner."""
    net = make(net_name, dtype)
    frames, labels = batch(net, STEPS)
    learner = Learner(
        net, EVERY_RULE[rule](), OPTIMIZERS[optimizer](net), capture=capture, **options
    )
    state, seen = learner.init_stream(len(labels)), []
    for t, x in enumerate(frames):
        result = learner.stream(x, labels if labelled(t) else None, state)
        seen += [result.logits, result.loss, *map(torch.tensor, result.rates.values())]
        seen += map(torch.tensor, learner.grad_norms.values())
    seen += [g.clone() for g in state.gradients.weight.values()]
    learner.end_sequence(state)
    seen += [p.detach() for p in learner._parameters()] + state.tensors()
    return seen + [p.grad for p in learner._parameters() if p.grad is not None], learner


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return len(a) == len(b) and all(map(torch.equal, a, b))


@pytest.mark.parametrize(
    ("net", "rule", "update", "optimizer"),
    [
        ("conv", "tess", "step", "fused"),
        ("recurrent", "s_tllr-drtp", "step", "momentum"),
        ("alif", "e_prop", "step", "adam"),
        ("residual", "ottt", "step", "sgd"),
        ("cuba", "decolle", "sequence", "adam"),
        ("linear", "lls-matrix", "step", "adam"),
        ("conv-alif", "osttp", "sequence", "sgd"),
        ("linear", "rank-one-adaptive", "step", "fused"),
        ("linear", "tp-classes", "step", "adam"),
    ],
)
def test_captured_steps_are_the_eager_ones(
    net: str, rule: str, update: str, optimizer: str
) -> None:
    eager, plain = streamed(net, rule, optimizer, "off", update=update)
    found, learner = streamed(net, rule, optimizer, "on", update=update)
    assert same(eager, found)
    assert learner._stepper.capturing.calls >= STEPS - 4
    assert plain._stepper.capturing.calls == 0
    assert plain.capture_reason == "eager: capture is off"
    assert "(script)" in learner.capture_reason


@pytest.mark.parametrize("update", ["step", "sequence"])
def test_labels_at_some_steps_only(update: str) -> None:
    some = {"labelled": lambda t: t % 5 in (0, 1, 3), "update": update}
    eager, _ = streamed("conv", "tess-latent", "adam", "off", **some)
    found, learner = streamed("conv", "tess-latent", "adam", "on", **some)
    assert same(eager, found)
    assert learner._stepper.capturing.calls > STEPS // 2


@pytest.mark.parametrize(
    "options",
    [
        {"precision": "bf16"},
        {"clip_norm": 1e-3},
        {"firing_rate": FiringRate(0.2, 1.0)},
        {"dtype": torch.float64},
    ],
    ids=str,
)
def test_a_learners_settings_hold(options: dict[str, object]) -> None:
    eager, _ = streamed("conv", "tess", "adam", "off", update="step", **options)
    found, learner = streamed("conv", "tess", "adam", "on", update="step", **options)
    assert same(eager, found)
    assert learner._stepper.capturing.calls > 0


@pytest.mark.parametrize("update", ["step", "sequence"])
@pytest.mark.parametrize("padded", [False, True])
def test_whole_sequences_streamed(update: str, padded: bool) -> None:
    """`fit` on the streaming schedule, with dropout and padding, over several batches."""
    ends = []
    for choice in ("off", "on"):
        net = make("dropout", torch.float32)
        frames, labels = batch(net, STEPS)
        lengths = torch.tensor([STEPS, 7, 15]) if padded else None
        optimizer = torch.optim.Adam(net.parameters(), 1e-2)
        learner = Learner(
            net,
            EVERY_RULE["ottt"](),
            optimizer,
            schedule="streaming",
            update=update,
            active_steps="every-2",
            capture=choice,
        )
        results = [learner.fit(frames, labels, lengths) for _ in range(2)]
        ends.append([p.detach() for p in net.parameters()])
        ends[-1] += [x for r in results for x in (r.logits, r.loss)]
        ends[-1] += [torch.tensor([*r.rates.values()]) for r in results]
    assert same(*ends)
    assert learner._stepper.capturing.calls > STEPS


def test_a_step_is_captured_once_it_has_been_repeated() -> None:
    net = make("linear", torch.float32)
    frames, labels = batch(net, 8)
    learner = Learner(net, EVERY_RULE["tess"](), update="step")
    capturing = learner._stepper.capturing
    for t in range(1 + capture.PATIENCE + 3):  # the first step makes the traces
        assert capturing.calls == max(0, t - capture.PATIENCE)
        learner.stream(frames[t % 8], labels)
    assert "captured: " in learner.capture_reason


def test_memory_does_not_grow_with_captured_steps() -> None:
    net = make("conv", torch.float32)
    frames, labels = batch(net, 8)
    learner = Learner(net, EVERY_RULE["tess"](), update="step", capture="on")
    state, sizes = learner.init_stream(len(labels)), set()
    for t in range(40):
        learner.stream(frames[t % 8], labels, state)
        if t > 1:
            _, held = state.carried()
            sizes.add((len(held), sum(x.untyped_storage().nbytes() for x in held)))
    assert len(sizes) == 1
    assert len(learner._stepper.capturing._programs) == 1


def test_a_captured_step_is_looked_at_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its labels and its report: what a device would be waited for."""
    net = make("conv", torch.float32)
    frames, labels = batch(net, 4)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    learner = Learner(net, EVERY_RULE["tess"](), optimizer, update="step", capture="on")
    for x in frames[:3]:
        learner.stream(x, labels)
    reads: list[str] = []

    def watched(name: str) -> Callable[..., object]:
        real = getattr(Tensor, name)
        return lambda *arguments: (reads.append(name), real(*arguments))[1]

    for name in ("tolist", "item", "__bool__", "__float__", "__int__"):
        monkeypatch.setattr(Tensor, name, watched(name))
    learner.stream(frames[3], labels)
    assert reads == ["tolist", "tolist"]
