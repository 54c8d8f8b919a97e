"""Real recordings, of an event camera and of a fingertip, come back exactly in every format."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from localspike.data import Sensor, formats, make_events
from localspike.errors import MissingDependencyError

POKER = Sensor(2, 36, 36)
FORMS: dict[str, dict[str, Any]] = {
    "aedat2": {"layout": "dvs128"},
    "aedat2 cifar10dvs": {"layout": "cifar10dvs"},
    "aedat2 davis346": {"layout": "davis346"},
    "aedat3": {},
    "aedat4": {},
    "aedat4 lz4": {"compression": "lz4"},
    "aedat4 zstd": {"compression": "zstd"},
    "dat": {},
    "evt2": {},
    "evt3": {},
    "nmnist": {},
    "npz": {},
    "npz stored": {"compress": False},
}
Recordings = tuple[np.ndarray, np.ndarray, Sensor]
Real = Callable[[str], Recordings]


@pytest.fixture(scope="module")
def cache() -> dict[str, Recordings]:
    return {}


@pytest.fixture
def real(real_root: Path, cache: dict[str, Recordings]) -> Real:
    """All test recordings of "nmnist" or "poker": events, offsets, sensor."""

    def load(name: str) -> Recordings:
        file = {"nmnist": "nmnist/nmnist_raw_us.npz", "poker": "pokerdvs/pokerdvs.npz"}[name]
        if not (real_root / file).exists():
            pytest.skip(f"real data: {file} is not there")
        with np.load(real_root / file) as held:
            t, x, p, y = (held[f"test_{column}"] for column in ("t_us", "x", "p", "y"))
            offsets = held["test_offsets"].astype(np.int64)
        return make_events(t, x, p, y), offsets, POKER if name == "poker" else formats.NMNIST

    if not cache:
        cache.update({name: load(name) for name in ("nmnist", "poker")})
    return cache.__getitem__


def comes_back(path: Path, form: str, one: formats.Recording) -> bool:
    name = form.partition(" ")[0]
    try:
        getattr(formats, f"write_{name}")(path, one, **FORMS[form])
    except MissingDependencyError as error:
        pytest.skip(str(error))
    more = {"sensor": one.sensor} if name == "nmnist" else {}
    back = formats.READERS[name](path, **more)
    return bool(
        np.array_equal(back.events, one.events)
        and back.sensor == one.sensor
        and np.array_equal(back.offsets, one.offsets)
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["nmnist", "poker"])
def test_recordings(name: str, form: str, real: Real, tmp_path: Path) -> None:
    events, offsets, sensor = real(name)
    for first, last in list(pairwise(offsets.tolist()))[:: 5 if name == "nmnist" else 1]:
        assert comes_back(tmp_path / "file", form, formats.Recording(events[first:last], sensor))


@pytest.mark.parametrize("form", FORMS)
def test_all_recordings_as_one_long_one(form: str, real: Real, tmp_path: Path) -> None:
    events, offsets, sensor = real("nmnist")
    end_to_end = events.copy()
    ends = np.cumsum(events["t"][offsets[1:] - 1] + 1000)
    end_to_end["t"][offsets[1] :] += np.repeat(ends[:-1], np.diff(offsets[1:]))
    assert end_to_end["t"][-1] > 1 << 24
    assert comes_back(tmp_path / "file", form, formats.Recording(end_to_end, sensor))


@pytest.mark.parametrize("form", ["npz", "npz stored"])
def test_all_recordings_in_one_file(form: str, real: Real, tmp_path: Path) -> None:
    for name in ("nmnist", "poker"):
        events, offsets, sensor = real(name)
        one = formats.Recording(events, sensor, {"of": name}, offsets)
        assert comes_back(tmp_path / "file", form, one)


def test_a_fingertip_as_channels(real_root: Path, tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    path = real_root / "braille" / "braille_th10.npz"
    if not path.exists():
        pytest.skip("real data: braille/braille_th10.npz is not there")
    with np.load(path) as held:
        offsets = held["offsets"][:501].astype(np.int64)
        seconds, taxel, polarity = (held[name][: offsets[-1]] for name in ("t_s", "taxel", "pol"))
        labels = held["labels"][:500].tolist()
    t = np.rint(seconds.astype(np.float64) * 1e6).astype(np.int64)
    events = make_events(t, 2 * taxel.astype(np.int64) + polarity, np.zeros(len(t), int))
    one = formats.Recording(events, formats.CHANNELS, {"labels": labels}, offsets)
    formats.write_shd(tmp_path / "file", one)
    back = formats.read_shd(tmp_path / "file", sort=False)
    assert np.array_equal(back.events, one.events)
    assert np.array_equal(back.offsets, one.offsets)
    assert back.meta == {"format": "shd", "labels": labels}
