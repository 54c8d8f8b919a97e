"""Frames shifted, masked, thinned out and mixed, and what holds for every transform of frames."""

from __future__ import annotations

import pytest
import torch

from helpers_transforms import generator
from localspike import Learner, models, rules
from localspike.data.transforms import frames as tr
from localspike.errors import ConfigError, ShapeError
from localspike.learn.loss import SquaredError

PARTS = {
    "Affine": tr.Affine(30.0, 1.0, 1.0, (0.9, 1.1), 5.0),
    "Crop": tr.Crop(2),
    "Cutout": tr.Cutout(3),
    "Drop": tr.Drop(0.3),
    "Flip": tr.Flip(0.5, 0.5),
    "PlaceMask": tr.PlaceMask(4),
    "PlaceShift": tr.PlaceShift(2),
    "Roll": tr.Roll(2, 2),
    "TimeMask": tr.TimeMask(4),
    "TimeShift": tr.TimeShift(3),
    "Compose": tr.Compose([tr.Flip(), tr.Drop(0.1), tr.TimeShift(2)]),
}
IDENTITIES = [
    tr.Affine(),
    tr.Compose([]),
    tr.Crop(0),
    tr.Cutout(0),
    tr.Drop(0.0),
    tr.Flip(0.0),
    tr.PlaceMask(0),
    tr.PlaceShift(0),
    tr.Roll(0, 0),
    tr.TimeMask(0),
    tr.TimeMask(4, count=0),
    tr.TimeShift(0),
]


def random_frames(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=generator(9)) + 0.1


def test_shifts_draw_every_move_per_sample() -> None:
    frames = torch.arange(1.0, 8).view(7, 1, 1).expand(7, 200, 1)
    shifted = tr.TimeShift(2)(frames, generator())
    at = (shifted[3, :, 0] - 4).int().tolist()
    assert set(at) == {-2, -1, 0, 1, 2}
    for b, ahead in enumerate(at):
        expected = [float(t + ahead) if 1 <= t + ahead <= 7 else 0.0 for t in range(1, 8)]
        assert shifted[:, b, 0].tolist() == expected
    line = frames.permute(2, 1, 0).repeat(3, 1, 2)
    moved = tr.PlaceShift(2, groups=2)(line, generator())
    assert torch.equal(moved[..., :7], moved[..., 7:])
    assert torch.equal(moved[0, :, :7].T, shifted[:, :, 0])


def runs(hidden: torch.Tensor) -> int:
    """How many stretches of True there are."""
    return int(hidden[0]) + int((hidden[1:] & ~hidden[:-1]).sum())


@pytest.mark.parametrize("shape", [(9, 400, 5), (9, 400, 2, 3, 3)])
def test_time_mask_hides_one_interval_of_any_length(shape: tuple[int, ...]) -> None:
    masked = tr.TimeMask(4)(torch.ones(shape), generator())
    hidden = masked.flatten(2) == 0
    assert torch.equal(hidden.any(2), hidden.all(2))
    gone = hidden[..., 0].T
    assert set(gone.sum(1).tolist()) == {0, 1, 2, 3, 4}
    assert max(runs(row) for row in gone) == 1
    for length in range(1, 5):  # each length reaches both ends
        assert bool(gone[gone.sum(1) == length][:, [0, -1]].any(0).all())
    counted = gone.sum(1).bincount()
    assert int(counted.min()) > 50 and int(counted.max()) < 110  # 80 ± 8 each
    two = tr.TimeMask(4, count=2)(torch.ones(shape), generator()).flatten(2)[..., 0].T == 0
    assert max(runs(row) for row in two) == 2 and int(two.sum(1).max()) > 4


