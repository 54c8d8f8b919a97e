"""The scripts for a GPU that is lent for minutes, end to end on the CPU at tiny settings."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from localspike.bench import train
from localspike.bench.entrants import Setting, own
from localspike.bench.exchange import Files
from localspike.bench.process import WorkerError
from localspike.bench.rounds import Entrant
from localspike.bench.workload import Workload
from localspike.cli import main
from localspike.learn.learner import Learner

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu"
FAKE = Path(__file__).parents[1] / "helpers_fake_worker.py"
pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="no checkout")
TINY = [
    "width=0.0625", "data.steps=2", "batch_size=16", "epochs=3", "learner.compile=off", "threads=1",
]  # fmt: skip
Call = Callable[..., int]


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"gpu_{name}", FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# -- a run in parts ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CIFAR-10's binary form with 60 training images and 8 to test by."""
    folder = tmp_path_factory.mktemp("cifar") / "cifar-10-batches-bin"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, n in [(f"data_batch_{k}", 12) for k in range(1, 6)] + [("test_batch", 8)]:
        rows = rng.integers(0, 256, (n, 3073), dtype=np.uint8)
        rows[:, 0] %= 10
        (folder / f"{name}.bin").write_bytes(rows.tobytes())
    return folder.parent


@pytest.fixture
def cifar10(monkeypatch: pytest.MonkeyPatch, root: Path) -> Call:
    """The script's call; its `localspike train` runs in this process."""
    module = script("cifar10")

    def here(line: list[str], check: bool) -> SimpleNamespace:
        assert line[:3] == [sys.executable, "-m", "localspike"]
        return SimpleNamespace(returncode=main(line[3:]))

    monkeypatch.setattr(module, "subprocess", SimpleNamespace(run=here))
    monkeypatch.setattr(module, "about", lambda *_: {"revision": "unknown", "command": ""})

    def call(out: Path, *more: str) -> int:
        arguments = ["tess", *TINY, "--device", "cpu", "--data-root", str(root), "--out", str(out)]
        return int(module.main([*arguments, *more]))

    return call


def outcome(out: Path) -> tuple[bytes, list[str], Any, Any]:
    """Journal, digests of the last two checkpoints, and what the record says came of it."""
    run = out / "cifar10-tess-seed0"
    digests = [
        json.loads(p.read_text())["sha256"] for p in sorted((run / "checkpoints").glob("*.json"))
    ]
    record = json.loads((out / "cifar10-tess-seed0.json").read_text())
    confusion = record["result"]["confusion"]
    return (run / "metrics.jsonl").read_bytes(), digests[-1:], confusion, record["curve"]


class Killed(BaseException):
    """The end of a process that could do nothing about it."""


