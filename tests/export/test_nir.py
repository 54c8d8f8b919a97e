"""NIR out and in: the same spikes again, what the nodes hold, and every refusal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from helpers_simulators import ours
from localspike import models, read_nir, write_nir
from localspike.errors import (
    CheckpointError,
    ConfigError,
    DataError,
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
    Integrator,
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
    with pytest.raises(CheckpointError, match="cannot write"):
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


# What others write.


def lif(n: int, **changed: Any) -> Any:
    held = {"tau": 1e-3, "r": 10.0, "v_leak": 0.0, "v_threshold": 0.6, "v_reset": 0.0} | changed
    metadata = held.pop("metadata", {})
    return nir.LIF(
        **{k: np.broadcast_to(v, n).astype(float) for k, v in held.items()}, metadata=metadata
    )


def linear(outputs: int, inputs: int) -> Any:
    return nir.Linear(np.random.default_rng(0).normal(size=(outputs, inputs)).astype(np.float32))


def end(kind: str, *shape: int) -> Any:
    return getattr(nir, kind)({kind.lower(): np.array(shape)})


def chain(**nodes: Any) -> Any:
    """Nodes one after the other."""
    names = ["input", *nodes, "output"]
    whole = {"input": end("Input", 6), **nodes, "output": end("Output", 2)}
    return nir.NIRGraph(whole, [*pairwise(names)], type_check=False)


def stored(graph: Any, folder: Path) -> Path:
    nir.write(folder / "theirs.nir", graph)
    return folder / "theirs.nir"


def test_a_loop_in_a_graph_of_its_own_is_a_recurrent_block(tmp_path: Path) -> None:
    inner = nir.NIRGraph(
        {
            "input": end("Input", 8),
            "lif": lif(8),
            "w_rec": linear(8, 8),
            "output": end("Output", 8),
        },
        [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")],
    )
    inner.nodes["w_rec"] = nir.Affine(inner.nodes["w_rec"].weight, np.full(8, 0.5, np.float32))
    net = read_nir(stored(chain(first=linear(8, 6), cells=inner, last=linear(2, 8)), tmp_path))
    block = net.blocks["cells_lif"]
    assert block.neuron.constants == LIF(0.9, 0.6, reset="hard").constants
    assert block.recurrent is not None and torch.all(block.synapse.bias == 0.5)  # the loop's
    assert np.array_equal(block.recurrent.weight.detach(), inner.nodes["w_rec"].weight)


def test_gains_sums_and_steps_end_in_the_weights(tmp_path: Path) -> None:
    weight = np.ones((3, 2, 3, 3), np.float32)
    graph = chain(
        conv=nir.Conv2d((8, 8), weight, 1, "same", 1, 1, np.zeros(3, np.float32)),
        cells=nir.LIF(**{
            k: np.full((3, 8, 8), v)
            for k, v in {"tau": 4e-3, "r": 2.0, "v_leak": 0.0, "v_threshold": 1.0}.items()
        }),
        pool=nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        flat=nir.Flatten({"input": np.array([3, 4, 4])}, 0, -1),
        last=linear(2, 48),
    )  # fmt: skip
    graph.nodes["input"] = end("Input", 2, 8, 8)
    net = read_nir(stored(graph, tmp_path), dt=1e-3, reset="soft")
    block, readout = net.blocks["cells"], net.readout
    assert net.sample_shape == (2, 8, 8) and readout is not None
    assert block.neuron.constants == LIF(0.75, 1.0).constants
    assert torch.all(block.synapse.weight == 0.5) and block.synapse.bias is None  # R dt/τ = 2/4
    assert block.tail == (AvgPool(2), Flatten())
    assert np.allclose(readout.synapse.weight.detach(), 4 * graph.nodes["last"].weight)


def test_a_perfect_integrator_of_resistance_one_is_not_deaf(tmp_path: Path) -> None:
    for r in (1.0, 1e4):
        cell = nir.IF(r=np.full(8, r), v_threshold=np.ones(8), v_reset=np.zeros(8))
        graph = chain(first=linear(8, 6), cell=cell, last=linear(2, 8))
        block = read_nir(stored(graph, tmp_path)).blocks["cell"]
        assert block.neuron.decay == 1.0
        assert np.allclose(block.synapse.weight.detach(), graph.nodes["first"].weight)


def test_a_readout_that_leaks_and_one_that_spikes(tmp_path: Path) -> None:
    leak = nir.LI(tau=np.full(2, 1e-3), r=np.full(2, 10.0), v_leak=np.zeros(2))
    net = read_nir(stored(chain(a=linear(8, 6), b=lif(8), c=linear(2, 8), d=leak), tmp_path))
    assert net.readout is not None and net.readout.neuron == Integrator(0.9)
    net = read_nir(stored(chain(a=linear(8, 6), b=lif(8), c=linear(2, 8), d=lif(2)), tmp_path))
    assert net.readout is None and list(net.blocks) == ["b", "d"]


def through(**edges: str) -> Callable[[], Any]:
    """A chain with edges more."""

    def make() -> Any:
        graph = chain(a=linear(8, 6), b=lif(8), c=linear(8, 8), d=lif(8), e=linear(2, 8))
        graph.edges += list(edges.items())
        return graph

    return make


def pooled(**changed: Any) -> Any:
    held = {"kernel_size": [2, 2], "stride": [2, 2], "padding": [0, 0]} | changed
    pool = nir.AvgPool2d(**{k: np.array(v) for k, v in held.items()})
    return chain(a=linear(8, 6), b=lif(8), p=pool, e=linear(2, 8))


UNREADABLE: dict[str, tuple[Callable[[], Any], str]] = {
    "scale": (lambda: chain(a=linear(2, 6), s=nir.Scale(np.ones(2))), "'s' .* got Scale"),
    "delay": (lambda: chain(a=linear(2, 6), s=nir.Delay(np.ones(2))), "'s' .* got Delay"),
    "no synapse": (lambda: chain(b=lif(6), e=linear(2, 6)), "'b' .LIF. is not wired as a layer"),
    "two synapses": (lambda: chain(a=linear(8, 6), c=linear(2, 8)), "'c' reads no spikes: got 'a'"),
    "wide loop": (through(d="a"), "loop through several layers"),
    "thresholds": (
        lambda: chain(a=linear(8, 6), b=lif(8, v_threshold=np.arange(1, 9)), e=linear(2, 8)),
        "'b' differ in v_threshold: got 1 to 8",
    ),
    "too fast": (
        lambda: chain(a=linear(8, 6), b=lif(8, tau=1e-5), e=linear(2, 8)),
        r"'b' is faster than a time step: .*read_nir\(path, dt=",
    ),
    "rest": (lambda: chain(a=linear(8, 6), b=lif(8, v_leak=0.1), e=linear(2, 8)), "'b' rests"),
    "reset": (lambda: chain(a=linear(8, 6), b=lif(8, v_reset=-1), e=linear(2, 8)), "'b' resets"),
    "NaN": (lambda: chain(a=nir.Linear(np.full((2, 6), np.nan))), "'a' .* NaN or infinity"),
    "NaN leak": (lambda: chain(a=linear(8, 6), b=lif(8, tau=np.nan), e=linear(2, 8)), "'b'"),
    "no leak": (lambda: chain(a=linear(8, 6), b=lif(8, tau=0.0), e=linear(2, 8)), "'b'"),
    "stride": (lambda: pooled(stride=[1, 1]), "'p' .* windows side by side"),
    "window": (lambda: pooled(kernel_size=[2, 1]), "'p' .* equal sides"),
    "negative threshold": (
        lambda: chain(a=linear(8, 6), b=lif(8, v_threshold=-1), e=linear(2, 8)), "threshold",
    ),
    "shapes": (lambda: chain(a=linear(8, 6), b=lif(8), e=linear(2, 9)), "'e'"),
    "own reset": (
        lambda: chain(a=linear(8, 6), b=lif(8, metadata={"reset": "odd"}), e=linear(2, 8)),
        "unknown reset",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UNREADABLE)
def test_graphs_that_are_no_network_are_refused_by_name(case: str, tmp_path: Path) -> None:
    make, said = UNREADABLE[case]
    path = stored(make(), tmp_path)
    with pytest.raises(DataError, match=f"theirs.nir: .*{said}"):
        read_nir(path)


def test_two_ways_to_read_a_layer_are_refused(tmp_path: Path) -> None:
    graph = pooled()
    graph.edges.append(("b", "e"))
    with pytest.raises(DataError, match="'b' is read in two ways"):
        read_nir(stored(graph, tmp_path))


def test_files_that_hold_no_graph_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.nir"
    with pytest.raises(DataError, match="no such file"):
        read_nir(path)
    with pytest.raises(DataError, match="no such file"):
        read_nir(tmp_path)
    path.write_text(json.dumps({"no": "graph"}))
    with pytest.raises(DataError, match="cannot be read as NIR"):
        read_nir(path)
    write_nir(models.mlp(6, (8,), 2), path)
    whole = path.read_bytes()
    for size in (0, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"net\.nir"):
            read_nir(path)


def test_damaged_bytes_never_end_in_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "net.nir"
    write_nir(models.mlp(6, (8,), 2), path)
    whole, draw = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        damaged = bytearray(whole)
        for place in draw.integers(len(whole), size=4):
            damaged[place] ^= int(draw.integers(1, 256))
        path.write_bytes(bytes(damaged))
        try:
            read_nir(path)
        except (DataError, ConfigError):
            refused += 1
    assert refused > 10


def test_a_node_that_the_package_does_not_know_is_named(tmp_path: Path) -> None:
    import h5py

    path = stored(chain(a=linear(8, 6), b=lif(8), e=linear(2, 8)), tmp_path)
    with h5py.File(path, "a") as file:
        del file["node/nodes/b/type"]
        file["node/nodes/b/type"] = "Izhikevich"
    with pytest.raises(DataError, match=r"Izhikevich \(b\)"):
        read_nir(path)


def test_a_file_of_one_node_is_no_network(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"theirs\.nir holds no NIR graph"):
        read_nir(stored(linear(2, 6), tmp_path))


def test_edges_to_nowhere_are_named() -> None:
    graph = SimpleNamespace(nodes={"input": end("Input", 2)}, edges=[("input", "gone")])
    with pytest.raises(DataError, match="input -> gone"):
        interchange.network_of(graph, interchange.Reading())


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
