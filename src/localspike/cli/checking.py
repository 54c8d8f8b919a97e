"""`localspike demo` and `localspike verify`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from .. import verify
from ..recipes import demo
from .arguments import Json


@dataclass(frozen=True)
class Demo:
    """Train TESS on spoken keywords beside BPTT and frozen hidden layers, and compare them."""

    json: Json = False
    out: Path = Path("runs/demo")
    """Folder for the runs and the table."""
    seeds: int = 3
    """How many seeds per rule."""
    quick: bool = False
    """A few epochs only, to see that everything works."""

    def __call__(self) -> int:
        return demo.run(out=self.out, seeds=self.seeds, quick=self.quick, json=self.json)


@dataclass(frozen=True)
class Verify:
    """Compare this library's numbers with recorded ones, for every legal schedule."""

    files: Annotated[
        tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE [FILE ...]")
    ]
    """Files of recorded inputs, spikes, traces and gradients (.npz)."""
    json: Json = False

    def __call__(self) -> int:
        return verify.run(self.files, self.json)
