"""Learning rules as frozen values: temporal credit × spatial credit × secondary activation."""

from ..kernels.surrogate import ArcTangent, FastSigmoid, Rectangle, SigmoidDerivative, Triangle
from .base import Rule
from .class_basis import ClassBasis
from .contrast import Contrast
from .eligibility import ThroughTime, TwoTrace
from .membrane_band import MembraneBand
from .presets import bptt, frozen, ottt, s_tllr, sltt, tess, tess_plus
from .projection import Projection
from .rank_one import RankOne
from .registry import PRESETS, register
from .relatives import (
    decolle,
    dfa,
    drtp,
    e_prop,
    es_d_rtrl,
    etlp,
    lls,
    local_loss,
    ostl,
    osttp,
    sdfa,
    tp,
)
from .signal import Backprop, Silent
from .synapse_trace import SynapseTrace

__all__ = [
    "PRESETS",
    "ArcTangent",
    "Backprop",
    "ClassBasis",
    "Contrast",
    "FastSigmoid",
    "MembraneBand",
    "Projection",
    "RankOne",
    "Rectangle",
    "Rule",
    "SigmoidDerivative",
    "Silent",
    "SynapseTrace",
    "ThroughTime",
    "Triangle",
    "TwoTrace",
    "bptt",
    "decolle",
    "dfa",
    "drtp",
    "e_prop",
    "es_d_rtrl",
    "etlp",
    "frozen",
    "lls",
    "local_loss",
    "ostl",
    "osttp",
    "ottt",
    "register",
    "s_tllr",
    "sdfa",
    "sltt",
    "tess",
    "tess_plus",
    "tp",
]
