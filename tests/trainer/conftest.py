"""Small runs on the embedded keywords."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from localspike.config import RunConfig, override
from localspike.recipes import Result, recipe, train

SMALL = ["limit=40", "hidden=12,8", "batch_size=8", "epochs=2", "steps=12", "log_every=2"]
Train = Callable[..., Result]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def small() -> Callable[..., RunConfig]:
    def make(*settings: str, name: str = "keywords-tess") -> RunConfig:
        return override(recipe(name), [*SMALL, *settings])

    return make


@pytest.fixture
def quietly() -> Train:
    def run(config: RunConfig, folder: Path, **options: object) -> Result:
        quiet: dict[str, object] = {"say": lambda line: None, "bar": False, "figures": False}
        return train(config, folder, **{**quiet, **options})

    return run
