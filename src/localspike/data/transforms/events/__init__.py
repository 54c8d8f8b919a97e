"""Transforms of events: (events of one recording, sensor, generator) → (events, sensor).

Frozen values, vectorised in numpy, all randomness from the generator. ``account`` counts what a
transform loses.
"""

from .base import Compose, EventTransform, Outcome
from .denoise import Denoise
from .filters import Refractory
from .grid import Downsample, Merge, Resize
from .loss import Cutout, Drop, DropTime
from .many import Recordings, over_recordings
from .noise import FlipPolarity, Jitter, MergePolarity
from .space import Affine, Crop, Flip, Roll, rotate
from .time import TimeCrop, TimeReverse, TimeScale

__all__ = [
    "Affine",
    "Compose",
    "Crop",
    "Cutout",
    "Denoise",
    "Downsample",
    "Drop",
    "DropTime",
    "EventTransform",
    "Flip",
    "FlipPolarity",
    "Jitter",
    "Merge",
    "MergePolarity",
    "Outcome",
    "Recordings",
    "Refractory",
    "Resize",
    "Roll",
    "TimeCrop",
    "TimeReverse",
    "TimeScale",
    "over_recordings",
    "rotate",
]
