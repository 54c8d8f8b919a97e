"""What is known of each rule beyond its code: where it comes from, and how its memory grows."""

from __future__ import annotations

from .base import Rule
from .class_basis import ClassBasis
from .contrast import Contrast
from .eligibility import ThroughTime, TwoTrace
from .factors import Cell
from .projection import Projection
from .rank_one import RankOne
from .signal import Silent
from .synapse_trace import BoundSynapseTrace, SynapseTrace

REFERENCES = {
    "tess": "Apolinario, Roy, Frenkel, IJCNN 2025 (arXiv 2502.01837)",
    "tess_plus": "this package: TESS with a local classifier that begins as its basis",
    "s_tllr": "Apolinario, Roy, TMLR 2025 (arXiv 2306.15220)",
    "ottt": "Xiao et al., NeurIPS 2022 (arXiv 2210.04195)",
    "sltt": "Meng et al., ICCV 2023 (arXiv 2302.14311)",
    "tp": "Pes, Yin, Stuijk, Corradi, Neuromorph. Comput. Eng. 2026 (arXiv 2509.13053)",
    "lls": "Apolinario, Roy, Roy, WACV 2025 (arXiv 2405.15868)",
    "decolle": "Kaiser, Mostafa, Neftci, Front. Neurosci. 2020",
    "local_loss": "Deep Spike Learning with Local Classifiers, IEEE Trans. Cybern. 2022",
    "etlp": "Quintana et al. 2023 (arXiv 2301.08281)",
    "e_prop": "Bellec et al., Nat. Commun. 2020",
    "ostl": "Bohnstingl et al. 2020 (arXiv 2007.12723)",
    "osttp": "Ortner et al. 2023 (arXiv 2304.05124)",
    "es_d_rtrl": "Wang et al., BrainScale 2024",
    "dfa": "Nøkland, NeurIPS 2016",
    "sdfa": "direct feedback alignment with the error's sign",
    "drtp": "Frenkel, Lefebvre, Bol, Front. Neurosci. 2021",
    "bptt": "Werbos 1990; surrogate gradients, Neftci et al. 2019",
    "frozen": "baseline: random features",
    "fptt": "Kag, Saligrama, ICML 2021; Yin, Corradi, Bohté (arXiv 2112.11231)",
}
"""Where each preset comes from, and FPTT, which is an optimiser around a rule."""


def state_order(rule: Rule, cell: Cell) -> str:
    """How a layer's learning state grows, beside its membranes, in big-O.

    Per sample: I afferents, O neurons, F synapses of one neuron, C classes, B samples, T steps.

    >>> from localspike.rules import tess
    >>> state_order(tess(), Cell(decay=0.5))
    'I + O'
    """
    if isinstance(rule.eligibility, ThroughTime):
        return "T · (I + O)"
    if isinstance(rule.signal, Silent):
        return "none"
    parts = [*_of_traces(rule.eligibility, cell), *_of_signal(rule.signal, cell)]
    return " + ".join(dict.fromkeys(parts)) or "none"


def _of_traces(eligibility: TwoTrace | SynapseTrace | RankOne, cell: Cell) -> list[str]:
    if isinstance(eligibility, RankOne):
        return ["I", "O"]
    if isinstance(eligibility, SynapseTrace):
        bound = eligibility.for_block(cell)
        if isinstance(bound, BoundSynapseTrace):
            return ["O² · F"] if eligibility.recurrent and cell.recurrent else ["O · F"]
        return ["I"]
    bound = eligibility.for_block(cell)
    return (["I"] if bound.pre_decay else []) + (["O"] if bound.post_gain else [])


def _of_signal(signal: object, cell: Cell) -> list[str]:
    if isinstance(signal, ClassBasis) and signal.latent_decay:
        return ["O"]
    if isinstance(signal, Projection) and signal.kind == "adaptive" and cell.readout_decay:
        return ["O"]
    if isinstance(signal, Contrast):
        return ["O", "C · O", "C²"] if signal.per_class else ["O", "B"]
    return []
