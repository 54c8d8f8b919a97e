"""Layers that vote: what a judged net answers, and what stays as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from localspike import Learner, models, rules
from localspike.config import override
from localspike.data import keywords
from localspike.errors import ConfigError, DataError
from localspike.learn.hearing import choose_votes, opinions
from localspike.learn.loss import SquaredError
from localspike.learn.metrics import read_journal
from localspike.learn.votes import Votes
from localspike.nn import Network
from localspike.recipes.interchange import export_graph
from localspike.recipes.registry import recipe
from localspike.recipes.run import train
from localspike.recipes.use import evaluate_run, layers_of_run, load_run, predict_files
from localspike.rules import Rule
from localspike.rules.class_basis import BoundClassBasis, ClassBasis
from localspike.rules.signal import BlockInfo, Knowledge, Told

STEPS, BATCH, CLASSES = 12, 5, 4


TINY = ["rule=tess_plus", "data.limit=60", "epochs=2", "rule_factor=10", "hidden=20"]


def made(kind: str) -> Network:
    torch.manual_seed(2)
    if kind == "mlp":
        return models.mlp(20, (30, 25), CLASSES, rate=0.2).double()
    return models.convnet(2, CLASSES, image=10, channels=(4, 6), norm_momentum=0.1).double()


def frames_of(net: Network, steps: int = STEPS) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    frames = (torch.rand(steps, BATCH, *net.sample_shape, generator=generator) < 0.3).double()
    return frames, torch.arange(BATCH) % CLASSES


def by_hand(learner: Learner, frames: Tensor, lengths: Tensor | None) -> Tensor:
    """Readout and z = s B ā of every layer, step by step, summed over valid steps."""
    logits = torch.stack(list(_heard(learner, frames).values())).sum(0)
    return (logits if lengths is None else logits * _valid(lengths)[..., None]).sum(0)


def _valid(lengths: Tensor) -> Tensor:
    return torch.arange(STEPS)[:, None] < lengths


def _heard(learner: Learner, frames: Tensor) -> dict[str, Tensor]:
    """Logits [T, B, C] of every layer and the readout."""
    heard: dict[str, Tensor] = {}

    def visit(name: str, block: object, activity: object, weights: object) -> None:
        bound = learner.credit.bound[name]
        out, filtered, total = activity.out, 0.0, []  # type: ignore[attr-defined]
        for step in out:
            a = step.flatten(1) if step.ndim == 2 else _windows(step, 2)
            filtered = 0.7 * filtered + a
            z = filtered @ bound.basis.detach().T  # type: ignore[attr-defined]
            total.append(z / filtered.norm(dim=1, keepdim=True).clamp(min=1.0))  # type: ignore[attr-defined]
        heard[name] = torch.stack(total)

    run = learner.net.run(frames, visit=visit)
    assert run.logits is not None
    return heard | {"readout": run.logits.detach()}


def _windows(x: Tensor, k: int) -> Tensor:
    return torch.nn.functional.adaptive_avg_pool2d(x, k).flatten(1)


@pytest.mark.parametrize("lengths", [None, torch.tensor([12, 7, 9, 3, 12])], ids=["all", "padded"])
@pytest.mark.parametrize("lean", [True, False], ids=["lean", "streaming"])
@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_votes_are_the_layers_own_logits(kind: str, lean: bool, lengths: Tensor | None) -> None:
    net = made(kind)
    rule = rules.tess_plus(latent_decay=0.7, votes=True)
    schedule = "layerwise" if lean else "streaming"
    learner = Learner(net, rule, torch.optim.SGD(net.parameters(), 0.1), schedule=schedule)  # type: ignore[arg-type]
    frames, labels = frames_of(net)
    learner.fit(frames, labels, lengths)
    assert learner.lean is lean
    masked = frames
    if lengths is not None:
        masked = frames * _valid(lengths).view(STEPS, BATCH, *(1,) * (frames.ndim - 2))
    found = learner.evaluate(frames, labels, lengths)
    torch.testing.assert_close(found.logits, by_hand(learner, masked, lengths))
    silent = Learner(net, rules.tess_plus(latent_decay=0.7, votes=False), schedule=schedule)  # type: ignore[arg-type]
    assert silent.evaluate(frames, labels, lengths).loss == found.loss
    assert not torch.allclose(silent.evaluate(frames, labels, lengths).logits, found.logits)


def test_votes_of_a_long_sequence_in_parts_are_those_of_the_whole() -> None:
    net = made("mlp")
    frames, labels = frames_of(net, 700)
    learner = Learner(net, rules.tess_plus(latent_decay=0.7, votes=True))
    assert learner.lean
    torch.testing.assert_close(
        learner.evaluate(frames, labels).logits, by_hand(learner, frames, None)
    )


def test_learning_does_not_hear_votes() -> None:
    found = []
    for votes in (True, False):
        net = made("conv")
        learner = Learner(net, rules.tess_plus(votes=votes), torch.optim.SGD(net.parameters(), 0.1))
        learner.fit(*frames_of(net))
        found.append([p.detach().clone() for p in net.parameters()])
    assert all(bool((a == b).all()) for a, b in zip(*found, strict=True))


def test_a_trained_run_answers_as_it_was_judged(tmp_path: Path) -> None:
    """`eval` and `predict` use the trained basis from the checkpoint, not a fresh one."""
    changes = [*TINY, "rule.votes=true"]
    result = train(override(recipe("keywords-tess"), changes), tmp_path / "run", bar=False)
    run = load_run(tmp_path / "run")
    assert run.own and evaluate_run(run).accuracy == result.test_accuracy
    frames = (np.random.default_rng(0).random((50, 3, 80)) < 0.1).astype(np.float32)
    np.savez(tmp_path / "some.npz", frames=frames)
    answers = predict_files(run, [tmp_path / "some.npz"])
    plain = run.net(torch.from_numpy(frames))
    logits = torch.tensor([answer["logits"] for answer in answers])
    assert not torch.allclose(logits, plain.detach())


def test_values_have_no_votes() -> None:
    net = made("mlp")
    frames, _ = frames_of(net)
    values = torch.zeros(BATCH, CLASSES, dtype=torch.float64)
    for votes in (True, "auto"):
        learner = Learner(net, rules.tess_plus(votes=votes), loss=SquaredError())  # type: ignore[arg-type]
        found = learner.evaluate(frames, values).logits
        torch.testing.assert_close(found, net(frames).detach())
        assert not learner.credit.chooses_votes


@pytest.mark.parametrize("lengths", [None, torch.tensor([12, 7, 9, 3, 12])], ids=["all", "padded"])
@pytest.mark.parametrize("votes", [True, False])
@pytest.mark.parametrize("schedule", ["layerwise", "streaming"])
@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_opinions_are_what_each_says_alone(
    kind: str, schedule: str, votes: bool, lengths: Tensor | None
) -> None:
    """Accuracies of the parts that `by_hand` adds up, whether or not they count."""
    net = made(kind)
    rule = rules.tess_plus(latent_decay=0.7, votes=votes)
    learner = Learner(net, rule, torch.optim.SGD(net.parameters(), 0.1), schedule=schedule)  # type: ignore[arg-type]
    frames, labels = frames_of(net)
    for _ in range(3):
        learner.fit(frames, labels, lengths)
    assert learner.lean is (schedule == "layerwise")
    valid = torch.ones(STEPS, BATCH) if lengths is None else _valid(lengths)
    masked = frames * valid.view(STEPS, BATCH, *(1,) * (frames.ndim - 2)).double()
    heard = _heard(learner, masked)
    found = opinions(learner, Once(frames, labels, lengths))  # type: ignore[arg-type]
    assert set(found.layers) == set(net.blocks) and found.heard is votes
    said = {n: (z * valid[..., None]).sum(0) for n, z in heard.items()}
    readout = said.pop("readout")
    expected = {n: float((z.argmax(-1) == labels).double().mean()) for n, z in said.items()}
    assert found.layers == pytest.approx(expected)
    assert found.readout == pytest.approx(float((readout.argmax(-1) == labels).double().mean()))
    total = readout + sum(said.values()) if votes else readout
    assert found.answered.accuracy == pytest.approx(
        float((total.argmax(-1) == labels).double().mean())
    )
    assert len({*expected.values(), found.readout}) > 1  # they differ


class Once:
    """A feed of one batch."""

    def __init__(self, frames: Tensor, labels: Tensor, lengths: Tensor | None) -> None:
        self.batch = (frames, labels, lengths)

    def batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        yield self.batch


@pytest.mark.parametrize("rule", [rules.bptt(), rules.ottt(), rules.tp()], ids=lambda r: r.name)
def test_rules_whose_layers_predict_nothing_have_no_opinions(rule: Rule) -> None:
    net = made("mlp")
    learner = Learner(net, rule)
    with pytest.raises(ConfigError, match="no layer of this net predicts a class"):
        opinions(learner, Once(*frames_of(net), None))  # type: ignore[arg-type]


def test_a_class_basis_of_another_kind_is_not_asked_for_what_it_does_not_say() -> None:
    net = made("conv")
    rule = Rule("other", rules.tess().eligibility, _Other(), rules.tess().surrogate)
    assert not Votes(Learner(net, rule).credit, every=True).voters
    assert Votes(Learner(net, rules.tess()).credit, every=True).voters
    assert not Votes(Learner(net, rules.tess()).credit).voters


class _Other(ClassBasis):
    def bind(self, block: BlockInfo, like: Tensor) -> BoundClassBasis:
        return _BoundOther(self, block, like)


class _BoundOther(BoundClassBasis):
    """A user's signal with the bases, but other logits."""

    def _signal(self, a: Tensor, known: Knowledge, state: Tensor | None) -> Told:
        return Told(torch.zeros_like(a), state, {})


