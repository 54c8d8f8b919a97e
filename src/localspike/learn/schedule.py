"""Which schedules are legal for a rule, which is taken, and why the others are not."""

from __future__ import annotations

from typing import Literal, NamedTuple

from ..errors import ConfigError, IllegalError
from ..rules.base import Rule

Name = Literal["auto", "layerwise", "streaming", "two_sweep", "bptt"]
Update = Literal["sequence", "step"]


class Choice(NamedTuple):
    """A schedule and one sentence saying why it was taken."""

    name: str
    reason: str


def obstacles(rule: Rule, update: Update) -> dict[str, str | None]:
    """For every schedule, why it is illegal for the rule and update, or None.

    >>> from localspike.rules import tess
    >>> obstacles(tess(), "sequence")["layerwise"] is None
    True
    """
    if not rule.local_in_time:
        whole = "credit through time needs the whole sequence before any weight changes"
        return {
            "layerwise": rule.layerwise_obstacle,
            "streaming": "credit flows backward through time, so no step can learn on its own",
            "two_sweep": "credit flows backward through time, not only through layers",
            "bptt": whole if update == "step" else None,
        }
    per_step = "weights that change at every step cannot serve a whole sequence at once"
    return {
        "layerwise": rule.layerwise_obstacle or (per_step if update == "step" else None),
        "streaming": None,
        "two_sweep": _nothing_sent(rule) or (per_step if update == "step" else None),
        "bptt": "the rule is defined by traces, not by autograd through time",
    }


def _nothing_sent(rule: Rule) -> str | None:
    if rule.local_in_space:
        return "its signal is local: layerwise gives the same in the memory of one layer"
    return None


def choose(rule: Rule, update: Update, wanted: Name = "auto") -> Choice:
    """Backpropagation through time, layerwise or streaming: the first that is legal, or the wanted.

    ``two_sweep`` is faster than streaming, for memory that grows with T, and is to be asked for.

    >>> from localspike.rules import ottt
    >>> choose(ottt(), "sequence").name
    'streaming'
    """
    if update not in ("sequence", "step"):
        raise ConfigError("unknown update", got=update, expected="'sequence' or 'step'")
    blocked = obstacles(rule, update)
    if wanted != "auto":
        return _wanted(rule, wanted, update, blocked)
    for name in ("bptt", "layerwise", "streaming"):
        if blocked[name] is None:
            return Choice(name, _reason(name, blocked))
    raise IllegalError(
        f"no schedule can run rule {rule.name!r} with update={update!r}: {blocked['bptt']}",
        fix="Use update='sequence'",
    )


def _wanted(rule: Rule, wanted: str, update: str, blocked: dict[str, str | None]) -> Choice:
    if wanted not in blocked:
        raise ConfigError(
            "unknown schedule", got=wanted, expected=f"'auto' or one of {sorted(blocked)}"
        )
    why = blocked[wanted]
    if why is not None:
        legal = [name for name, obstacle in blocked.items() if obstacle is None]
        raise IllegalError(
            f"schedule {wanted!r} is illegal for rule {rule.name!r}: {why}",
            fix=f"Use schedule={' or '.join(map(repr, legal))}, or 'auto'"
            if legal
            else f"Use update='sequence', no schedule can run this rule with {update!r}",
        )
    return Choice(wanted, "asked for")


def _reason(name: str, blocked: dict[str, str | None]) -> str:
    if name == "bptt":
        return "the rule is backpropagation through time"
    if name == "layerwise":
        return "the signal is local and weights change once per sequence: one contraction per layer"
    also = (
        ""
        if blocked["two_sweep"]
        else ("; schedule='two_sweep' gives the same gradient faster, for memory that grows with T")
    )
    return f"layerwise is not legal: {blocked['layerwise']}{also}"
