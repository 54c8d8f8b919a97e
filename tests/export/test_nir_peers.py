"""NIR files in other simulators, and theirs in ours: spikes compared step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers_simulators import DT, clear_events, norse, ours, snntorch, spikingjelly, theirs
from localspike import models, read_nir, write_nir
from localspike.nn import LIF, Conv2d, CubaLIF, Flatten, Linear, Network, Readout, Spiking
from localspike.nn.init import calibrate, probe

STEPS, BATCH = 16, 3
LEAST, MOST = 0.05, 0.6
SOFT, HARD = LIF(0.9, 1.0), LIF(0.9, 0.6, reset="hard")
CUBA = CubaLIF(0.8, 0.6, synaptic_decay=0.5)
LOADERS = {"snntorch": snntorch, "spikingjelly": spikingjelly, "norse": norse}
GAINS = {"snntorch": "r", "spikingjelly": "r", "norse": "weights"}


def mlp(neuron: LIF) -> Network:
    return models.mlp(30, (24, 20), 5, bias=True, neuron=neuron)


def recurrent(neuron: LIF) -> Network:
    return models.recurrent(30, (24,), 5, neuron=neuron, readout_decay=0.0)


def pooled(neuron: LIF) -> Network:
    return models.convnet(2, 5, image=8, channels=(4, 6), pooling="avg", neuron=neuron)


def strided(neuron: LIF) -> Network:
    """A convolution without pooling, which Norse does not import."""
    blocks = {
        "conv": Spiking(Conv2d(2, 6, 3, stride=2, padding=1), neuron, tail=(Flatten(),)),
        "hidden": Spiking(Linear(96, 20), neuron),
        "readout": Readout(Linear(20, 5, bias=True)),
    }
    net = Network(blocks, (2, 8, 8))
    calibrate(net, probe(net))
    return net


def residual(neuron: LIF) -> Network:
    """Calibration can lay a 1x1 shortcut's few possible currents on the threshold: off it again."""
    net = models.resnet(2, 5, image=8, channels=(4, 6), neuron=neuron)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(1.0 + 1e-2 * torch.randn_like(parameter))
    return net


Make = Callable[[LIF], Network]
CASES: list[tuple[str, Make, LIF]] = [
    ("spikingjelly", mlp, LIF()),
    ("spikingjelly", mlp, CUBA),
    ("spikingjelly", mlp, LIF(1.0, 0.6)),
    ("spikingjelly", recurrent, SOFT),
    ("spikingjelly", recurrent, HARD),
    ("spikingjelly", pooled, SOFT),
    ("spikingjelly", residual, LIF()),
    ("snntorch", mlp, HARD),
    ("snntorch", mlp, replace(CUBA, reset="hard")),
    ("snntorch", pooled, HARD),
    ("snntorch", strided, HARD),
    ("snntorch", residual, HARD),
    ("norse", mlp, SOFT),
    ("norse", mlp, HARD),
    ("norse", recurrent, HARD),
    ("norse", recurrent, CUBA),
    ("norse", strided, SOFT),
]


def names(case: tuple[str, Make, LIF]) -> str:
    library, make, neuron = case
    return f"{library}-{make.__name__}-{type(neuron).__name__}-{neuron.reset}-{neuron.decay}"


def frames_of(net: Network, library: str, steps: int = STEPS) -> torch.Tensor:
    """Events; one sample where a library's Flatten takes the batch for an axis of the sample."""
    alone = len(net.sample_shape) > 1 and library != "spikingjelly"
    return clear_events(net, steps, 1 if alone else BATCH)


@pytest.mark.parametrize("case", CASES, ids=names)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_spikes_are_equal_in_other_simulators(
    case: tuple[str, Make, LIF], seed: int, tmp_path: Path
) -> None:
    library, make, neuron = case
    torch.manual_seed(seed)
    net = make(neuron)
    frames, path = frames_of(net, library), tmp_path / "net.nir"
    write_nir(net, path, dt=DT, gain=GAINS[library])  # type: ignore[arg-type]
    module = LOADERS[library](path, neuron.reset)
    trains, logits = ours(net, frames)
    found, answers = theirs(module, frames, list(net.blocks))
    for name, train in trains.items():
        assert LEAST < float(train.mean()) < MOST, (name, float(train.mean()))
        assert torch.equal(train, found[name].view_as(train)), name
    assert torch.allclose(logits, answers.view_as(logits), atol=1e-5)