def test_place_mask_hides_the_same_stretch_of_each_group() -> None:
    hidden = tr.PlaceMask(3, groups=2)(torch.ones(5, 300, 12), generator()) == 0
    assert torch.equal(hidden, hidden[:1].expand_as(hidden))
    assert torch.equal(hidden[..., :6], hidden[..., 6:])
    assert set(hidden[0, :, :6].sum(1).tolist()) == {0, 1, 2, 3}
    assert max(runs(row) for row in hidden[0, :, :6]) == 1
    assert int((tr.PlaceMask(3)(torch.ones(5, 9, 2, 4, 4), generator()) == 0).sum()) % 40 == 0


def test_drop_loses_its_share_of_bins() -> None:
    kept = tr.Drop(0.3)(torch.full((50, 20, 80), 3.0), generator())
    assert set(kept.unique().tolist()) == {0.0, 3.0}
    assert 0.69 < float((kept == 3).float().mean()) < 0.71
    assert float(tr.Drop(1.0)(torch.ones(5, 4, 3), generator()).sum()) == 0


@pytest.mark.parametrize("name", PARTS)
def test_one_source_of_chance_and_the_input_is_left_alone(name: str) -> None:
    frames = random_frames(12, 6, 2, 8, 8)
    before, state = frames.clone(), torch.get_rng_state()
    first, again = PARTS[name](frames, generator(3)), PARTS[name](frames, generator(3))
    assert torch.equal(first, again)
    assert first.shape == frames.shape
    assert not torch.equal(first, PARTS[name](frames, generator(4)))
    assert torch.equal(frames, before)
    assert torch.equal(torch.get_rng_state(), state)
    backwards = frames.flip(0)
    if name not in ("TimeShift", "TimeMask", "Drop", "Compose"):
        assert torch.equal(PARTS[name](backwards, generator(3)), first.flip(0))


@pytest.mark.parametrize("transform", IDENTITIES, ids=repr)
def test_nothing_asked_for_changes_nothing(transform) -> None:
    frames = random_frames(5, 4, 2, 6, 6)
    assert torch.equal(transform(frames, generator()), frames)


def test_a_part_draws_the_same_whatever_stands_beside_it() -> None:
    frames = random_frames(9, 5, 2, 6, 6)
    alone = tr.Compose([tr.Flip(), tr.Drop(0.5)])(frames, generator())
    more = tr.Compose([tr.TimeShift(0), tr.Flip(), tr.Roll(0, 0), tr.Drop(0.5)])(
        frames, generator()
    )
    assert torch.equal(alone, more)
    assert not torch.equal(alone, tr.Compose([tr.Drop(0.5)])(frames, generator()))


def test_cutmix_puts_a_rectangle_of_another_sample_into_each() -> None:
    frames = torch.arange(40.0).view(1, 40, 1, 1, 1).expand(3, 40, 2, 9, 10).contiguous()
    mixed = tr.CutMix()(frames, torch.arange(40), generator())
    assert sorted(mixed.labels_b.tolist()) == list(range(40))
    for b in range(40):
        sample, partner = mixed.frames[:, b], float(mixed.labels_b[b])
        taken = sample == partner
        assert bool(((sample == b) | taken).all())
        assert torch.equal(taken, taken[:1, :1].expand_as(taken))
        if partner != b:
            hole = taken[0, 0]
            assert int(hole.sum()) == int(hole.any(0).sum()) * int(hole.any(1).sum())
            assert float(mixed.weight[b]) == pytest.approx(1 - float(hole.float().mean()))
    assert float(mixed.weight.min()) < 0.4 and float(mixed.weight.max()) > 0.8


def test_cutmix_over_time_swaps_an_interval() -> None:
    frames = torch.arange(30.0).view(1, 30, 1).expand(20, 30, 4).contiguous()
    mixed = tr.CutMix(over="time")(frames, torch.arange(30), generator())
    for b in range(30):
        taken = mixed.frames[:, b, 0] == mixed.labels_b[b]
        if int(mixed.labels_b[b]) != b:
            assert runs(taken) <= 1
            assert float(mixed.weight[b]) == pytest.approx(1 - float(taken.float().mean()))


