"""Pictures of samples: every event is shown, in its colour, place and step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from localspike import plot
from localspike.data import BinnedEvents, Dataset, StaticImages
from localspike.errors import DataError
from localspike.plot.samples import two_colours
from localspike.recipes.picture import draw_sample

pytest.importorskip("matplotlib")
BLUE, RED = (0, 114 / 255, 178 / 255), (213 / 255, 94 / 255, 0)


def test_a_picture_is_png_whatever_its_name(tmp_path: Path) -> None:
    plot.save(plot.image_figure(np.zeros((1, 2, 2), np.uint8), "x"), tmp_path / "x.jpg")
    assert (tmp_path / "x.jpg").read_bytes().startswith(b"\x89PNG")


def test_colours_are_worked_out_by_hand() -> None:
    frame = np.zeros((2, 1, 4))
    frame[0, 0, 1] = 2  # OFF, full
    frame[1, 0, 2] = 1  # ON, at half
    frame[:, 0, 3] = 5  # both, beyond full
    colour = two_colours(frame, most=2.0)[0]
    np.testing.assert_allclose(colour[0], (1, 1, 1))
    np.testing.assert_allclose(colour[1], BLUE, atol=1e-3)
    np.testing.assert_allclose(colour[2], 1 - 0.675 * (1 - np.array(RED)), atol=1e-3)
    np.testing.assert_allclose(colour[3], np.array(BLUE) * np.array(RED), atol=1e-3)


@pytest.mark.parametrize(("steps", "panels"), [(1, 1), (7, 7), (20, 20), (21, 11), (30, 15)])
def test_steps_are_added_up_to_twenty_panels_at_most(steps: int, panels: int) -> None:
    frames = np.zeros((steps, 2, 3, 3))
    frames[np.arange(steps), np.arange(steps) % 2, np.arange(steps) % 3, 1] = 1
    figure = plot.frames_figure(frames, "title", 10.0)
    assert len(figure.axes) == panels
    drawn = np.stack([axes.images[0].get_array() for axes in figure.axes])
    groups = np.array_split(frames, panels)
    seen = (drawn < 1).any(axis=-1)
    assert np.array_equal(seen, np.stack([g.sum(axis=(0, 1)) > 0 for g in groups]))
    assert (
        figure.axes[-1].get_title(loc="left") == f"{10 * (steps - len(groups[-1]))}-{10 * steps} ms"
    )


def test_empty_steps_at_the_end_are_left_out() -> None:
    frames = np.zeros((9, 2, 3, 3))
    frames[3, 0, 0, 0] = 1
    assert len(plot.frames_figure(frames, "title", 1.0).axes) == 4
    assert len(plot.frames_figure(np.zeros((9, 2, 3, 3)), "title", 1.0).axes) == 1


def test_one_hot_pixel_does_not_hide_the_rest() -> None:
    frames = np.zeros((1, 2, 10, 20))
    frames[0, 1, :, :10] = 1
    frames[0, 1, 0, 0] = 1000
    drawn = plot.frames_figure(frames, "title", 1.0).axes[0].images[0].get_array()
    np.testing.assert_allclose(drawn[5, 5], RED, atol=1e-2)


def marks(figure: Any) -> list[np.ndarray]:
    return [collection.get_offsets().data for collection in figure.axes[0].collections]


def test_a_raster_has_a_mark_for_every_bin_with_events() -> None:
    frames = np.zeros((6, 8))
    frames[2, 1], frames[4, 3], frames[4, 7], frames[5, 7] = 1, 3, 1, 2
    (all_of_them,) = marks(plot.raster_of(frames, "title", 10.0, halves=False))
    assert sorted(map(tuple, all_of_them)) == [(25, 1), (45, 3), (45, 7), (55, 7)]
    off, on = marks(plot.raster_of(frames, "title", 10.0, halves=True))
    assert sorted((x, round(y)) for x, y in off) == [(25, 1), (45, 3)]
    assert sorted((x, round(y)) for x, y in on) == [(45, 3), (55, 3)]
    figure = plot.raster_of(frames, "title", 10.0, halves=True)
    assert figure.axes[0].get_xlim() == (0, 60) and figure.axes[0].get_ylabel().endswith("(of 4)")


@pytest.mark.parametrize("shape", [(50, 700), (3, 2), (1, 1)])
def test_a_raster_of_any_size_can_be_drawn(shape: tuple[int, int], tmp_path: Path) -> None:
    for frames in (np.ones(shape), np.zeros(shape)):
        plot.save(plot.raster_of(frames, "title", 1.0, halves=False), tmp_path / "x.png")


def test_a_spectrogram_has_low_bands_below_and_on_above_off() -> None:
    frames = np.zeros((5, 8))
    frames[1, 0], frames[2, 7] = 3, 2  # OFF of band 0, ON of band 3
    figure = plot.spectrogram_figure(frames, "title", 20.0, halves=True)
    on, off = (axes.images[0] for axes in figure.axes[:2])
    assert on.origin == "lower" and list(on.get_extent()) == [0, 100, 0, 4]
    assert np.argwhere(on.get_array()).tolist() == [[3, 2]]
    assert np.argwhere(off.get_array()).tolist() == [[0, 1]]
    assert on.get_clim() == off.get_clim() == (0, 3)
    assert figure.axes[0].get_ylabel() == "band\nON (louder)"
    single = plot.spectrogram_figure(frames, "title", 20.0, halves=False)
    assert len(single.axes) == 2 and single.axes[0].images[0].get_array().shape == (8, 5)


@pytest.mark.parametrize(("channels", "dtype"), [(1, np.uint8), (3, np.uint8), (1, float)])
def test_an_image_is_drawn_as_it_is(channels: int, dtype: type) -> None:
    image = (np.arange(channels * 12).reshape(channels, 3, 4) / 40).astype(dtype)
    drawn = plot.image_figure(image, "title").axes[0].images[0]
    expected = image[0] if channels == 1 else image.transpose(1, 2, 0)
    assert np.array_equal(drawn.get_array(), expected)
    assert channels == 3 or drawn.get_clim() == (0, 255 if dtype == np.uint8 else 1)


def test_the_raw_pixels_of_the_right_sample_are_drawn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toy: Callable[[str], Dataset]
) -> None:
    shown: list[np.ndarray] = []
    monkeypatch.setattr("localspike.data.load", lambda *_, **__: toy("image").subset([2, 1, 0]))
    monkeypatch.setattr(plot, "image_figure", lambda image, title: shown.append(image))
    monkeypatch.setattr(plot, "save", lambda figure, path: None)
    drawn = draw_sample("cifar10", "train", 0, tmp_path / "x.png")
    assert shown[0].tolist() == [[[2]]] * 3 and drawn.label == "c" and drawn.events is None


@pytest.fixture
def toy() -> Callable[[str], Dataset]:
    """Three samples: images filled with their number, or events of channels or of a camera."""
    import torch

    def made(kind: str) -> Dataset:
        labels = torch.arange(3)
        if kind == "image":
            pixels = torch.arange(3, dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 3, 1, 1)
            return Dataset("toy", "train", StaticImages(pixels, 2), labels, ("a", "b", "c"))
        shape = (2, 2, 2) if kind == "camera" else (8,)
        inputs = BinnedEvents(torch.tensor([1, 2, 11]), torch.tensor([0, 1, 2, 3]), 2, shape)
        return Dataset("toy", "train", inputs, labels, ("a", "b", "c"))

    return made


@pytest.mark.parametrize(
    ("name", "kind", "function"),
    [
        ("nmnist", "camera", "frames_figure"),
        ("keywords", "channels", "spectrogram_figure"),
        ("shd", "channels", "raster_of"),
        ("braille", "channels", "raster_of"),
        ("cifar100", "image", "image_figure"),
    ],
)
def test_the_kind_of_data_decides_on_the_picture(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    toy: Callable[[str], Dataset],
    name: str,
    kind: str,
    function: str,
) -> None:
    called: list[str] = []
    monkeypatch.setattr("localspike.data.load", lambda *_, **__: toy(kind))
    for each in ("frames_figure", "spectrogram_figure", "raster_of", "image_figure"):
        monkeypatch.setattr(plot, each, lambda *_, each=each, **__: called.append(each))
    monkeypatch.setattr(plot, "save", lambda figure, path: None)
    draw_sample(name, "train", 1, tmp_path / "x.png")
    assert called == [function]
    with pytest.raises(DataError, match=f"{name} train has no sample 3: got 3; expected 0 … 2"):
        draw_sample(name, "train", 3, tmp_path / "x.png")