def test_no_samples_no_opinions() -> None:
    learner = Learner(made("mlp"), rules.tess())
    empty = Once(torch.zeros(1), torch.zeros(1), None)
    empty.batches = lambda: iter(())  # type: ignore[method-assign]
    with pytest.raises(DataError, match="nothing to evaluate"):
        opinions(learner, empty)  # type: ignore[arg-type]


@pytest.mark.parametrize("better", ["readout", "layers", "neither"])
def test_validation_decides_who_is_heard(better: str) -> None:
    """Labels are what the readout says, what all say, or both: the better one answers after."""
    net = made("mlp")
    learner = Learner(
        net, rules.tess_plus(latent_decay=0.7), torch.optim.SGD(net.parameters(), 0.1)
    )
    frames, labels = frames_of(net)
    for _ in range(3):
        learner.fit(frames, labels)
    heard = _heard(learner, frames)
    alone, together = heard["readout"].sum(0), by_hand(learner, frames, None)
    assert not torch.equal(alone.argmax(1), together.argmax(1))
    torch.testing.assert_close(learner.evaluate(frames, labels).logits, alone)  # nothing chosen
    wanted = {"readout": alone, "layers": together, "neither": torch.zeros(BATCH, CLASSES)}[better]
    true = wanted.argmax(1) if better != "neither" else (alone + together).argmin(1)
    asked: list[bool] = []
    found = choose_votes(learner, Once(frames, true, None), lambda: asked.append(True))  # type: ignore[arg-type]
    assert asked == [True] and found.samples == BATCH and found.accuracy == (better != "neither")
    assert learner.credit.heard is (better == "layers")
    answer = learner.evaluate(frames, true).logits
    torch.testing.assert_close(answer, together if better == "layers" else alone)
    state = learner.state_dict()
    other = Learner(net, rules.tess_plus(latent_decay=0.7))
    other.load_state_dict(state)
    assert other.credit.heard is learner.credit.heard
    del state["votes.heard"]  # saved before there was a choice: they are heard, and stay so
    other.load_state_dict(state)
    assert other.credit.heard and not other.credit.chooses_votes
    other.load_state_dict(learner.state_dict())  # another one after it means what it says
    assert other.credit.chooses_votes and other.credit.heard is learner.credit.heard


