"""Every kind of bad input: one clear line on standard error, exit code 2, nothing written."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from helpers_cli import SMALL, Said


def refused(said: Said, message: str) -> None:
    """One line, the right words, the right exit code, nothing on standard output."""
    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith("localspike: error: ")
    assert said.err.count("\n") == 1
    assert re.search(message, said.err), said.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["keywords-tes"], r"unknown recipe 'keywords-tes'\. Nearest names: keywords-tess"),
        (["keywords-tess", "epoch=1"], r"unknown key 'epoch'\. Nearest names: epochs"),
        (["keywords-tess", "epochs=none"], r"wrong kind: got 'none'; expected int"),
        (["keywords-tess", "epochs"], r"cannot be read: got 'epochs'; expected key=value"),
        (["keywords-tess", "schedule=bptt"], r"schedule 'bptt' is illegal for rule 'tess'"),
        (["keywords-tess", "device=tpu"], r"training\.device has a value of the wrong kind"),
        (["keywords-tess", "--device", "gpu"], r"expected auto or cpu or cuda or mps"),
        (["keywords-tess", "steps=0"], r"keywords: impossible number of steps: got 0"),
        (["cifar10-tess"], r"no data root is set.*Set LOCALSPIKE_DATA or pass --data-root"),
        (["cifar10-tess", "--data-root", "nowhere"], r"no such folder: nowhere.*expected a folder"),
        (["cifar10-tess", "--data-root", "."], r"no data files under \."),
        (["keywords-tess", "--resume"], r"nothing to resume in"),
        (["keywords-tess", *SMALL, "--out", "/proc/here"], r"cannot write /proc/here"),
        (["nothere"], r"unknown recipe 'nothere'\. `localspike list` shows all of them"),
        (["--bogus", "keywords-tess"], r"unknown option --bogus of localspike train"),
        (["keywords-tess", "--epochs", "3"], r"option --epochs .* go without dashes: epochs=3"),
        (["keywords-tess", "--optimizer.lr=3"], r"go without dashes: optimizer\.lr=3"),
        (
            ["keywords-tess", "lr=1", "--json", "epochs=1"],
            r"Put settings right after the name of the recipe",
        ),
        (["keywords-tess", "--data-root", ""], r"the value of --data-root is empty"),
        (["keywords-tess", "--data-root="], r"empty argument: got '--data-root='"),
        (["keywords-tess", "lr=-1"], r"Invalid learning rate: -1\.0.*Change optimizer\.lr"),
        (
            ["keywords-tess", "hidden=1000000000"],
            r"not enough memory: got a request for 320 GB\. Use",
        ),
        (["keywords-tess", "hidden=1000000000000000000"], r"not enough memory\. Use a smaller net"),
        (
            ["keywords-tess", *SMALL, "active_steps=0"],
            r"active_steps: got 0; expected .* the last k >= 1",
        ),
        (
            ["keywords-tess", *SMALL, "active_steps=13"],
            r"got 13; expected the last k <= 12, or 'all'",
        ),
        (
            ["keywords-tess", *SMALL, "class_weights=1,2"],
            r"expected 10 numbers\. Give one number per",
        ),
        (
            ["keywords-tess", *SMALL, "augment.name=images"],
            r"augment images cannot work on data key",
        ),
        (
            ["keywords-tess", *SMALL, "scheduler.T_max=0"],
            r"CosineAnnealingLR fails at epoch 1 of 2",
        ),
        (
            ["keywords-tess", *SMALL, "lr=1e30"],
            r"in training step 2 .*Nothing was saved yet; a smaller",
        ),
    ],
)
def test_train_refuses(
    command: Callable[..., Said],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOCALSPIKE_DATA", raising=False)
    refused(command("train", *arguments), message)
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_run_folder_is_refused(
    command: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(self: Path, *arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    # A mode without write permission would not stop root, who runs the tests in many a container.
    monkeypatch.setattr(Path, "mkdir", deny)
    said = command("train", "keywords-tess", *SMALL, "--out", tmp_path / "run")
    refused(said, r"cannot write .*run: got Permission denied\. Change its permissions or choose")
    assert list(tmp_path.iterdir()) == []


def test_another_run_s_folder_is_refused(command: Callable[..., Said], finished: Path) -> None:
    said = command("train", "keywords-tess", *SMALL, "seed=1", "--out", finished)
    refused(
        said, r"holds another run: got training\.seed=1; expected training\.seed=0, as there\. Ch"
    )
    said = command("train", "keywords-tess", *SMALL, "--out", finished)
    refused(said, r"already holds this run\. Add --resume to go on")


@pytest.mark.parametrize("name", ["eval", "predict"])
def test_a_folder_without_a_run_is_refused(
    command: Callable[..., Said], tmp_path: Path, name: str
) -> None:
    extra = [tmp_path / "x.npz"] if name == "predict" else []
    refused(
        command(name, tmp_path, *extra),
        r"no run in .*: expected a folder made by.*Give the folder of a run",
    )


def test_a_checkpoint_of_another_model_is_refused(
    command: Callable[..., Said], finished: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(finished, tmp_path / "run")
    tree = json.loads((folder / "config.json").read_text())
    tree["model"]["hidden"] = [12, 9]
    (folder / "config.json").write_text(json.dumps(tree))
    message = r"is of another model, it differs in \S*hidden2\S*: got float32\[8"
    refused(command("eval", folder), message)


def test_a_damaged_checkpoint_is_refused_or_reported(
    command: Callable[..., Said], finished: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(finished, tmp_path / "run")
    older, newer = sorted((folder / "checkpoints").glob("*.safetensors"))
    newer.write_bytes(newer.read_bytes()[:50])
    said = command("eval", folder, "--json")
    assert said.code == 0 and "Using the previous checkpoint instead" in said.err
    assert json.loads(said.out)["checkpoint"] == older.stem
    older.write_bytes(b"")
    said = command("eval", folder, "--json")
    assert said.code == 2 and said.out == ""
    assert "is damaged: got 0 bytes whose digest differs" in said.err.splitlines()[-1]


def test_a_stored_configuration_of_another_version_is_refused(
    command: Callable[..., Said], finished: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(finished, tmp_path / "run")
    tree = json.loads((folder / "config.json").read_text())
    tree["training"]["epoch"] = 1
    (folder / "config.json").write_text(json.dumps(tree))
    message = r"config\.json: unknown key 'training\.epoch'\. Nearest names: .*Restore the file"
    refused(command("eval", folder), message)
    for text, message in (
        ("{", r"config\.json cannot be read: .*Restore it"),
        ("[]", r"config\.json: a stored configuration cannot be read: got list"),
        ('{"data": 5}', r"config\.json: section 'data' cannot be read: got 5"),
    ):
        (folder / "config.json").write_text(text)
        refused(command("eval", folder), message)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"frames": np.zeros((12, 81))},
            r"wrong shape: got \[12, 81\]; expected \[T, 80\] for one",
        ),
        ({"frames": np.zeros((12, 2, 3, 80))}, r"wrong shape: got \[12, 2, 3, 80\]"),
        ({"frames": np.zeros(80)}, r"wrong shape: got \[80\]"),
        ({"frames": np.zeros((0, 80))}, r"empty batch: no time step or no sample"),
        ({"frames": np.zeros((12, 0, 80))}, r"empty batch"),
        ({"frames": np.full((12, 80), np.nan)}, r"non-finite value: got NaN or infinity at step 0"),
        ({"frames": np.zeros((12, 80), complex)}, r"wrong dtype: got complex128"),
        ({"frames": np.array([["a"]])}, r"wrong dtype"),
        ({"frames": np.full((12, 80), 1e300)}, r"non-finite value"),
        ({"frames": np.zeros((12, 80)), "lengths": np.array([13])}, r"lengths out of range"),
        ({"frames": np.zeros((12, 80)), "lengths": np.array([1.5])}, r"lengths have the wrong"),
        ({"frames": np.zeros((12, 80)), "lengths": np.array(["a"])}, r"lengths have the wrong"),
        ({"frames": np.array([{}], dtype=object)}, r"holds Python objects: expected plain numbers"),
        ({"events": np.zeros((12, 80))}, r"has no frames: got arrays \['events'\]"),
    ],
)
def test_predict_refuses_frames_that_do_not_fit(
    command: Callable[..., Said],
    finished: Path,
    tmp_path: Path,
    arrays: dict[str, np.ndarray],
    message: str,
) -> None:
    np.save(tmp_path / "good.npy", np.zeros((12, 80)))
    np.savez(tmp_path / "bad.npz", **arrays)
    said = command("predict", finished, tmp_path / "good.npy", tmp_path / "bad.npz")
    refused(said, rf"bad\.npz.*{message}")
    assert "good.npy" not in said.err and "training" not in said.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"frames\.npz: cannot be read: got No such file.*Check the path"),
        (b"", r"not a \.npy or \.npz file: got an empty file"),
        (b"not numpy", r"not a \.npy or \.npz file: got a file that begins with b'not nu'"),
        (b"PK\x03\x04 cut", r"not a whole npz file: got BadZipFile"),
    ],
)
def test_predict_refuses_files_that_are_none(
    command: Callable[..., Said],
    finished: Path,
    tmp_path: Path,
    content: bytes | None,
    message: str,
) -> None:
    path = tmp_path / "frames.npz"
    if content is not None:
        path.write_bytes(content)
    said = command("predict", finished, path)
    refused(said, message)
    assert "pickle" not in said.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [],
            r"of {demo, compare, reproduce, train, eval, predict, verify, list, info, cost, "
            r"export, data, bench}",
        ),
        (["trian"], r"Unrecognized options: trian\. Available subcommands: demo, compare"),
        (["list", "--jsn"], r"unknown option --jsn of localspike list\. Nearest names: --json"),
        (["train"], r"Missing from localspike train: RECIPE .*run: localspike train --help"),
        (["eval"], r"Missing from localspike eval: RUN"),
        (["train", "keywords-tess", "--out"], r"Missing value for argument '--out'"),
        (["predict", "x"], r"no file is named: .*Name them: localspike predict RUN FILE"),
        (["verify"], r"no file is named: .*Name them: localspike verify FILE"),
        (["verify", "--json"], r"no file is named"),
        (["demo", "--out", ""], r"the value of --out is empty"),
        (["info", ""], r"empty argument"),
        (["eval", "x", "--split", "tst"], r"invalid choice 'tst' for argument '--split'"),
    ],
)
def test_what_cannot_be_parsed_is_refused_in_one_line(
    command: Callable[..., Said], arguments: list[str], message: str
) -> None:
    refused(command(*arguments), message)


def test_unknown_recipe_of_info(command: Callable[..., Said]) -> None:
    refused(command("info", "keyword-tess"), r"Nearest names: keywords-tess")
    message = r"'nothere' is no recipe and no run folder\. `localspike list` shows all of them"
    refused(command("info", "nothere"), message)


@pytest.mark.parametrize("name", ["eval", "info"])
def test_a_folder_of_runs_names_one_of_them(
    command: Callable[..., Said], finished: Path, name: str
) -> None:
    message = rf"no run in .*: got a folder of runs.*Name one of them, e\.g\. {finished}"
    refused(command(name, finished.parent), message)
    refused(command(name, finished.parent.parent), r"Name one of them, e\.g\. ")


def test_a_checkpoint_of_another_run_is_refused(
    command: Callable[..., Said], finished: Path, tmp_path: Path
) -> None:
    asked = ["train", "keywords-sltt", *SMALL, "--out", tmp_path / "other", "--json"]
    assert command(*asked).code == 0
    folder = shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(folder / "checkpoints")
    shutil.copytree(tmp_path / "other" / "checkpoints", folder / "checkpoints")
    np.save(tmp_path / "x.npy", np.zeros((12, 80)))
    message = (
        r"checkpoint \S+ in \S+ was written by other settings: got digest .* Put the run's own"
    )
    refused(command("eval", folder), message)
    refused(command("predict", folder, tmp_path / "x.npy"), message)


def test_verify_says_why_on_standard_error_beside_the_json(
    command: Callable[..., Said], tmp_path: Path
) -> None:
    said = command("verify", tmp_path / "absent.npz", "--json")
    assert said.code == 2 and json.loads(said.out)["ok"] is False
    refused(said._replace(out=""), r"absent\.npz: cannot be read: got No such file")
