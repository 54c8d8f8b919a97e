"""Other people's libraries read what we write as we do, and we read what they write.

They live in an environment of their own, which scripts/make_oracles.py makes; LOCALSPIKE_ORACLES
names its python. Skipped by name where absent.
"""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from localspike.data import Sensor, formats, make_events
from localspike.errors import MissingDependencyError

PYTHON = os.environ.get("LOCALSPIKE_ORACLES", "")
ORACLE = Path(__file__).parents[2] / "helpers_foreign_readers.py"
HD, DAVIS, SMALL = Sensor(2, 720, 1280), Sensor(2, 260, 346), Sensor(2, 128, 128)
CASES: dict[str, tuple[str, Sensor, list[int], dict[str, Any]]] = {
    "expelliarmus dat": ("dat", HD, [0, 1, 5000], {}),
    "expelliarmus evt2": ("evt2", HD, [0, 1, 5000], {}),
    # Its EVT3 decoder adds 4096 µs whenever the low time falls by half its range, which the high
    # time has told already, and so cannot read its own files either: one high time only.
    "expelliarmus evt3": ("evt3", HD, [0, 0, 0, 1], {}),
    "evlib evt2": ("evt2", HD, [0, 0, 1, 5000, 20_000], {}),
    "evlib evt3": ("evt3", HD, [0, 0, 1, 5000, 20_000], {}),
    "dv_processing aedat4 none": ("aedat4", DAVIS, [0, 1, 500], {"compression": "none"}),
    "dv_processing aedat4 lz4": ("aedat4", DAVIS, [0, 1, 500], {"compression": "lz4"}),
    "dv_processing aedat4 zstd": ("aedat4", DAVIS, [0, 1, 500], {"compression": "zstd"}),
    "aedat aedat4 lz4": ("aedat4", DAVIS, [0, 1, 500], {"compression": "lz4"}),
    "tonic aedat2": ("aedat2", DAVIS, [0, 1, 500], {"layout": "davis346"}),
    "tonic dvs128": ("aedat2", SMALL, [0, 1, 500], {"layout": "dvs128"}),
    "tonic aedat3": ("aedat3", SMALL, [0, 1, 500], {}),
    "tonic nmnist": ("nmnist", formats.NMNIST, [0, 1, 5000], {}),
    "h5py shd": ("shd", formats.CHANNELS, [0, 1, 5000], {}),
    "numpy npz": ("npz", HD, [0, 1, 5000], {}),
}
WRITERS = ["expelliarmus dat", "expelliarmus evt2", "dv_processing aedat4", "h5py shd"]
SUFFIXES = {
    "dat": ".dat", "nmnist": ".bin", "aedat4": ".aedat4", "aedat2": ".aedat", "aedat3": ".aedat",
    "shd": ".h5", "npz": ".npz",
}  # fmt: skip
needs_oracles = pytest.mark.skipif(not PYTHON, reason="oracles: LOCALSPIKE_ORACLES is not set")


def rows(sensor: Sensor, gaps: list[int]) -> formats.Recording:
    """Runs of neighbours and single events."""
    rng = np.random.default_rng(5)
    n = 3000
    x = (rng.integers(0, 60, n) * 20 + np.arange(n) % 20) % sensor.width
    y, p = rng.integers(0, 3, n) % sensor.height, rng.integers(0, 2, n) % sensor.polarities
    return formats.Recording(make_events(np.cumsum(rng.choice(gaps, n)) + 9, x, p, y), sensor)


@cache
def imports(module: str) -> bool:
    """Whether the oracles' environment has it."""
    found = subprocess.run([PYTHON, "-c", f"import {module}"], capture_output=True, check=False)
    return found.returncode == 0


def call(library: str, *arguments: str) -> None:
    """Run the oracle; skip where its library is not there."""
    module = library.split()[0]
    if not imports(module):
        pytest.skip(f"oracles: {module} does not import in LOCALSPIKE_ORACLES")
    done = subprocess.run(
        [PYTHON, str(ORACLE), *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-800:]


def columns(one: formats.Recording) -> np.ndarray:
    return np.stack([one.events[name].astype(np.int64) for name in "txyp"])


def read_by(case: str, one: formats.Recording, folder: Path) -> np.ndarray:
    """What the other library finds in the file that we write."""
    name, _, _, options = CASES[case]
    library = " ".join(case.split()[:2])
    path, out = folder / f"file{SUFFIXES.get(name, '.raw')}", folder / "out.npy"
    try:
        getattr(formats, f"write_{name}")(path, one, **options)
    except MissingDependencyError as error:
        pytest.skip(str(error))
    call(library, library, str(path), str(out))
    found: np.ndarray = np.load(out)
    return found


@needs_oracles
@pytest.mark.parametrize("case", CASES)
def test_others_read_what_we_write(case: str, tmp_path: Path) -> None:
    _, sensor, gaps, _ = CASES[case]
    one = rows(sensor, gaps)
    assert np.array_equal(read_by(case, one, tmp_path), columns(one))


# SHD has no polarity or rows; of its libraries only expelliarmus fails on EVT3 for a long time.
REAL = [case for case in CASES if case not in ("h5py shd", "expelliarmus evt3")]


@needs_oracles
@pytest.mark.parametrize("case", REAL)
def test_others_read_real_recordings_that_we_write(
    case: str, tmp_path: Path, real_root: Path
) -> None:
    path = real_root / "nmnist" / "nmnist_raw_us.npz"
    if not path.exists():
        pytest.skip("real data: nmnist/nmnist_raw_us.npz is not there")
    with np.load(path) as file:
        end = int(file["test_offsets"][1])
        t, x, p, y = (file[f"test_{name}"][:end] for name in ("t_us", "x", "p", "y"))
    one = formats.Recording(make_events(t, x, p, y), CASES[case][1])
    assert np.array_equal(read_by(case, one, tmp_path), columns(one))


@needs_oracles
@pytest.mark.parametrize("case", WRITERS)
def test_we_read_what_others_write(case: str, tmp_path: Path) -> None:
    name = case.split()[1]
    path, given = tmp_path / f"file{SUFFIXES.get(name, '.raw')}", tmp_path / "in.npy"
    one = rows(formats.CHANNELS if name == "shd" else DAVIS, [0, 1, 500, 9000])
    np.save(given, columns(one))
    call(case, "write", case, str(path), str(given))
    assert formats.recognise(path) == name
    try:
        back = formats.read(path)
    except MissingDependencyError as error:
        pytest.skip(str(error))
    if name == "shd":  # stored in single precision: µs beyond 2^24 are rounded
        assert np.abs(back.events["t"] - one.events["t"]).max() <= 1
        assert back.meta["labels"] == [3, 4]
        one.events["t"] = back.events["t"]
    assert np.array_equal(back.events, one.events)
