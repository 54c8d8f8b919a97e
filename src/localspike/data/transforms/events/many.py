"""A transform over all recordings of a data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...batching import stream
from ...events import EVENT, Sensor
from ...formats.recording import Recording, check_recording
from .base import Events, EventTransform


class Recordings(NamedTuple):
    """All recordings after a transform: events, offsets [N + 1], sensor, losses by part."""

    events: Events
    offsets: NDArray[np.int64]
    sensor: Sensor
    lost: Mapping[str, int]


def over_recordings(
    transform: EventTransform,
    events: Events,
    offsets: NDArray[np.int64],
    sensor: Sensor,
    seed: int,
    first: int = 0,
) -> Recordings:
    """Transform recording i, ``events[offsets[i]:offsets[i + 1]]``, by a stream of (seed, i).

    ``first`` is the number of the first recording given, so that a worker which holds a part makes
    of it what a single process would make. Recordings may be empty, before and after. Raises
    DataError for offsets or events that make no sense.

    >>> from localspike.data import make_events
    >>> from localspike.data.transforms.events import TimeCrop
    >>> events = make_events(np.array([0, 9, 0, 3]), np.zeros(4, int), np.zeros(4, int))
    >>> crop, sensor = TimeCrop(5, place=0), Sensor(2, 1, 1)
    >>> over_recordings(crop, events, np.array([0, 2, 4]), sensor, seed=0).offsets.tolist()
    [0, 1, 3]
    """
    check_recording(Recording(events, sensor, {}, offsets), type(transform).__name__)
    parts, on, lost = [np.empty(0, dtype=EVENT)], sensor, Counter[str]()
    for number, (begin, end) in enumerate(pairwise(offsets)):
        own = stream(seed, "recording", first + number)
        changed, on, gone = transform.counted(events[begin:end], sensor, own)
        parts.append(changed)
        lost.update(gone)
    ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
    return Recordings(np.concatenate(parts), ends, on, dict(lost))
