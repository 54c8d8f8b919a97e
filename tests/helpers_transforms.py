"""Recordings and slow plain code that the tests of the transforms share; importable by workers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from localspike.data import Dataset, Sensor, batches, bin_events, make_events

Row = tuple[int, int, int, int]
"""One event (t, x, y, p)."""


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(events: np.ndarray) -> list[Row]:
    """Events as plain tuples."""
    return [(int(t), int(x), int(y), int(p)) for t, x, y, p in events.tolist()]


def packed(events: list[Row]) -> np.ndarray:
    t, x, y, p = (np.array([row[k] for row in events], dtype=np.int64) for k in range(4))
    return make_events(t, x, p, y)


def recording(
    count: int = 400, sensor: Sensor | None = None, seed: int = 0, last: int = 5000
) -> tuple[np.ndarray, Sensor]:
    """Random events in time order, many of them at equal times."""
    sensor = sensor or Sensor(2, 9, 12)
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, last, count))
    x, y = rng.integers(0, sensor.width, count), rng.integers(0, sensor.height, count)
    return make_events(t, x, rng.integers(0, sensor.polarities, count), y), sensor


@st.composite
def recordings(draw: Any, side: int = 5, most: int = 40) -> tuple[np.ndarray, Sensor]:
    """Small recordings: ties, empty ones, single events, times far from zero."""
    sensor = Sensor(draw(st.integers(1, 2)), draw(st.integers(1, side)), draw(st.integers(1, side)))
    start = draw(st.sampled_from([0, 7, 10**12]))
    event = st.tuples(
        st.integers(start, start + 60),
        st.integers(0, sensor.width - 1),
        st.integers(0, sensor.height - 1),
        st.integers(0, sensor.polarities - 1),
    )
    return packed(sorted(draw(st.lists(event, max_size=most)), key=lambda row: row[0])), sensor


def counts(events: np.ndarray, sensor: Sensor, step_us: int = 500, steps: int = 10) -> torch.Tensor:
    """One recording as frames [T, 1, P, H, W] of counts."""
    offsets = np.array([0, len(events)])
    binned = bin_events(events, offsets, sensor, step_us=step_us, steps=steps, counts=True)
    return binned.gather(torch.tensor([0]))


def epoch_digest(dataset: Dataset, augment: Callable[..., Any], start: int = 0) -> list[str]:
    """A digest of every augmented batch of an epoch from batch ``start`` on."""
    return [
        hashlib.sha256(batch.frames.contiguous().numpy().tobytes()).hexdigest()
        for batch in batches(
            dataset, 3, shuffle=True, seed=7, epoch=2, start=start, augment=augment
        )
    ]
