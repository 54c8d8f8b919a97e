"""NIR out and in: the same spikes again, what the nodes hold, and every refusal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers_simulators import ours
from localspike import models, read_nir, write_nir
from localspike.errors import (
    ConfigError,
    IllegalError,
    MissingDependencyError,
)
from localspike.nn import (
    ALIF,
    LIF,
    AvgPool,
    Conv2d,
    CubaLIF,
    Flatten,
    GlobalAvgPool,
    Linear,
    Network,
    Readout,
    Spiking,
    fold,
)
from localspike.recipes import interchange

nir = pytest.importorskip("nir")

CASES: dict[str, Callable[[], Network]] = {
    "linear": lambda: models.mlp(30, (24, 20), 5, bias=True),
    "leaky readout": lambda: models.mlp(30, (24,), 5, readout_decay=0.9),
    "perfect integrators": lambda: models.mlp(
        30, (24,), 5, neuron=LIF(1.0, 0.6), readout_decay=1.0
    ),
    "no memory": lambda: models.mlp(30, (24,), 5, neuron=LIF(0.0, 0.6)),
    "hard reset": lambda: models.mlp(30, (24,), 5, neuron=LIF(0.9, reset="hard")),
    "no reset": lambda: models.mlp(30, (24,), 5, neuron=LIF(0.7, reset="none")),
    "another amount": lambda: models.mlp(30, (24,), 5, neuron=LIF(0.9, 0.6, reset_by=1.0)),
    "filtered currents": lambda: models.mlp(30, (24,), 5, neuron=CubaLIF(0.8)),
    "recurrent": lambda: models.recurrent(30, (24, 16), 5),
    "conv": lambda: models.convnet(2, 5, image=9, channels=(4, 6), pooling="avg", kernel=5),
    "running statistics": lambda: models.convnet(
        2, 5, image=8, channels=(4, 6), pooling="avg", norm_momentum=0.1, dropout=0.2
    ),
    "residual": lambda: models.resnet(2, 4, image=16, channels=(4, 8)),
}


def events(net: Network, steps: int = 14, batch: int = 3) -> torch.Tensor:
    return (torch.rand(steps, batch, *net.sample_shape) < 0.25).float()


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("gain", ["r", "weights"])
@pytest.mark.parametrize("case", CASES)
def test_written_and_read_again_it_is_the_same_net(
    case: str, gain: Any, seed: int, tmp_path: Path
) -> None:
    torch.manual_seed(seed)
    net = fold(CASES[case]())
    write_nir(net, tmp_path / "net.nir", gain=gain, dt=1e-3)
    back = read_nir(tmp_path / "net.nir")
    frames = events(net)
    (trains, logits), (again, answers) = ours(net, frames), ours(back, frames)
    for name, train in trains.items():
        assert 0.05 < float(train.mean()) < 0.6, name
        assert torch.equal(train, again[name]), name
    assert torch.allclose(logits, answers, atol=1e-5)
    if gain == "r":
        assert torch.equal(logits, answers)
        held = {k: b.neuron.constants for k, b in net.blocks.items()}
        assert {k: b.neuron.constants for k, b in back.blocks.items()} == held


def test_constants_are_those_of_euler_steps(tmp_path: Path) -> None:
    net = models.mlp(12, (8,), 4, neuron=LIF(0.8, 0.7), readout_decay=0.9)
    write_nir(net, tmp_path / "net.nir", dt=1e-3)
    graph = nir.read(tmp_path / "net.nir")
    cell, leak = graph.nodes["hidden1"], graph.nodes["readout"]
    assert type(cell) is nir.LIF and type(leak) is nir.LI
    assert np.allclose(cell.tau, 5e-3) and np.allclose(cell.r * 1e-3 / cell.tau, 1.0)
    assert np.allclose(leak.tau, 1e-2) and np.allclose(leak.r * 1e-3 / leak.tau, 1.0)
    assert cell.tau.shape == (8,) and np.all(cell.v_threshold == 0.7) and not cell.v_reset.any()
    said = cell.metadata
    assert said["dt"] == 1e-3 and said["decay"] == 0.8 and said["reset_by"] == 0.7
    assert said["reset"] in ("soft", b"soft")
    weights = fold(net).modules_by_name["hidden1"].synapse.weight  # type: ignore[union-attr]
    assert np.array_equal(graph.nodes["hidden1_synapse"].weight, weights.detach().numpy())


def test_a_reset_that_nir_has_no_field_for_is_said(tmp_path: Path) -> None:
    soft, hard = models.mlp(6, (8,), 2), models.mlp(6, (8,), 2, neuron=LIF(reset="hard"))
    assert "soft reset" in write_nir(soft, tmp_path / "a.nir").notes[0]
    assert write_nir(hard, tmp_path / "b.nir").notes == ()


def test_blocks_may_be_called_as_other_nodes_are(tmp_path: Path) -> None:
    blocks = {
        "output": Spiking(Conv2d(2, 3, 3), tail=(AvgPool(2), Flatten())),
        "output_pool": Spiking(Linear(27, 8)),
        "output_synapse": Readout(Linear(8, 4)),
    }
    net = Network(blocks, (2, 8, 8))
    write_nir(net, tmp_path / "net.nir")
    assert torch.equal(
        ours(net, frames := events(net))[1], ours(read_nir(tmp_path / "net.nir"), frames)[1]
    )


def grouped() -> Network:
    return Network(
        {"a": Spiking(Conv2d(2, 4, 3, groups=2)), "b": Readout(Linear(144, 2))}, (2, 8, 8)
    )


def uneven() -> Network:
    blocks = {"a": Spiking(Conv2d(2, 4, 3), tail=(GlobalAvgPool(4),)), "b": Readout(Linear(64, 2))}
    return Network(blocks, (2, 8, 8))


def twice() -> Network:
    blocks = {"a": Spiking(Linear(4, 4)), "b": Readout(Linear(4, 2))}
    return Network(blocks, (4,), {"b": ("a", "a")})


class Odd(LIF):
    """A neuron of a user's own."""


