"""The whole family as a table: what each rule is run with wherever rules are compared.

An entry is a rule and a few settings, in the language of the command line. What an entry does not
set is the net's: the neuron, the loss, the schedule of the step size, the number of epochs. The
step sizes themselves stand in ``step_sizes``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from .. import rules
from ..config import RunConfig, override
from ..config.options import nearest
from ..errors import ConfigError
from .step_sizes import step_size


@dataclass(frozen=True)
class Entry:
    """A rule as it is run in comparisons.

    ``settings`` hold everywhere, those of ``on`` on one data set or one of its nets:
    ``{"keywords": (...), "nmnist/conv": (...)}``, the latter last.

    >>> Entry("quick", "An example.", "ottt", ("active_steps=5",)).rule
    'ottt'
    """

    name: str
    summary: str
    rule: str
    settings: tuple[str, ...] = ()
    on: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def apply(self, base: RunConfig, data: str, net: str) -> RunConfig:
        """``base`` with this entry's rule, settings and step size.

        Raises
        ------
        ConfigError
            If a setting has no meaning there.
        """
        chosen = (
            f"rule={self.rule}",
            *self.settings,
            *self.on.get(data, ()),
            *self.on.get(f"{data}/{net}", ()),
        )
        lr = f"optimizer.lr={step_size(data, net, self.name)!r}"
        return override(replace(base, recipe=f"{data}-{net}-{self.name}"), (lr, *chosen))


_TRACED = {"keywords": ("rule.pre_decay=0.9",), "braille": ("rule.pre_decay=0.9",)}
# One 20 ms step of a word or a touch says little: TESS low-passes its latents there.
_TESS = {
    data: ("rule.pre_decay=0.9", "rule.latent_decay=0.99") for data in ("keywords", "braille")
} | {"nmnist": ("rule.pre_decay=0.9", "rule.latent_decay=0.9")}

_TABLE = (
    Entry("bptt", "Backpropagation through time: the baseline on the same net.", "bptt"),
    Entry(
        "tess", "TESS: two traces and a fixed class basis, nothing sent back.", "tess",
        ("rule.post_gain=0.0",), _TESS,
    ),
    Entry(
        "tess_plus", "TESS with a basis that learns, on blocks that keep running statistics.",
        "tess_plus",
        ("model.norm_momentum=0.1", "optimizer.readout_factor=5", "optimizer.rule_factor=10"),
        _TESS,
    ),
    Entry("s_tllr", "S-TLLR: two traces, backpropagation within each step.", "s_tllr", (), _TRACED),
    Entry(
        "s_tllr-dfa", "S-TLLR with the output error sent by fixed random matrices.", "s_tllr",
        ("rule.signal=dfa",), _TRACED,
    ),
    Entry("ottt", "OTTT: a trace as the membrane's, backpropagation within each step.", "ottt"),
    Entry("sltt", "SLTT: no traces, backpropagation within each step on its own.", "sltt"),
    Entry(
        "sltt-k", "SLTT-K: SLTT on 6 steps drawn for each batch.", "sltt",
        # Streamed, for that is where steps that are left out are not paid for.
        ("learner.active_steps=random-6", "learner.schedule=streaming"),
    ),
    Entry(
        "fptt", "FPTT: SLTT's gradient at every step, weights pulled to their running mean.",
        "sltt", ("optimizer=FPTT", "learner.update=step"),
    ),
    Entry(
        "tp", "Traces Propagation: traces of data contrasted with traces of targets.", "tp",
        ("learner.update=step", "rule.decay=0.9"),
    ),
    Entry("lls", "LLS: a fixed periodic basis on the layer's normalised output.", "lls"),
    Entry("lls-gain", "LLS-M: LLS with a trained factor per class.", "lls", ("rule.mixing=gain",)),
    Entry(
        "lls-matrix", "LLS-M×M: LLS with a trained mix of the classes.", "lls",
        ("rule.mixing=matrix",),
    ),
    Entry("decolle", "DECOLLE: a random readout and a loss at every layer and step.", "decolle"),
    Entry("local_loss", "A trained classifier at every layer.", "local_loss"),
    Entry(
        "etlp", "ETLP: a trace and the label's projection, at a label event every 5 steps.", "etlp",
        ("learner.active_steps=every-5",),
    ),
    Entry(
        "etlp-alif", "ETLP on adaptive neurons.", "etlp",
        ("neuron=alif", "learner.active_steps=every-5"),
    ),
    # The nets' readouts do not leak, so e-prop's filter is set: with none it would be DFA.
    Entry(
        "e_prop", "e-prop: eligibility filtered with 0.9, the error by random feedback.", "e_prop",
        ("rule.filter=0.9",),
    ),
    Entry(
        "e_prop-symmetric", "e-prop with the readout's own weights as feedback.", "e_prop",
        ("rule.feedback=symmetric", "rule.filter=0.9"),
    ),
    Entry(
        "e_prop-alif", "e-prop on adaptive neurons.", "e_prop",
        ("neuron=alif", "rule.filter=0.9"),
    ),
    Entry("ostl", "OSTL: the neuron's own Jacobian, backpropagation within each step.", "ostl"),
    Entry("osttp", "OSTTP: OSTL's traces, the label by fixed random matrices.", "osttp"),
    Entry("es_d_rtrl", "ES-D-RTRL: diagonal RTRL as a product of two factors.", "es_d_rtrl"),
    Entry("dfa", "Direct feedback alignment with the neuron's own trace.", "dfa"),
    Entry(
        "sdfa", "Direct feedback alignment with the error's sign.", "sdfa",
        # A sign does not shrink with the error: half the epochs end at the level of frozen layers.
        on={"nmnist/conv": ("training.epochs=10",)},
    ),
    Entry("drtp", "Direct random target projection with the neuron's own trace.", "drtp"),
    Entry("frozen", "Hidden layers stay as initialised: the floor to beat.", "frozen"),
)  # fmt: skip

ENTRIES: dict[str, Entry] = {entry.name: entry for entry in _TABLE}
"""Every rule and variant a comparison can show, by name."""


ENTERED: dict[str, Entry] = {}
"""What users entered beside the table."""


def enter(entry: Entry) -> Entry:
    """Add an entry of your own: a rule you registered, or other settings of any rule.

    Raises
    ------
    ConfigError
        If the name is taken.

    >>> mine = enter(Entry("tess-mean", "TESS, scale 1/n.", "tess", ("rule.scale=mean",)))
    >>> ENTERED.pop("tess-mean") is entries()["tess"]
    False
    """
    if entry.name in ENTRIES or entry.name in ENTERED:
        raise ConfigError(f"an entry {entry.name!r} exists already", fix="Give yours another name")
    ENTERED[entry.name] = entry
    return entry


def entries() -> dict[str, Entry]:
    """The table, what users entered, and defaults for every other registered rule.

    >>> list(entries())[0]
    'bptt'
    """
    listed = {entry.rule for entry in (*_TABLE, *ENTERED.values())}
    others = {name: _default(name) for name in rules.PRESETS if name not in listed}
    return {**ENTRIES, **ENTERED, **others}


def _default(name: str) -> Entry:
    said = (rules.PRESETS[name].__doc__ or "").strip().splitlines()
    return Entry(name, said[0] if said else f"The rule {name}.", name)


def chosen(names: str) -> list[Entry]:
    """The entries of a comma-separated list of names, or of ``all``.

    Raises
    ------
    ConfigError
        For an unknown name (the message has the nearest) or none at all.

    >>> [entry.name for entry in chosen("tess,bptt")]
    ['tess', 'bptt']
    """
    known = entries()
    if names.strip() == "all":
        return list(known.values())
    wanted = dict.fromkeys(name.strip() for name in names.split(",") if name.strip())
    if not wanted:
        raise ConfigError("no rule is named", got=repr(names), expected="all, or a,b,c")
    for name in wanted:
        if name not in known:
            raise ConfigError(f"unknown rule {name!r}", fix=nearest(name, known))
    return [known[name] for name in wanted]
