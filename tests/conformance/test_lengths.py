"""Sequences of different lengths in one batch: a padded step changes nothing, whatever it holds."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from helpers import NETS, RULES, assert_same, batch, close, gradient, legal, make
from localspike import CrossEntropy, FiringRate, Learner, SquaredError

LENGTHS = torch.tensor([12, 7, 4])
RUNS = [(rule, net, schedule) for rule in RULES for net in NETS for schedule in legal(rule)]


def pad(frames: Tensor, fill: float) -> Tensor:
    frames = frames.clone()
    for b, n in enumerate(LENGTHS):
        frames[n:, b] = fill
    return frames


def unpadded_mean(net, rule, frames, labels, options):
    """Each sample alone at its own length, averaged."""
    runs = []
    for b, n in enumerate(LENGTHS.tolist()):
        y = labels[:n, b : b + 1] if labels.ndim > 1 else labels[b : b + 1]
        runs.append(gradient(net, rule, frames[:n, b : b + 1], y, **options))
    mean = {k: torch.stack([g[k] for g, _ in runs]).mean(0) for k in runs[0][0]}
    loss = torch.stack([r.loss for _, r in runs]).mean()
    return mean, loss, torch.cat([r.logits for _, r in runs])


@pytest.mark.parametrize("steps", ["all", 3])
@pytest.mark.parametrize(("rule", "net", "schedule"), RUNS)
def test_padding_changes_nothing(rule: str, net: str, schedule: str, steps) -> None:
    made = make(net)
    frames, labels = batch(made)
    options = {"schedule": schedule, "active_steps": steps}
    mean, loss, logits = unpadded_mean(made, RULES[rule](), frames, labels, options)
    for fill in (1.0, -1e12) if steps == 3 else (1e20,):
        found, result = gradient(made, RULES[rule](), pad(frames, fill), labels, LENGTHS, **options)
        assert_same(found, mean, 1e-11)
        assert close(result.loss, loss, 1e-12)
        assert close(result.logits, logits, 1e-12)


@pytest.mark.parametrize("rule", ["tess-latent", "s_tllr-dfa", "ottt", "bptt"])
@pytest.mark.parametrize("net", ["conv", "recurrent"])
def test_regulariser_and_labels_per_step_ignore_padding(rule: str, net: str) -> None:
    made = make(net)
    frames, _ = batch(made)
    labels = torch.randint(0, 5, (12, 3))
    for schedule in legal(rule):
        options = {"schedule": schedule, "firing_rate": FiringRate(0.1, 3.0)}
        mean, loss, _ = unpadded_mean(made, RULES[rule](), frames, labels, options)
        found, result = gradient(made, RULES[rule](), pad(frames, 9.0), labels, LENGTHS, **options)
        assert_same(found, mean, 1e-11)
        assert close(result.loss, loss, 1e-12)


@pytest.mark.parametrize("rule", ["tess", "ottt", "bptt"])
def test_values_of_padded_steps_are_never_read(rule: str) -> None:
    """Targets past a sample's end may be anything, also numbers whose square overflows."""
    made = make("linear", torch.float32)
    frames, _ = batch(made)
    values = torch.rand(12, 3, 5)
    options = {"loss": SquaredError()}
    found, first = gradient(made, RULES[rule](), frames, values, LENGTHS, **options)
    for b, n in enumerate(LENGTHS):
        values[n:, b] = 1e30
    again, second = gradient(made, RULES[rule](), frames, values, LENGTHS, **options)
    assert_same(found, again, 0.0)
    assert float(first.loss) == float(second.loss)


def test_labels_of_padded_steps_are_never_read() -> None:
    """−1 past the end is the usual filler of labels per step."""
    made = make("linear")
    frames, _ = batch(made)
    labels = torch.randint(0, 5, (12, 3))
    found, _ = gradient(made, RULES["tess"](), frames, labels, LENGTHS)
    for b, n in enumerate(LENGTHS):
        labels[n:, b] = -1
    again, _ = gradient(made, RULES["tess"](), frames, labels, LENGTHS)
    assert_same(found, again, 0.0)


@pytest.mark.parametrize("fill", [1.0, 1e30, 3e38])
def test_predictions_ignore_padding(fill: float) -> None:
    made = make("linear", torch.float32)
    frames, labels = batch(made)
    singles = [made(frames[:n, b : b + 1]) for b, n in enumerate(LENGTHS.tolist())]
    expected = torch.cat(singles).detach()
    padded = pad(frames, fill)
    assert close(made(padded, LENGTHS).detach(), expected, 1e-5)
    assert torch.equal(made.predict(padded, LENGTHS), expected.argmax(-1))
    evaluated = Learner(made, RULES["tess"]()).evaluate(padded, labels, LENGTHS)
    assert close(evaluated.logits, expected, 1e-5)


@pytest.mark.parametrize("rule", ["tess", "ottt", "bptt"])
def test_rates_count_valid_steps_only(rule: str) -> None:
    """A report of firing rates that moves with the amount of padding would mislead."""
    made = make("linear")
    frames, labels = batch(made)
    lengths = torch.tensor([6, 6, 6])
    _, short = gradient(made, RULES[rule](), frames[:6], labels)
    _, padded = gradient(made, RULES[rule](), frames, labels, lengths)
    assert padded.rates == pytest.approx(short.rates, abs=1e-6)


def test_static_input_with_lengths() -> None:
    made = make("conv")
    image, labels = batch(made, steps=1)
    frames = image.expand(12, *image.shape[1:])
    found, _ = gradient(made, RULES["tess"](), frames, labels, LENGTHS, loss=CrossEntropy())
    mean, _, _ = unpadded_mean(made, RULES["tess"](), frames, labels, {})
    assert_same(found, mean, 1e-11)
