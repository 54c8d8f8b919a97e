"""Events moved over the sensor: crop, flip, roll, affine maps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from ....errors import ConfigError
from ...events import Sensor
from ..affine import AffineSettings, centre
from ..checks import WholeRange, as_whole, chances, whole_around, wholes
from ..draws import chance, whole
from .base import Events, EventTransform, placed


@dataclass(frozen=True)
class Crop(EventTransform):
    """Keep a window of ``height`` × ``width`` pixels; its corner becomes the origin.

    ``place`` is "random" (every corner alike), "centre" (rounded up and left) or the window's
    upper left corner (row, column). Raises ConfigError for a window that is not on the sensor.

    >>> from localspike.data import make_events
    >>> events = make_events(np.array([1, 2]), np.array([0, 3]), np.zeros(2, int))
    >>> cut, sensor = Crop(1, 2, place=(0, 2))(events, Sensor(2, 1, 4), torch.Generator())
    >>> cut["x"].tolist(), sensor
    ([1], Sensor(polarities=2, height=1, width=2))
    """

    height: int
    width: int
    place: Literal["random", "centre"] | tuple[int, int] = "random"

    def __post_init__(self) -> None:
        wholes(self, 1, "height", "width")
        if self.place in ("random", "centre"):
            return
        if not isinstance(self.place, tuple) or len(self.place) != 2:
            raise ConfigError(
                "impossible place", got=repr(self.place), expected="random, centre or (row, column)"
            )
        row, column = self.place
        object.__setattr__(self, "place", (as_whole("row", row, 0), as_whole("column", column, 0)))

    def change(
        self, events: Events, sensor: Sensor, generator: torch.Generator
    ) -> tuple[Events, Sensor]:
        """The window's events, in its coordinates."""
        top, left = self._corner(sensor, generator)
        window = replace(sensor, height=self.height, width=self.width)
        x, y = events["x"].astype(np.int32) - left, events["y"].astype(np.int32) - top
        return placed(events, window, x, y), window

    def _corner(self, sensor: Sensor, generator: torch.Generator) -> tuple[int, int]:
        free = sensor.height - self.height, sensor.width - self.width
        place = (0, 0) if isinstance(self.place, str) else self.place
        if not all(0 <= corner <= spare for corner, spare in zip(place, free, strict=True)):
            raise ConfigError(
                "window is not on the sensor",
                got=f"{self.height} × {self.width} at {self.place}",
                expected=f"within {sensor.height} × {sensor.width}",
            )
        if self.place == "centre":
            return free[0] // 2, free[1] // 2
        if self.place == "random":
            top, left = (int(whole(0, spare, (), generator)) for spare in free)
            return top, left
        return place


@dataclass(frozen=True)
class Flip(EventTransform):
    """Mirror a recording left to right, upside down, or in polarity, each with its probability.

    x' = W − 1 − x, y' = H − 1 − y, p' = 1 − p. Raises ConfigError for impossible probabilities and
    for a change of polarity on a sensor that has not two.

    >>> from localspike.data import make_events
    >>> events = make_events(np.array([1]), np.array([0]), np.array([1]))
    >>> Flip(left_right=1.0)(events, Sensor(2, 1, 4), torch.Generator())[0]["x"].tolist()
    [3]
    """

    left_right: float = 0.5
    up_down: float = 0.0
    polarity: float = 0.0

    def __post_init__(self) -> None:
        chances(left_right=self.left_right, up_down=self.up_down, polarity=self.polarity)

    def change(
        self, events: Events, sensor: Sensor, generator: torch.Generator
    ) -> tuple[Events, Sensor]:
        """A mirrored copy."""
        if self.polarity:
            two_polarities(sensor, "Flip")
        names = ("left_right", "up_down", "polarity")
        yes = [bool(chance(getattr(self, name), (), generator)) for name in names]
        mirrored = events.copy()
        last = sensor.width - 1, sensor.height - 1, sensor.polarities - 1
        for flip, axis, end in zip(yes, ("x", "y", "p"), last, strict=True):
            if flip:
                np.subtract(end, mirrored[axis], out=mirrored[axis])
        return mirrored, sensor


def two_polarities(sensor: Sensor, what: str) -> None:
    """Raise ConfigError unless the sensor tells ON from OFF."""
    if sensor.polarities != 2:
        raise ConfigError(
            f"{what} cannot swap polarities",
            got=f"{sensor.polarities} of them",
            expected="2",
            fix="Leave the polarity out",
        )


@dataclass(frozen=True)
class Roll(EventTransform):
    """Move a recording down and right by whole pixels; what leaves one side enters the other.

    y' = (y + rows) mod H, x' = (x + columns) mod W; n is drawn from −n … n, (low, high) between
    them, both included. Raises ConfigError for impossible ranges.

    >>> from localspike.data import make_events
    >>> events = make_events(np.array([1]), np.array([3]), np.array([1]))
    >>> Roll(0, (2, 2))(events, Sensor(2, 1, 4), torch.Generator())[0]["x"].tolist()
    [1]
    """

    rows: WholeRange = 2
    columns: WholeRange = 2

    def __post_init__(self) -> None:
        whole_around("rows", self.rows)
        whole_around("columns", self.columns)

    def change(
        self, events: Events, sensor: Sensor, generator: torch.Generator
    ) -> tuple[Events, Sensor]:
        """A rolled copy."""
        down = int(whole(*whole_around("rows", self.rows), (), generator))
        right = int(whole(*whole_around("columns", self.columns), (), generator))
        rolled = events.copy()
        # One table of a side's length instead of a division for every event.
        for axis, by, side in (("y", down, sensor.height), ("x", right, sensor.width)):
            if by % side:
                table = ((np.arange(side) + by) % side).astype(np.uint16)
                rolled[axis] = table[events[axis]]
        return rolled, sensor


@dataclass(frozen=True)
class Affine(AffineSettings, EventTransform):
    """Turn, move, enlarge and slant a recording about the centre of its sensor.

    Every event goes to the nearest pixel, floor(v + ½) along each axis, of where the map (see
    AffineSettings) puts it; what leaves the sensor is lost, and pixels may meet or stay empty.

    >>> from localspike.data import make_events
    >>> events = make_events(np.array([1]), np.array([3]), np.array([1]), np.array([0]))
    >>> turned, _ = Affine(degrees=(90, 90))(events, Sensor(2, 4, 4), torch.Generator())
    >>> turned["x"].tolist(), turned["y"].tolist()
    ([0], [0])
    """

    def change(
        self, events: Events, sensor: Sensor, generator: torch.Generator
    ) -> tuple[Events, Sensor]:
        """A mapped copy."""
        matrix, move = self.draw(1, generator)
        middle = centre(sensor.height, sensor.width)
        (xx, xy), (yx, yy) = matrix[0].tolist()
        at_x, at_y = (middle + move[0] + 0.5).tolist()
        x, y = events["x"] - float(middle[0]), events["y"] - float(middle[1])
        to_x, to_y = np.floor(xx * x + xy * y + at_x), np.floor(yx * x + yy * y + at_y)
        return placed(events, sensor, to_x, to_y), sensor


def rotate(degrees: float | tuple[float, float]) -> Affine:
    """Only the turn of ``Affine``: drawn from −degrees … degrees, or between (low, high).

    >>> rotate(15.0).degrees
    15.0
    """
    return Affine(degrees=degrees)
