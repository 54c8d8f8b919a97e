"""Nothing of one call reaches another; partial groups are applied; misfits are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from helpers import CLASSES, RULES, batch, grads, make
from helpers import assert_same as same
from localspike import CrossEntropy, FiringRate, Learner, models, rules
from localspike.errors import ConfigError, IllegalError, NumericalError, ShapeError
from localspike.nn import LIF, Linear, Network, Readout, Spiking


def test_an_abandoned_stream_leaves_nothing_behind() -> None:
    net = make("linear")
    frames, labels = batch(net)
    learner = Learner(net, rules.tess())
    learner.gradient(frames, labels)
    alone = {k: g.clone() for k, g in grads(net).items()}
    for x in frames:
        learner.stream(x, labels)
    net.zero_grad(set_to_none=True)
    learner.gradient(frames, labels)
    same(grads(net), alone, 1e-12)


def test_an_interrupted_fit_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    net = make("linear")
    frames, labels = batch(net)
    learner = Learner(net, rules.ottt())
    learner.gradient(frames, labels)
    alone = {k: g.clone() for k, g in grads(net).items()}
    calls = []

    def stop(*_: object) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return original(*_)

    original = rules.SigmoidDerivative.__call__
    monkeypatch.setattr(rules.SigmoidDerivative, "__call__", stop)
    with pytest.raises(KeyboardInterrupt):
        learner.fit(frames, labels)
    monkeypatch.undo()
    net.zero_grad(set_to_none=True)
    learner.gradient(frames, labels)
    same(grads(net), alone, 1e-12)


def test_interleaved_streams_keep_their_own_gradients() -> None:
    net = make("linear")
    frames, labels = batch(net)
    other = frames.flip(0)
    learner = Learner(net, rules.tess())
    learner.gradient(frames, labels)
    alone = {k: g.clone() for k, g in grads(net).items()}
    one, two = learner.init_stream(len(labels)), learner.init_stream(len(labels))
    for x, y in zip(frames, other, strict=True):
        learner.stream(x, labels, one)
        learner.stream(y, labels, two)
    learner.end_sequence(one)
    same(grads(net), alone, 1e-12)


def test_a_partial_group_is_averaged_over_its_own_size() -> None:
    net = make("linear")
    frames, labels = batch(net)
    start = {k: p.detach().clone() for k, p in net.named_parameters()}
    learner = Learner(net, rules.tess(), torch.optim.SGD(net.parameters(), 0.1), accumulate=5)
    learner.fit(frames, labels)
    learner.fit(frames, labels)
    assert all(torch.equal(p, start[k]) for k, p in net.named_parameters())
    learner.flush()
    with torch.no_grad():
        twin = make("linear")
        twin.load_state_dict({k: v for k, v in zip(twin.state_dict(), start.values(), strict=True)})
    Learner(twin, rules.tess(), torch.optim.SGD(twin.parameters(), 0.1)).fit(frames, labels)
    ends = [dict(n.named_parameters()) for n in (net, twin)]
    same(*[{k: p.detach() for k, p in e.items()} for e in ends], 1e-12)
    learner.flush()  # nothing gathered: nothing happens
    same(
        {k: p.detach() for k, p in net.named_parameters()},
        {k: p.detach() for k, p in ends[1].items()},
        1e-12,
    )


def test_training_with_groups_longer_than_an_epoch_still_trains(tmp_path: Path) -> None:
    from localspike.config import override
    from localspike.learn.metrics import read_journal
    from localspike.recipes import recipe, train

    config = override(
        recipe("keywords-tess"), ["epochs=2", "limit=80", "accumulate=100", "hidden=20"]
    )
    train(config, tmp_path / "run", say=lambda _: None, bar=False, figures=False)
    losses = [e["loss"] for e in read_journal(tmp_path / "run") if e["kind"] == "epoch"]
    assert losses[0] != losses[1]


@pytest.mark.parametrize("rule", ["tess", "s_tllr-drtp", "s_tllr-sdfa", "s_tllr-dfa", "s_tllr-bp"])
def test_class_weights_reach_hidden_blocks(rule: str) -> None:
    net = make("linear")
    frames, labels = batch(net)
    found = []
    for loss in (None, CrossEntropy(class_weights=(50.0, *(1.0,) * (CLASSES - 1)))):
        net.zero_grad(set_to_none=True)
        Learner(net, RULES[rule](), loss=loss).gradient(frames, torch.zeros_like(labels))
        found.append({k: g.clone() for k, g in grads(net).items() if k.startswith("hidden")})
    same(found[1], {k: 50.0 * g for k, g in found[0].items()}, 1e-10)


def test_padding_under_a_regulariser_never_steps() -> None:
    ends = []
    for extra in (0, 5):
        net = make("linear")
        frames, labels = batch(net)
        padded = torch.cat((frames, torch.ones(extra, *frames.shape[1:], dtype=frames.dtype)))
        learner = Learner(
            net,
            rules.tess(),
            torch.optim.Adam(net.parameters(), 1e-2),
            update="step",
            firing_rate=FiringRate(0.2, 1.0),
        )
        learner.fit(padded, labels, torch.full((len(labels),), len(frames)))
        ends.append({k: p.detach() for k, p in net.named_parameters()})
    same(*ends, 1e-12)


def test_streaming_builds_no_graph() -> None:
    net = make("linear")
    frames, labels = batch(net)
    saved = []

    def pack(x: torch.Tensor) -> torch.Tensor:
        saved.append(x)
        return x

    learner = Learner(net, rules.ottt(), torch.optim.SGD(net.parameters(), 0.1), update="step")
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        learner.fit(frames, labels)
        learner.stream(frames[0], labels)
    assert saved == []


def test_effective_weights_are_kept_until_a_parameter_changes() -> None:
    net = make("linear")
    frames, labels = batch(net)
    learner = Learner(net, rules.tess())
    state = learner.init_stream(len(labels))
    learner.stream(frames[0], None, state)
    kept = state.weights
    learner.stream(frames[1], None, state)
    assert state.weights is kept
    with torch.no_grad():
        net.blocks["hidden1"].synapse.weight.mul_(2.0)
    learner.stream(frames[2], None, state)
    assert state.weights is not kept


def test_a_moved_network_is_followed() -> None:
    net = models.mlp(14, (12, 10), CLASSES)
    learner = Learner(net, rules.tess())
    net.double()
    learner.gradient(torch.rand(12, 3, 14).double(), torch.tensor([0, 1, 2]))
    assert net.blocks["hidden1"].synapse.weight.grad.dtype == torch.float64


def test_full_lengths_keep_a_static_input_static() -> None:
    net = make("conv")
    seen = []
    block = net.blocks[next(iter(net.blocks))]
    block.synapse.register_forward_hook(lambda _m, inputs, _o: seen.append(len(inputs[0])))
    shape = net.sample_shape
    frames = torch.rand(3, *shape, dtype=torch.float64).expand(12, 3, *shape)
    Learner(net, rules.tess()).gradient(frames, torch.tensor([0, 1, 2]), torch.full((3,), 12))
    assert seen == [3]


def test_ottt_takes_each_blocks_own_decay() -> None:
    net = Network(
        {
            "a": Spiking(Linear(6, 8), LIF(decay=0.9)),
            "b": Spiking(Linear(8, 8), LIF(decay=0.3)),
            "readout": Readout(Linear(8, 3)),
        },
        (6,),
    )
    learner = Learner(net, rules.ottt())
    assert learner.credit.eligibility("a").pre_decay == 0.9
    assert learner.credit.eligibility("b").pre_decay == 0.3


@pytest.mark.parametrize(
    ("make_it", "error", "text"),
    [
        (
            lambda n: Learner(n, rules.tess(), torch.optim.SGD(make("linear").parameters(), 0.1)),
            ConfigError,
            "the optimiser holds no parameter of this network",
        ),
        (
            lambda n: Learner(n, rules.tess(), torch.optim.LBFGS(n.parameters())),
            ConfigError,
            "without a closure",
        ),
        (
            lambda n: Learner(n, rules.frozen(), firing_rate=FiringRate(0.1, 1.0)),
            IllegalError,
            "no firing rate to regularise",
        ),
        (
            lambda n: Learner(n, rules.tess()).gradient(batch(n)[0], [0, 1]),
            ShapeError,
            "labels are not a tensor: got list",
        ),
        (
            lambda n: Learner(n, rules.tess(), active_steps=True).gradient(*batch(n)),
            ConfigError,
            "active_steps: got True",
        ),
        (
            lambda n: Learner(n, rules.tess(), accumulate=2).stream(*[b[0] for b in batch(n)]),
            IllegalError,
            "a stream cannot accumulate",
        ),
        (
            lambda _: Spiking(Linear(4, 5), LIF(), Linear(4, 5)),
            ConfigError,
            r"recurrent weights do not fit the layer: got Linear\(4, 5\)",
        ),
        (
            lambda _: Spiking(Linear(4, 5), LIF(), Linear(5, 5, bias=True)),
            ConfigError,
            "recurrent weights with a bias",
        ),
        (lambda _: Linear(1, 5, standardised=True), ConfigError, "fan-in of at least 2"),
        (lambda _: CrossEntropy(class_weights=(1.0, float("nan"))), ConfigError, "class_weights"),
        (lambda _: rules.tess(pool=-1), ConfigError, "pool: got -1"),
        (
            lambda _: rules.tess(published_code=True, scale="sqrt"),
            ConfigError,
            "brings its own basis and scale",
        ),
    ],
)
def test_misfits_are_refused(make_it, error, text) -> None:
    with pytest.raises(error, match=text) as caught:
        make_it(make("linear"))
    assert "\n" not in str(caught.value)


def test_last_steps_may_be_a_numpy_number() -> None:
    net = make("linear")
    frames, labels = batch(net)
    found = []
    for k in (3, np.int64(3)):
        net.zero_grad(set_to_none=True)
        Learner(net, rules.tess(), active_steps=k).gradient(frames, labels)
        found.append({n: g.clone() for n, g in grads(net).items()})
    same(*found, 0.0)


@pytest.mark.parametrize("update", ["sequence", "step"])
def test_a_stream_stops_at_an_infinite_membrane(update: str) -> None:
    net = Network({"a": Spiking(Linear(6, 5)), "readout": Readout(Linear(5, CLASSES))}, (6,))
    with torch.no_grad():
        net.blocks["a"].synapse.weight.copy_(torch.full((5, 6), 3e38))
    learner = Learner(net, rules.tess(), torch.optim.SGD(net.parameters(), 0.1), update=update)
    for _ in range(4):
        learner.stream(torch.zeros(2, 6), torch.tensor([0, 1]))
    with pytest.raises(
        NumericalError, match=r"a non-finite membrane appeared in block 'a' at step 4"
    ):
        learner.stream(torch.ones(2, 6), torch.tensor([0, 1]))
