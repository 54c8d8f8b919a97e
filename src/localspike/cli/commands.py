"""The commands, and what every one of them does with what goes wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import tyro

from ..errors import LocalspikeError, os_advice, os_reason
from ..learn.interrupt import Interrupted
from .benching import Bench
from .checking import Demo, Verify
from .comparing import Compare
from .costing import Cost
from .data import Data
from .exporting import Export
from .memory import shortage
from .output import (
    INTERRUPTED,
    PIPE_CLOSED,
    REFUSED,
    signalled,
    speak_plainly,
    warning_plainly,
    whisper,
)
from .parsing import parse
from .reproducing import Reproduce
from .showing import Info, List
from .training import Train
from .using import Eval, Predict

Command = (
    Annotated[Demo, tyro.conf.subcommand("demo")]
    | Annotated[Compare, tyro.conf.subcommand("compare")]
    | Annotated[Reproduce, tyro.conf.subcommand("reproduce")]
    | Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Eval, tyro.conf.subcommand("eval")]
    | Annotated[Predict, tyro.conf.subcommand("predict")]
    | Annotated[Verify, tyro.conf.subcommand("verify")]
    | Annotated[List, tyro.conf.subcommand("list")]
    | Annotated[Info, tyro.conf.subcommand("info")]
    | Annotated[Cost, tyro.conf.subcommand("cost")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Data, tyro.conf.subcommand("data")]
    | Annotated[Bench, tyro.conf.subcommand("bench")]
)
DESCRIPTION = (
    "Train spiking neural networks with learning rules that are local in time, and many in space."
)


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit code.

    0 done; 1 a comparison or one of its trainings failed; 2 the request could not be carried out,
    said in one line on standard error; 130 interrupted; 143 terminated.
    """
    speak_plainly()
    try:
        with warning_plainly():
            return _carry_out(arguments)
    except LocalspikeError as error:
        return _refused(str(error))
    except Interrupted as stopped:
        whisper(f"localspike: {stopped}.")
        return signalled(stopped.number)
    except KeyboardInterrupt:
        whisper("localspike: interrupted.")
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return PIPE_CLOSED
    except OSError as error:
        what = f"use {error.filename}" if error.filename else "write to standard output"
        _drop_output()
        return _refused(f"cannot {what}: got {os_reason(error)}. {os_advice(error)}.")
    except (MemoryError, RuntimeError) as error:
        missing = shortage(error)
        if missing is None:
            raise
        return _refused(str(missing))


def _carry_out(arguments: Sequence[str]) -> int:
    try:
        code: int = parse(Command, arguments, DESCRIPTION)()
        return code
    finally:
        sys.stdout.flush()  # while a full disk can still be said


def _refused(line: str) -> int:
    whisper(f"localspike: error: {line}")
    return REFUSED


def _drop_output() -> None:
    """Nothing may be written at exit either: whoever read has left, or the disk is full."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
