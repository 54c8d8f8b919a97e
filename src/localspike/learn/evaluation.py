"""One pass over a split without learning."""

from __future__ import annotations

from collections.abc import Callable
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


def evaluate(
    learner: Evaluates, feed: Feed, between: Callable[[], None] | None = None
) -> Evaluation:
    """Judge every batch of ``feed``; ``between`` is called after each and may raise to stop."""
    meter, counts = Meter(), None
    for frames, labels, lengths in feed.batches():
        result = learner.evaluate(frames, labels, lengths)
        meter.add(result.loss, result.logits, labels, result.rates)
        found = confusion(result.logits, labels).cpu()
        counts = found if counts is None else counts + found
        if between is not None:
            between()
    if counts is None:
        raise nothing_to_judge()
    means = meter.means()
    return Evaluation(means["loss"], means["accuracy"], means["rates"], counts)


def nothing_to_judge() -> DataError:
    """What is raised for a split without samples."""
    return DataError("nothing to evaluate", got="an empty split", expected="a sample or more")
