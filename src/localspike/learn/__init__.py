"""Learning: schedules, losses, and the learner that marries network, rule and optimiser."""

from .fptt import FPTT
from .learner import Learner
from .loss import CrossEntropy, SquaredError
from .online import online
from .outcome import Result
from .probe import Probe
from .regulariser import FiringRate

__all__ = [
    "FPTT",
    "CrossEntropy",
    "FiringRate",
    "Learner",
    "Probe",
    "Result",
    "SquaredError",
    "online",
]
