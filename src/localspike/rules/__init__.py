"""Learning rules as frozen values: temporal credit × spatial credit × secondary activation."""

from ..kernels.surrogate import ArcTangent, FastSigmoid, Rectangle, SigmoidDerivative, Triangle
from .base import Rule
from .class_basis import ClassBasis
from .eligibility import ThroughTime, TwoTrace
from .presets import PRESETS, bptt, frozen, ottt, s_tllr, sltt, tess
from .projection import Projection
from .signal import Backprop, Silent

__all__ = [
    "PRESETS",
    "ArcTangent",
    "Backprop",
    "ClassBasis",
    "FastSigmoid",
    "Projection",
    "Rectangle",
    "Rule",
    "SigmoidDerivative",
    "Silent",
    "ThroughTime",
    "Triangle",
    "TwoTrace",
    "bptt",
    "frozen",
    "ottt",
    "s_tllr",
    "sltt",
    "tess",
]
