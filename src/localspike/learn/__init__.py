"""Learning: schedules, losses, and the learner that marries network, rule and optimiser."""

from .feed import Feed
from .fptt import FPTT
from .hearing import choose_votes, opinions
from .learner import Learner
from .loss import CrossEntropy, SquaredError
from .memory import keep_heap
from .online import online
from .outcome import Result
from .probe import Probe
from .regulariser import FiringRate

__all__ = [
    "FPTT",
    "CrossEntropy",
    "Feed",
    "FiringRate",
    "Learner",
    "Probe",
    "Result",
    "SquaredError",
    "choose_votes",
    "keep_heap",
    "online",
    "opinions",
]
