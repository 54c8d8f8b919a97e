"""A small recording and whole files of every kind made of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from localspike.data import Sensor, formats, make_events
from localspike.errors import MissingDependencyError


@pytest.fixture
def small() -> formats.Recording:
    """Twelve events on 34×34 pixels, some at once, one after a long gap."""
    t = np.cumsum([3, 0, 0, 0, 1, 900, 5000, 0, 0, 1, 9_000_000, 2])
    x, y = np.arange(12) * 5 % 34, np.array([1, 1, 1, 2, 2, 2, 33, 33, 33, 0, 0, 0])
    return formats.Recording(make_events(t, x, np.arange(12) % 2, y), Sensor(2, 34, 34))


@pytest.fixture
def whole(small: formats.Recording, tmp_path: Path) -> Callable[[str], bytes]:
    """The bytes of ``small`` in a format, for AEDAT 4.0 also "aedat4-lz4" and "aedat4-zstd"."""

    def made(kind: str) -> bytes:
        name, _, packed = kind.partition("-")
        one = small
        if name == "shd":
            events = make_events(small.events["t"], small.events["x"], np.zeros(12, int))
            one = formats.Recording(events, formats.CHANNELS, {"labels": [4]})
        try:
            write = getattr(formats, f"write_{name}")
            write(tmp_path / "whole", one, **({"compression": packed} if packed else {}))
        except MissingDependencyError as error:
            pytest.skip(str(error))
        return (tmp_path / "whole").read_bytes()

    return made
