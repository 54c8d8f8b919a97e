"""The two files through which every library gets the same net, the same input and the answer.

``weights.npz`` has effective weights (standardised, gain folded in) by block: "conv1", …,
"readout", "readout.bias", a recurrent loop "hidden1.loop", and the leak "readout.decay".
``reference.npz`` has "frames" [T, B, ...], "labels" [B], "logits" [B, C] summed over T,
"spikes.BLOCK", how many spikes a block fired in the whole batch, and the neurons' "decay" and
"threshold" (soft reset). ``parameters.npz`` is our own state dict.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..nn import Network
from ..nn.layer import Activity, Spiking, Weights
from .workload import Workload


class Files(NamedTuple):
    """Where the three files are."""

    weights: str
    parameters: str
    reference: str


def prepare(workload: Workload, folder: Path) -> Files:
    """Write the three files of a workload into ``folder``."""
    net = workload.network()
    files = Files(*(str(folder / f"{part}.npz") for part in Files._fields))
    decay = 0.0 if net.readout is None else net.readout.neuron.decay
    _save(files.weights, {**effective_weights(net), "readout.decay": torch.tensor(decay)})
    _save(files.parameters, dict(net.state_dict()))
    _save(files.reference, reference(workload, net))
    return files


@torch.no_grad()
def effective_weights(net: Network) -> dict[str, Tensor]:
    """The weights in force by block.

    >>> from localspike import models
    >>> list(effective_weights(models.recurrent(20, (30,), 4)))
    ['hidden1', 'hidden1.loop', 'readout', 'readout.bias']
    """
    found: dict[str, Tensor] = {}
    for name, block in net.modules_by_name.items():
        weights: Weights = block.weights()  # type: ignore[operator]
        found[name] = weights.input
        if weights.recurrent is not None:
            found[f"{name}.loop"] = weights.recurrent
        if block.synapse.bias is not None:  # type: ignore[union-attr]
            found[f"{name}.bias"] = block.synapse.bias  # type: ignore[union-attr,assignment]
    return found


@torch.no_grad()
def reference(workload: Workload, net: Network) -> dict[str, Tensor]:
    """Input, labels and what the net answers, in float32, by name in the file."""
    frames, spikes = workload.frames(net), {}

    def visit(name: str, block: Spiking, activity: Activity, weights: Weights) -> None:
        spikes[f"spikes.{name}"] = activity.o.sum(dtype=torch.float64)

    logits = net.run(frames, visit=visit).logits
    assert logits is not None  # every workload's net has a readout
    found = {"frames": frames, "labels": workload.labels(net), "logits": logits.sum(0), **spikes}
    neuron = next(iter(net.blocks.values())).neuron  # one for all blocks of these nets
    constants = {"decay": neuron.decay, "threshold": neuron.threshold}
    return {**found, **{key: torch.tensor(value) for key, value in constants.items()}}


def load(path: str) -> dict[str, Tensor]:
    """The arrays of a file as tensors."""
    with np.load(path) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def deviation(found: Tensor, expected: Tensor) -> float:
    """‖found − expected‖ / ‖expected‖.

    >>> deviation(torch.tensor([1.0, 1.0]), torch.tensor([1.0, 1.0]))
    0.0
    """
    scale = float(expected.double().norm()) or 1.0
    return float((found.double() - expected.double()).norm()) / scale


def _save(path: str, tensors: dict[str, Tensor]) -> None:
    arrays: dict[str, Any] = {name: x.detach().cpu().numpy() for name, x in tensors.items()}
    np.savez(path, **arrays)
