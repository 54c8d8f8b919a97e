"""The one place where optional packages are imported."""

from __future__ import annotations

import importlib
from types import ModuleType

from .errors import MissingDependencyError

EXTRAS = {
    "matplotlib": "plot",
    "tensorboardX": "tensorboard",
    "soundfile": "audio",
    "PIL": "images",
    "h5py": "formats",
    "lz4": "formats",
    "zstandard": "formats",
    "nir": "nir",
    "onnx": "onnx",
}


def require(module: str, purpose: str) -> ModuleType:
    """Import an optional package or say which extra brings it.

    >>> require("json", "nothing at all").__name__
    'json'
    """
    root = module.split(".")[0]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        extra = EXTRAS.get(root)
        target = f"localspike[{extra}]" if extra else root
        raise MissingDependencyError(
            f"{purpose} needs the package {root!r}, which does not import ({error})",
            fix=f"Install it with: pip install '{target}'",
        ) from error
