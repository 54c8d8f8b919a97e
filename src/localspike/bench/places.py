"""Where the checkout's own benchmark files are, which an installed wheel does not have."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import localspike

from ..errors import ConfigError

RECORDS = "records"


def benchmarks(folder: Path | None = None) -> Path | None:
    """The folder of `naive.py` and the peers: the one given, or the checkout's, or None.

    Raises
    ------
    ConfigError
        If the folder given is not there.
    """
    if folder is not None:
        if not folder.is_dir():
            raise ConfigError(f"no folder {folder}", fix="Give a checkout's benchmarks folder")
        return folder.resolve()
    found = Path(localspike.__file__).resolve().parents[2] / "benchmarks"
    return found if (found / "naive.py").is_file() else None


def peers_python(folder: Path | None) -> Path | None:
    """The interpreter of the peers' environment, or None where `make bench-peers` has not run."""
    if folder is None or not (folder / "peers" / "worker.py").is_file():
        return None
    below = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    found = folder.parent.joinpath(".venv-peers", *below)
    return found if found.exists() else None


def load_naive(folder: str) -> ModuleType:
    """The module `naive.py` of a folder.

    Raises
    ------
    ConfigError
        If it is not there.
    """
    path = Path(folder) / "naive.py"
    spec = importlib.util.spec_from_file_location("localspike_naive", path)
    if not folder or spec is None or spec.loader is None or not path.is_file():
        raise ConfigError("the naive baseline is not here", expected=f"{path}, as in a checkout")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
