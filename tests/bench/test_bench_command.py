"""`localspike bench`: what it refuses, and a whole run on workers that answer at once."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from localspike.bench import peers, places, record, train
from localspike.bench.rounds import Entrant
from localspike.cli import main

FAKE = Path(__file__).parents[1] / "helpers_fake_worker.py"
SECONDS = {
    "tess float32": 0.4, "tess bf16": 0.2, "bptt float32": 0.8, "bptt bf16": 0.3,
    "floor float32": 0.2, "floor bf16": 0.15, "naive float32": 1.6,
}  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ("train --net vgg", "vgg"),
        ("train --rounds 0", "rounds: got 0"),
        ("train --threads 0", "threads: got 0"),
        ("train --batch 0", "batch: got 0"),
        ("train --device tpu", "tpu"),
        ("train --rouns 3", "--rounds"),
        ("memory --steps 1,two", "--steps"),
        ("memory --nets mpl", "unknown net 'mpl'"),
        ("memory --repeats 0", "repeats: got 0"),
        ("stream --rule tes", "unknown rule 'tes'"),
        ("stream --steps 0", "steps: got 0"),
        ("scale --axes length", "unknown axis 'length'"),
        ("passes --batch 0", "batch: got 0"),
        ("peers --cases ,", "no case is named"),
        ("peers --cases vgg", "unknown case 'vgg'"),
        ("data --benchmarks nowhere", "no folder nowhere"),
        ("fly", "fly"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    capfd: pytest.CaptureFixture[str], arguments: str, why: str
) -> None:
    assert main(["bench", *arguments.split()]) == 2
    said = capfd.readouterr()
    assert said.out == "" and why in said.err
    assert len(said.err.strip().splitlines()) == 1


def test_without_the_peers_the_way_to_them_is_said(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["bench", "peers", "--benchmarks", str(tmp_path)]) == 2
    assert "make bench-peers" in capfd.readouterr().err
    assert main(["bench", "data", "--benchmarks", str(tmp_path)]) == 2
    assert "benchmarks/data.py is not here" in capfd.readouterr().err


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that answer at once what they are told, in place of those that train."""
    ready = {"ready": True, "first_step_s": 1.0, "check": {"gradient": 0.0}, "compile_s": 2.5}

    def entrants(setting: object) -> tuple[list[Entrant], dict[str, str]]:
        commands = {
            name: [sys.executable, str(FAKE), json.dumps([ready, seconds, ""])]
            for name, seconds in SECONDS.items()
        }
        made = [Entrant(name, command, os.environ) for name, command in commands.items()]
        return made, {"spikingjelly bptt": "not installed"}

    monkeypatch.setattr(train, "methods", entrants)


@pytest.mark.usefixtures("quick")
def test_a_run_prints_its_ratios_and_keeps_a_record(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    sizes = ["--net", "mlp", "--batch", "2", "--steps", "3", "--rounds", "2"]
    assert main(["bench", "train", *sizes, "--json", "--out", str(tmp_path)]) == 0
    said = capfd.readouterr()
    printed = json.loads(said.out)
    ratios = {k: v if v is None else round(v, 6) for k, v in printed["ratios"].items()}
    assert ratios == {
        "vs_naive_bf16": 8.0, "vs_naive_f32": 4.0, "vs_bptt": 4.0, "vs_bptt_same_precision": 1.5,
        "vs_spikingjelly": None, "of_floor": 0.75,
    }  # fmt: skip
    assert printed["missing"] == {"vs_spikingjelly": "not installed"}
    assert "round 2 of 2" in said.err
    kept = json.loads((tmp_path / "train-mlp-b2-t3.json").read_text())
    assert kept.pop("load_average_after") is not None
    assert kept == printed
    for key in ("hardware", "versions", "command", "revision", "environment", "when"):
        assert kept[key], key
    assert kept["environment"]["MALLOC_MMAP_MAX_"] == "0"
    assert kept["methods"]["tess bf16"]["compile_s"] == 2.5
    assert kept["methods"]["tess bf16"]["step_s"]["n"] == 2


@pytest.mark.usefixtures("quick")
def test_a_short_run_is_not_recorded_unasked(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "naive.py").touch()
    monkeypatch.setattr(places, "benchmarks", lambda folder=None: tmp_path)
    monkeypatch.setattr(train, "benchmarks", places.benchmarks)
    small = ["bench", "train", "--net", "mlp", "--batch", "2", "--steps", "3", "--rounds"]
    assert main([*small, "2"]) == 0
    said = capfd.readouterr()
    assert "vs_naive_bf16" in said.out and "8.00" in said.out
    assert "not recorded" in said.err and not (tmp_path / "records").exists()
    assert main([*small, str(record.ENOUGH)]) == 0
    assert [p.name for p in (tmp_path / "records").iterdir()] == ["train-mlp-b2-t3.json"]


def test_the_peers_cases_are_those_of_the_bars() -> None:
    sizes = {(w.net, w.batch, w.steps) for w in peers.CASES.values()}
    assert sizes == {
        ("mlp", 32, 100), ("mlp", 32, 800), ("recurrent", 32, 100), ("recurrent", 32, 800),
        ("vgg9", 16, 6),
    }  # fmt: skip


@pytest.mark.parametrize("what", ["train --net mlp", "memory", "scale", "stream", "passes"])
def test_a_folder_that_cannot_be_written_to_is_refused_before_anything_is_measured(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.delattr(record, "warn_of_load")  # the first thing every one of them does
    assert main(["bench", *what.split(), "--out", str(tmp_path / "file" / "x")]) == 2
    assert "cannot write" in capsys.readouterr().err
