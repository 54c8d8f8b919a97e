"""Settings that count something are whole numbers: 5e3 is one, 2.5 is refused at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from localspike.data import ColourAugment, EventAugment, ImageAugment, MaskAugment, SpatialAugment
from localspike.data.transforms import events, frames, images
from localspike.errors import ConfigError

WHOLE = [
    (events.Refractory(1), "interval_us"),
    *((events.Denoise(1), name) for name in ("within_us", "radius", "support")),
    *((events.TimeCrop(1), name) for name in ("length_us", "place")),
    *((events.Crop(1, 1), name) for name in ("height", "width")),
    *((events.Cutout(1, 1), name) for name in ("height", "width")),
    *((events.Resize(1, 1), name) for name in ("height", "width")),
    *((events.Downsample(), name) for name in ("rows", "columns")),
    *((frames.TimeMask(1), name) for name in ("steps", "count")),
    *((frames.PlaceMask(1), name) for name in ("places", "groups", "count")),
    (frames.PlaceShift(), "groups"),
    (frames.Crop(), "pad"),
    (frames.Cutout(), "size"),
    *((frames.Resize(1, 1), name) for name in ("height", "width")),
    (frames.CutMix(), "alpha"),
    (images.Crop(), "pad"),
    (images.Cutout(), "size"),
    *((ImageAugment(), name) for name in ("pad", "cutout")),
    *((ColourAugment(), name) for name in ("pad", "cutout")),
    *((SpatialAugment(), name) for name in ("roll", "cutout")),
    *((EventAugment(), name) for name in ("shift", "bands", "groups")),
    *(
        (MaskAugment(), name)
        for name in ("shift", "bands", "mask_steps", "mask_places", "groups")
    ),
]  # fmt: skip


@pytest.mark.parametrize(("made", "name"), WHOLE, ids=lambda one: str(one).partition("(")[0])
def test_counts_are_whole(made, name: str) -> None:
    for given in (5e3, np.float32(5000), np.int64(5000)):
        value = getattr(replace(made, **{name: given}), name)
        assert value == 5000 and type(value) is int
    for wrong in (2.5, float("nan"), float("inf"), "3"):
        with pytest.raises(ConfigError, match=rf"impossible {name}: got .*; expected"):
            replace(made, **{name: wrong})


@pytest.mark.parametrize("kind", [frames.Crop, images.Crop])
def test_sides_of_a_window_are_whole(kind) -> None:
    assert kind(0, (2.0, np.int64(3))).size == (2, 3)
    with pytest.raises(
        ConfigError, match=r"impossible width: got 2\.5; expected a whole number, 1"
    ):
        kind(0, (2, 2.5))


def test_a_corner_is_whole() -> None:
    assert events.Crop(1, 1, (2.0, 0)).place == (2, 0)
    with pytest.raises(ConfigError, match=r"impossible column: got 0\.5"):
        events.Crop(1, 1, (2, 0.5))
    with pytest.raises(ConfigError, match=r"impossible place: got \(2,\)"):
        events.Crop(1, 1, (2,))


@pytest.mark.parametrize(
    ("kind", "name"),
    [(frames.TimeShift, "steps"), (frames.PlaceShift, "places"), (frames.Roll, "rows"),
     (images.Roll, "columns"), (events.Roll, "rows")],
)  # fmt: skip
def test_ranges_are_of_whole_numbers(kind, name: str) -> None:
    kind(**{name: 2.0})
    with pytest.raises(ConfigError, match=f"impossible {name}: got 2.5; expected whole numbers"):
        kind(**{name: 2.5})
