"""Transforms of a batch one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...errors import ConfigError
from ..moves import followed, in_groups
from .draws import substreams


@dataclass(frozen=True)
class Compose:
    """Transforms (batch, generator) → batch in turn, each with random numbers of its own.

    A part's stream is derived from one draw of the generator, the part's class and how many parts
    of that class stand before it; adding a part of another class anywhere changes no other draw.
    Raises ConfigError for a part that cannot be called.

    >>> from localspike.data.transforms import frames
    >>> both = Compose([frames.Flip(1.0), frames.Drop(0.0)])
    >>> both(torch.tensor([[[1.0, 2.0]]]), torch.Generator())
    tensor([[[2., 1.]]])
    """

    parts: Sequence[Callable[[Tensor, torch.Generator], Tensor]]

    def __post_init__(self) -> None:
        for part in self.parts:
            if not callable(part):
                raise ConfigError("not a transform", got=repr(part))
        object.__setattr__(self, "parts", tuple(self.parts))

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """The batch after the last part."""
        for part, own in zip(self.parts, substreams(generator, self.parts), strict=True):
            batch = part(batch, own)
        return batch

    def in_groups(self, groups: int) -> Compose:
        """The same, its parts with so many groups where they left them open."""
        return replace(self, parts=[in_groups(part, groups) for part in self.parts])

    def with_lengths(
        self, batch: Tensor, lengths: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """The same, and the lengths [B] of sequences after all parts that move them in time."""
        for part, own in zip(self.parts, substreams(generator, self.parts), strict=True):
            batch, lengths = followed(part, batch, lengths, own)
        return batch, lengths
