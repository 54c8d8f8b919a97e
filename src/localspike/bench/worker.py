"""A process that builds one method, proves it right, warms it up and answers requests.

python -m localspike.bench.worker '{"net": "mlp", "batch": 32, "steps": 100, "method": "tess"}'
"""

from __future__ import annotations

import os
import platform
import signal
import sys
from typing import Any, TextIO

import torch

from ..errors import LocalspikeError
from ..learn.memory import high_water_mib, release_heap, restart_high_water
from .job import Job
from .methods import build
from .serving import say, serve, timed


def main(arguments: list[str]) -> int:
    """Serve the job of the first argument; exit code 2 if it cannot be done."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this
    answers = _own_output()
    try:
        job = Job.from_json(arguments[0] if arguments else "")
        torch.set_num_threads(job.threads)
        _work(job, answers)
    except LocalspikeError as error:
        say(answers, {"ready": False, "reason": str(error)})
        return 2
    return 0


def _own_output() -> TextIO:
    """Standard output for answers alone; whatever else is printed goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def _work(job: Job, answers: TextIO) -> None:
    device = torch.device(job.device)
    stepper = build(job)
    baseline = _settled(device)
    check = stepper.check()

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    def peak() -> dict[str, float]:
        return {"baseline_mib": baseline, "peak_mib": high_water_mib(device)}

    restart_high_water(device)
    first, *rest = (timed(stepper.step, wait) for _ in range(1 + job.warm_up))
    ready: dict[str, Any] = {
        "ready": True,
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "threads": torch.get_num_threads(),
        "check": check,
        "first_step_s": first,
        "warm_up_s": rest,
        "compile_s": stepper.spent(),
        "about": stepper.about,
    }
    say(answers, ready)
    serve(sys.stdin, answers, stepper.step, wait, peak)


def _settled(device: torch.device) -> float:
    """Memory in use once what building has freed is given back, in MiB."""
    release_heap()
    return restart_high_water(device)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
