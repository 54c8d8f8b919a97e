"""The command as a process: killed, interrupted, piped."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers_cli import start

LONG = ["limit=400", "hidden=30,20", "batch_size=10", "epochs=1", "log_every=5"]
SETTINGS = ["keywords-tess", *LONG, "checkpoint_every=8", "dropout=0.2"]
PATIENCE = 300.0


def wait_for_checkpoint(child: subprocess.Popen[str], folder: Path) -> str:
    """Poll until the first checkpoint is whole; returns its name."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = sorted((folder / "checkpoints").glob("*.json"))
        if found:
            return found[-1].stem
        if child.poll() is not None:
            raise AssertionError(f"ended before its first checkpoint: {child.communicate()}")
        time.sleep(0.001)
    raise AssertionError("no checkpoint in time")


def ended(folder: Path) -> tuple[bytes, str, dict[str, object]]:
    """Metrics, digest of the final tensors, and the result without what the clock says."""
    last = sorted((folder / "checkpoints").glob("*.json"))[-1]
    result = json.loads((folder / "result.json").read_text())
    for varying in ("seconds", "peak_memory_mib", "folder"):
        result.pop(varying)
    digest = json.loads(last.read_text())["sha256"]
    return (folder / "metrics.jsonl").read_bytes(), digest, result


def done(child: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    out, err = child.communicate(timeout=PATIENCE)
    assert child.returncode == code, (out, err)
    return out, err


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One uninterrupted run."""
    folder = tmp_path_factory.mktemp("process")
    done(start("train", *SETTINGS, "--out", "whole", "--json", cwd=folder))
    yield folder / "whole"


def test_killed_mid_epoch_and_resumed_ends_bit_identical(whole: Path, tmp_path: Path) -> None:
    child = start("train", *SETTINGS, "--out", "run", "--json", cwd=tmp_path)
    wait_for_checkpoint(child, tmp_path / "run")
    child.kill()
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    assert not (tmp_path / "run" / "result.json").exists()
    out, err = done(start("train", *SETTINGS, "--out", "run", "--resume", "--json", cwd=tmp_path))
    assert "Resuming run at step" in err
    assert json.loads(out)["recipe"] == "keywords-tess"
    assert ended(tmp_path / "run") == ended(whole)


def test_an_interrupted_run_says_how_to_resume_and_that_works(whole: Path, tmp_path: Path) -> None:
    child = start("train", *SETTINGS, "--out", "run", cwd=tmp_path)
    wait_for_checkpoint(child, tmp_path / "run")
    os.kill(child.pid, signal.SIGINT)
    _, err = done(child, code=130)
    assert "everything is saved. Resume with: localspike train keywords-tess" in err
    assert "Traceback" not in err
    said = err.splitlines()[-1].split("Resume with: localspike ")[1].split()
    done(start(*said, cwd=tmp_path))
    assert ended(tmp_path / "run") == ended(whole)


@pytest.mark.skipif("LOCALSPIKE_DATA" not in os.environ, reason="LOCALSPIKE_DATA (cifar10) not set")
def test_cifar10_killed_mid_epoch_and_resumed_ends_bit_identical(tmp_path: Path) -> None:
    settings = ["cifar10-tess", "limit=256", "batch_size=32", "data.steps=4", "epochs=1"]
    # Three processes would compile for minutes; kernels keep nothing from one batch to the next.
    settings += ["width=0.0625", "checkpoint_every=3", "learner.compile=off"]
    done(start("train", *settings, "--out", "whole", "--json", cwd=tmp_path))
    child = start("train", *settings, "--out", "run", "--json", cwd=tmp_path)
    wait_for_checkpoint(child, tmp_path / "run")
    child.kill()
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    _, err = done(start("train", *settings, "--out", "run", "--resume", "--json", cwd=tmp_path))
    assert re.search(r"at step [36] from", err)
    assert ended(tmp_path / "run") == ended(tmp_path / "whole")


def test_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    child = start("info", "keywords-tess", cwd=tmp_path)
    child.stdout.close()
    child.wait(timeout=PATIENCE)
    assert child.returncode == 141
    assert child.stderr.read() == ""
    child.stderr.close()


def test_help_names_every_command(tmp_path: Path) -> None:
    out, err = done(start("--help", cwd=tmp_path))
    for name in ("demo", "compare", "train", "eval", "predict", "verify", "list", "info"):
        assert f"• {name}" in out
    assert err == ""
