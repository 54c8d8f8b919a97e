"""One pass over a split without learning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from ..errors import DataError
from .feed import Feed
from .metrics import Meter, confusion


class Evaluates(Protocol):
    """What can judge a batch; a Learner does."""

    def evaluate(self, frames: Tensor, labels: Tensor, lengths: Tensor | None = None) -> Any: ...


class Evaluation(NamedTuple):
    """Mean loss, accuracy, firing rate per block, and the confusion counts [true, predicted]."""

    loss: float
    accuracy: float
    rates: dict[str, float]
    confusion: Tensor

    @property
    def samples(self) -> int:
        """How many samples were judged."""
        return int(self.confusion.sum())


class Tally:
    """What is counted while a split is judged batch by batch."""

    def __init__(self) -> None:
        self.meter = Meter()
        self.counts: Tensor | None = None

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor, rates: Mapping[str, float]) -> None:
        """Take in one batch: mean loss, logits [B, C], labels [B]."""
        self.meter.add(loss, logits, labels, rates)
        found = confusion(logits, labels).cpu()
        self.counts = found if self.counts is None else self.counts + found

    def whole(self) -> Evaluation:
        """All of it.

        Raises
        ------
        DataError
            If there was no batch.
        """
        if self.counts is None:
            raise DataError(
                "nothing to evaluate", got="an empty split", expected="a sample or more"
            )
        means = self.meter.means()
        return Evaluation(means["loss"], means["accuracy"], means["rates"], self.counts)


def evaluate(
    learner: Evaluates, feed: Feed, between: Callable[[], None] | None = None
) -> Evaluation:
    """Judge every batch of ``feed``; ``between`` is called after each and may raise to stop."""
    tally = Tally()
    for frames, labels, lengths in feed.batches():
        result = learner.evaluate(frames, labels, lengths)
        tally.add(result.loss, result.logits, labels, result.rates)
        if between is not None:
            between()
    return tally.whole()
