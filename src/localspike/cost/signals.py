"""What a learning signal costs: products, state, and matrices, block by block.

Counted as the library works them out. A device may do better: a label's projection is one row of
its matrix, and a class basis of ±1 needs additions only.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from ..describe import BlockDescription
from ..errors import IllegalError
from .view import INPUT, View

PROJECTIONS = ("dfa", "sdfa", "drtp", "symmetric", "adaptive")
GENERATED = ("integer_square", "balanced_square", "sine_square", "cosine", "hadamard")
"""Bases that are made anew from two indices; no memory holds them."""
TRAINED = ("trained", "adapted")


class Matrices(NamedTuple):
    """Numbers of a block's auxiliary matrices: those to be stored, and those that are generated."""

    stored: int = 0
    generated: int = 0


def latents(view: View, block: BlockDescription) -> tuple[int, bool]:
    """Latents of a block's class basis, and whether a vector is averaged down to them."""
    asked = view.signal["pool"]
    size = block.latent if asked is None else asked
    shape = block.output_shape
    if not size or (len(shape) == 1 and asked is None):
        return prod(shape), False
    return (shape[0] * size * size, False) if len(shape) == 3 else (size, True)


def signal_products(view: View, block: BlockDescription) -> int:
    """Multiply-accumulates of a block's own signal over the sequence batch."""
    if not view.has_signal(block):
        return 0
    kind, steps = view.signal["kind"], view.signal_steps
    if kind == "ClassBasis":
        return steps * view.setting.batch * _class_basis(view, block)
    if kind in PROJECTIONS:
        return _label_events(view) * view.setting.batch * _projection(view, block)
    if kind == "Contrast":
        return steps * _contrast(view, block)
    raise unknown(kind)


def _class_basis(view: View, block: BlockDescription) -> int:
    """B a and Bᵀ(p − y), M there and back, the trained tensors' own gradients."""
    c, (n, averaged) = view.about.classes, latents(view, block)
    products = 2 * c * n + (c * n if view.signal["basis"] in TRAINED else 0)
    if view.signal["mixing"] == "matrix":
        products += 3 * c * c
    # A vector's windows need not be equal; what they are given is spread by a product.
    return products + (n * prod(block.output_shape) if averaged else 0)


def _projection(view: View, block: BlockDescription) -> int:
    n = view.about.classes * prod(block.output_shape)
    return 2 * n if view.signal["kind"] == "adaptive" else n


def _label_events(view: View) -> int:
    """Steps at which a projection is made: a streamed label may come every few steps only."""
    steps, period = view.signal_steps, view.signal["label_period"]
    if not view.setting.streams:
        return steps
    total = view.setting.steps
    return total // period - (total - steps) // period


def _contrast(view: View, block: BlockDescription) -> int:
    """Similarities and what follows for both streams (3 B K n), distances of targets (K² n)."""
    b, k, c = view.setting.batch, view.companions, view.about.classes
    n = prod(block.output_shape)
    products = 3 * b * k * n + k * k * n
    if view.signal["against"] != "batch":
        products += b * k * k
    if INPUT not in block.sources:
        return products
    entry = b * c * block.neurons if view.signal["against"] == "batch" else 0
    return products + k * k * c + entry  # the label's own distances, and its current


def signal_state(view: View, block: BlockDescription) -> dict[str, int]:
    """Numbers a signal carries from step to step, by buffer."""
    if not view.has_signal(block):
        return {}
    signal, batch, c = view.signal, view.setting.batch, view.about.classes
    if signal["kind"] == "ClassBasis":
        return {"latents": batch * latents(view, block)[0]} if signal["latent_decay"] else {}
    if signal["kind"] == "Contrast":
        held = {"contrast": view.rows(block) * prod(block.output_shape)}
        held["distances"] = view.companions**2
        return held | ({"label": view.companions * c} if INPUT in block.sources else {})
    leak = view.about.blocks[-1].neuron.decay
    if signal["kind"] == "adaptive" and leak:
        return {"feedback trace": batch * prod(block.output_shape)}
    return {}


def matrices(view: View, block: BlockDescription) -> Matrices:
    """Auxiliary matrices of a block, beside the network's weights."""
    if not view.has_signal(block):
        return Matrices()
    signal, c = view.signal, view.about.classes
    if signal["kind"] == "ClassBasis":
        basis = c * latents(view, block)[0]
        mix = {"none": 0, "gain": c, "matrix": c * c}[signal["mixing"]]
        made = signal["basis"] in GENERATED
        return Matrices(mix, basis) if made else Matrices(basis + mix)
    if signal["kind"] == "Contrast":
        return Matrices(c * block.neurons if INPUT in block.sources else 0)
    if signal["kind"] == "symmetric":
        return Matrices()  # the readout's own weights
    return Matrices(c * prod(block.output_shape))


def unknown(kind: str) -> IllegalError:
    """The refusal of a signal or trace this model has no formula for."""
    return IllegalError(
        f"the cost model has no formula for {kind}",
        expected="a signal and traces of the package's own",
        fix="Count it while it runs: localspike.learn.meter.macs_of",
    )
