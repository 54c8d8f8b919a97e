"""What every library builds: layers with their weights, and the batch, both from .npz files."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from case import Case, Refusal
from torch import Tensor

POOLED, LAST = (2, 4, 6), 8
"""Of VGG-9: convolutions followed by 2×2 max pooling, and the one by a global mean."""


@dataclass(frozen=True)
class Stage:
    """One spiking layer: 3×3 convolution or linear weight, recurrent weight, what follows."""

    name: str
    weight: Tensor
    loop: Tensor | None = None
    tail: str = ""

    @property
    def convolutional(self) -> bool:
        """True for a 3×3 convolution padded by 1."""
        return self.weight.ndim == 4


@dataclass(frozen=True)
class Plan:
    """The network: u = γ v + I, o = H(u − θ), v = u − θ o; y[t] = γ_out y[t−1] + W o[t] + b."""

    stages: tuple[Stage, ...]
    readout: Tensor
    bias: Tensor | None
    readout_decay: float
    decay: float
    threshold: float


@dataclass(frozen=True)
class Batch:
    """Frames [T, B, ...] and labels [B]; what the reference network answered.

    Frames that are alike at all steps are one frame, expanded (stride 0 over time).
    """

    frames: Tensor
    labels: Tensor
    logits: Tensor
    spikes: dict[str, float]


def load(case: Case) -> tuple[Plan, Batch]:
    """Network and batch of a case; refuses files that do not fit it."""
    weights, reference = read(case.weights), read(case.reference)
    decay, threshold = (float(entry(reference, k, case.reference)) for k in ("decay", "threshold"))
    plan = Plan(
        tuple(stages(case, weights)),
        tensor(entry(weights, "readout", case.weights)),
        tensor(weights["readout.bias"]) if "readout.bias" in weights else None,
        float(weights.get("readout.decay", 0.0)),
        decay,
        threshold,
    )
    return plan, batch(case, reference)


def stages(case: Case, weights: dict[str, Any]) -> Iterator[Stage]:
    """The spiking layers of the case's network, first to last."""
    if case.net == "vgg9":
        for i in range(1, LAST + 1):
            tail = "max" if i in POOLED else "global" if i == LAST else ""
            name = f"conv{i}"
            yield Stage(name, tensor(entry(weights, name, case.weights)), tail=tail)
        return
    count = sum(f"hidden{i}" in weights for i in range(1, len(weights) + 1))
    for i in range(1, max(count, 1) + 1):
        name = f"hidden{i}"
        weight, loop = tensor(entry(weights, name, case.weights)), None
        if case.net == "recurrent":
            loop = tensor(entry(weights, f"{name}.loop", case.weights))
        yield Stage(name, weight, loop)


def batch(case: Case, reference: dict[str, Any]) -> Batch:
    """The batch of the reference file, checked against the case's sizes."""
    where = case.reference
    frames, labels, logits = (
        torch.from_numpy(entry(reference, key, where)) for key in ("frames", "labels", "logits")
    )
    if tuple(frames.shape[:2]) != (case.steps, case.batch) or len(labels) != case.batch:
        raise Refusal(
            f"{where} has frames {tuple(frames.shape)} and {len(labels)} labels; "
            f"expected {case.steps} steps of {case.batch} samples"
        )
    frames = frames.float()
    if len(frames) > 1 and all(torch.equal(frame, frames[0]) for frame in frames[1:]):
        frames = frames[0].clone().expand(frames.shape)
    counts = {k[7:]: float(np.sum(v)) for k, v in reference.items() if k.startswith("spikes.")}
    return Batch(frames, labels.long(), logits.float(), counts)


def read(path: str) -> dict[str, Any]:
    """All arrays of an .npz file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise Refusal(f"{path} is not a readable .npz file ({error})") from error


def entry(arrays: dict[str, Any], key: str, path: str) -> Any:
    """One array, or a refusal that names the file."""
    if key not in arrays:
        raise Refusal(f"{path} has no array {key!r}")
    return arrays[key]


def tensor(array: Any) -> Tensor:
    """A float32 tensor."""
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