def killed_at(monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    original, calls = Learner.fit, [0]

    def fit(self: Learner, *arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] == call:
            raise Killed
        return original(self, *arguments)

    monkeypatch.setattr(Learner, "fit", fit)


def test_parts_and_a_kill_between_end_as_the_whole_run_does(
    cifar10: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cifar10(tmp_path / "whole") == 0
    whole = json.loads((tmp_path / "whole" / "cifar10-tess-seed0.json").read_text())
    assert whole["within_bar"] is True and len(whole["parts"]) == 1
    back = tmp_path / "back"
    short = ["--minutes", "1e-6", "--back", str(back), "--revision", "abc"]
    assert cifar10(tmp_path / "parts", *short) == 0
    first = json.loads((back / "cifar10-tess-seed0.json").read_text())
    assert (first["epochs_done"], first["result"], first["within_bar"]) == (1, None, None)
    assert first["revision"] == "abc" and first["precision"] == "bf16"
    with monkeypatch.context() as patch:
        killed_at(patch, 2)  # in the middle of the second epoch, nothing of which is saved
        with pytest.raises(Killed):
            cifar10(tmp_path / "parts", *short)
    assert cifar10(tmp_path / "parts", "--back", str(back)) == 0
    last = json.loads((back / "cifar10-tess-seed0.json").read_text())
    assert (last["epochs_done"], len(last["parts"])) == (3, 3)
    assert last["within_bar"] is None  # what the killed part took is not known to the end
    assert [part["exit_code"] for part in last["parts"]] == [0, None, 0]
    assert last["seconds"] == pytest.approx(sum(part["seconds"] for part in last["parts"]))
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")
    for name in ("metrics.jsonl", "result.json"):
        handed = (back / f"cifar10-tess-seed0-{name}").read_bytes()
        assert handed == (tmp_path / "parts" / "cifar10-tess-seed0" / name).read_bytes()
    assert cifar10(tmp_path / "parts") == 0  # finished: nothing runs, the record stays
    kept = json.loads((tmp_path / "parts" / "cifar10-tess-seed0.json").read_text())
    assert kept["parts"] == last["parts"]


def test_what_training_refuses_is_no_part(cifar10: Call, tmp_path: Path) -> None:
    assert cifar10(tmp_path, "no_such_key=1") == 2
    assert not (tmp_path / "cifar10-tess-seed0.json").exists()


# -- a training step -----------------------------------------------------------------------

SECONDS = {
    "tess float32": 0.4, "tess bf16": 0.2, "bptt float32": 0.8, "bptt bf16": 0.28,
    "floor float32": 0.2, "floor bf16": 0.15,
}  # fmt: skip


def test_a_step_is_judged_by_its_bars(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ready = {"ready": True, "first_step_s": 1.0, "check": {}, "compile_s": 2.5}

    def entrants(setting: object) -> tuple[list[Entrant], dict[str, str]]:
        made = {
            n: [sys.executable, str(FAKE), json.dumps([ready, s, ""])] for n, s in SECONDS.items()
        }
        return [Entrant(name, command, os.environ) for name, command in made.items()], {}

    monkeypatch.setattr(train, "methods", entrants)
    sizes = ["--net", "mlp", "--batch", "2", "--steps", "3", "--rounds", "2"]
    assert script("train").main([*sizes, "--out", str(tmp_path), "--revision", "abc"]) == 0
    kept = json.loads((tmp_path / "train-mlp-b2-t3-cuda.json").read_text())
    same, wide = kept["bars"]["bptt bf16 / tess bf16"], kept["bars"]["bptt float32 / tess bf16"]
    assert same == {"ratio": pytest.approx(1.4), "bar": 1.5, "met": False}
    assert wide == {"ratio": pytest.approx(4.0), "bar": 3.0, "met": True}
    assert kept["bars"]["floor bf16 / tess bf16"]["ratio"] == pytest.approx(0.75)
    assert kept["methods"]["tess bf16"]["samples_per_s"] == pytest.approx(10.0)
    assert (kept["revision"], kept["rounds"]) == ("abc", 2)
    said = capsys.readouterr().out
    assert "bptt bf16 / tess bf16: 1.40, bar 1.5: MISSED" in said and "10 images/s" in said


def test_on_a_gpu_one_method_that_fails_leaves_the_others(tmp_path: Path) -> None:
    """The naive baseline and the peers are not asked there at all."""
    files = Files("", "", "")
    for device, optional in (("cpu", False), ("cuda", True)):
        setting = Setting(Workload("mlp", 2, 3), files, {}, 1, device, tmp_path)
        assert own(setting, "tess", "bf16").optional is optional
    found, missing = train.methods(setting)
    assert [e.name for e in found[6:]] == ["tess bf16 in any order"]
    assert "CPU only" in missing["naive float32"]
    with pytest.raises(WorkerError, match=r"none of our own methods.*no such device"):
        train.summary({"floor bf16": [[1.0]]}, {"tess bf16": "no such device"})


# -- parcels -------------------------------------------------------------------------------


def test_parcels_bring_every_file_and_notice_damage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    carry, source, carried = script("carry"), tmp_path / "cifar10", tmp_path / "carried"
    (source / "below").mkdir(parents=True)
    contents = {"a": 600, "b": 600, "below/c": 300, "d": 10}
    for name, size in contents.items():
        (source / name).write_bytes(os.urandom(size))
    pack = ["pack", str(source), "--carried", str(carried), "--mib"]
    with pytest.raises(SystemExit, match="raise --mib"):
        carry.main([*pack, str(500 / 2**20)])
    assert carry.main([*pack, str(1000 / 2**20)]) == 0
    assert sorted(path.name for path in carried.iterdir()) == ["1", "2"]
    there = tmp_path / "there"
    (carried / "2").rename(tmp_path / "2")
    unpack = ["unpack", str(there), "--carried", str(carried)]
    carry.main(unpack)
    assert "1 of 4 files" in capsys.readouterr().out
    (carried / "1").rename(tmp_path / "1")
    (tmp_path / "2").rename(carried / "2")
    carry.main(unpack)
    assert "4 of 4 files" in capsys.readouterr().out
    for name in contents:
        assert (there / "cifar10" / name).read_bytes() == (source / name).read_bytes()
    (carried / "2" / "cifar10" / "d").write_bytes(b"else")
    with pytest.raises(SystemExit, match="damaged"):
        carry.main(unpack)
    (carried / "2" / "files.json").write_text("[3")
    with pytest.raises(SystemExit, match="damaged: carry that parcel again"):
        carry.main(unpack)


def test_packing_removes_nothing_but_earlier_parcels(tmp_path: Path) -> None:
    carry, home = script("carry"), tmp_path / "home"
    (home / "cifar10").mkdir(parents=True)
    (home / "cifar10" / "a").write_text("a")
    (home / "photo").write_text("kept")
    with pytest.raises(SystemExit, match="no parcel: choose a new or empty folder"):
        carry.main(["pack", str(home / "cifar10"), "--carried", str(home)])
    assert (home / "photo").read_text() == "kept" and (home / "cifar10" / "a").exists()
    carried = tmp_path / "carried"
    for _ in range(2):  # the second time over the first parcel
        assert carry.main(["pack", str(home / "cifar10"), "--carried", str(carried)]) == 0
    with pytest.raises(SystemExit, match="raise --mib"):
        carry.main(["pack", str(home / "cifar10"), "--carried", str(carried), "--mib", "1e-7"])
    assert (carried / "1" / "cifar10" / "a").read_text() == "a"  # a refused call removes nothing
