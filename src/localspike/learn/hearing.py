"""Nets whose layers predict the class themselves: how well each does, and who is to be heard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..errors import ConfigError
from ..nn.network import masked_sum
from .evaluation import Evaluation, Tally
from .feed import Feed
from .learner import Learner
from .metrics import Meter
from .votes import Votes


class Opinions(NamedTuple):
    """Accuracies of every layer's own prediction and of the readout alone, and what is answered.

    ``answered`` is what `Learner.evaluate` says: the readout, and the layers beside it where they
    are ``heard``.
    """

    layers: dict[str, float]
    readout: float
    answered: Evaluation
    heard: bool

    def plain(self) -> dict[str, Any]:
        """For JSON; the accuracy of what is answered is called "together"."""
        return {
            "layers": self.layers,
            "readout": self.readout,
            "together": self.answered.accuracy,
            "heard": self.heard,
        }


class _Tallies(NamedTuple):
    """What is counted of the readout alone, of it and the layers, and of every layer alone."""

    readout: Tally
    together: Tally
    layers: dict[str, Meter]


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
    found = _listen(learner, feed, lambda: Votes(learner.credit, every=True))
    layers = {name: meter.means()["accuracy"] for name, meter in found.layers.items()}
    heard = bool(Votes(learner.credit).counted)
    return Opinions(layers, found.readout.whole().accuracy, found.together.whole(), heard)


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
    found = _listen(learner, feed, lambda: Votes(learner.credit, heard=True), between)
    alone, together = found.readout.whole(), found.together.whole()
    learner.credit.heard = together.accuracy > alone.accuracy
    return together if learner.credit.heard else alone


def _listen(
    learner: Learner,
    feed: Feed,
    votes_of: Callable[[], Votes],
    between: Callable[[], None] | None = None,
) -> _Tallies:
    found = _Tallies(Tally(), Tally(), {})
    for frames, labels, lengths in feed.batches():
        votes = votes_of()
        result = learner.evaluate(frames, labels, lengths, votes)
        assert votes.readout is not None  # it has been evaluated
        found.together.add(result.loss, result.logits, labels, result.rates)
        alone = masked_sum(votes.readout, lengths)
        found.readout.add(result.loss, alone, labels, result.rates)
        for name, logits in votes.alone().items():
            said = masked_sum(logits, lengths)
            found.layers.setdefault(name, Meter()).add(result.loss, said, labels, {})
        if between is not None:
            between()
    return found


def require_voters(learner: Learner) -> None:
    """Refuse a net none of whose layers predicts a class."""
    if Votes(learner.credit, every=True).voters:
        return
    raise ConfigError(
        "no layer of this net predicts a class by itself",
        got=f"rule {learner.rule.name!r}",
        expected="classes to tell apart, and a rule whose layers do, such as tess or decolle",
    )
