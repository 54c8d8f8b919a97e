"""Driver and worker: the first line, steps, memory, refusals, deaths; methods in turns."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from localspike.bench.process import Worker, WorkerError
from localspike.bench.rounds import Entrant, Field, alternate, block_of, started
from localspike.bench.serving import serve
from localspike.errors import ConfigError

FAKE = Path(__file__).parents[1] / "helpers_fake_worker.py"
READY = {"ready": True, "first_step_s": 0.5, "check": {}}


def fake(ready: Any = READY, seconds: float = 0.5, end: str = "") -> list[str]:
    return [sys.executable, str(FAKE), json.dumps([ready, seconds, end])]


def gone(worker: Worker) -> bool:
    return worker._process.poll() is not None


def test_a_worker_answers_and_its_greeting_is_passed_over() -> None:
    with Worker("fake", fake(seconds=0.25), os.environ) as worker:
        assert worker.wait_until_ready() == READY
        assert worker.steps(3) == [0.25] * 3
        assert worker.peak() == {"baseline_mib": 10.0, "peak_mib": 12.5}
    assert gone(worker)


def test_a_death_is_told_with_the_last_lines_of_standard_error() -> None:
    with Worker("fake", fake(end="die"), os.environ) as worker:
        worker.wait_until_ready()
        with pytest.raises(WorkerError, match=r"fake: its process ended, exit code 3.*last words"):
            worker.steps(1)


def test_a_worker_that_refuses_says_why() -> None:
    for reason in ({"reason": "no such net"}, {"error": "no such net"}):
        with (
            Worker("fake", fake({"ready": False, **reason}), os.environ) as worker,
            pytest.raises(WorkerError, match="fake refuses: no such net"),
        ):
            worker.wait_until_ready()


def test_a_command_that_is_not_there() -> None:
    with pytest.raises(WorkerError, match="ghost cannot be started"):
        Worker("ghost", ["/nowhere/python"], os.environ)


def test_an_interrupt_ends_a_worker_that_is_busy() -> None:
    """Left by an exception, nobody waits for a step of an hour."""
    with (
        pytest.raises(KeyboardInterrupt),
        Worker("fake", fake(end="hang"), os.environ) as worker,
    ):
        worker.wait_until_ready()
        worker._process.stdin.write("steps 1\n")  # type: ignore[union-attr]
        worker._process.stdin.flush()  # type: ignore[union-attr]
        raise KeyboardInterrupt
    assert gone(worker)


@pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX")
def test_ctrl_c_at_the_terminal_does_not_reach_the_workers() -> None:
    with Worker("fake", fake(), os.environ) as worker:
        assert os.getpgid(worker._process.pid) != os.getpgid(0)


def test_optional_workers_may_be_missing_others_not() -> None:
    bad = fake({"ready": False, "reason": "not installed"})
    entrants = [Entrant("a", fake(), os.environ), Entrant("b", bad, os.environ, optional=True)]
    lines: list[str] = []
    with started(entrants, lines.append) as field:
        assert list(field.workers) == ["a"]
        assert field.missing == {"b": "b refuses: not installed."}
        (worker,) = field.workers.values()
    assert gone(worker)
    assert any("left out" in line for line in lines)
    with pytest.raises(WorkerError), started([Entrant("b", bad, os.environ)], lines.append):
        raise RuntimeError("it must not get here")


class Turns:
    """Notes who was asked, and for how many steps."""

    def __init__(self, name: str, seconds: float, asked: list[tuple[str, int]]) -> None:
        self.name, self.seconds, self.asked = name, seconds, asked

    def steps(self, count: int) -> list[float]:
        self.asked.append((self.name, count))
        return [self.seconds] * count


def test_every_round_has_a_block_of_every_worker() -> None:
    asked: list[tuple[str, int]] = []
    workers = {name: Turns(name, s, asked) for name, s in (("a", 0.1), ("b", 0.5), ("c", 9.0))}
    blocks = alternate(Field(workers, {}), rounds=6, say=lambda line: None)  # type: ignore[arg-type]
    rounds = [asked[3 + 3 * k : 6 + 3 * k] for k in range(6)]  # after the first look at each
    assert [sorted(r) for r in rounds] == [[("a", 15), ("b", 3), ("c", 3)]] * 6
    assert len({tuple(r) for r in rounds}) > 1, "the order must change"
    assert {name: [len(b) for b in part] for name, part in blocks.items()} == {
        "a": [15] * 6, "b": [3] * 6, "c": [3] * 6,
    }  # fmt: skip
    assert block_of(0.01) == 50


def test_no_round_is_refused() -> None:
    with pytest.raises(ConfigError, match="rounds"):
        alternate(Field({}, {}), rounds=0, say=lambda line: None)


def test_an_optional_worker_that_dies_on_the_way_is_left_out() -> None:
    entrants = [Entrant("a", fake(), os.environ), Entrant("b", fake(end="die"), os.environ, True)]
    lines: list[str] = []
    with started(entrants, lines.append) as field:
        blocks = alternate(field, rounds=2, say=lines.append)
        assert list(blocks) == list(field.workers) == ["a"] and len(blocks["a"]) == 2
        assert "exit code 3" in field.missing["b"]
    with (
        pytest.raises(WorkerError, match="exit code 3"),
        started([entrants[1]._replace(optional=False)], lines.append) as field,
    ):
        alternate(field, rounds=2, say=lines.append)


def test_a_worker_that_never_answers_is_given_up_with_all_it_started() -> None:
    child = "import subprocess, sys; subprocess.run([sys.executable, *sys.argv[1:]])"
    command = [sys.executable, "-c", child, *fake(end="hang")[1:]]
    with Worker("fake", command, os.environ) as worker:
        worker.wait_until_ready()  # however long that takes on a busy machine
        worker._answer_s = 0.2
        with pytest.raises(WorkerError, match=r"fake: no answer within 0\.2 s"):
            worker.steps(1)
    assert gone(worker)


def test_the_worker_end_answers_line_by_line() -> None:
    taken: list[int] = []
    out = io.StringIO()
    requests = ["steps 2\n", "what?\n", "steps -1\n", "peak\n", "quit\n", "steps 5\n"]
    serve(requests, out, lambda: taken.append(1), lambda: None, lambda: {"peak_mib": 3.0})
    first, *bad, peak = map(json.loads, out.getvalue().splitlines())
    assert len(taken) == 2 and len(first["seconds"]) == 2
    assert all("unknown request" in line["error"] for line in bad) and len(bad) == 2
    assert peak == {"peak_mib": 3.0}
