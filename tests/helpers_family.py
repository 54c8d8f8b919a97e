"""The rest of the family: rules beyond S-TLLR, TESS, OTTT and SLTT, and where they are defined."""

from __future__ import annotations

from collections.abc import Callable

from localspike import rules
from localspike.rules import (
    Backprop,
    ClassBasis,
    Contrast,
    Projection,
    RankOne,
    Rule,
    SynapseTrace,
    Triangle,
    TwoTrace,
)

FAMILY_LOCAL_RULES: dict[str, Callable[[], Rule]] = {
    "tp": rules.tp,
    "tp-classes": lambda: rules.tp(against="classes"),
    "tp-merged": lambda: rules.tp(against="merged"),
    "lls": rules.lls,
    "lls-gain": lambda: rules.lls(mixing="gain"),
    "lls-matrix": lambda: rules.lls(mixing="matrix"),
    "lls-cosine": lambda: rules.lls("cosine"),
    "lls-hadamard": lambda: rules.lls("hadamard", pool=0),
    "lls-random": lambda: rules.lls("random"),
    "decolle": rules.decolle,
    "decolle-band": lambda: rules.decolle(upper=0.1, lower=0.05),
    "local_loss": rules.local_loss,
    "etlp": rules.etlp,
    "etlp-events": lambda: rules.etlp(3),
    "osttp": rules.osttp,
    "osttp-recurrent": lambda: rules.osttp(True),
    "es_d_rtrl-drtp": lambda: rules.es_d_rtrl(0.9, "drtp"),
    "drtp": rules.drtp,
    # Temporal and spatial credit recombined, as no preset has them.
    "contrast-two-trace": lambda: Rule(
        "r", TwoTrace(0.5, 0.2, 0.7, 1.0), Contrast(0.9, "classes"), Triangle()
    ),
    "trained-filtered": lambda: Rule(
        "r",
        SynapseTrace("readout", True),
        ClassBasis("trained", "l2", latent_decay=0.8),
        Triangle(),
    ),
}
FAMILY_ERROR_RULES: dict[str, Callable[[], Rule]] = {
    "e_prop": rules.e_prop,
    "e_prop-adaptive": lambda: rules.e_prop("adaptive"),
    "e_prop-symmetric": lambda: rules.e_prop("symmetric"),
    "ostl": rules.ostl,
    "ostl-recurrent": lambda: rules.ostl(True),
    "es_d_rtrl": rules.es_d_rtrl,
    "dfa": rules.dfa,
    "sdfa": rules.sdfa,
    "filtered-full": lambda: Rule("r", SynapseTrace(0.6, True, True), Backprop(), Triangle()),
    "double-exponential": lambda: Rule(
        "r", TwoTrace(0.7, 0.3, 0.6, -0.4, synaptic_decay=0.4), Projection("adaptive"), Triangle()
    ),
    "rank-one-adaptive": lambda: Rule("r", RankOne(0.7), Projection("adaptive"), Triangle()),
}
FAMILY = {**FAMILY_LOCAL_RULES, **FAMILY_ERROR_RULES}
FAMILY_LOCAL, FAMILY_ERROR_SENT = tuple(FAMILY_LOCAL_RULES), tuple(FAMILY_ERROR_RULES)

CONTRASTS = tuple(n for n in FAMILY if n.startswith(("tp", "contrast")))

EXCEPTIONS: dict[str, dict[str, str]] = {
    "a batch is the mean of its samples": {
        "tp": "every sample is contrasted with the targets of the others, by definition",
        "tp-merged": "as above",
    },
    "padding changes nothing": {
        "tp": "as above: a sample alone is refused; its padding is tested in test_contrast.py",
        "tp-merged": "as above",
    },
    "no signal, no gradient": {
        "decolle-band": "the membrane is regularised whether or not there is a loss",
    },
    "twice the loss, twice the gradient": {
        "decolle-band": "the regulariser has a strength of its own",
    },
    "the future does not reach a streamed gradient": {
        "decolle-band": "it regularises inactive steps too: tested as a stream cut short",
    },
    "steps without labels only run states": {
        n: "the labels are run through the network too, so every step needs one" for n in CONTRASTS
    },
}
"""Items of the conformance list that are not true of a rule by definition, and why."""


def defined(rule: str, net: str) -> bool:
    """Whether a rule is defined on a net: what a learner refuses is tested on its own."""
    if rule == "e_prop-symmetric":
        return net.startswith("single")
    return not (rule in CONTRASTS and net == "residual")


def excepted(item: str, rule: str) -> bool:
    """Whether the rule is excepted from an item of the conformance list."""
    return rule in EXCEPTIONS[item]


SENTINELS = (
    *("tess-latent", "s_tllr-bp", "ottt", "bptt"),
    *("tp-classes", "decolle-band", "local_loss", "etlp-events", "e_prop-adaptive"),
    *("ostl-recurrent", "es_d_rtrl", "trained-filtered"),
)
"""One rule of every temporal and spatial credit: what runs on all nets where a whole product
of rules and nets would say the same again."""
MAIN_NETS = ("conv", "recurrent", "alif", "single")
