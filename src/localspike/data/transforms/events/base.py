"""What every transform of events is: checked at the door, counted at the way out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ....errors import ConfigError
from ...events import Sensor
from ...formats.recording import Recording, check_recording
from ..draws import substreams

Events = NDArray[np.void]


class Outcome(NamedTuple):
    """Events after a transform, the sensor they are on, and how many were lost to which part.

    ``len(before) == len(events) + sum(lost.values())``: no transform of events makes new ones.
    """

    events: Events
    sensor: Sensor
    lost: Mapping[str, int]


class EventTransform(ABC):
    """A map (events of one recording, sensor, generator) → (events, sensor).

    Events are in the order of time before and after. What comes in is never written to; an
    unchanged array may be handed back as it is. Two transforms are equal when their ``repr`` is.
    """

    def __call__(
        self, events: Events, sensor: Sensor, generator: torch.Generator
    ) -> tuple[Events, Sensor]:
        """The transformed events and their sensor. Raises DataError for impossible events."""
        return self.account(events, sensor, generator)[:2]

    def account(self, events: Events, sensor: Sensor, generator: torch.Generator) -> Outcome:
        """The same, and how many events were lost. Raises DataError for impossible events."""
        check_recording(Recording(events, sensor), type(self).__name__)
        return self.counted(events, sensor, generator)

    def counted(self, events: Events, sensor: Sensor, generator: torch.Generator) -> Outcome:
        """``account`` for events already checked."""
        changed, on = self.change(events, sensor, generator)
        return Outcome(changed, on, {type(self).__name__: len(events) - len(changed)})

    @abstractmethod
    def change(
        self, events: Events, sensor: Sensor, generator: torch.Generator
    ) -> tuple[Events, Sensor]:
        """The transform itself, on checked events."""


@dataclass(frozen=True)
class Compose(EventTransform):
    """Transforms of events one after another, each with a stream of random numbers of its own.

    A part's stream is derived from one draw of the generator, the part's class and how many parts
    of that class stand before it; adding a part of another class anywhere changes no other draw.
    ``account`` gives the loss of every part. Raises ConfigError for what is not such a transform.

    >>> from localspike.data import Sensor, make_events
    >>> from localspike.data.transforms.events import Compose, Drop, Flip
    >>> events = make_events(np.arange(4), np.arange(4), np.zeros(4, int))
    >>> both = Compose([Flip(left_right=1.0), Drop(1.0)])
    >>> both.account(events, Sensor(2, 1, 4), torch.Generator()).lost
    {'Flip': 0, 'Drop': 4}
    """

    parts: Sequence[EventTransform]

    def __post_init__(self) -> None:
        for part in self.parts:
            if not isinstance(part, EventTransform):
                raise ConfigError("not a transform of events", got=repr(part))
        object.__setattr__(self, "parts", tuple(self.parts))

    def counted(self, events: Events, sensor: Sensor, generator: torch.Generator) -> Outcome:
        """Every part in turn, what each lost under its name."""
        lost: Counter[str] = Counter()
        for part, own in zip(self.parts, substreams(generator, self.parts), strict=True):
            events, sensor, gone = part.counted(events, sensor, own)
            lost.update(gone)
        return Outcome(events, sensor, dict(lost))

    def change(
        self, events: Events, sensor: Sensor, generator: torch.Generator
    ) -> tuple[Events, Sensor]:
        """The outcome without the count."""
        return self.counted(events, sensor, generator)[:2]


def kept(events: Events, keep: NDArray[np.bool_]) -> Events:
    """The events marked in ``keep``, a new array."""
    # compress copies whole records; boolean indexing goes through them byte by byte.
    return events.compress(keep)


def placed(
    events: Events, sensor: Sensor, x: NDArray[np.integer], y: NDArray[np.integer]
) -> Events:
    """A copy at (x, y), rounded already, without the events that are not on the sensor."""
    inside = (x >= 0) & (x < sensor.width) & (y >= 0) & (y < sensor.height)
    moved = kept(events, inside)
    moved["x"], moved["y"] = x.compress(inside), y.compress(inside)
    return moved
