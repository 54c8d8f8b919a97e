"""Learning: schedules, losses, and the learner that marries network, rule and optimiser."""

from .credit import FiringRate
from .learner import Learner, Result
from .loss import CrossEntropy, SquaredError
from .probe import Probe

__all__ = ["CrossEntropy", "FiringRate", "Learner", "Probe", "Result", "SquaredError"]
