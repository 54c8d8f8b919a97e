"""Fixtures of the accuracy study."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from helpers_study import MODULES, STUDY
from localspike.nn import models
from localspike.recipes.plugin import forget, load_plugins


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    monkeypatch.syspath_prepend(str(STUDY))
    yield {name: importlib.import_module(name) for name in MODULES}
    for name in (*MODULES, "batchnorm"):
        sys.modules.pop(name, None)
    models.MODELS.pop("vgg9_batchnorm", None)  # a model of theirs, registered as it is imported


@pytest.fixture
def ideas(study: dict[str, ModuleType]) -> Iterator[None]:
    """Rules of `ideas.py`, gone after the test."""
    plugin = load_plugins([STUDY / "ideas.py"])[0]
    yield
    forget(plugin)
