"""Transforms of images, against loops, scipy and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from helpers_transforms import generator
from localspike.data.transforms import frames as on_frames
from localspike.data.transforms import images as tr
from localspike.errors import ConfigError, ShapeError

PARTS = {
    "Affine": tr.Affine(30.0, 1.0, 1.0, (0.9, 1.1), 5.0),
    "ColourJitter": tr.ColourJitter(),
    "Crop": tr.Crop(2),
    "Cutout": tr.Cutout(3),
    "Flip": tr.Flip(0.5, 0.5),
    "Roll": tr.Roll(2, 2),
    "Compose": tr.Compose([tr.Flip(), tr.Crop(2), tr.Normalise((0.1,) * 3, (0.2,) * 3)]),
}
IDENTITIES = [
    tr.ColourJitter(0.0, 0.0, 0.0),
    tr.Compose([]),
    tr.Crop(0),
    tr.Cutout(0),
    tr.Flip(0.0),
    tr.Normalise((0.0,) * 3, (1.0,) * 3),
    tr.Roll(0, 0),
]


def pictures(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=generator(9))


@pytest.mark.parametrize("name", ["Crop", "Cutout", "Flip", "Roll"])
def test_images_move_as_frames_of_one_step_do(name: str) -> None:
    """The frames' tests have the loops; here only that axes are not mixed up."""
    images = pictures(30, 3, 8, 9)
    settings = vars(PARTS[name])
    expected = getattr(on_frames, name)(**settings)(images[None], generator(1))[0]
    assert torch.equal(PARTS[name](images, generator(1)), expected)


def test_flip_and_crop_of_a_batch_by_hand() -> None:
    images = pictures(2, 1, 3, 4)
    assert torch.equal(tr.Flip(1.0)(images, generator()), images.flip(-1))
    assert torch.equal(tr.Flip(0.0, 1.0)(images, generator()), images.flip(-2))
    cut = tr.Crop(0, (3, 3))(images, generator())
    windows = [images[..., c : c + 3] for c in range(2)]
    assert all(any(torch.equal(cut[b], w[b]) for w in windows) for b in range(2))


@pytest.mark.parametrize("degrees", [-170.0, -33.0, 0.0, 12.0, 90.0])
def test_affine_is_scipys_bilinear_map(degrees: float) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    images = pictures(1, 2, 9, 12)
    fixed = tr.Affine((degrees, degrees), (1.3, 1.3), (-0.6, -0.6), (1.2, 1.2), (20.0, 20.0))
    got = fixed(images, generator())[0].numpy()
    angle, slant = math.radians(degrees), math.tan(math.radians(20))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    inverse = np.linalg.inv(1.2 * turn @ np.array([[1, 0], [slant, 1]]))  # on (row, column)
    middle = np.array([4.0, 5.5])
    offset = middle - inverse @ (middle + np.array([1.3, -0.6]))
    for c in range(2):
        expected = ndimage.affine_transform(
            images[0, c].numpy(), inverse, offset, order=1, mode="grid-constant", cval=0
        )
        assert np.abs(got[c] - expected).max() < 2e-5


def test_normalise_is_per_channel() -> None:
    images = pictures(4, 3, 5, 5)
    mean, std = (0.4, 0.5, 0.6), (0.1, 0.2, 0.3)
    got = tr.Normalise(mean, std)(images, generator())
    for c in range(3):
        assert torch.allclose(got[:, c], (images[:, c] - mean[c]) / std[c])


def test_colour_jitter_by_hand() -> None:
    image = pictures(1, 3, 4, 5)
    got = tr.ColourJitter((0.2, 0.2), (1.5, 1.5), (0.5, 0.5))(image, generator()).double().numpy()
    x = image.double().numpy() + 0.2
    x = x.mean() + 1.5 * (x - x.mean())
    grey = x.mean(1, keepdims=True)
    assert np.abs(got - (grey + 0.5 * (x - grey))).max() < 1e-6


def test_colour_jitter_draws_for_each_image() -> None:
    image = pictures(1, 3, 6, 6)
    many = tr.ColourJitter(0.3, 0.0, 0.0)(image.expand(300, -1, -1, -1), generator())
    added = (many - image).mean((1, 2, 3))
    assert -0.3 <= float(added.min()) < -0.28 and 0.28 < float(added.max()) <= 0.3 + 1e-6
    contrast = tr.ColourJitter(0.0, 0.5, 0.0)(image.expand(300, -1, -1, -1), generator())
    ratio = contrast.std((1, 2, 3)) / image.std()
    assert 0.49 < float(ratio.min()) < 0.53 and 1.47 < float(ratio.max()) < 1.51
    assert torch.allclose(contrast.mean((1, 2, 3)), image.mean().expand(300), atol=1e-5)


def test_grey_has_no_saturation_to_change() -> None:
    grey = pictures(5, 1, 6, 6).expand(5, 3, 6, 6)
    assert torch.allclose(tr.ColourJitter(0.0, 0.0, 0.9)(grey, generator()), grey, atol=1e-6)
    colour = tr.ColourJitter(0.0, 0.0, (0.0, 0.0))(pictures(5, 3, 6, 6), generator())
    assert torch.allclose(colour[:, 0], colour[:, 2], atol=1e-6)


@pytest.mark.parametrize("name", PARTS)
def test_one_source_of_chance_and_the_input_is_left_alone(name: str) -> None:
    images = pictures(6, 3, 8, 8)
    before, state = images.clone(), torch.get_rng_state()
    first, again = PARTS[name](images, generator(3)), PARTS[name](images, generator(3))
    assert torch.equal(first, again) and first.shape == images.shape
    assert not torch.equal(first, PARTS[name](images, generator(4)))
    assert torch.equal(images, before)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("transform", IDENTITIES, ids=repr)
def test_nothing_asked_for_changes_nothing(transform) -> None:
    images = pictures(4, 3, 6, 6)
    assert torch.allclose(transform(images, generator()), images, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: tr.Normalise((0.1,), (0.0,)), ConfigError, r"impossible std: got \(0.0,\)"),
        (lambda: tr.Normalise((0.1,), (1.0, 1.0)), ConfigError, "one number above 0 per channel"),
        (lambda: tr.ColourJitter(-0.1), ConfigError, "impossible brightness: got -0.1"),
        (lambda: tr.ColourJitter(0.0, 1.5), ConfigError, r"impossible contrast: got \(-0.5, 2.5\)"),
        (lambda: tr.ColourJitter(0.0, 0.1, (-1.0, 1.0)), ConfigError, "impossible saturation"),
        (lambda: tr.Crop(-2), ConfigError, "impossible pad: got -2"),
        (
            lambda: tr.Normalise((0.1,), (1.0,))(pictures(2, 3, 4, 4), generator()),
            ShapeError,
            "images have another number of channels: got 3; expected 1",
        ),
        *[
            (
                lambda part=part: part(pictures(3, 8, 8), generator()),
                ShapeError,
                r"images have the wrong rank: got \[3, 8, 8\]; expected \[B, C, H, W\]",
            )
            for name, part in PARTS.items()
            if name != "Compose"
        ],
    ],
)
def test_refusals(call, error, text: str) -> None:
    with pytest.raises(error, match=text):
        call()
