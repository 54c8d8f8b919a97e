"""`localspike train --minutes`: exit code 0, and a line on how to go on that works."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers_cli import SMALL, Said

Command = Callable[..., Said]


def test_the_line_that_is_said_goes_on_to_the_end(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    settings = [*SMALL, "epochs=2"]
    first = ["keywords-tess", *settings, "--device", "cpu", "--minutes", "1e-6", "--out", folder]
    paused = command("train", *first)
    assert paused.code == 0
    said = paused.out.splitlines()[-1]
    assert "stopped in time, after epoch 1 of 2, everything is saved" in said
    again = shlex.split(said.split("Go on with: localspike ")[1])
    assert again[-1] == "--resume" and "--device" in again and "--minutes" in again
    ended = command(*again)
    assert ended.code == 0 and "after 2 epochs" in ended.out
    assert (folder / "result.json").exists()


def test_as_json_a_program_can_go_on(command: Command, tmp_path: Path) -> None:
    arguments = ["keywords-tess", *SMALL, "epochs=2", "--minutes", "1e-6", "--json"]
    paused = command("train", *arguments, "--out", tmp_path / "run")
    found = json.loads(paused.out)
    assert (found["epoch"], found["epochs"]) == (1, 2)
    assert found["folder"] == str(tmp_path / "run") and "--resume" in found["resume"]


@pytest.mark.parametrize("minutes", ["0", "-1", "nan"])
def test_impossible_minutes_are_refused(command: Command, tmp_path: Path, minutes: str) -> None:
    said = command("train", "keywords-tess", f"--minutes={minutes}", "--out", tmp_path / "run")
    assert said.code == 2 and "--minutes" in said.err
    assert not (tmp_path / "run").exists()
