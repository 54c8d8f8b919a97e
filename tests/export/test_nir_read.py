"""NIR files of others: what becomes of their nodes, and every file that is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from localspike import models, read_nir, write_nir
from localspike.errors import ConfigError, DataError
from localspike.nn import LIF, AvgPool, Flatten, Integrator
from localspike.recipes import interchange

nir = pytest.importorskip("nir")


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
    path.unlink()
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


@pytest.mark.parametrize(
    ("field", "value"),
    [("kernel_size", np.inf), ("reset_by", 1e39), ("shape", np.inf), ("weight", np.empty(0))],
)
def test_numbers_that_nothing_can_be_made_of(field: str, value: Any, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "net.nir"
    neuron = LIF(decay=0.5, threshold=0.6, reset_by=0.5)
    write_nir(models.convnet(2, 3, image=8, channels=(4, 4), pooling="avg", neuron=neuron), path)
    with h5py.File(path, "r+") as file:
        found: list[str] = []
        file.visit(lambda name: found.append(name) if name.endswith(f"/{field}") else None)
        assert found
        old = np.asarray(file[found[0]][()])
        del file[found[0]]
        file[found[0]] = value if np.ndim(value) else np.full(old.shape, value)
    with pytest.raises(DataError):
        read_nir(path)
