"""A job of the study: one training in a process of its own, and where its record lies."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
RECORDS = HERE.parent / "records" / "study"


class Job(NamedTuple):
    """One `trial.py`: ``source`` is a recipe, or PLACE/ENTRY of the family's nets."""

    part: str
    name: str
    seed: int
    source: str
    settings: tuple[str, ...] = ()
    plugin: bool = False
    test: bool = False
    layers: bool = False

    @property
    def record(self) -> str:
        """Its record's path below the folder of records."""
        return f"{self.part}/{self.name}-{self.seed}.json"

    def line(self, asked: argparse.Namespace) -> list[str]:
        """The process's command line."""
        line = [sys.executable, str(HERE / "trial.py"), self.name, self.source, *self.settings]
        line += ["--seed", str(self.seed)]
        line += ["--runs", str(asked.runs / self.part), "--records", str(asked.records / self.part)]
        line += ["--plugin", str(HERE / "ideas.py")] if self.plugin else []
        line += ["--test"] if self.test else []
        line += ["--layers"] if self.layers else []
        return [*line, "--data-root", str(asked.data_root)] if asked.data_root else line
