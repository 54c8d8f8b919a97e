"""What comes from outside: signals, full disks, other processes, odd terminals."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers_cli import SMALL, Said, start
from localspike.cli import output
from localspike.errors import LocalspikeWarning

LONG = ["keywords-tess", "hidden=20,20", "batch_size=10", "epochs=40", "checkpoint_every=5"]
LABEL = "a-run-folder-of-a-long-name"
PATIENCE = 300.0


def wait_for(child: subprocess.Popen[str], pattern: str, folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not list(folder.glob(pattern)):
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_second_process_is_refused_and_a_dead_one_is_not_in_the_way(tmp_path: Path) -> None:
    first = start("train", *LONG, "--out", "run", cwd=tmp_path)
    wait_for(first, "run/checkpoints/*.json", tmp_path)
    os.kill(first.pid, signal.SIGSTOP)  # so that nothing but the others could change the folder
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for more in (["--out", "run"], ["--out", "run", "--resume"], ["seed=1", "--out", "run"]):
        second = start("train", *LONG, *more, cwd=tmp_path)
        out, err = second.communicate(timeout=PATIENCE)
        assert (second.returncode, out) == (2, "")
        assert err == (
            f"localspike: error: another process (pid {first.pid}) is writing the run in run. "
            "Wait until it has ended, or choose another folder with --out.\n"
        )
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    first.kill()
    first.communicate()
    assert (tmp_path / "run" / ".lock").exists()
    third = start("train", *LONG, "--out", "run", "--resume", cwd=tmp_path)
    assert third.stdout.readline().startswith("Resuming run at step ")
    assert third.stdout.readline().startswith("epoch ")  # signals are listened to
    third.send_signal(signal.SIGTERM)
    _, err = third.communicate(timeout=PATIENCE)
    assert third.returncode == 143
    assert "everything is saved. Resume with: localspike train" in err
    assert not (tmp_path / "run" / ".lock").exists()


@pytest.mark.parametrize("delay", [0.1, 0.4, 0.8])
def test_ctrl_c_while_loading_is_quiet(tmp_path: Path, delay: float) -> None:
    child = start("train", *LONG, "--out", "run", cwd=tmp_path)
    time.sleep(delay)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=PATIENCE)
    if child.returncode == -signal.SIGINT:
        pytest.skip("the interpreter itself was not up yet")
    assert child.returncode == 130
    assert err.startswith("localspike: ") and err.count("\n") == 1


def test_ctrl_c_in_the_demo_says_that_it_goes_on(tmp_path: Path) -> None:
    child = start("demo", "--quick", "--seeds", 1, "--out", "out", cwd=tmp_path)
    wait_for(child, "out/search/*/metrics.jsonl", tmp_path)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=PATIENCE)
    assert (child.returncode, out) == (130, "")
    how = "Go on with: localspike demo --quick --seeds 1 --out out"
    assert err == f"localspike: interrupted, what was done is kept. {how}\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("arguments", [["list"], ["--help"], ["info", "keywords-tess", "--json"]])
def test_a_full_standard_output_is_one_line(tmp_path: Path, arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "localspike", *arguments],
            cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    said = "localspike: error: cannot write to standard output: got No space left on device."
    assert done.stderr == f"{said} Free some space there.\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_standard_error_leaves_the_exit_code(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "localspike", "info", "nothere"],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=full, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, b"")


def test_a_terminal_without_greek_reads_words(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "localspike", "train", "keywords-tess", "neuron.decay=2"],
        cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True, check=False,
    )  # fmt: skip
    assert b"expected gamma in [0, 1]" in done.stderr and b"\\u" not in done.stderr


def test_letters_are_spelled_and_bytes_of_file_names_stay() -> None:
    output.speak_plainly()
    assert "θ ± 1…".encode("ascii", errors=output.PLAIN) == b"theta +/- 1..."
    assert "\udcff.npz".encode("utf-8", errors=output.PLAIN) == b"\xff.npz"
    assert "中".encode("latin-1", errors=output.PLAIN) == b"?"


def test_the_bar_fits_a_narrow_terminal(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    child = subprocess.Popen(
        [sys.executable, "-m", "localspike", "train", "keywords-tess", *SMALL, "--out", LABEL],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    drawn = b""
    while True:
        try:
            drawn += os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
    os.close(ours)
    assert child.wait(timeout=PATIENCE) == 0
    lines = drawn.decode().replace("\n", "\r").split("\r")
    assert max(map(len, lines)) <= 40
    whole = re.compile(r"100%.*10/10 \[\d\d:\d\d\]")  # as long as it took
    assert any(whole.search(line) for line in lines), lines


def test_a_moved_run_is_said_to_be_where_it_is(
    command: Callable[..., Said], finished: Path, tmp_path: Path
) -> None:
    link = tmp_path / "moved"
    link.symlink_to(finished)
    said = command("train", "keywords-tess", *SMALL, "--out", link, "--resume", "--json")
    assert json.loads(said.out)["folder"] == str(link)


def test_one_is_singular(command: Callable[..., Said], tmp_path: Path) -> None:
    asked = ["limit=4", "hidden=8", "steps=6", "epochs=1", "--out", tmp_path / "run"]
    said = command("train", "keywords-frozen", *asked)
    assert "on 1 sample after 1 epoch (" in said.out


def test_warnings_are_one_line_without_a_place_in_the_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The package's own, in a command and on request; others' as they are, and all after it."""
    before = warnings.showwarning
    with pytest.warns(UserWarning, match="of others") as usual, output.warning_plainly():
        warnings.warn_explicit("of\nours", LocalspikeWarning, "x.py", 3)
        warnings.warn_explicit("of others", UserWarning, "/elsewhere/y.py", 7)
    assert warnings.showwarning is before and len(usual) == 1
    assert capsys.readouterr().err == "localspike: warning: of ours\n"


@pytest.mark.skipif("LOCALSPIKE_DATA" not in os.environ, reason="LOCALSPIKE_DATA (braille) not set")
def test_a_constant_row_of_the_wave_is_said_in_a_line(
    command: Callable[..., Said], tmp_path: Path
) -> None:
    """Braille has 27 classes: training says so once and goes on, judging does not say it."""
    run = ["train", "braille-tess", "limit=64", "epochs=1", "hidden=128", "--out", tmp_path / "run"]
    said = command(*run)
    assert said.code == 0 and "test accuracy" in said.out
    (line,) = said.err.splitlines()
    assert line.startswith("localspike: warning: block 'hidden1': at 27 classes and 128 latents")
    assert command("eval", tmp_path / "run").err == ""
