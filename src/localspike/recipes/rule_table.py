"""The page docs/rules.md: every rule, where it runs, what it costs; made from the code itself.

Support is what the learner says when asked. Bytes and multiply-accumulates are counted while the
rule runs on three small nets, not derived.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import torch

from ..config import RunConfig
from ..config.build import build_rule
from ..errors import LocalspikeError
from ..learn import Learner
from ..learn.meter import macs_of, sequence_bytes, state_bytes
from ..learn.schedule import Name, Update, obstacles
from ..nn import LIF, Network
from ..nn.models import convnet, mlp, recurrent
from ..rules import Rule
from ..rules.about import REFERENCES, state_order
from ..rules.factors import Cell, tensors_of
from .family import ENTRIES, Entry
from .nets import base_of

STEPS, BATCH, LEAK = 12, 4, 0.9
SCHEDULES: tuple[Name, ...] = ("streaming", "layerwise", "two_sweep", "bptt")
INPUTS, NEURONS, CLASSES, IMAGE, CHANNELS = 64, 32, 10, 12, 8
# Variants of entries that matter here and not in comparisons on feed-forward nets.
VARIANTS = (
    Entry("ostl-recurrent", "OSTL through W_rec too: RTRL in the layer.", "ostl",
          ("rule.recurrent=true",)),
    Entry("osttp-recurrent", "OSTTP through W_rec too.", "osttp", ("rule.recurrent=true",)),
    Entry("e_prop-adaptive", "e-prop with feedback that learns to align.", "e_prop",
          ("rule.feedback=adaptive", "rule.filter=0.9")),
    Entry("tp-classes", "Traces Propagation against one target per class.", "tp",
          ("rule.against=classes",)),
    Entry("tp-merged", "Traces Propagation, equal labels of a batch as one target.", "tp",
          ("rule.against=merged",)),
)  # fmt: skip
ROWS = {**ENTRIES, **{entry.name: entry for entry in VARIANTS}}

NETS: dict[str, Callable[[LIF], Network]] = {
    "linear": lambda n: mlp(INPUTS, (NEURONS,), CLASSES, neuron=n, readout_decay=LEAK, rate=None),
    "conv": lambda n: convnet(
        2, CLASSES, image=IMAGE, channels=(CHANNELS,), neuron=n, readout_decay=LEAK, rate=None
    ),
    "recurrent": lambda n: recurrent(
        INPUTS, (NEURONS,), CLASSES, neuron=n, readout_decay=LEAK, rate=None
    ),
}


@dataclass(frozen=True)
class Measured:
    """What a rule costs on one net, under the schedules that it runs on.

    ``carried`` are bytes a stream carries per sample, ``traces`` the numbers of them that learning
    alone needs; ``held`` are bytes of sequences per sample and ``macs`` multiply-accumulates per
    sample and step, by schedule.
    """

    carried: int | None
    traces: int | None
    held: dict[str, int]
    macs: dict[str, int]


def support(rule: Rule, config: RunConfig, net_name: str) -> dict[str, str | None]:
    """Per schedule why a rule is refused on a net, or None; the learner is asked.

    >>> from localspike import rules
    >>> support(rules.tess(), base_of("nmnist", "fc"), "conv")["layerwise"] is None
    True
    """
    net = NETS[net_name](config.neuron)
    return {schedule: _learner(net, rule, config, schedule)[1] for schedule in SCHEDULES}


def measure(rule: Rule, config: RunConfig, net_name: str) -> Measured:
    """Count what a rule costs on a net, while it runs.

    >>> from localspike import rules
    >>> measure(rules.frozen(), base_of("nmnist", "fc"), "linear").macs["streaming"]
    2688
    """
    torch.manual_seed(0)
    net = NETS[net_name](config.neuron)
    frames = (torch.rand(STEPS, BATCH, *net.sample_shape) < 0.3).float()
    labels = torch.arange(BATCH)
    found = Measured(None, None, {}, {})
    for schedule in SCHEDULES:
        learner, _ = _learner(net, rule, config, schedule)
        if learner is None:
            continue
        found.macs[schedule] = macs_of(learner, frames, labels) // (STEPS * BATCH)
        if schedule == "streaming":
            carried = state_bytes(learner, frames, labels) // BATCH
            bare = sum(x.numel() for x in tensors_of(tuple(net.init_state(1).values())))
            found = replace(found, carried=carried, traces=carried // 4 - bare)
        else:
            found.held[schedule] = sequence_bytes(learner, frames, labels) // BATCH
    return found


def _learner(
    net: Network, rule: Rule, config: RunConfig, schedule: Name
) -> tuple[Learner | None, str | None]:
    """A learner of these, or why there is none."""
    # FPTT is an update at every step; other entries' updates are a choice.
    update: Update = "step" if config.optimizer.name == "FPTT" else "sequence"
    why = obstacles(rule, update)[schedule]
    if why is not None:
        return None, why
    steps = config.learner.active_steps
    try:
        return Learner(net, rule, schedule=schedule, update=update, active_steps=steps), None
    except LocalspikeError as error:
        return None, str(error)


@cache
def _rule_of(name: str) -> tuple[Rule, RunConfig]:
    config = ROWS[name].apply(base_of("nmnist", "fc"), "nmnist", "fc")
    return build_rule(config), config


def page() -> str:
    """The whole page as Markdown."""
    costs = [cost_row(name) for name in ROWS]
    return "\n".join([_INTRO, *where_table(), "", _COST, *costs, "", _OUTRO])


def where_table() -> list[str]:
    """The lines of the table of where rules run, and the footnotes under it."""
    reasons: dict[str, int] = {}
    rows = [_where(name, reasons) for name in ROWS]
    notes = [f"{i}. {reason[0].upper()}{reason[1:]}." for reason, i in reasons.items()]
    return [_WHERE, *rows, "", *notes]


def _where(name: str, reasons: dict[str, int]) -> str:
    entry, (rule, config) = ROWS[name], _rule_of(name)
    local = [_yes(rule.local_in_time), _yes(rule.local_in_space)]
    nets = [_support(support(rule, config, net), reasons) for net in NETS]
    depth = _two_blocks(rule)
    if depth is not None:
        number = reasons.setdefault(depth, len(reasons) + 1)
        nets = [f"{net}; one hidden block only ({number})" for net in nets]
    source = REFERENCES.get(name, REFERENCES[entry.rule])
    return f"| {' | '.join([f'`{name}`', entry.summary, *local, *nets, source])} |"


def _two_blocks(rule: Rule) -> str | None:
    """Why a rule is refused on a net of two hidden blocks, or None."""
    try:
        Learner(mlp(INPUTS, (NEURONS, NEURONS), CLASSES, rate=None), rule)
    except LocalspikeError as error:
        return str(error).rstrip(".")
    return None


def _yes(true: bool) -> str:
    return "yes" if true else "no"


def _support(refused: dict[str, str | None], reasons: dict[str, int]) -> str:
    """Schedules that run, and a footnote for each of the two main ones that does not."""
    runs = [s.replace("_", "-") for s in SCHEDULES if refused[s] is None]
    said = [", ".join(runs)] if runs else []
    for schedule in ("streaming", "layerwise"):
        why = refused[schedule]
        if why is not None:
            number = reasons.setdefault(why.rstrip("."), len(reasons) + 1)
            said.append(f"no {schedule} ({number})")
    return "; ".join(said)


def cost_row(name: str) -> str:
    """One line of the table of costs."""
    rule, config = _rule_of(name)
    n = config.neuron
    cell = Cell(
        n.decay, n.synaptic_decay, n.adaptation, n.adaptation_decay, n.reset, n.amount, LEAK,
        recurrent=True,
    )  # fmt: skip
    order = state_order(rule, cell)
    if config.optimizer.name == "FPTT":
        order += " (and twice the weights, in the optimiser)"
    nets = [measure(rule, config, net) for net in NETS]
    triples = (
        [c.carried for c in nets],
        [c.traces for c in nets],
        [_first(c.held) for c in nets],
        [c.macs.get("streaming") for c in nets],
        [_first({k: v for k, v in c.macs.items() if k != "streaming"}) for c in nets],
    )
    return f"| `{name}` | {order} | {' | '.join(_triple(values) for values in triples)} |"


def _first(values: dict[str, int]) -> int | None:
    return next(iter(values.values()), None)


def _triple(values: list[int | None]) -> str:
    return " / ".join("none" if v is None else f"{v:,}" for v in values)


_INTRO = """# The rules

