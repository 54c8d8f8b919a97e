"""A small finished run, and the command as a function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from helpers_cli import SMALL, Said
from localspike.cli import main


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """`localspike` in this process."""

    def run(*arguments: object) -> Said:
        capfd.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capfd.readouterr()
        return Said(code, out, err)

    return run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder nobody may write to."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    assert main(["train", "keywords-tess", *SMALL, "--out", str(folder), "--json"]) == 0
    torch.set_num_threads(before)
    return folder
