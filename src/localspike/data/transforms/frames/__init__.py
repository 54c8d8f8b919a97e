"""Transforms of frames [T, B, ...]: (frames, generator) → frames, an ``augment`` of ``batches``.

Frozen values; every sample draws its own, and the input is not written to. Padded steps are not
known to them: what ``lengths`` hides stays hidden.
"""

from ..compose import Compose
from .mix import CutMix, Mixed
from .space import Affine, Crop, Cutout, Flip, Resize, Roll
from .time import Drop, PlaceMask, PlaceShift, TimeMask, TimeShift, shift_places, shift_steps

__all__ = [
    "Affine",
    "Compose",
    "Crop",
    "CutMix",
    "Cutout",
    "Drop",
    "Flip",
    "Mixed",
    "PlaceMask",
    "PlaceShift",
    "Resize",
    "Roll",
    "TimeMask",
    "TimeShift",
    "shift_places",
    "shift_steps",
]
