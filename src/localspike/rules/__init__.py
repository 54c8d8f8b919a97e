"""Learning rules as frozen values: temporal credit × spatial credit × secondary activation."""

from ..kernels.surrogate import ArcTangent, FastSigmoid, Rectangle, SigmoidDerivative, Triangle
from .base import Rule
from .eligibility import ThroughTime, TwoTrace
from .presets import PRESETS, bptt, frozen, ottt, s_tllr, sltt, tess
from .signal import Backprop, ClassBasis, Projection, Silent

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
