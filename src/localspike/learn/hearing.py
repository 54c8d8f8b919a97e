"""Nets whose layers predict the class themselves: how well each does, and who is to be heard."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..errors import ConfigError
from ..nn.network import masked_sum
from .evaluation import Evaluation, Tally
from .feed import Feed
from .learner import Learner
from .metrics import Meter
from .votes import Votes


class Opinions(NamedTuple):
    """Accuracies: of every layer's own prediction, of the readout alone, and of what is answered.

    ``together`` is the latter: the readout, and the layers beside it where they are ``heard``.
    """

    layers: dict[str, float]
    readout: float
    together: float
    heard: bool


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
    require_voters(learner)
    meters: dict[str, Meter] = {}
    readout, together = Tally(), Tally()
    for frames, labels, lengths in feed.batches():
        votes = Votes(learner.credit, every=True)
        result = learner.evaluate(frames, labels, lengths, votes)
        assert votes.readout is not None  # it has been evaluated
        together.add(result.loss, result.logits, labels, {})
        readout.add(result.loss, masked_sum(votes.readout, lengths), labels, {})
        for name, logits in votes.alone().items():
            said = masked_sum(logits, lengths)
            meters.setdefault(name, Meter()).add(result.loss, said, labels, {})
    layers = {name: meter.means()["accuracy"] for name, meter in meters.items()}
    heard = bool(Votes(learner.credit).counted)
    return Opinions(layers, readout.whole().accuracy, together.whole().accuracy, heard)


def choose_votes(
    learner: Learner, feed: Feed, between: Callable[[], None] | None = None
) -> Evaluation:
    """Judge ``feed`` with and without the layers' votes; from now on the better way is the net's.

    For rules whose ``votes`` are "auto"; where both are equal the readout answers alone. Learning
    hears no votes, so that this may be done at any time, on samples that are not the test's. A
    training loop of your own calls it; `localspike train` does after every epoch.

    Raises
    ------
    ConfigError
        If the rule leaves nothing to choose.
    DataError
        If there are no samples.
    """
    if not learner.credit.chooses_votes:
        raise ConfigError(
            "there is nothing to choose about votes",
            got=f"rule {learner.rule.name!r} with votes={learner.credit.votes!r}",
            expected="votes='auto', and classes to tell apart",
            fix="Use Learner.evaluate",
        )
    alone, together = Tally(), Tally()
    for frames, labels, lengths in feed.batches():
        votes = Votes(learner.credit, heard=True)
        result = learner.evaluate(frames, labels, lengths, votes)
        assert votes.readout is not None  # it has been evaluated
        together.add(result.loss, result.logits, labels, result.rates)
        alone.add(result.loss, masked_sum(votes.readout, lengths), labels, result.rates)
        if between is not None:
            between()
    by_readout, by_all = alone.whole(), together.whole()
    learner.credit.heard = by_all.accuracy > by_readout.accuracy
    return by_all if learner.credit.heard else by_readout


def require_voters(learner: Learner) -> None:
    """Refuse a net none of whose layers predicts a class."""
    if Votes(learner.credit, every=True).voters:
        return
    raise ConfigError(
        "no layer of this net predicts a class by itself",
        got=f"rule {learner.rule.name!r}",
        expected="classes to tell apart, and a rule whose layers do, such as tess or decolle",
    )
