"""Frames [T, B, ...] moved in time or along a line of places, masked, thinned out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ....errors import ShapeError
from ...moves import Mover, Moves, check_groups, moved
from ...thinning import Thinning
from ..checks import WholeRange, chances, whole_around, wholes
from ..draws import whole


@dataclass(frozen=True)
class TimeShift(Mover):
    """Delay each sample by whole steps; what leaves is lost, zeros come in.

    n is drawn from −n … n, (low, high) between them, both included; in ``batches`` the lengths of
    sequences move along. Raises ConfigError for impossible ranges.

    >>> TimeShift((1, 1))(torch.tensor([[1.0], [2.0], [3.0]]), torch.Generator()).flatten()
    tensor([0., 1., 2.])
    """

    steps: WholeRange = 2

    def __post_init__(self) -> None:
        whole_around("steps", self.steps)

    def moves(self, batch: int, generator: torch.Generator) -> Moves:
        """What is drawn for a batch of that size."""
        by = whole(*whole_around("steps", self.steps), (batch,), generator)
        return Moves(by.tolist(), [0] * batch)


@dataclass(frozen=True)
class PlaceShift:
    """Move each sample along the last axis by whole places, in ``groups`` blocks apart.

    n is drawn from −n … n, (low, high) between them; what leaves is lost, zeros come in. Raises
    ConfigError for impossible values, ShapeError where the axis does not divide into the groups.

    >>> PlaceShift((1, 1), groups=2)(torch.tensor([[[1.0, 2.0, 3.0, 4.0]]]), torch.Generator())
    tensor([[[0., 1., 0., 3.]]])
    """

    places: WholeRange = 1
    groups: int = 1

    def __post_init__(self) -> None:
        whole_around("places", self.places)
        wholes(self, 1, "groups")

    def __call__(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        """A new batch of the same shape."""
        by = whole(*whole_around("places", self.places), (frames.shape[1],), generator)
        return shift_places(frames, by, self.groups)


@dataclass(frozen=True)
class TimeMask:
    """Zero in ``count`` intervals of each sample, each 0 … ``steps`` long, anywhere.

    Raises ConfigError for negative sizes, ShapeError for an interval longer than the frames. After
    Park et al., SpecAugment, arXiv:1904.08779.

    >>> hidden = TimeMask(3)(torch.ones(9, 4, 5), torch.Generator())[:, :, 0] == 0
    >>> bool((hidden.sum(0) <= 3).all())
    True
    """

    steps: int
    count: int = 1

    def __post_init__(self) -> None:
        wholes(self, 0, "steps", "count")

    def __call__(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        """A new batch of the same shape."""
        hidden = _intervals(frames, 0, self.steps, self.count, generator)
        return frames.masked_fill(hidden.T.reshape(*frames.shape[:2], *[1] * (frames.dim() - 2)), 0)


@dataclass(frozen=True)
class PlaceMask:
    """Zero in ``count`` stretches of the last axis of each sample, each 0 … ``places`` long.

    The axis holds ``groups`` blocks of which the same stretch is hidden (2 for OFF and ON). Raises
    ConfigError for impossible values, ShapeError where the axis is too short or does not divide.

    >>> hidden = PlaceMask(4)(torch.ones(9, 4, 5), torch.Generator()) == 0
    >>> bool((hidden == hidden[0]).all()), bool((hidden[0].sum(1) <= 4).all())
    (True, True)
    """

    places: int
    groups: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        wholes(self, 0, "places", "count")
        wholes(self, 1, "groups")

    def __call__(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        """A new batch of the same shape."""
        check_groups(frames.shape[2:], self.groups)
        blocks = frames.unflatten(-1, (self.groups, -1))
        hidden = _intervals(blocks, -1, self.places, self.count, generator)
        shape = (frames.shape[1], *[1] * (blocks.dim() - 3), hidden.shape[1])
        return blocks.masked_fill(hidden.view(shape), 0).flatten(-2)


@dataclass(frozen=True)
class Drop:
    """Lose all that is in a bin with ``probability``, every bin of every step by itself.

    Raises ConfigError outside 0 … 1.

    >>> bool(Drop(0.5)(torch.ones(50, 4, 80), torch.Generator()).mean() < 0.6)
    True
    """

    probability: float = 0.1

    def __post_init__(self) -> None:
        chances(probability=self.probability)

    def __call__(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        """A new batch of the same shape."""
        return Thinning.draw(self.probability, generator).apply(frames)


def shift_steps(frames: Tensor, by: Tensor) -> Tensor:
    """Delay sample b of frames [T, B, ...] by ``by[b]`` steps, zeros coming in.

    >>> shift_steps(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([1])).flatten()
    tensor([0., 1., 2.])
    """
    return moved(frames, by.tolist(), [0] * len(by))


def shift_places(frames: Tensor, by: Tensor, groups: int) -> Tensor:
    """Move sample b of frames [T, B, ..., n] up the last axis by ``by[b]``, in ``groups`` blocks.

    >>> shift_places(torch.tensor([[[1.0, 2.0, 3.0, 4.0]]]), torch.tensor([1]), 2).flatten()
    tensor([0., 1., 0., 3.])
    """
    check_groups(frames.shape[2:], groups)
    return moved(frames, [0] * len(by), by.tolist(), groups)


def _intervals(
    frames: Tensor, axis: int, longest: int, count: int, generator: torch.Generator
) -> Tensor:
    """[B, n] booleans, True in ``count`` random stretches of an axis, each up to ``longest``."""
    side, shape = frames.shape[axis], (count, frames.shape[1], 1)
    if longest > side:
        raise ShapeError("mask is longer than its axis", got=longest, expected=f"up to {side}")
    length = whole(0, longest, shape, generator)
    # ⌊u (free + 1)⌋ with one u per mask: how much is free depends on the length drawn.
    free = side + 1 - length
    spread = torch.rand(shape, generator=generator, dtype=torch.float64)
    first = (spread * free).long()
    place = torch.arange(side)
    return ((place >= first) & (place < first + length)).any(0).to(frames.device)
