"""A peer library as a process that checks itself, then trains on request.

    .venv-peers/bin/python benchmarks/peers/worker.py '{"package": "norse", ...}'

Prints one JSON line, ``{"ready": true, "versions": …, "check": …, "compiled": …,
"first_step_s": …}``, and then answers lines of its input: ``steps N`` with the seconds of N
training steps, ``peak`` with the memory high-water mark, ``quit``. Without ``ready`` there is an
``error`` instead: exit status 2 for a case that cannot be run, 3 for a library that does not
compute the reference's spikes.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import platform
import sys
import traceback
from collections.abc import Callable
from importlib.metadata import version
from multiprocessing.connection import Connection
from types import ModuleType
from typing import Any, TextIO

import torch
from agreement import check, check_training
from case import REFUSED, Case, Refusal, parse
from peer import Peer
from plan import Batch, load
from session import OPTIMISER, Session, restart_high_water


def main() -> int:
    """Run the case of the command line."""
    out = own_output()
    try:
        case = parse(sys.argv[1:])
        library = library_of(case)
        found = in_child(lambda: check(*made(case, library)))
        session, start = begun(case, library, found)
    except Refusal as refusal:
        say(out, {"ready": False, "error": str(refusal), **refusal.more})
        return refusal.status
    except Exception as error:
        traceback.print_exc()
        say(out, {"ready": False, "error": f"{type(error).__name__}: {error}"[:500]})
        return 1
    found["optimiser"] = OPTIMISER
    say(out, {"ready": True, "versions": versions(case), "check": found, **start})
    for line in sys.stdin:
        reply = session.answer(line)
        if reply is None:
            break
        say(out, reply)
    return 0


def library_of(case: Case) -> ModuleType:
    """The module here that knows the library, which must be installed."""
    try:
        return importlib.import_module(f"with_{case.package}")
    except ImportError as error:
        raise Refusal(
            f"{case.package} does not import ({error}); install it by: make bench-peers"
        ) from error


def made(case: Case, library: ModuleType) -> tuple[Peer, Batch]:
    """The library's network with the case's weights, and the batch."""
    torch.set_num_threads(case.threads)
    torch.manual_seed(0)
    plan, batch = load(case)
    return library.build(plan, case.method), batch


def begun(case: Case, library: ModuleType, found: dict[str, Any]) -> tuple[Session, dict[str, Any]]:
    """A warm session whose first step has the loss found; if it is compiled; that step's time."""
    session = Session(*made(case, library))
    compiled = case.compile
    if compiled is None:
        compiled = case.method == "bptt" and case.steps <= library.COMPILES
    if compiled:
        session.peer.net.compile()
    (first,) = session.steps(1)
    check_training(found, float(session.loss))
    if compiled:
        restart_high_water()  # what the compiler took for itself is not the training's
    session.steps(max(case.warm_up - 1, 0))
    return session, {"compiled": compiled, "first_step_s": first}


def in_child(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The result of ``work`` in a forked process, whose memory is not this one's."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_send, args=(work, there))
    child.start()
    there.close()
    try:
        found, refusal = here.recv()
    except EOFError as error:
        child.join()
        raise Refusal(f"the check ended with status {child.exitcode}") from error
    child.join()
    if refusal is not None:
        line, status, more = refusal
        raise Refusal(line, status, **more)
    return found


def _send(work: Callable[[], dict[str, Any]], pipe: Connection) -> None:
    try:
        pipe.send((work(), None))
    except Refusal as refusal:
        pipe.send((None, (str(refusal), refusal.status, refusal.more)))
    except Exception as error:
        traceback.print_exc()
        pipe.send((None, (f"the check failed: {type(error).__name__}: {error}", REFUSED, {})))


def versions(case: Case) -> dict[str, str]:
    """Of Python, PyTorch and the library."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        case.package: version(case.package),
    }


def own_output() -> TextIO:
    """The process's output for protocol lines alone: what libraries print goes to stderr."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return out


def say(out: TextIO, reply: dict[str, Any]) -> None:
    """One JSON line, at once."""
    print(json.dumps(reply), file=out, flush=True)


if __name__ == "__main__":
    sys.exit(main())
