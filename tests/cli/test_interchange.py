"""`localspike export nir` and `export onnx`: a run's folder to a file, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from localspike import read_nir
from localspike.cli import main
from localspike.recipes import load_run


def test_a_run_becomes_a_graph_that_answers_as_it_does(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("nir")
    out = tmp_path / "words.nir"
    capsys.readouterr()
    assert (
        main(["export", "nir", str(finished), str(out), "--dt", "1e-3", "--gain", "weights"]) == 0
    )
    said = capsys.readouterr().out
    assert f"Wrote {out}" in said and "soft reset" in said
    net, back = load_run(finished, "cpu").net, read_nir(out)
    frames = (torch.rand(12, 4, *net.sample_shape) < 0.2).float()
    assert torch.allclose(net(frames), back(frames), atol=1e-4)
    assert main(["export", "nir", str(finished), str(out), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["target"] == "nir" and made["bytes"] == out.stat().st_size


def test_a_run_becomes_an_onnx_step(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnx")
    out = tmp_path / "deeper" / "words.onnx"
    assert main(["export", "onnx", str(finished), str(out)]) == 0
    assert "One call is one time step. State: hidden1.v" in capsys.readouterr().out
    assert out.stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nir", "--learn", "none"], "--learn means nothing for nir"),
        (["onnx", "--budget", "9KB"], "--budget means nothing for onnx"),
        (["onnx", "--dt", "1e-3"], "--dt means nothing for onnx"),
        (["c", "--gain", "r"], "--gain means nothing for c"),
        (["onnx", "--dtype", "int8"], "--dtype means nothing for onnx"),
        (["nir", "--dt", "-1"], "dt: got -1.0"),
    ],
)
def test_settings_of_another_target_are_refused(
    finished: Path,
    tmp_path: Path,
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    target, *options = arguments
    out = tmp_path / f"out.{target}"
    assert main(["export", target, str(finished), str(out), *options]) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_files_of_another_kind_are_left_alone(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("kept")
    for target in ("nir", "onnx"):
        assert main(["export", target, str(finished), str(mine)]) == 2
        assert f"not written as .{target}" in capsys.readouterr().err
        assert main(["export", target, str(tmp_path / "none"), str(tmp_path / "x")]) == 2
        assert "no run" in capsys.readouterr().err
    assert mine.read_text() == "kept" and not (tmp_path / "x").exists()


@pytest.mark.parametrize("kind", ["nir", "onnx"])
def test_files_of_others_stay(
    kind: str, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip(kind)
    theirs, below = tmp_path / f"theirs.{kind}", tmp_path / "file" / f"net.{kind}"
    theirs.write_text("not one of ours")
    (tmp_path / "file").write_text("a file")
    for out, said in ((theirs, "is there and was not"), (below, "is a file")):
        assert main(["export", kind, str(finished), str(out)]) == 2
        assert said in capsys.readouterr().err
    assert theirs.read_text() == "not one of ours"
    own = tmp_path / f"own.{kind}"
    for _ in range(2):  # what we wrote may be written again
        assert main(["export", kind, str(finished), str(own)]) == 0
