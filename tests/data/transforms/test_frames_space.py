"""Frames moved over their plane, against loops over samples and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers_transforms import counts, generator, recording
from localspike.data import Sensor
from localspike.data.transforms import events as on_events
from localspike.data.transforms import frames as tr
from localspike.errors import ConfigError, ShapeError


def batch(*shape: int, seed: int = 0) -> torch.Tensor:
    """Counts that tell every place from every other."""
    numbers = torch.randperm(math.prod(shape), generator=generator(seed)) + 1
    return numbers.float().view(shape)


def matches(sample: torch.Tensor, candidates: dict) -> list:
    return [key for key, value in candidates.items() if torch.equal(sample, value)]


def test_flip_mirrors_each_sample_by_its_own_draw() -> None:
    frames = batch(3, 60, 2, 4, 5)
    flipped = tr.Flip(0.5, 0.3)(frames, generator())
    seen = []
    for b in range(60):
        ways = {(): frames[:, b], (3,): frames[:, b].flip(-1), (2,): frames[:, b].flip(-2)}
        ways[2, 3] = frames[:, b].flip(-2, -1)
        seen += matches(flipped[:, b], ways)
    assert len(seen) == 60 and set(seen) == {(), (3,), (2,), (2, 3)}
    assert 20 <= sum(3 in way for way in seen) <= 40
    assert 8 <= sum(2 in way for way in seen) <= 28


@given(st.integers(-7, 7), st.integers(-7, 7), st.integers(0, 9))
def test_roll_is_torch_roll_and_rolls_back(down: int, right: int, seed: int) -> None:
    frames = batch(2, 3, 4, 5, seed=seed)
    rolled = tr.Roll((down, down), (right, right))(frames, generator())
    assert torch.equal(rolled, frames.roll((down, right), (-2, -1)))
    assert torch.equal(tr.Roll((-down, -down), (-right, -right))(rolled, generator()), frames)


def test_roll_draws_a_move_per_sample() -> None:
    frames = batch(2, 80, 1, 6, 7)
    rolled = tr.Roll(1, 2)(frames, generator())
    moves = set()
    for b in range(80):
        ways = {
            (r, c): frames[:, b].roll((r, c), (-2, -1)) for r in range(-3, 3) for c in range(-3, 4)
        }
        moves |= set(matches(rolled[:, b], ways))
    assert moves == {(r, c) for r in (-1, 0, 1) for c in (-2, -1, 0, 1, 2)}


@pytest.mark.parametrize(("pad", "size"), [(2, None), (0, (3, 2)), (1, (7, 3))])
def test_crop_is_a_window_of_the_padded_plane(pad: int, size) -> None:
    frames = batch(2, 90, 2, 5, 6)
    cut = tr.Crop(pad, size)(frames, generator())
    height, width = size or (5, 6)
    assert cut.shape == (2, 90, 2, height, width)
    padded = torch.nn.functional.pad(frames, (pad,) * 4)
    free = 5 + 2 * pad - height, 6 + 2 * pad - width
    corners = []
    for b in range(90):
        ways = {
            (r, c): padded[:, b, :, r : r + height, c : c + width]
            for r in range(free[0] + 1)
            for c in range(free[1] + 1)
        }
        corners += matches(cut[:, b], ways)
    assert len(corners) == 90
    assert {r for r, _ in corners} == set(range(free[0] + 1))
    assert {c for _, c in corners} == set(range(free[1] + 1))


def test_cutout_is_one_square_at_all_steps() -> None:
    cut = tr.Cutout(4)(torch.ones(3, 300, 2, 10, 12), generator())
    hole = cut == 0
    assert torch.equal(hole, hole[:1, :, :1].expand_as(hole))
    rows, columns = hole[0, :, 0].any(2).sum(1), hole[0, :, 0].any(1).sum(1)
    assert torch.equal(hole[0, :, 0].sum((1, 2)), rows * columns)
    assert (int(rows.min()), int(rows.max())) == (2, 4) == (int(columns.min()), int(columns.max()))
    assert bool(hole[0, :, 0].any(0).all())  # no pixel is spared
    assert int((tr.Cutout(50)(torch.ones(2, 5, 1, 3, 3), generator()) != 0).sum()) == 0


@settings(max_examples=30)
@given(st.floats(-180, 180), st.floats(0.6, 1.7), st.floats(-3, 3), st.floats(-3, 3))
def test_affine_is_scipys(degrees: float, scale: float, down: float, right: float) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    frames = batch(2, 1, 2, 9, 11)
    fixed = tr.Affine((degrees, degrees), (down, down), (right, right), (scale, scale))
    got = fixed(frames, generator())[:, 0].numpy()
    # On (row, column), from the new place to the old one.
    angle = math.radians(degrees)
    forward = scale * np.array(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    inverse, middle = np.linalg.inv(forward), np.array([4.0, 5.0])
    offset = middle - inverse @ (middle + np.array([down, right]))
    for t in range(2):
        for c in range(2):
            plane = frames[t, 0, c].numpy()
            expected = ndimage.affine_transform(
                plane, inverse, offset, order=0, mode="grid-constant", cval=0
            )
            places = np.stack(np.meshgrid(np.arange(9), np.arange(11), indexing="ij"), -1)
            source = places @ inverse.T + offset
            clear = (np.abs(source - np.floor(source) - 0.5) > 1e-6).all(-1)  # of halfway cases
            assert np.array_equal(got[t, c][clear], expected[clear])


def test_affine_draws_an_angle_per_sample() -> None:
    frames = batch(1, 1, 1, 21, 21).expand(2, 30, 1, 21, 21)
    turned = tr.Affine(degrees=45.0)(frames, generator())
    assert len({tuple(turned[0, b].flatten().tolist()) for b in range(30)}) > 25
    assert torch.equal(turned[0], turned[1])
    assert torch.equal(turned[..., 10, 10], frames[..., 10, 10])  # the centre stays
    assert set(turned.unique().tolist()) <= {0.0, *frames.unique().tolist()}


def test_halfway_between_pixels_goes_up() -> None:
    """⌊v + ½⌋: new pixel x looks at x − ½ and so at x, whether x is even or odd."""
    frames = batch(1, 2, 1, 6, 7)
    assert torch.equal(tr.Affine(columns=(0.5, 0.5))(frames, generator()), frames)
    back = tr.Affine(rows=(-0.5, -0.5))(frames, generator())
    assert torch.equal(back[..., :-1, :], frames[..., 1:, :])


def test_a_slant_is_grid_samples() -> None:
    frames = batch(1, 1, 1, 9, 9)
    got = tr.Affine(shear=(30.0, 30.0))(frames, generator())
    theta = torch.tensor([[[1.0, -math.tan(math.radians(30)), 0.0], [0.0, 1.0, 0.0]]])
    grid = torch.nn.functional.affine_grid(theta, [1, 1, 9, 9], align_corners=False)
    expected = torch.nn.functional.grid_sample(frames[0], grid, "nearest", align_corners=False)
    assert torch.equal(got[0], expected)


@given(st.integers(1, 9), st.integers(1, 7))
def test_resize_adds_up_areas(height: int, width: int) -> None:
    frames = batch(2, 2, 3, 9, 7)
    small = tr.Resize(height, width)(frames, generator())
    expected = torch.zeros(2, 2, 3, height, width)
    pixels = torch.zeros(height, width)
    for y in range(9):
        for x in range(7):
            expected[..., y * height // 9, x * width // 7] += frames[..., y, x]
            pixels[y * height // 9, x * width // 7] += 1
    assert torch.equal(small, expected)
    mean = tr.Resize(height, width, "mean")(frames, generator())
    assert torch.allclose(mean, expected / pixels, rtol=1e-5)
    sparse = (frames > 200).to(torch.uint8)
    some = tr.Resize(height, width, "any")(sparse, generator())
    assert some.dtype == torch.uint8
    assert torch.equal(some, (tr.Resize(height, width)(sparse, generator()) > 0).to(torch.uint8))


def test_opposite_values_are_still_something() -> None:
    frames = torch.tensor([[[[1.0, -1.0, 0.0, 0.0]]]])
    assert tr.Resize(1, 2, "any")(frames, generator()).flatten().tolist() == [1.0, 0.0]


def test_resize_where_it_divides_is_torchs() -> None:
    frames = batch(2, 3, 2, 8, 12)
    area = torch.nn.functional.interpolate(frames.flatten(0, 1), (4, 3), mode="area")
    assert torch.allclose(tr.Resize(4, 3, "mean")(frames, generator()).flatten(0, 1), area)


def test_no_event_is_lost_in_resizing() -> None:
    events, sensor = recording(sensor=Sensor(2, 13, 11))
    frames = counts(events, sensor)
    assert float(tr.Resize(4, 3)(frames, generator()).sum()) == 400
    small, on = on_events.Resize(4, 3)(events, sensor, generator())
    assert torch.equal(counts(small, on), tr.Resize(4, 3)(frames, generator()))


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float16, torch.float64])
def test_moving_keeps_the_dtype(dtype: torch.dtype) -> None:
    frames = (batch(2, 3, 1, 5, 5) > 40).to(dtype)
    for part in (tr.Flip(), tr.Roll(), tr.Crop(2), tr.Cutout(2), tr.Affine(20.0), tr.Drop(0.5)):
        assert part(frames, generator()).dtype == dtype


def test_lines_flip_and_roll_too() -> None:
    frames = batch(3, 2, 7)
    assert torch.equal(tr.Flip(1.0, 1.0)(frames, generator()), frames.flip(-1))
    assert torch.equal(tr.Roll(3, (2, 2))(frames, generator()), frames.roll(2, -1))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: tr.Crop(-1), ConfigError, "impossible pad: got -1; expected 0 or more"),
        (lambda: tr.Crop(0, (0, 2)), ConfigError, "impossible height: got 0; expected 1 or more"),
        (lambda: tr.Cutout(-1), ConfigError, "impossible size: got -1"),
        (lambda: tr.Flip(2.0), ConfigError, "impossible left_right: got 2.0"),
        (lambda: tr.Roll(2, -1), ConfigError, "impossible columns: got -1"),
        (
            lambda: tr.Resize(2, 2, "max"),
            ConfigError,
            "impossible reduce: got 'max'; expected sum,",
        ),
        (lambda: tr.Compose([tr.Flip(), None]), ConfigError, "not a transform: got None"),
        (
            lambda: tr.Crop(1)(torch.ones(2, 3, 4), generator()),
            ShapeError,
            r"Crop cannot work on this batch: got \[2, 3, 4\]; expected \[T, B, ..., H, W\]",
        ),
        (
            lambda: tr.Crop(1, (9, 9))(torch.ones(2, 3, 4, 4), generator()),
            ShapeError,
            r"window is larger than the padded plane: got \(9, 9\) of \(4, 4\) with pad 1",
        ),
        (
            lambda: tr.Flip()(torch.ones(2, 3), generator()),
            ShapeError,
            r"expected \[T, B, ..., n\]",
        ),
        (
            lambda: tr.Resize(5, 2)(torch.ones(2, 3, 4, 4), generator()),
            ShapeError,
            r"frames cannot be enlarged: got \[4, 4\]; expected 5 × 2 or more",
        ),
    ],
)
def test_refusals(call, error, text: str) -> None:
    with pytest.raises(error, match=text):
        call()
