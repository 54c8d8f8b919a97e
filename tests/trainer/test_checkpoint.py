"""Checkpoints: exact, atomic, verified, and never silently replaced by an older one."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
import torch

from localspike.errors import CheckpointError
from localspike.learn.atomic import write_atomically
from localspike.learn.checkpoint import CheckpointStore, check_same_model
from localspike.learn.pack import layout, pack, unpack


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(tmp_path / "checkpoints")


def state(value: float) -> dict[str, object]:
    return {"net": {"weight": torch.full((3, 2), value)}, "optimizer": {"lr": value}}


def saved(store: CheckpointStore, *steps: int) -> list[str]:
    return [store.save({"step": step}, state(float(step))) for step in steps]


def test_what_is_loaded_is_what_was_saved(store: CheckpointStore) -> None:
    (name,) = saved(store, 7)
    checkpoint = store.load(name)
    assert checkpoint.record["step"] == 7
    assert torch.equal(checkpoint.state["net"]["weight"], torch.full((3, 2), 7.0))
    assert checkpoint.state["optimizer"] == {"lr": 7.0}


def test_an_optimiser_comes_back_bit_for_bit(store: CheckpointStore) -> None:
    weight = torch.nn.Parameter(torch.randn(4, 4))
    optimizer = torch.optim.AdamW([weight], lr=1e-3, betas=(0.8, 0.9), amsgrad=True)
    for _ in range(3):
        weight.grad = torch.randn(4, 4)
        optimizer.step()
    name = store.save({"step": 3}, {"optimizer": optimizer.state_dict()})
    found, want = store.load(name).state["optimizer"], optimizer.state_dict()
    assert found["param_groups"] == want["param_groups"]
    assert found["state"][0].keys() == want["state"][0].keys()
    for key, tensor in want["state"][0].items():
        assert torch.equal(found["state"][0][key], tensor)


def test_the_newest_two_are_kept(store: CheckpointStore) -> None:
    names = saved(store, 1, 2, 3)
    assert store.names() == names[1:]
    assert len(list(store.folder.iterdir())) == 4


def test_saving_twice_at_one_step_keeps_both(store: CheckpointStore) -> None:
    saved(store, 5, 5)
    assert len(store.names()) == 2


@pytest.mark.parametrize("kind", ["truncated", "altered", "missing"])
def test_a_damaged_checkpoint_is_reported_before_the_previous_one_is_used(
    store: CheckpointStore, kind: str
) -> None:
    older, newer = saved(store, 1, 2)
    damage(store.folder / f"{newer}.safetensors", kind)
    lines: list[str] = []
    assert store.newest(lines.append).name == older
    assert len(lines) == 1
    assert f"{newer}.safetensors is damaged" in lines[0]
    assert f"Using the previous checkpoint instead: {older}" in lines[0]


def damage(path: Path, kind: str) -> None:
    content = path.read_bytes()
    path.unlink()
    if kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    if kind == "altered":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def test_no_whole_checkpoint_is_an_error(store: CheckpointStore) -> None:
    (name,) = saved(store, 1)
    damage(store.folder / f"{name}.safetensors", "truncated")
    with pytest.raises(CheckpointError, match=r"is damaged: got \d+ bytes whose digest differs"):
        store.newest(lambda line: None)


def test_a_damaged_sidecar_is_an_error(store: CheckpointStore) -> None:
    (name,) = saved(store, 1)
    (store.folder / f"{name}.json").write_text("{")
    with pytest.raises(CheckpointError, match=rf"{name}\.json is damaged"):
        store.load(name)
    (store.folder / f"{name}.json").write_text(json.dumps({"format": 99, "state": {}}))
    with pytest.raises(CheckpointError, match="no checkpoint of this format"):
        store.load(name)


def test_no_checkpoint_at_all_is_an_error(store: CheckpointStore) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint in"):
        store.newest(lambda line: None)


def test_what_a_killed_process_left_is_swept(store: CheckpointStore) -> None:
    saved(store, 1)
    (store.folder / "000009-step-00000009.safetensors").write_bytes(b"half")
    (store.folder / ".000009-step-00000009.json.abc").write_bytes(b"half")
    saved(store, 2)
    assert len(list(store.folder.iterdir())) == 4 and len(store.names()) == 2


def test_damaged_checkpoints_are_set_aside_not_deleted(store: CheckpointStore) -> None:
    older, newer = saved(store, 1, 2)
    store.set_aside_after(older)
    assert store.names() == [older]
    assert (store.folder / f"{newer}.safetensors.damaged").exists()
    (third,) = saved(store, 3)
    assert third > newer


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_nothing_half_written(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    saved(store, 1)
    before = {path.name: path.read_bytes() for path in store.folder.iterdir()}

    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(CheckpointError, match=r"cannot write .*: got No space left on device"):
        saved(store, 2)
    assert {path.name: path.read_bytes() for path in store.folder.iterdir()} == before


def test_a_sidecar_that_cannot_be_written_takes_its_tensors_with_it(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, replace = saved(store, 1), os.replace

    def fail_on_json(source: str, target: Path) -> None:
        if str(target).endswith(".json"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail_on_json)
    with pytest.raises(CheckpointError, match="No space left"):
        saved(store, 2)
    assert store.names() == names
    assert len(list(store.folder.iterdir())) == 2


def test_a_write_replaces_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.json"
    write_atomically(path, b"old")

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    ("current", "message"),
    [
        ({"a": "float32[2]"}, r"in b: got float32\[3\]; expected no such tensor"),
        ({"a": "float32[2]", "b": "float32[4]"}, r"in b: got float32\[3\]; expected float32\[4\]"),
        ({"a": "float64[2]", "b": "float32[3]"}, r"in a: got float32\[2\]; expected float64\[2\]"),
    ],
)
def test_another_model_is_refused_naming_the_tensor(current: dict[str, str], message: str) -> None:
    stored = {"a": "float32[2]", "b": "float32[3]"}
    with pytest.raises(CheckpointError, match=rf"is of another model, it differs {message}"):
        check_same_model(stored, current, "last")


def test_trees_survive_packing() -> None:
    tree = {
        "a": torch.arange(3),
        "nested": [1, 2.5, None, True, "x", (torch.zeros(0), {})],
        "by number": {0: torch.tensor(1.0), 1: "b"},
    }
    again = unpack(*pack(tree))
    assert torch.equal(again["a"], tree["a"])
    assert again["nested"][:5] == tree["nested"][:5]
    assert again["nested"][5][1] == {} and isinstance(again["nested"][5], tuple)
    assert torch.equal(again["by number"][0], torch.tensor(1.0)) and again["by number"][1] == "b"


def test_what_cannot_be_packed_is_named() -> None:
    with pytest.raises(CheckpointError, match=r"the state 'a/0' cannot be saved: got function"):
        pack({"a": [lambda: None]})


def test_layout_tells_dtype_and_shape() -> None:
    assert layout({"w": torch.zeros(2, 3, dtype=torch.bfloat16)}) == {"w": "bfloat16[2, 3]"}
