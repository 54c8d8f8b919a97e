"""Augmentation checked against slow plain code and against what it must leave alone."""

from __future__ import annotations

import pytest
import torch

from localspike.data import EventAugment, ImageAugment
from localspike.data.augment import shift_places, shift_steps
from localspike.errors import ConfigError, ShapeError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_everything_off_is_the_identity() -> None:
    images = torch.randn(5, 3, 8, 8, generator=generator())
    assert torch.equal(ImageAugment(pad=0, flip=False, cutout=0)(images, generator()), images)
    frames = torch.randn(7, 5, 6, generator=generator())
    assert torch.equal(EventAugment(shift=0, bands=0, drop=0.0)(frames, generator()), frames)


def test_every_crop_is_a_window_of_the_padded_image() -> None:
    images = torch.rand(40, 1, 6, 6, generator=generator())
    cropped = ImageAugment(pad=2, flip=True, cutout=0)(images, generator(1))
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    seen = set()
    for image, source in zip(cropped, padded, strict=True):
        matches = [
            (r, c, flip)
            for r in range(5)
            for c in range(5)
            for flip in (False, True)
            if torch.equal(image, _window(source, r, c, flip))
        ]
        assert len(matches) == 1
        seen.add(matches[0])
    assert len(seen) > 20
    assert {flip for _, _, flip in seen} == {True, False}


def _window(source: torch.Tensor, row: int, column: int, flip: bool) -> torch.Tensor:
    window = source[:, row : row + 6, column : column + 6]
    return window.flip(-1) if flip else window


def test_cutout_is_one_square_clipped_at_the_border() -> None:
    images = torch.ones(200, 2, 12, 12)
    cut = ImageAugment(pad=0, flip=False, cutout=4)(images, generator())
    assert torch.equal(cut[:, 0], cut[:, 1])
    hole = cut[:, 0] == 0
    rows, columns = hole.any(2).sum(1), hole.any(1).sum(1)
    assert torch.equal(hole.sum((1, 2)), rows * columns)
    assert (int(rows.min()), int(rows.max())) == (2, 4)


def test_shift_steps_is_the_plain_loop() -> None:
    frames = torch.rand(5, 4, 3, generator=generator())
    by = torch.tensor([0, 2, -1, 5])
    expected = torch.zeros_like(frames)
    for b, shift in enumerate(by.tolist()):
        for t in range(5):
            if 0 <= t - shift < 5:
                expected[t, b] = frames[t - shift, b]
    assert torch.equal(shift_steps(frames, by), expected)


def test_shift_places_keeps_the_groups_apart() -> None:
    frames = torch.rand(2, 3, 8, generator=generator())
    moved = shift_places(frames, torch.tensor([1, 0, -2]), groups=2)
    assert torch.equal(moved[:, 0, 1:4], frames[:, 0, 0:3])
    assert torch.equal(moved[:, 0, 5:8], frames[:, 0, 4:7])
    assert moved[:, 0, [0, 4]].sum() == 0
    assert torch.equal(moved[:, 1], frames[:, 1])
    assert torch.equal(moved[:, 2, 0:2], frames[:, 2, 2:4])
    assert moved[:, 2, [2, 3, 6, 7]].sum() == 0


def test_drop_loses_about_its_share() -> None:
    kept = EventAugment(shift=0, bands=0, drop=0.3)(torch.ones(50, 20, 80), generator()).mean()
    assert 0.68 < float(kept) < 0.72


@pytest.mark.parametrize("augment", [ImageAugment(pad=1, cutout=2), EventAugment(groups=1)])
def test_same_generator_same_result_and_input_untouched(augment) -> None:
    batch = torch.rand(6, 3, 8, 8, generator=generator())
    before = batch.clone()
    first, second = augment(batch, generator(4)), augment(batch, generator(4))
    assert torch.equal(first, second)
    assert not torch.equal(first, augment(batch, generator(5)))
    assert torch.equal(batch, before)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: ImageAugment(pad=-1), ConfigError, "impossible pad: got -1; expected 0 or more"),
        (lambda: ImageAugment(cutout=-2), ConfigError, "impossible cutout: got -2"),
        (lambda: EventAugment(drop=1.0), ConfigError, "impossible drop: got 1.0; expected 0 <= d"),
        (lambda: EventAugment(groups=0), ConfigError, "impossible groups"),
        (
            lambda: ImageAugment()(torch.ones(3, 8, 8), generator()),
            ShapeError,
            r"images have the wrong rank: got \[3, 8, 8\]; expected \[B, C, H, W\]",
        ),
        (
            lambda: EventAugment()(torch.ones(4, 2, 7), generator()),
            ShapeError,
            "last axis does not divide into groups: got 7 places, 2 groups",
        ),
    ],
)
def test_impossible_settings(call, error, text: str) -> None:
    with pytest.raises(error, match=text):
        call()
