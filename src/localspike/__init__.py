"""localspike: training spiking neural networks with rules that are local in time and space."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import learn, nn, rules
    from .learn import FPTT, CrossEntropy, FiringRate, Learner, SquaredError, keep_heap
    from .nn import models
    from .recipes.interchange import read_nir, write_nir, write_onnx

__version__ = "0.1.0"
__all__ = [
    "FPTT",
    "CrossEntropy",
    "FiringRate",
    "Learner",
    "SquaredError",
    "keep_heap",
    "learn",
    "models",
    "nn",
    "read_nir",
    "rules",
    "write_nir",
    "write_onnx",
]
_LEARN = ("FPTT", "CrossEntropy", "FiringRate", "Learner", "SquaredError", "keep_heap")
_HOMES = dict.fromkeys(_LEARN, ".learn")
_HOMES["models"] = ".nn"
_HOMES |= dict.fromkeys(("read_nir", "write_nir", "write_onnx"), ".recipes.interchange")


def __getattr__(name: str) -> Any:
    """Load at first use: the command line must be able to answer before PyTorch is there."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name], __name__), name)
    else:
        value = importlib.import_module(f".{name}", __name__)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
