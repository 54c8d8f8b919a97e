"""Encoders: analog frames and sound in, spikes out.

What they return has time first and the dtype and device of what they were given, so frames
[B, C, H, W] become spikes [T, B, C, H, W]. All randomness comes from the generator passed in, and
no gradient passes.
"""

from ..cochlea import FrontEnd
from ..cochlea import encode as cochlea
from ..cochlea import encode_clips as cochlea_clips
from .crossing import delta, level_crossing, on_off, reconstruct
from .latency import FORMS, latency, latency_steps
from .rate import direct, poisson

__all__ = [
    "FORMS",
    "FrontEnd",
    "cochlea",
    "cochlea_clips",
    "delta",
    "direct",
    "latency",
    "latency_steps",
    "level_crossing",
    "on_off",
    "poisson",
    "reconstruct",
]