This page is written by `scripts/write_rules_page.py` from the code; a test keeps it true.

Every rule is temporal credit × spatial credit × Ψ, so the rows are only the combinations that have
a name. Any traces go with any signal; what is refused is refused when the learner is built, with
the reason. `localspike compare` trains the rows side by side.

*Streaming* visits time outside and layers inside, in memory that does not grow with T; *layerwise*
visits layers outside, with one contraction per layer and sequence; *two-sweep* does so for signals
sent from the readout, keeping all layers' sequences; *bptt* is autograd.

*In time* and *in space* say where a rule is local.

## Where they run
"""
_WHERE = """| rule | what it is | in time | in space | linear | conv | recurrent | source |
|---|---|---|---|---|---|---|---|"""
_COST = f"""## What they cost

Counted while the rules run, per sample, float32, T = {STEPS}, batch of {BATCH}. Each triple is
linear / conv / recurrent: {INPUTS}-{NEURONS}-{CLASSES}; 2×{IMAGE}×{IMAGE} to {CHANNELS} 3×3
filters, pooled, to {CLASSES}; {INPUTS}-{NEURONS}R-{CLASSES}; all with a leaky readout
(γ_out = {LEAK}).

* *Grows as*: the learning state of a layer, beside its membranes, per sample: I afferents (inputs,
  and the layer's own spikes where it recurs), O neurons, F synapses of a neuron (on feature maps,
  of every position), C classes, B samples, T steps.
* *Carried*: bytes a stream takes from step to step beside weights and their gradients: membranes,
  traces, filtered latents. It does not depend on T. *Traces* are the numbers of it that only
  learning needs; each is updated once a step, which costs about one more multiply-add per number.
* *Held*: bytes of whole sequences at once, all of them proportional to T: layerwise the largest
  layer's, two-sweep all layers', BPTT what autograd saves.
* *MACs*: multiply-accumulates of one sample and step in products, forward and learning together.
  The last column is layerwise, two-sweep or bptt, whichever the rule has.

| rule | grows as | bytes carried | traces | bytes held | MACs, streaming | MACs, whole |
|---|---|---|---|---|---|---|"""
_OUTRO = """A trace per synapse (O · F) is inherent to e-prop with a leaky readout or adaptive
neurons and to OSTL with the reset differentiated; layerwise and two-sweep need none of it, for
over a whole sequence the same gradient follows from one number per neuron (docs/architecture.md).
"""