def test_padded_steps_are_not_asked() -> None:
    """What a sample's layers would say after its end does not count in the choice."""
    net = made("mlp")
    learner = Learner(net, rules.tess_plus(latent_decay=0.7))
    frames, _ = frames_of(net)
    lengths = torch.tensor([12, 7, 9, 3, 12])
    masked = frames * _valid(lengths)[..., None]
    together = by_hand(learner, masked, lengths)
    alone = (_heard(learner, masked)["readout"] * _valid(lengths)[..., None]).sum(0)
    true = together.argmax(1)
    assert not torch.equal(alone.argmax(1), true)
    found = choose_votes(learner, Once(frames, true, lengths))  # type: ignore[arg-type]
    assert found.accuracy == 1.0 and learner.credit.heard


CHOICES = {
    False: [*TINY, "hidden=30"],
    True: [*TINY[:1], "data.limit=120", "epochs=4", "rule_factor=10", "hidden=20", "batch_size=20"],
}
"""By who is heard in the end: settings of runs of a few seconds."""


@pytest.mark.parametrize("heard", CHOICES)
def test_a_run_chooses_on_validation_and_keeps_to_it(heard: bool, tmp_path: Path) -> None:
    """Its journal says who is heard; test, `eval`, `predict` and a resumed run answer so."""
    config = override(recipe("keywords-tess"), CHOICES[heard])
    result = train(config, tmp_path / "run", bar=False)
    last = [line for line in read_journal(tmp_path / "run") if line["kind"] == "epoch"][-1]
    run = load_run(tmp_path / "run")
    fixed = {
        votes: evaluate_run(
            run._replace(config=override(run.config, [f"rule.votes={votes}"])), "val"
        ).accuracy
        for votes in ("true", "false")
    }
    assert fixed["true"] != fixed["false"] and (fixed["true"] > fixed["false"]) is heard
    assert last["votes_heard"] is heard and bool(run.own["votes.heard"]) is heard
    said = layers_of_run(run, "val")
    assert (
        result.val_accuracy == max(fixed.values()) == said.answered.accuracy and said.heard is heard
    )
    assert evaluate_run(run).accuracy == result.test_accuracy
    batch = keywords("test", limit=30).batch(range(30))
    np.savez(tmp_path / "some.npz", frames=batch.frames.numpy())
    answers = torch.tensor([a["logits"] for a in predict_files(run, [tmp_path / "some.npz"])])
    plain = run.net(batch.frames).detach()
    assert torch.allclose(answers, plain, rtol=1e-4, atol=1e-4) is not heard
    said_there = export_graph(tmp_path / "run", tmp_path / "net.onnx", "onnx").notes
    assert any("readout answers alone" in note for note in said_there) is heard
    (tmp_path / "run" / "result.json").unlink()  # as if it had been stopped while test was read
    assert train(config, tmp_path / "run", bar=False, resume=True).confusion == result.confusion


