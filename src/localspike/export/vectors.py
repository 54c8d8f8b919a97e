"""Test vectors of an export: a run of the mirror, as inputs, labels and hashes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from .emit import array, number
from .mirror import Mirror
from .plan import Plan

LENGTH, SEQUENCES, RATE, MOMENTUM, DENSITY = 12, 3, 0.05, 0.5, 0.2


@dataclass(frozen=True)
class Vectors:
    """Counts [steps, inputs], a label per sequence, CRC32 of spikes and weights by mode."""

    counts: NDArray[np.uint8]
    labels: list[int]
    spikes: dict[str, int]
    weights: dict[str, int]
    rates: dict[str, float]


def make_vectors(plan: Plan, counts: NDArray[np.uint8] | None = None, seed: int = 0) -> Vectors:
    """Run the mirror in all three modes on random events, or on ``counts`` of your own.

    >>> from localspike.export import plan_of
    >>> from localspike.nn import fold
    >>> from localspike.nn import models
    >>> from localspike.rules import tess
    >>> made = make_vectors(plan_of(fold(models.mlp(20, (16,), 4)), tess()))
    >>> made.counts.shape, len(set(made.weights.values()))
    ((36, 20), 3)
    """
    draw = np.random.default_rng(seed)
    if counts is None:
        chosen = draw.random((LENGTH * SEQUENCES, plan.inputs)) < DENSITY
        counts = chosen.astype(np.uint8)
    if len(counts) % LENGTH:
        raise ConfigError("test vectors", got=f"{len(counts)} steps", expected=f"k x {LENGTH}")
    labels = [int(draw.integers(plan.classes)) for _ in range(len(counts) // LENGTH)]
    found = Vectors(counts, labels, {}, {}, {})
    for mode in ("infer", "learn", "gather"):
        _run(plan, mode, found)
    return found


def _run(plan: Plan, mode: str, found: Vectors) -> None:
    net = Mirror(plan, RATE, gather=mode == "gather")
    spikes, fired = 0, {layer.name: 0.0 for layer in plan.layers if layer.spikes}
    for t, counts in enumerate(found.counts):
        if t % LENGTH == 0:
            if t and mode == "gather":
                net.update(MOMENTUM)
            net.reset()
        net.step(counts)
        spikes = net.spike_hash(spikes)
        for layer, slot in zip(plan.layers, net.slots, strict=True):
            if layer.spikes:
                fired[layer.name] += float(slot.spikes.mean()) / len(found.counts)
        if mode != "infer":
            net.learn(found.labels[t // LENGTH])
    found.spikes[mode] = spikes
    found.weights[mode] = 0 if mode == "infer" else net.weight_hash()
    if mode == "infer":
        found.rates.update(fired)


def header(plan: Plan, vectors: Vectors) -> str:
    """vectors.h."""
    learns = any(layer.signal != "none" for layer in plan.layers)
    lines = [
        "/* A run to compare with. Written by localspike; do not edit. */",
        "#ifndef VECTORS_H", "#define VECTORS_H", "",
        f"#define VECTOR_STEPS {len(vectors.counts)}u",
        f"#define VECTOR_LENGTH {LENGTH}u",
        f"#define VECTOR_RATE {number(RATE)}",
        f"#define VECTOR_MOMENTUM {number(MOMENTUM)}",
        f"#define VECTOR_LEARNS {int(learns)}",
        f"#define VECTOR_INFER_SPIKES 0x{vectors.spikes['infer']:08x}u",
        f"#define VECTOR_LEARN_SPIKES 0x{vectors.spikes['learn']:08x}u",
        f"#define VECTOR_LEARN_WEIGHTS 0x{vectors.weights['learn']:08x}u",
        f"#define VECTOR_GATHER_SPIKES 0x{vectors.spikes['gather']:08x}u",
        f"#define VECTOR_GATHER_WEIGHTS 0x{vectors.weights['gather']:08x}u", "",
    ]  # fmt: skip
    lines += array("int", "vector_labels", map(str, vectors.labels), len(vectors.labels))
    steps, inputs = vectors.counts.shape
    lines.append(f"static const uint8_t vector_counts[{steps}][{inputs}] = {{")
    lines += ["    {" + ",".join(map(str, row)) + "}," for row in vectors.counts.tolist()]
    return "\n".join([*lines, "};", "", "#endif", ""])
