"""A run as data: frozen sections, typed overrides, JSON round trip, and the way to live objects."""

from __future__ import annotations

from .build import Session, build_learner, build_network, build_rule, build_session, pick_device
from .overrides import keys, override
from .rehearsal import rehearse
from .schema import (
    DataConfig,
    LearnerConfig,
    OptimizerConfig,
    Part,
    RunConfig,
    SchedulerConfig,
    TrainingConfig,
)
from .stored import changes, differences, digest, digests, from_json, to_json

__all__ = [
    "DataConfig",
    "LearnerConfig",
    "OptimizerConfig",
    "Part",
    "RunConfig",
    "SchedulerConfig",
    "Session",
    "TrainingConfig",
    "build_learner",
    "build_network",
    "build_rule",
    "build_session",
    "changes",
    "differences",
    "digest",
    "digests",
    "from_json",
    "keys",
    "override",
    "pick_device",
    "rehearse",
    "to_json",
]
