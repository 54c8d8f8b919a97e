"""One case as JSON: which library trains which network by which method, and on what."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

METHODS = {
    "spikingjelly": ("bptt", "ottt", "sltt"),
    "snntorch": ("bptt",),
    "norse": ("bptt",),
    "sinabs": ("bptt",),
}
"""What each library offers for training a network of spiking layers."""

NETS = ("vgg9", "mlp", "recurrent")
REFUSED, DISAGREES = 2, 3


class Refusal(Exception):
    """A case that cannot be run: one line for the driver, and the exit status."""

    def __init__(self, line: str, status: int = REFUSED, **more: Any) -> None:
        super().__init__(" ".join(line.split()))
        self.status, self.more = status, more


@dataclass(frozen=True)
class Case:
    """One library, method and network, the files with weights and data, and how to run it.

    ``compile`` runs BPTT's network through ``torch.compile``; None leaves it to the library's
    module, whose ``COMPILES`` is the largest T at which it is worth its while.
    """

    package: str
    method: str
    net: str
    batch: int
    steps: int
    threads: int
    weights: str
    reference: str
    warm_up: int = 2
    compile: bool | None = None

    def __post_init__(self) -> None:
        _choice("package", self.package, tuple(METHODS))
        _choice("net", self.net, NETS)
        _choice(f"method of {self.package}", self.method, METHODS[self.package])
        if (self.method, self.net) == ("ottt", "recurrent"):
            raise Refusal("spikingjelly's OTTT traces feed-forward layers only: no recurrent net")
        for name, least in (("batch", 1), ("steps", 1), ("threads", 1), ("warm_up", 0)):
            _integer(name, getattr(self, name), least)
        if self.compile is True and self.method != "bptt":
            raise Refusal(f"{self.method} runs a backward pass a step and is not compiled here")
        for name in ("weights", "reference"):
            if not Path(str(getattr(self, name))).is_file():
                raise Refusal(f"no {name} file at {getattr(self, name)}")


def parse(arguments: list[str]) -> Case:
    """The case of a command line that has one argument, a JSON object."""
    if len(arguments) != 1:
        raise Refusal(f"got {len(arguments)} arguments; expected one, the case as JSON")
    try:
        given = json.loads(arguments[0])
    except json.JSONDecodeError as error:
        raise Refusal(f"the case is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise Refusal("the case is not a JSON object")
    known = [f.name for f in fields(Case)]
    needed = known[: known.index("warm_up")]
    if unknown := sorted(set(given) - set(known)):
        raise Refusal(f"unknown keys {unknown} in the case; known are {known}")
    if missing := [name for name in needed if name not in given]:
        raise Refusal(f"the case lacks {missing}")
    return Case(**given)


def _choice(what: str, got: object, known: tuple[str, ...]) -> None:
    if got not in known:
        raise Refusal(f"unknown {what} {got!r}; known are {', '.join(known)}")


def _integer(what: str, got: object, least: int) -> None:
    if isinstance(got, bool) or not isinstance(got, int) or got < least:
        raise Refusal(f"{what} is {got!r}; expected an integer of at least {least}")