def test_the_comparison_sees_another_time_constant(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, other = mlp(HARD), mlp(replace(HARD, decay=0.88))
    other.load_state_dict(net.state_dict())
    frames = frames_of(net, "snntorch")
    write_nir(other, tmp_path / "net.nir")
    found, _ = theirs(snntorch(tmp_path / "net.nir", "hard"), frames, list(net.blocks))
    assert not torch.equal(ours(net, frames)[0]["hidden1"], found["hidden1"])


def test_norse_needs_the_gain_in_the_weights(tmp_path: Path) -> None:
    """It ignores resistances; should it heed them one day, docs/interchange.md can say so."""
    torch.manual_seed(0)
    net = mlp(HARD)
    frames = frames_of(net, "norse")
    write_nir(net, tmp_path / "net.nir", gain="r")
    found, _ = theirs(norse(tmp_path / "net.nir", "hard"), frames, list(net.blocks))
    assert not torch.equal(ours(net, frames)[0]["hidden1"], found["hidden1"])


def test_a_graph_of_snntorch_is_read(tmp_path: Path) -> None:
    nir = pytest.importorskip("nir")
    library = pytest.importorskip("snntorch", reason="no snntorch")
    writer = pytest.importorskip("snntorch.export_nir")
    torch.manual_seed(0)
    leaky = {"reset_mechanism": "zero", "reset_delay": False, "init_hidden": True}
    beta, threshold = torch.full((20,), 0.9), torch.full((20,), 0.3)
    first, second = torch.nn.Linear(30, 20), torch.nn.Linear(20, 5)
    cell = library.Leaky(beta=beta, threshold=threshold, **leaky)
    module = torch.nn.Sequential(first, cell, second)
    graph = writer.export_to_nir(module, torch.zeros(1, 30), ignore_dims=[0])
    nir.write(tmp_path / "theirs.nir", graph)
    net = read_nir(tmp_path / "theirs.nir")
    frames = frames_of(net, "snntorch")
    cell.reset_mem()
    with torch.no_grad():
        answers = torch.stack([module(frame) for frame in frames])
    trains, logits = ours(net, frames)
    assert LEAST < float(next(iter(trains.values())).mean()) < MOST
    assert torch.allclose(logits, answers, atol=1e-5)


def test_a_graph_of_spikingjelly_is_read(tmp_path: Path) -> None:
    pytest.importorskip("spikingjelly", reason="no spikingjelly: make setup")
    from spikingjelly.activation_based import functional, layer, neuron, nir_exchange

    torch.manual_seed(0)
    module = torch.nn.Sequential(
        layer.Conv2d(2, 4, 3, padding=1, bias=False),
        neuron.LIFNode(tau=4.0, v_threshold=0.1, v_reset=0.0),  # decays its input: R is 1
        layer.AvgPool2d(2, 2),
        layer.Flatten(),
        layer.Linear(64, 5),
    )
    nir_exchange.export_to_nir(module, torch.zeros(1, 2, 8, 8), tmp_path / "theirs.nir")
    functional.reset_net(module)
    net = read_nir(tmp_path / "theirs.nir")
    frames = frames_of(net, "spikingjelly")
    with torch.no_grad():
        answers = torch.stack([module(frame) for frame in frames])
    trains, logits = ours(net, frames)
    assert LEAST < float(next(iter(trains.values())).mean()) < MOST
    assert torch.allclose(logits, answers, atol=1e-5)


def test_a_graph_of_norse_is_read_at_the_step_it_means(tmp_path: Path) -> None:
    """Its exporter writes dt / (1/τ) for τ: what it calls dt is dt² here."""
    pytest.importorskip("norse", reason="no norse: make setup")
    nir = pytest.importorskip("nir")
    import norse.torch as library

    torch.manual_seed(0)
    p = library.LIFBoxParameters(
        tau_mem_inv=torch.full((20,), 100.0), v_leak=torch.zeros(20), v_th=torch.full((20,), 0.05)
    )
    dt = 1e-3
    module = library.SequentialState(
        torch.nn.Linear(30, 20), library.LIFBoxCell(p, dt=dt), torch.nn.Linear(20, 5)
    )
    nir.write(tmp_path / "theirs.nir", library.to_nir(module, torch.zeros(1, 30), dt=dt))
    net = read_nir(tmp_path / "theirs.nir", dt=dt**2)
    frames = frames_of(net, "norse")
    answers, state = [], None
    with torch.no_grad():
        for frame in frames:
            answer, state = module(frame, state)
            answers.append(answer)
    trains, logits = ours(net, frames)
    assert LEAST < float(next(iter(trains.values())).mean()) < MOST
    assert np.allclose(logits.numpy(), torch.stack(answers).numpy(), atol=1e-5)
