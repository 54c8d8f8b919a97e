"""Transforms of events, of frames [T, B, ...] and of images [B, C, H, W].

Each of the three rooms has a ``Flip``, a ``Crop`` and so on of its own: take them from
``transforms.events``, ``transforms.frames`` or ``transforms.images``. All randomness comes from
the generator that is handed in.
"""

from . import events, frames, images

__all__ = ["events", "frames", "images"]
