"""What a writer writes, its reader gives back exactly: clocks that wrap, no events, far corners."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localspike.data import Sensor, formats, make_events
from localspike.data.formats import raw
from localspike.errors import DataError, MissingDependencyError

SMALL = [0, 0, 1, 63, 64, 4095, 4096, 70_000]
CASES: dict[str, tuple[str, Sensor, list[int], dict[str, Any]]] = {
    "aedat2 dvs128": ("aedat2", Sensor(2, 128, 128), [*SMALL, 2**31 - 1], {}),
    "aedat2 cifar10dvs": ("aedat2", Sensor(2, 128, 128), SMALL, {"layout": "cifar10dvs"}),
    "aedat2 davis": ("aedat2", Sensor(2, 512, 1024), [*SMALL, 2**31 - 1], {}),
    "aedat3": ("aedat3", Sensor(2, 32768, 32768), [*SMALL, 2**31, 2**40], {}),
    "aedat4": ("aedat4", Sensor(2, 32768, 32768), [*SMALL, 2**50], {}),
    "aedat4 lz4": ("aedat4", Sensor(2, 260, 346), SMALL, {"compression": "lz4"}),
    "aedat4 zstd": ("aedat4", Sensor(2, 260, 346), SMALL, {"compression": "zstd"}),
    "dat": ("dat", Sensor(2, 16384, 16384), [*SMALL, 2**31 - 1], {}),
    "evt2": ("evt2", Sensor(2, 2048, 2048), [*SMALL, 2**33, 2**36], {}),
    "evt3": ("evt3", Sensor(2, 2048, 2048), [*SMALL, 2**23, 2**24, 2**26], {}),
    "evt3 rows": ("evt3", Sensor(2, 2, 40), [0, 0, 0, 1, 4096], {}),
    "nmnist": ("nmnist", formats.NMNIST, [*SMALL, 2**23], {}),
    "npz": ("npz", Sensor(5, 65536, 65536), [*SMALL, 2**50], {}),
}


def recording(sensor: Sensor, rows: list[tuple[int, int, int, int]]) -> formats.Recording:
    """From (time since the event before, x, y, p), each folded into the sensor."""
    table = np.array(rows, np.int64).reshape(-1, 4)
    t, x, y, p = np.cumsum(table[:, 0]), table[:, 1], table[:, 2], table[:, 3]
    events = make_events(t, x % sensor.width, p % sensor.polarities, y % sensor.height)
    return formats.Recording(events, sensor)


def there_and_back(
    path: Path, name: str, one: formats.Recording, options: dict[str, Any]
) -> formats.Recording:
    try:
        getattr(formats, f"write_{name}")(path, one, **options)
    except MissingDependencyError as error:
        pytest.skip(str(error))
    more = {"sensor": one.sensor} if name == "nmnist" else {}
    return formats.READERS[name](path, **more)


def same(one: formats.Recording, other: formats.Recording) -> bool:
    return (
        np.array_equal(one.events, other.events)
        and one.sensor == other.sensor
        and np.array_equal(one.offsets, other.offsets)
    )


side = st.one_of(st.integers(0, 65535), st.integers(0, 14), st.just(65535))


@pytest.mark.parametrize("case", CASES)
def test_events_come_back_as_they_were(case: str, tmp_path: Path) -> None:
    name, sensor, gaps, options = CASES[case]
    row = st.tuples(st.sampled_from(gaps), side, side, st.integers(0, 4))

    @settings(max_examples=25, deadline=None)
    @given(st.lists(row, max_size=30))
    def check(rows: list[tuple[int, int, int, int]]) -> None:
        one = recording(sensor, rows)
        assert same(one, there_and_back(tmp_path / "file", name, one, options))

    check()


@pytest.mark.parametrize("case", CASES)
def test_the_far_corner_and_a_late_start(case: str, tmp_path: Path) -> None:
    name, sensor, gaps, options = CASES[case]
    one = recording(sensor, [(max(gaps), 65535, 65535, 1), (0, 0, 0, 0), (1, 65535, 0, 1)])
    corner = (sensor.width - 1, sensor.height - 1)
    one.events["x"][0], one.events["y"][0] = corner
    assert same(one, there_and_back(tmp_path / "file", name, one, options))


@pytest.mark.parametrize("case", CASES)
def test_more_events_than_one_packet_holds(case: str, tmp_path: Path) -> None:
    name, sensor, gaps, options = CASES[case]
    rng = np.random.default_rng(1)
    n = 70_000
    rows = [rng.choice(gaps[:4], n), *(rng.integers(0, 65536, n) for _ in "xyp")]
    one = recording(sensor, np.stack(rows, axis=1).tolist())
    assert same(one, there_and_back(tmp_path / "file", name, one, options))


@pytest.mark.parametrize("name", ["evt2", "evt3"])
def test_the_state_is_carried_from_piece_to_piece(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(2)
    rows = np.stack([rng.choice([0, 0, 5, 3000, 2**23], 300)] + [rng.integers(0, 40, 300)] * 3, 1)
    one = recording(Sensor(2, 8, 40), rows.tolist())
    for piece in (1, 2, 3, 7):
        monkeypatch.setattr(raw, "WORDS", piece)
        assert same(one, there_and_back(tmp_path / "file", name, one, {}))


def test_shd_keeps_recordings_labels_and_microseconds(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    rng = np.random.default_rng(3)
    lengths = rng.integers(0, 30, 70)
    lengths[[0, 40, 69]] = 0
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    t = np.concatenate([np.cumsum(rng.integers(0, 10**9, n)) for n in lengths])
    events = make_events(t, rng.integers(0, 700, len(t)), np.zeros(len(t), int))
    meta = {"labels": (np.arange(70) % 20).tolist(), "speaker": [3] * 70}
    one = formats.Recording(events, formats.CHANNELS, meta, offsets)
    back = there_and_back(tmp_path / "file.h5", "shd", one, {})
    assert same(one, back)
    assert back.meta == {"format": "shd", **meta}


def test_npz_keeps_meta_and_several_recordings(tmp_path: Path) -> None:
    events = make_events(np.array([5, 1, 2]), np.array([0, 1, 2]), np.array([3, 0, 1]))
    meta = {"labels": [1, 0, 2], "who": "α", "nested": {"a": [None, 1.5]}}
    one = formats.Recording(events, Sensor(4, 1, 3), meta, np.array([0, 1, 1, 3]))
    for compress in (False, True):
        formats.write_npz(tmp_path / "file", one, compress=compress)
        back = formats.read_npz(tmp_path / "file")
        assert same(one, back)
        assert back.meta == meta


def test_npz_packs_smaller_when_asked_to(tmp_path: Path) -> None:
    one = recording(Sensor(2, 4, 4), [(1, 1, 1, 1)] * 500)
    formats.write_npz(tmp_path / "packed", one)
    formats.write_npz(tmp_path / "plain", one, compress=False)
    sizes = [(tmp_path / name).stat().st_size for name in ("packed", "plain")]
    assert sizes[0] < sizes[1] / 3


@pytest.mark.parametrize("case", ["aedat2 davis", "dat", "nmnist", "aedat3", "evt2", "evt3"])
def test_clocks_are_unwrapped_from_block_to_block(case: str, tmp_path: Path) -> None:
    name, sensor, _, options = CASES[case]
    rng = np.random.default_rng(4)
    period = {"nmnist": 1 << 23, "evt3": 1 << 24, "evt2": 1 << 26}.get(name, 1 << 32)
    t = np.cumsum(rng.integers(0, period >> 13, 60_000)) + period // 2
    x, y, p = (rng.integers(0, high, len(t)) for high in (34, 34, 2))
    one = formats.Recording(make_events(t, x, p, y), sensor)
    assert t[-1] // period > 2
    assert same(one, there_and_back(tmp_path / "file", name, one, options))


def test_times_that_run_backwards_are_refused_or_sorted(tmp_path: Path) -> None:
    path = tmp_path / "file"
    one = recording(formats.NMNIST, [(9, 1, 1, 0), (1, 2, 2, 1), (0, 3, 3, 0)])
    formats.write_nmnist(path, one)
    content = path.read_bytes()
    path.write_bytes(content[5:] + content[:5])
    with pytest.raises(DataError, match=r"run backwards: got t = 9 µs at event 2 after 10 µs"):
        formats.read_nmnist(path)
    assert np.array_equal(formats.read_nmnist(path, sort=True).events, one.events)