def test_learning_does_not_depend_on_the_choice(tmp_path: Path) -> None:
    found = [
        train(
            override(recipe("keywords-tess"), [*TINY, f"rule.votes={votes}"]),
            tmp_path / votes, bar=False, figures=False,
        )
        for votes in ("auto", "false")
    ]  # fmt: skip
    weights = [load_run(tmp_path / votes).net.state_dict() for votes in ("auto", "false")]
    assert all(torch.equal(weights[0][k], weights[1][k]) for k in weights[0])
    assert found[0].val_accuracy >= found[1].val_accuracy
    assert not any("votes_heard" in line for line in read_journal(tmp_path / "false"))


@pytest.mark.parametrize("rule", [rules.tess_plus(votes=True), rules.tess(), rules.bptt()])
def test_where_nothing_is_to_be_chosen_nothing_changes(rule: Rule) -> None:
    net = made("mlp")
    learner = Learner(net, rule)
    with pytest.raises(ConfigError, match="nothing to choose"):
        choose_votes(learner, Once(*frames_of(net), None))  # type: ignore[arg-type]
    assert learner.credit.heard


def test_a_signal_with_an_array_of_that_name_is_none_that_votes() -> None:
    signal = ClassBasis("integer_square")
    object.__setattr__(signal, "votes", np.ones(3))
    rule = Rule("other", rules.tess().eligibility, signal, rules.tess().surrogate)
    assert not Learner(made("mlp"), rule).credit.chooses_votes


def test_votes_are_yes_no_or_auto() -> None:
    with pytest.raises(ConfigError, match="votes"):
        ClassBasis("adapted", votes="maybe")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"rule\.votes"):
        override(recipe("keywords-tess"), ["rule=tess_plus", "rule.votes=maybe"])
