"""What learning costs, worked out from sizes: products, state, auxiliary matrices, by block.

Everything here sees a network and a rule only as `describe` gives them.
"""

from __future__ import annotations

from .products import Products, products
from .setting import Setting
from .signals import Matrices, matrices
from .spikes import Operations, operations
from .state import activations, inference, state
from .view import View

__all__ = [
    "Matrices",
    "Operations",
    "Products",
    "Setting",
    "View",
    "activations",
    "inference",
    "matrices",
    "operations",
    "products",
    "state",
]