def test_cutmix_over_time_reaches_both_ends() -> None:
    frames = torch.arange(300.0).view(1, 300, 1).expand(5, 300, 1).contiguous()
    mixed = tr.CutMix(over="time")(frames, torch.arange(300), generator())
    taken = (mixed.frames[..., 0] == mixed.labels_b)[:, mixed.labels_b != torch.arange(300)]
    for length in range(1, 5):
        some = taken[:, taken.sum(0) == length]
        assert bool(some[0].any()) and bool(some[-1].any())


@pytest.mark.parametrize(("alpha", "variance"), [(1, 1 / 12), (2, 1 / 20), (4, 1 / 36)])
def test_cutmix_takes_beta_shares(alpha: int, variance: float) -> None:
    frames = torch.zeros(500, 3000, 1)
    weight = tr.CutMix(alpha, "time")(frames, torch.zeros(3000).long(), generator()).weight
    assert abs(float(weight.mean()) - 0.5) < 0.02
    assert abs(float(weight.var()) - variance) < 0.08 * variance


def test_mixed_labels_are_soft_targets_a_learner_takes() -> None:
    frames, labels = random_frames(4, 6, 5), torch.tensor([0, 1, 2, 0, 1, 2])
    mixed = tr.CutMix(over="time")(frames, labels, generator())
    values = mixed.values(3)
    for b in range(6):
        expected = torch.zeros(3)
        expected[labels[b]] += mixed.weight[b]
        expected[mixed.labels_b[b]] += 1 - mixed.weight[b]
        assert torch.allclose(values[b], expected)
    net = models.mlp(5, (4,), 3, rate=None)
    learner = Learner(
        net, rules.tess(), torch.optim.SGD(net.parameters(), lr=0.1), loss=SquaredError()
    )
    before = [p.clone() for p in net.parameters()]
    learner.fit(mixed.frames, values)
    assert any(not torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: tr.TimeShift(-1), ConfigError, "impossible steps: got -1; expected 0 or more"),
        (lambda: tr.PlaceShift(1, 0), ConfigError, "impossible groups: got 0; expected 1 or more"),
        (lambda: tr.TimeMask(-1), ConfigError, "impossible steps: got -1"),
        (lambda: tr.TimeMask(1, -1), ConfigError, "impossible count: got -1"),
        (lambda: tr.PlaceMask(-1), ConfigError, "impossible places: got -1"),
        (lambda: tr.Drop(1.5), ConfigError, "impossible probability: got 1.5; expected 0 … 1"),
        (lambda: tr.CutMix(0), ConfigError, "impossible alpha: got 0"),
        (
            lambda: tr.CutMix(over="both"),
            ConfigError,
            "impossible over: got 'both'; expected space",
        ),
        (
            lambda: tr.TimeMask(5)(torch.ones(4, 2, 3), generator()),
            ShapeError,
            "mask is longer than its axis: got 5; expected up to 4",
        ),
        (
            lambda: tr.PlaceMask(3, groups=2)(torch.ones(4, 2, 4), generator()),
            ShapeError,
            "mask is longer than its axis: got 3; expected up to 2",
        ),
        (
            lambda: tr.PlaceShift(1, 2)(torch.ones(4, 2, 7), generator()),
            ShapeError,
            "last axis does not divide into groups: got 7 places, 2 groups",
        ),
        (
            lambda: tr.CutMix()(torch.ones(4, 2, 7), torch.zeros(2).long(), generator()),
            ShapeError,
            r"CutMix over space cannot work on this batch: .*Use over='time'",
        ),
        (
            lambda: tr.CutMix()(torch.ones(4, 2, 7, 7), torch.zeros(3).long(), generator()),
            ShapeError,
            r"CutMix needs a class per sample: got \[3\]; expected \[2\]",
        ),
    ],
)
def test_refusals(call, error, text: str) -> None:
    with pytest.raises(error, match=text):
        call()
