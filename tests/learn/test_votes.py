"""Layers that vote: what a judged net answers, and what stays as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from localspike import Learner, models, rules
from localspike.config import override
from localspike.learn.loss import SquaredError
from localspike.nn import Network
from localspike.recipes.registry import recipe
from localspike.recipes.run import train
from localspike.recipes.use import evaluate_run, load_run, predict_files

STEPS, BATCH, CLASSES = 12, 5, 4


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
    logits = run.logits.detach() + torch.stack(list(heard.values())).sum(0)
    if lengths is not None:
        logits = logits * (torch.arange(len(frames))[:, None] < lengths)[..., None]
    return logits.sum(0)


def _windows(x: Tensor, k: int) -> Tensor:
    return torch.nn.functional.adaptive_avg_pool2d(x, k).flatten(1)


@pytest.mark.parametrize("lengths", [None, torch.tensor([12, 7, 9, 3, 12])], ids=["all", "padded"])
@pytest.mark.parametrize("lean", [True, False], ids=["lean", "streaming"])
@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_votes_are_the_layers_own_logits(kind: str, lean: bool, lengths: Tensor | None) -> None:
    net = made(kind)
    rule = rules.tess_plus(latent_decay=0.7)
    schedule = "layerwise" if lean else "streaming"
    learner = Learner(net, rule, torch.optim.SGD(net.parameters(), 0.1), schedule=schedule)  # type: ignore[arg-type]
    frames, labels = frames_of(net)
    learner.fit(frames, labels, lengths)
    assert learner.lean is lean
    masked = frames
    if lengths is not None:
        valid = torch.arange(STEPS)[:, None] < lengths
        masked = frames * valid.view(STEPS, BATCH, *(1,) * (frames.ndim - 2))
    found = learner.evaluate(frames, labels, lengths)
    torch.testing.assert_close(found.logits, by_hand(learner, masked, lengths))
    silent = Learner(net, rules.tess_plus(latent_decay=0.7, votes=False), schedule=schedule)  # type: ignore[arg-type]
    assert silent.evaluate(frames, labels, lengths).loss == found.loss
    assert not torch.allclose(silent.evaluate(frames, labels, lengths).logits, found.logits)


def test_votes_of_a_long_sequence_in_parts_are_those_of_the_whole() -> None:
    net = made("mlp")
    frames, labels = frames_of(net, 700)
    learner = Learner(net, rules.tess_plus(latent_decay=0.7))
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
    changes = ["rule=tess_plus", "data.limit=60", "epochs=2", "rule_factor=10", "hidden=20"]
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
    learner = Learner(net, rules.tess_plus(), loss=SquaredError())
    found = learner.evaluate(frames, values).logits
    torch.testing.assert_close(found, net(frames).detach())
