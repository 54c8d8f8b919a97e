"""What tests of exports share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def runtime_objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for objects of the runtime, which is the same for every network."""
    return tmp_path_factory.mktemp("objects")