REFUSED: dict[str, tuple[Callable[[], Network], str]] = {
    "max pooling": (lambda: models.convnet(2, 5, image=8, channels=(4,)), "'conv1' .* max pooling"),
    "adaptive": (lambda: models.mlp(6, (8,), 2, neuron=ALIF()), "ALIF, whose threshold adapts"),
    "at threshold": (
        lambda: models.mlp(6, (8,), 2, neuron=LIF(fires_at_threshold=True)), "at its threshold",
    ),
    "endless current": (
        lambda: models.mlp(6, (8,), 2, neuron=CubaLIF(synaptic_decay=1.0)), "decay of 1",
    ),
    "groups": (grouped, "2 groups"),
    "uneven means": (uneven, "windows of different sizes"),
    "twice": (twice, "every source once"),
    "own neuron": (lambda: models.mlp(6, (8,), 2, neuron=Odd()), "neuron Odd"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_nir_cannot_carry_is_refused_by_name(case: str, tmp_path: Path) -> None:
    make, said = REFUSED[case]
    with pytest.raises(
        IllegalError, match=f"(?s)block '.*' cannot be exported to NIR: .*{said}|{said}"
    ):
        write_nir(make(), tmp_path / "net.nir")
    assert not list(tmp_path.iterdir())


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    net = models.mlp(6, (8,), 2, standardised=False)
    net.blocks["hidden1"].synapse.weight.data[0, 0] = float("nan")
    with pytest.raises(IllegalError, match="not finite"):
        write_nir(net, tmp_path / "net.nir")


def test_settings_and_places_that_mean_nothing(tmp_path: Path) -> None:
    net = models.mlp(6, (8,), 2)
    for settings in ({"dt": 0.0}, {"dt": float("nan")}, {"gain": "both"}):
        with pytest.raises(ConfigError, match=r"^(dt|gain)"):
            write_nir(net, tmp_path / "net.nir", **settings)  # type: ignore[arg-type]
    (tmp_path / "mine.txt").write_text("kept")
    for place in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(ConfigError, match=r"Name a new file, e\.g\. .*\.nir"):
            write_nir(net, place)
    assert (tmp_path / "mine.txt").read_text() == "kept"
    with pytest.raises(ConfigError, match=r"mine\.txt is a file"):
        write_nir(net, tmp_path / "mine.txt" / "net.nir")
    write_nir(net, tmp_path / "net.nir")
    write_nir(net, tmp_path / "net.nir")  # an export is replaced
    for wrong in ({"dt": -1.0}, {"reset": "gentle"}):
        with pytest.raises(ConfigError, match=r"^(dt|reset)"):
            read_nir(tmp_path / "net.nir", **wrong)  # type: ignore[arg-type]


def test_without_the_package_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nir", None)
    with pytest.raises(MissingDependencyError, match=r"localspike\[nir\]"):
        write_nir(models.mlp(6, (8,), 2), tmp_path / "net.nir")
    with pytest.raises(MissingDependencyError, match=r"localspike\[nir\]"):
        read_nir(tmp_path / "net.nir")


def test_optional_packages_are_imported_where_they_are_used_only() -> None:
    code = (
        "import sys, localspike, localspike.recipes.interchange, localspike.cli.commands\n"
        "print(sorted({'nir', 'onnx', 'onnxruntime', 'h5py'} & {*sys.modules}))"
    )
    source = str(Path(interchange.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"
