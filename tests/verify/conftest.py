"""Synthetic golden files, made once per session, and the recorded ones where they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import helpers_synthetic


def recorded() -> list[Path]:
    """Recorded files named by LOCALSPIKE_VECTORS, or beside the data root."""
    given = os.environ.get("LOCALSPIKE_VECTORS")
    root = os.environ.get("LOCALSPIKE_DATA")
    folder = Path(given) if given else Path(root).parent / "reference" / "vectors" if root else None
    return sorted(folder.glob("*.npz")) if folder else []


@pytest.fixture(scope="session")
def synthetic_files() -> dict[str, dict]:
    files = helpers_synthetic.FILES.items()
    return {name: helpers_synthetic.make(kind, **options) for name, (kind, options) in files}
