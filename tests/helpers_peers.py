"""Cases for the peer libraries' worker, made from small networks of ours, and where it runs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from localspike import models
from localspike.nn import Network
from localspike.nn.layer import Activity, Spiking, Weights

HERE = Path(__file__).resolve().parents[1]
PEERS = HERE / "benchmarks" / "peers"
PYTHON = HERE / ".venv-peers" / "bin" / "python"
STEPS, BATCH, CLASSES = 6, 4, 4

needs_peers = pytest.mark.skipif(not PYTHON.exists(), reason="no .venv-peers: make bench-peers")


def network(kind: str) -> tuple[Network, Tensor, Tensor]:
    """A small network of ours with frames and labels; the images are alike at all steps."""
    torch.manual_seed(3)
    if kind == "vgg9":
        net = models.vgg9(3, CLASSES, image=16, width=0.0625, standardised=False)
        frames = (2 * torch.rand(BATCH, 3, 16, 16)).expand(STEPS, -1, -1, -1, -1)
    else:
        make = models.recurrent if kind == "recurrent" else models.mlp
        net = make(30, (40,), CLASSES, standardised=False)
        frames = (torch.rand(STEPS, BATCH, 30) < 0.2).float()
    net.readout.synapse.bias.data.normal_(0, 0.1)
    return net, frames, torch.randint(CLASSES, (BATCH,))


def case_of(folder: Path, library: str, method: str, kind: str) -> dict[str, Any]:
    """A case with its files."""
    net, frames, labels = network(kind)
    folder.mkdir(exist_ok=True)
    paths = {key: str(folder / f"{key}.npz") for key in ("weights", "reference")}
    with torch.no_grad():
        np.savez(paths["weights"], **weights_of(net))
        np.savez(paths["reference"], **answers_of(net, frames, labels))
    sizes = {"batch": BATCH, "steps": STEPS, "threads": 1, "warm_up": 1, "compile": False}
    return {"package": library, "method": method, "net": kind, **sizes, **paths}


def weights_of(net: Network) -> dict[str, Any]:
    """Effective weights by block name."""
    arrays: dict[str, Any] = {}
    for name, block in net.blocks.items():
        arrays[name] = block.synapse.effective_weight().numpy()
        if block.recurrent is not None:
            arrays[f"{name}.loop"] = block.recurrent.effective_weight().numpy()
    readout = net.readout
    assert readout is not None and readout.synapse.bias is not None
    arrays["readout"] = readout.synapse.effective_weight().numpy()
    arrays["readout.bias"] = readout.synapse.bias.numpy()
    arrays["readout.decay"] = np.float64(readout.neuron.decay)
    return arrays


def answers_of(net: Network, frames: Tensor, labels: Tensor) -> dict[str, Any]:
    """The batch, summed logits, spike counts by block, and the neuron's constants."""
    counts: dict[str, Any] = {}

    def visit(name: str, block: Spiking, activity: Activity, weights: Weights) -> None:
        counts[f"spikes.{name}"] = np.float64(activity.o.sum(dtype=torch.float64))

    run = net.run(frames, visit=visit)
    assert run.logits is not None
    neuron = next(iter(net.blocks.values())).neuron
    return {
        "frames": frames.numpy(),
        "labels": labels.numpy(),
        "logits": run.logits.sum(0).numpy(),
        "decay": np.float64(neuron.decay),
        "threshold": np.float64(neuron.threshold),
        **counts,
    }


def work(case: dict[str, Any], lines: str) -> tuple[int, list[dict[str, Any]], str]:
    """Exit status, replies and messages of a worker that is told ``lines``."""
    command = [str(PYTHON), str(PEERS / "worker.py"), json.dumps(case)]
    done = subprocess.run(command, input=lines, capture_output=True, text=True)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr
