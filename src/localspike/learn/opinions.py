"""What each layer of a net says by itself: the accuracy of local predictions on a split."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from ..errors import ConfigError
from ..nn.network import masked_sum
from .evaluation import nothing_to_judge
from .feed import Feed
from .learner import Learner
from .metrics import Meter
from .votes import Votes


class Opinions(NamedTuple):
    """Accuracies: of every layer's own prediction, of the readout alone, and of all that count.

    ``together`` is what `Learner.evaluate` answers: the readout, and the layers where they vote.
    """

    layers: dict[str, float]
    readout: float
    together: float


def opinions(learner: Learner, feed: Feed) -> Opinions:
    """Judge every batch of ``feed`` by each layer alone, over the same steps as the readout.

    Only rules with a class basis (TESS and its relatives) have layers that predict the class.

    Raises
    ------
    ConfigError
        If no layer predicts a class.
    DataError
        If there are no samples.
    """
    _require_voters(learner)
    meters: dict[str, Meter] = {}
    readout, together = Meter(), Meter()
    for frames, labels, lengths in feed.batches():
        votes = Votes(learner.credit, every=True)
        result = learner.evaluate(frames, labels, lengths, votes)
        assert votes.readout is not None  # it has been evaluated
        together.add(result.loss, result.logits, labels, {})
        readout.add(result.loss, masked_sum(votes.readout, lengths), labels, {})
        for name, logits in votes.alone().items():
            said: Tensor = masked_sum(logits, lengths)
            meters.setdefault(name, Meter()).add(result.loss, said, labels, {})
    if not readout.count:
        raise nothing_to_judge()
    layers = {name: meter.means()["accuracy"] for name, meter in meters.items()}
    return Opinions(layers, readout.means()["accuracy"], together.means()["accuracy"])


def _require_voters(learner: Learner) -> None:
    if Votes(learner.credit, every=True).voters:
        return
    raise ConfigError(
        "no layer of this net predicts a class by itself",
        got=f"rule {learner.rule.name!r}",
        expected="classes to tell apart, and a rule whose layers do, such as tess or decolle",
    )
