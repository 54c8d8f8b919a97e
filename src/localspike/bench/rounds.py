"""Methods in turns: a round is a block of steps of every worker, in an order drawn anew."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from ..errors import ConfigError
from .process import Worker, WorkerError

BLOCK_S = 1.5
_FEWEST, _MOST = 3, 50
Say = Callable[[str], None]


class Entrant(NamedTuple):
    """A method to be started: its name, command and environment; may it be missing?"""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    optional: bool = False


class Field(NamedTuple):
    """The workers that are ready, why others are not, and which may be missing."""

    workers: dict[str, Worker]
    missing: dict[str, str]
    optional: frozenset[str] = frozenset()


@contextmanager
def started(entrants: Sequence[Entrant], say: Say) -> Iterator[Field]:
    """Every entrant checked and warm, one after the other; all end with the block.

    Raises
    ------
    WorkerError
        If one cannot run that is not optional.
    """
    field = Field({}, {}, frozenset(entrant.name for entrant in entrants if entrant.optional))
    with ExitStack() as stack:
        for entrant in entrants:
            say(f"{entrant.name}: starting")
            worker = stack.enter_context(Worker(entrant.name, entrant.command, entrant.environment))
            try:
                ready = worker.wait_until_ready()
            except WorkerError as error:
                if not entrant.optional:
                    raise
                field.missing[entrant.name] = str(error)
                say(f"{entrant.name}: left out. {error}")
                continue
            field.workers[entrant.name] = worker
            say(f"{entrant.name}: ready, first step {float(ready['first_step_s']):.2f} s")
        yield field


def alternate(
    field: Field, rounds: int, say: Say, seed: int = 0, block_s: float = BLOCK_S
) -> dict[str, list[list[float]]]:
    """Step times of every worker: a block per round.

    A block lasts about ``block_s`` seconds, 3 to 50 steps: the number is set by a first step that
    counts for nothing else. An optional worker that dies on the way is moved to ``field.missing``,
    and the others go on.

    Raises
    ------
    ConfigError
        For fewer than one round.
    WorkerError
        If a worker dies that is not optional.
    """
    if rounds < 1:
        raise ConfigError("rounds", got=rounds, expected="a whole number >= 1")
    counts: dict[str, int] = {}
    blocks: dict[str, list[list[float]]] = {name: [] for name in field.workers}

    def turn(name: str) -> None:
        worker = field.workers[name]
        if name not in counts:
            counts[name] = block_of(min(worker.steps(2)), block_s)
        else:
            blocks[name].append(worker.steps(counts[name]))

    draw = random.Random(seed)
    for number in range(rounds + 1):  # the first sets the lengths of blocks
        order = list(field.workers)
        draw.shuffle(order)
        for name in order:
            try:
                turn(name)
            except WorkerError as error:
                if name not in field.optional:
                    raise
                field.missing[name] = str(error)
                del field.workers[name], blocks[name]
                say(f"{name}: left out. {error}")
        if number:
            say(f"round {number} of {rounds}")
    return blocks


def block_of(step_s: float, block_s: float = BLOCK_S) -> int:
    """How many steps of that length make a block.

    >>> block_of(0.1), block_of(60.0), block_of(1e-5)
    (15, 3, 50)
    """
    return max(_FEWEST, min(_MOST, round(block_s / max(step_s, 1e-6))))
