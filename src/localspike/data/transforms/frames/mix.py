"""Two samples of a batch made one, with the labels of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ....errors import ConfigError, ShapeError
from ..checks import wholes
from ..draws import between, whole
from ..plane import around


class Mixed(NamedTuple):
    """Frames of which ``weight`` [B] is of class ``labels_a`` and the rest of ``labels_b``."""

    frames: Tensor
    labels_a: Tensor
    labels_b: Tensor
    weight: Tensor

    def values(self, classes: int) -> Tensor:
        """Soft targets [B, C]: weight · onehot(a) + (1 − weight) · onehot(b).

        >>> one = torch.tensor([0]), torch.tensor([1]), torch.tensor([0.75])
        >>> Mixed(torch.ones(1, 1, 1), *one).values(2)
        tensor([[0.7500, 0.2500]])
        """
        hot = torch.nn.functional.one_hot
        share = self.weight[:, None]
        return share * hot(self.labels_a, classes) + (1 - share) * hot(self.labels_b, classes)


@dataclass(frozen=True)
class CutMix:
    """Put a piece of another sample of the batch into each sample, and weigh the labels by it.

    Sample b takes from sample π(b), π a random permutation, the part 1 − λ: ``over`` "space" a
    rectangle of (H √(1−λ)) × (W √(1−λ)) pixels around a random pixel at all steps, cut at the
    border; "time" an interval of T (1−λ) steps. λ ~ Beta(alpha, alpha) for a whole alpha. The
    weight is the part really kept. Since labels change, this is not an ``augment``: call it between
    ``batches`` and the learner, whose loss must take values, as ``SquaredError`` does,

        mixed = CutMix()(frames, labels, generator)
        learner.fit(mixed.frames, mixed.values(classes))

    Raises ConfigError for impossible settings, ShapeError for frames that do not fit.
    Yun et al., CutMix, arXiv:1905.04899.

    >>> frames, labels = torch.arange(4.0).expand(3, 4).view(3, 4, 1, 1), torch.arange(4)
    >>> CutMix(over="time")(frames, labels, torch.Generator()).values(4).sum(1)
    tensor([1., 1., 1., 1.])
    """

    alpha: int = 1
    over: Literal["space", "time"] = "space"

    def __post_init__(self) -> None:
        wholes(self, 1, "alpha")
        if self.over not in ("space", "time"):
            raise ConfigError("impossible over", got=repr(self.over), expected="space or time")

    def __call__(self, frames: Tensor, labels: Tensor, generator: torch.Generator) -> Mixed:
        """Mixed frames in the shape of ``frames`` [T, B, ...], labels [B] of both, weights [B]."""
        batch = frames.shape[1]
        if tuple(labels.shape) != (batch,):
            raise ShapeError(
                "CutMix needs a class per sample", got=list(labels.shape), expected=f"[{batch}]"
            )
        partner = torch.randperm(batch, generator=generator)
        draw = self._draw_space if self.over == "space" else self._draw_time
        piece = draw(frames, self._taken(batch, generator), generator)
        weight = 1 - piece.flatten(2).double().mean((0, 2))
        taken = piece.to(frames.device)
        mixed = torch.where(taken, frames[:, partner.to(frames.device)], frames)
        return Mixed(mixed, labels, labels[partner.to(labels.device)], weight.float())

    def _taken(self, batch: int, generator: torch.Generator) -> Tensor:
        """1 − λ [B, 1]: the middle one of 2 alpha − 1 even draws is Beta(alpha, alpha)."""
        return between((0.0, 1.0), (batch, 2 * self.alpha - 1), generator).median(1, True)[0]

    def _draw_space(self, frames: Tensor, taken: Tensor, generator: torch.Generator) -> Tensor:
        if frames.dim() < 4:
            raise ShapeError(
                "CutMix over space cannot work on this batch",
                got=list(frames.shape),
                expected="[T, B, ..., H, W]",
                fix="Use over='time'",
            )
        inside = []
        for side in frames.shape[-2:]:
            size = (taken.sqrt() * side).round().long()
            middle = whole(0, side - 1, (len(taken), 1), generator)
            inside.append(around(middle, side, size))
        piece = inside[0][:, :, None] & inside[1][:, None]
        return piece.view(1, len(taken), *[1] * (frames.dim() - 4), *piece.shape[1:])

    def _draw_time(self, frames: Tensor, taken: Tensor, generator: torch.Generator) -> Tensor:
        steps = len(frames)
        length = (taken * steps).round().long()
        spread = between((0.0, 1.0), (len(taken), 1), generator)
        first = (spread * (steps + 1 - length)).long()
        place = torch.arange(steps)
        piece = (place >= first) & (place < first + length)
        return piece.T.reshape(steps, len(taken), *[1] * (frames.dim() - 2))
