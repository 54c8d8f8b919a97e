"""Networks for devices: C code that infers and learns in a fixed arena."""

from __future__ import annotations

from .build import plan_of
from .plan import MODES, Layer, Plan, Shape

__all__ = ["MODES", "Layer", "Plan", "Shape", "plan_of"]
