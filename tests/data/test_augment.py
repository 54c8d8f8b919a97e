"""Augmentation checked against slow plain code and against what it must leave alone."""

from __future__ import annotations

import hashlib
import math

import pytest
import torch

from localspike.data import Dataset, EventAugment, Frames, ImageAugment, batches
from localspike.data.augment import ColourAugment, MaskAugment, SpatialAugment
from localspike.data.transforms import frames as on_frames
from localspike.data.transforms import images as on_images
from localspike.data.transforms.compose import Compose
from localspike.data.transforms.frames import shift_places, shift_steps
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
            lambda: EventAugment(groups=2)(torch.ones(4, 2, 7), generator()),
            ShapeError,
            "last axis does not divide into groups: got 7 places, 2 groups",
        ),
    ],
)
def test_impossible_settings(call, error, text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def numbers(*shape: int) -> torch.Tensor:
    return torch.arange(math.prod(shape)).view(shape)


def digest(batch: torch.Tensor) -> str:
    return hashlib.sha256(batch.contiguous().numpy().tobytes()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("settings", "recorded"),
    [
        ({}, "b7fea3097617ea97"),
        ({"pad": 2, "flip": False, "cutout": 0}, "8ecab6dbc2f8af9b"),
        ({"pad": 0, "flip": True, "cutout": 0}, "05530792d078f195"),
        ({"pad": 0, "flip": False, "cutout": 5}, "85d97792cfb24ad1"),
        ({"pad": 3, "flip": True, "cutout": 4}, "7d22222aeab9876b"),
    ],
)
def test_images_of_published_runs_repeat(settings, recorded: str) -> None:
    """Recorded before the parts of ``transforms`` took over."""
    images = (numbers(8, 3, 12, 10) % 251).float()
    assert digest(ImageAugment(**settings)(images, generator(11))) == recorded


@pytest.mark.parametrize(
    ("settings", "shape", "recorded"),
    [
        ({"groups": 2}, (20, 6, 16), "ac24ea09bfba6bf7"),
        ({"shift": 3, "bands": 0, "drop": 0.0}, (20, 6, 2, 5, 5), "5cedb1063e587bcc"),
        ({"shift": 0, "bands": 2, "drop": 0.0, "groups": 1}, (9, 4, 11), "db29adb58eba83ed"),
        ({"shift": 0, "bands": 0, "drop": 0.4}, (9, 4, 11), "4c24cbca14464cb0"),
        ({"shift": 5, "bands": 3, "drop": 0.25, "groups": 4}, (12, 5, 16), "078cf1d26cd26660"),
    ],
)
def test_frames_of_runs_repeat(settings, shape, recorded: str) -> None:
    """Recorded when `Thinning` came; those without a drop are older."""
    frames = (numbers(*shape) % 7 == 0).float()
    assert digest(EventAugment(**settings)(frames, generator(11))) == recorded


@pytest.mark.parametrize("kind", [EventAugment, MaskAugment])
def test_groups_left_open_are_one_and_planes_have_no_more(kind) -> None:
    line, plane = torch.rand(20, 6, 16), torch.rand(20, 6, 2, 8, 8)
    for frames in (line, plane):
        assert torch.equal(kind()(frames, generator()), kind(groups=1)(frames, generator()))
    assert not torch.equal(kind()(line, generator()), kind(groups=2)(line, generator()))
    with pytest.raises(ShapeError, match=r"got 2 groups of samples \[2, 8, 8\]; .* Set groups=1"):
        kind(groups=2)(plane, generator())


OFF = {
    SpatialAugment: {"flip": 0.0, "roll": 0, "degrees": 0.0, "cutout": 0},
    MaskAugment: {"shift": 0, "bands": 0, "mask_steps": 0, "mask_places": 0},
    ColourAugment: dict.fromkeys(("pad", "cutout"), 0)
    | dict.fromkeys(("flip", "brightness", "contrast", "saturation"), 0.0),
}
PARTS = [
    (SpatialAugment, "flip", 1.0, on_frames.Flip(1.0)),
    (SpatialAugment, "roll", 3, on_frames.Roll(3, 3)),
    (SpatialAugment, "degrees", 30.0, on_frames.Affine(30.0)),
    (SpatialAugment, "shear", 30.0, on_frames.Affine(shear=30.0)),
    (SpatialAugment, "cutout", 3, on_frames.Cutout(3)),
    (SpatialAugment, "drop", 0.3, on_frames.Drop(0.3)),
    (MaskAugment, "shift", 2, on_frames.TimeShift(2)),
    (MaskAugment, "bands", 2, on_frames.PlaceShift(2)),
    (MaskAugment, "mask_steps", 3, on_frames.TimeMask(3)),
    (MaskAugment, "mask_places", 3, on_frames.PlaceMask(3)),
    (MaskAugment, "drop", 0.3, on_frames.Drop(0.3)),
    (ColourAugment, "pad", 2, on_images.Crop(2)),
    (ColourAugment, "flip", 1.0, on_images.Flip(1.0)),
    (ColourAugment, "degrees", 30.0, on_images.Affine(30.0)),
    (ColourAugment, "brightness", 0.3, on_images.ColourJitter(0.3, 0.0, 0.0)),
    (ColourAugment, "contrast", 0.3, on_images.ColourJitter(0.0, 0.3, 0.0)),
    (ColourAugment, "saturation", 0.3, on_images.ColourJitter(0.0, 0.0, 0.3)),
    (ColourAugment, "cutout", 3, on_images.Cutout(3)),
]


@pytest.mark.parametrize("kind", OFF)
def test_presets_with_everything_off_change_nothing(kind) -> None:
    batch = torch.rand(6, 4, 8, 8, generator=generator())
    assert torch.equal(kind(**OFF[kind])(batch, generator()), batch)


@pytest.mark.parametrize(("kind", "name", "value", "part"), PARTS)
def test_each_setting_of_a_preset_is_its_part(kind, name: str, value, part) -> None:
    batch = torch.rand(6, 4, 8, 8, generator=generator())
    got = kind(**{**OFF[kind], name: value})(batch, generator(1))
    assert torch.equal(got, Compose([part])(batch, generator(1)))
    assert not torch.equal(got, batch)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: SpatialAugment(flip=1.5), ConfigError, "impossible flip: got 1.5; expected 0 … 1"),
        (lambda: SpatialAugment(roll=-1), ConfigError, "impossible roll: got -1; expected 0 or"),
        (lambda: SpatialAugment(degrees=-1.0), ConfigError, "impossible degrees: got -1.0"),
        (lambda: SpatialAugment(shear=81.0), ConfigError, "impossible shear"),
        (lambda: SpatialAugment(cutout=-1), ConfigError, "impossible cutout: got -1"),
        (lambda: MaskAugment(mask_steps=-1), ConfigError, "impossible mask_steps: got -1"),
        (lambda: MaskAugment(groups=0), ConfigError, "impossible groups: got 0"),
        (lambda: MaskAugment(drop=1.1), ConfigError, "impossible drop: got 1.1"),
        (lambda: ColourAugment(pad=-1), ConfigError, "impossible pad: got -1"),
        (lambda: ColourAugment(contrast=-0.1), ConfigError, "impossible contrast: got -0.1"),
        (
            lambda: SpatialAugment(flip=0.0, roll=0, degrees=0.0, cutout=0)(
                torch.ones(5, 4, 80), generator()
            ),
            ShapeError,
            r"got \[5, 4, 80\]; expected \[T, B, ..., H, W\]",
        ),
        (lambda: ColourAugment()(torch.ones(3, 8, 8), generator()), ShapeError, "wrong rank"),
    ],
)
def test_impossible_settings_of_presets(call, error, text: str) -> None:
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize("pad", [0, 4, 40])
@pytest.mark.parametrize("cutout", [0, 5, 16, 50])
@pytest.mark.parametrize("flip", [False, True])
def test_copies_and_gathering_make_the_same_images(pad: int, cutout: int, flip: bool) -> None:
    images = torch.rand(7, 3, 20, 31, generator=torch.Generator().manual_seed(1)) + 0.1
    augment = ImageAugment(pad, flip, cutout)
    drawn = augment._drawn(images, torch.Generator().manual_seed(2))
    copied = augment(images, torch.Generator().manual_seed(2))
    assert torch.equal(copied, augment._gathered(images, *drawn))
    assert (pad == cutout == 0 and not flip) or not torch.equal(copied, images)


@pytest.mark.parametrize("kind", [EventAugment, MaskAugment])
@pytest.mark.parametrize(
    ("name", "shape", "groups"),
    [
        ("keywords", (80,), 2),
        ("speech_commands", (80,), 2),
        ("braille", (24,), 2),
        ("shd", (700,), 1),
        ("nmnist", (2, 34, 34), 1),
        ("mine", (24,), 1),
    ],
)
def test_groups_left_open_are_those_of_the_data_set(kind, name, shape, groups) -> None:
    noise = Frames(torch.rand(6, 20, *shape))
    held = Dataset(name, "train", noise, torch.zeros(6, dtype=torch.long), ("a",))

    def seen(augment) -> torch.Tensor:
        return next(batches(held, 6, seed=3, augment=augment)).frames

    assert torch.equal(seen(kind()), seen(kind(groups=groups)))
    assert torch.equal(seen(Compose([kind()])), seen(Compose([kind(groups=groups)])))
    if len(shape) == 1:
        assert not torch.equal(seen(kind()), seen(kind(groups=3 - groups)))
