"""ONNX of one step: in onnxruntime the same spikes and logits, and every refusal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers_simulators import clear_events, ours
from localspike import models, write_onnx
from localspike.errors import ConfigError, IllegalError, MissingDependencyError
from localspike.export.onnx_step import onnx_step, states_of
from localspike.nn import (
    ALIF,
    LIF,
    Conv2d,
    CubaLIF,
    Flatten,
    GlobalAvgPool,
    Linear,
    Network,
    Readout,
    Spiking,
)

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
STEPS = 15


def grouped() -> Network:
    tail = (GlobalAvgPool(2), Flatten())
    blocks = {
        "a": Spiking(Conv2d(2, 6, 3, stride=2, padding=1, groups=2, bias=True), tail=tail),
        "b": Spiking(Linear(24, 8), LIF(0.8, 0.3, fires_at_threshold=True)),
        "out": Readout(Linear(8, 3, bias=True)),
    }
    net = Network(blocks, (2, 8, 8))
    with torch.no_grad():
        for block in net.blocks.values():
            block.synapse.weight.mul_(4.0)
    return net


CASES: dict[str, Callable[[], Network]] = {
    "linear": lambda: models.mlp(30, (24, 20), 5, bias=True),
    "leaky readout": lambda: models.mlp(30, (24,), 5, readout_decay=0.9),
    "no leak, no reset": lambda: models.mlp(30, (24,), 5, neuron=LIF(1.0, 0.6, reset="none")),
    "no memory": lambda: models.mlp(30, (24,), 5, neuron=LIF(0.0, 0.6)),
    "hard reset": lambda: models.mlp(30, (24,), 5, neuron=LIF(0.9, reset="hard")),
    "another amount": lambda: models.mlp(30, (24,), 5, neuron=LIF(0.9, 0.6, reset_by=1.0)),
    "adaptive": lambda: models.mlp(30, (24,), 5, neuron=ALIF(0.9)),
    "filtered currents": lambda: models.recurrent(30, (24,), 5, neuron=CubaLIF(0.8)),
    "recurrent": lambda: models.recurrent(30, (24, 16), 5),
    "conv, max pooling": lambda: models.convnet(2, 5, image=9, channels=(4, 6), kernel=5),
    "conv, mean pooling": lambda: models.convnet(2, 5, image=8, channels=(4, 6), pooling="avg"),
    "conv, groups": grouped,
    "running statistics": lambda: models.convnet(
        2, 5, image=8, channels=(4, 6), norm_momentum=0.1, dropout=0.2
    ),
    "vgg9": lambda: models.vgg9(2, 5, image=16, width=0.0625),
    "residual": lambda: models.resnet(2, 4, image=8, channels=(4, 6)),
}


def stepped(session: Any, frames: torch.Tensor) -> dict[str, np.ndarray]:
    """Every output of every step, states fed back."""
    names = [x.name for x in session.get_outputs()]
    state = {
        x.name: np.zeros((frames.shape[1], *x.shape[1:]), np.float32)
        for x in session.get_inputs()
        if x.name != "x"
    }
    seen: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for frame in frames:
        made = dict(zip(names, session.run(None, {"x": frame.numpy(), **state}), strict=True))
        state = {name: made[f"{name}.next"] for name in state}
        for name, value in made.items():
            seen[name].append(value)
    return {name: np.stack(values) for name, values in seen.items()}


def session_of(path: Path) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # it warns of states that a net without memory does not read
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("case", CASES)
def test_a_runtime_finds_the_same_spikes_and_logits(case: str, seed: int, tmp_path: Path) -> None:
    torch.manual_seed(seed)
    net = CASES[case]()
    made = write_onnx(net, tmp_path / "net.onnx")
    session = session_of(tmp_path / "net.onnx")
    for batch in (3, 1):  # any batch
        frames = clear_events(net, STEPS, batch)
        trains, logits = ours(net, frames)
        found = stepped(session, frames)
        for name, train in trains.items():
            if batch > 1:
                assert 0.05 < float(train.mean()) < 0.6, (name, float(train.mean()))
            assert np.array_equal(train.numpy(), found[f"{name}.spikes"]), name
        assert np.abs(found["logits"] - logits.numpy()).max() < 1e-5
    assert made.states == tuple(states_of(net))


def test_the_comparison_sees_another_decay(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = models.mlp(30, (24,), 5)
    other = models.mlp(30, (24,), 5, neuron=LIF(0.48))
    other.load_state_dict(net.state_dict())
    write_onnx(other, tmp_path / "net.onnx")
    frames = (torch.rand(STEPS, 3, 30) < 0.25).float()
    found = stepped(session_of(tmp_path / "net.onnx"), frames)
    assert not np.array_equal(ours(net, frames)[0]["hidden1"].numpy(), found["hidden1.spikes"])


def test_the_model_says_what_its_states_are(tmp_path: Path) -> None:
    net = models.recurrent(30, (24,), 5)
    write_onnx(net, tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    onnx.checker.check_model(model, full_check=True)
    said = {x.key: x.value for x in model.metadata_props}
    states = {"hidden1.v": [24], "hidden1.o": [24], "readout.y": [5]}
    assert json.loads(said["localspike.states"]) == states
    assert json.loads(said["localspike.neurons"])["hidden1"]["reset"] == "soft"
    assert "one time step" in said["localspike.use"]
    assert [x.name for x in model.graph.input] == ["x", *states]


def test_a_net_without_readout_gives_its_last_output() -> None:
    model = onnx_step(Network({"a": Spiking(Linear(4, 3))}, (4,)))
    assert [x.name for x in model.graph.output] == ["output", "a.spikes", "a.v.next"]


class Odd(LIF):
    """A neuron of a user's own."""


def test_what_onnx_cannot_carry_is_refused_by_name(tmp_path: Path) -> None:
    uneven = Network({"a": Spiking(Conv2d(2, 4, 3), tail=(GlobalAvgPool(4),))}, (2, 8, 8))
    broken = models.mlp(6, (8,), 2, standardised=False)
    broken.blocks["hidden1"].synapse.weight.data[0, 0] = float("inf")
    for net, said in (
        (uneven, "block 'a' cannot be exported to ONNX: .* windows of different sizes"),
        (models.mlp(6, (8,), 2, neuron=Odd()), "block 'hidden1' .* neuron Odd"),
        (broken, "block 'hidden1' .* not finite"),
    ):
        with pytest.raises(IllegalError, match=said):
            write_onnx(net, tmp_path / "net.onnx")
    (tmp_path / "mine.bin").write_bytes(b"kept")
    with pytest.raises(ConfigError, match=r"not written as \.onnx"):
        write_onnx(models.mlp(6, (8,), 2), tmp_path / "mine.bin")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.bin"]


def test_without_the_package_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingDependencyError, match=r"localspike\[onnx\]"):
        write_onnx(models.mlp(6, (8,), 2), tmp_path / "net.onnx")
