"""Every command, on its good day: what it prints, and that --json prints one object alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from helpers_cli import SMALL, Said
from localspike.data import keywords
from localspike.recipes import RECIPES


def test_train_prints_epochs_and_a_summary(command: Callable[..., Said], tmp_path: Path) -> None:
    said = command("train", "keywords-frozen", *SMALL, "--out", tmp_path / "run")
    assert said.code == 0 and said.err == ""
    lines = said.out.splitlines()
    assert lines[0].startswith("epoch 1/2: train loss")
    assert "keywords-frozen: test accuracy" in lines[-1] and str(tmp_path / "run") in lines[-1]


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "keywords-tess", *SMALL, "--json"],
        ["list", "--json"],
        ["info", "--json"],
        ["info", "keywords-ottt", "--json"],
    ],
)
def test_json_is_one_object_and_nothing_else(
    command: Callable[..., Said],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    said = command(*arguments)
    assert said.code == 0
    assert isinstance(json.loads(said.out), dict)


def test_train_goes_to_runs_by_default(
    command: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = command("train", "keywords-sltt", *SMALL, "seed=3", "--json")
    assert json.loads(said.out)["folder"] == "runs/keywords-sltt-3"
    assert (tmp_path / "runs" / "keywords-sltt-3" / "result.json").exists()


def test_eval_repeats_the_result_of_the_run(command: Callable[..., Said], finished: Path) -> None:
    result = json.loads((finished / "result.json").read_text())
    found = json.loads(command("eval", finished, "--json").out)
    assert found["accuracy"] == result["test_accuracy"]
    assert found["confusion"] == result["confusion"]
    assert set(found["rates"]) == {"hidden1", "hidden2"}
    said = command("eval", finished, "--split", "val")
    assert said.code == 0 and "10 samples of split val" in said.out


def test_eval_of_layers(command: Callable[..., Said], finished: Path) -> None:
    """Each layer's own prediction, the readout's, and what is answered: the latter without it."""
    plain = json.loads(command("eval", finished, "--json").out)
    found = json.loads(command("eval", finished, "--layers", "--json").out)
    assert set(found.pop("layers")) == {"hidden1", "hidden2"}
    assert found.pop("together") == found.pop("readout") == plain["accuracy"]
    assert found.pop("heard") is False and found == plain
    said = command("eval", finished, "--layers")
    words = [line.split()[0] for line in said.out.splitlines()[1:]]
    assert said.code == 0 and words == ["by", "hidden1", "hidden2", "readout", "the"]


def test_layers_that_say_nothing_are_refused(command: Callable[..., Said], tmp_path: Path) -> None:
    command("train", "keywords-frozen", *SMALL, "--out", tmp_path / "run")
    said = command("eval", tmp_path / "run", "--layers")
    assert said.code == 2 and "predicts a class by itself" in said.err and not said.out


def test_predict_answers_for_every_sample_of_every_file(
    command: Callable[..., Said], finished: Path, tmp_path: Path
) -> None:
    batch = keywords("test", steps=12, limit=10).batch(range(10))
    frames = batch.frames.numpy()
    np.savez(tmp_path / "several.npz", frames=frames)
    np.save(tmp_path / "one.npy", frames[:, 3])
    np.savez(tmp_path / "short.npz", frames=frames[:, :1], lengths=np.array([12]))
    files = [tmp_path / name for name in ("several.npz", "one.npy", "short.npz")]
    found = json.loads(command("predict", finished, *files, "--json").out)["predictions"]
    assert [entry["sample"] for entry in found] == [*range(10), 0, 0]
    assert found[10]["class"] == found[3]["class"]
    assert found[11]["logits"] == pytest.approx(found[0]["logits"], rel=1e-5)
    judged = json.loads(command("eval", finished, "--json").out)
    right = sum(
        entry["class"] == judged["classes"][label]
        for entry, label in zip(found, batch.labels.tolist(), strict=False)
    )
    assert right == round(judged["accuracy"] * 10)
    table = command("predict", finished, files[0]).out.splitlines()
    assert table[0].split() == ["file", "sample", "class"] and len(table) == 11


def test_list_names_every_recipe_with_its_summary(command: Callable[..., Said]) -> None:
    out = command("list").out
    for name in RECIPES:
        assert f"\n{name} " in out
    assert "rules: tess, tess_plus, s_tllr" in out
    found = json.loads(command("list", "--json").out)
    assert all(entry["summary"] for entry in found["recipes"])


def test_info_shows_machine_and_data(
    command: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOCALSPIKE_DATA", raising=False)
    out = " ".join(command("info").out.split())
    assert "data cifar10 not found: set LOCALSPIKE_DATA" in out
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10" / "labels.npz").touch()
    found = json.loads(command("info", "--data-root", tmp_path, "--json").out)
    assert found["data"]["cifar10"] == "found: cifar10/labels.npz"
    assert found["data"]["keywords"] == "in the package"
    assert found["versions"]["torch"]


def test_info_shows_the_network_and_every_key_of_a_recipe(command: Callable[..., Said]) -> None:
    out = command("info", "keywords-tess").out
    assert "hidden1  [80]   [200]   16200" in out
    assert "schedule layerwise" in out
    for key in ("rule.pre_decay", "optimizer.lr", "neuron.threshold", "training.epochs"):
        assert f"\n{key} " in out


def test_info_shows_a_run(command: Callable[..., Said], finished: Path) -> None:
    found = json.loads(command("info", finished, "--json").out)
    assert found["config"]["training"]["epochs"] == 2
    assert found["result"]["test_samples"] == 10
    assert "test accuracy" in command("info", finished).out


def test_resuming_a_finished_run_prints_its_result(
    command: Callable[..., Said], finished: Path
) -> None:
    said = command("train", "keywords-tess", *SMALL, "--out", finished, "--resume", "--json")
    assert said.code == 0 and "is finished" in said.err
    assert json.loads(said.out) == json.loads((finished / "result.json").read_text())
