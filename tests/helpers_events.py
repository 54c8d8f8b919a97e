"""Made-up recordings for hypothesis, and frames made by a plain loop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from localspike.data import Sensor, make_events
from localspike.data.formats import Recording

SENSOR = Sensor(2, 3, 4)
_event = st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 1))
_gap = st.one_of(st.just(0), st.integers(0, 2_500))


@st.composite
def recordings(draw: st.DrawFn, most: int = 4, fewest: int = 0) -> Recording:
    """Up to ``most`` recordings of 0 … 12 events on SENSOR, some at equal times."""
    parts, sizes = [], []
    for _ in range(draw(st.integers(1, most))):
        places = draw(st.lists(_event, min_size=fewest, max_size=12))
        t = np.cumsum([draw(_gap) for _ in places], dtype=np.int64)
        x, y, p = np.array(places, np.int64).reshape(-1, 3).T
        parts.append(make_events(t, x, p, y))
        sizes.append(len(places))
    return Recording(np.concatenate(parts), SENSOR, {}, np.cumsum([0, *sizes]))


def loop(recording: Recording, steps: int, placed: Sequence[int]) -> Tensor:
    """Counts [steps, N, 2, 3, 4] of events whose steps are ``placed``, one event at a time."""
    frames = torch.zeros(steps, len(recording.offsets) - 1, 2, 3, 4)
    for sample, (first, last) in enumerate(
        zip(recording.offsets[:-1], recording.offsets[1:], strict=True)
    ):
        for number in range(first, last):
            _, x, y, p = recording.events[number].item()
            if 0 <= placed[number] < steps:
                frames[placed[number], sample, p, y, x] += 1
    return frames


def parts(recording: Recording) -> list[list[int]]:
    """The times of each recording, as plain numbers."""
    cuts = zip(recording.offsets[:-1], recording.offsets[1:], strict=True)
    return [recording.events["t"][first:last].tolist() for first, last in cuts]
