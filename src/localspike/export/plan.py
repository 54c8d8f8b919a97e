"""What a device needs of a network and a rule: one description for C code, its bytes, the mirror.

Feature maps are channels innermost here, as on the device; PyTorch's are channels outermost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ..rules.basis import balanced_increments, phase_increments

if TYPE_CHECKING:
    from .fixed import Dtype, Fixed

KEPT = ("scratch", "weights", "gathered")
"""Buffers that outlive a sequence, or that nothing is kept in."""
SHARED = ""
"""In place of a layer's name, what all share; no block can have it."""
VERSION = 4
"""Of the runtime's tables and of what it saves: `LS_VERSION` in ls.h."""

Floats = NDArray[np.float32]
Weights = NDArray[Any]
"""float32, or int16 or int8 in fixed point."""
SignalKind = Literal["none", "class", "label", "error"]
PoolKind = Literal["none", "max", "mean"]
Mode = Literal["infer", "learn", "gather"]
MODES: tuple[Mode, ...] = ("infer", "learn", "gather")


class Shape(NamedTuple):
    """How a synapse goes from its input to its neurons, as `ls_shape` has it."""

    in_h: int
    in_w: int
    in_c: int
    out_h: int
    out_w: int
    out_c: int
    kernel: int = 1
    stride: int = 1
    pad: int = 0

    @property
    def inputs(self) -> int:
        """Elements of the input."""
        return self.in_h * self.in_w * self.in_c

    @property
    def neurons(self) -> int:
        """Elements of the output."""
        return self.out_h * self.out_w * self.out_c

    @property
    def weights(self) -> int:
        """Weights."""
        return self.kernel * self.kernel * self.in_c * self.out_c


@dataclass(frozen=True)
class Layer:
    """One layer as `ls_layer` has it; ``weight`` is [ky, kx, in, out], ``basis`` [C, latents].

    ``side`` is that of the latent map, 0 where latents are the output's own elements; ``window`` of
    what a latent covers of the output, ``pooled`` of a pooling window. ``scale`` 0 is the l2 norm;
    ``rate`` is the layer's part of the step size.
    """

    name: str
    shape: Shape
    recurrent: bool
    pool: PoolKind
    pooled: int
    signal: SignalKind
    spikes: bool
    classes: int
    latents: int
    side: int
    window: int
    unit: float
    decay: float
    threshold: float
    reset: float
    pre_decay: float
    post_decay: float
    pre_gain: float
    post_gain: float  # 0 of a readout
    bias_decay: float
    psi: str
    psi_height: float
    psi_slope: float
    scale: float
    latent_unit: float
    latent_decay: float
    weight: Weights = field(repr=False)
    recurrent_weight: Weights | None = field(default=None, repr=False)
    bias: Weights | None = field(default=None, repr=False)
    basis: Floats | None = field(default=None, repr=False)
    fixed: Fixed | None = None
    rate: float = 1.0
    balanced: bool = False

    @property
    def is_map(self) -> bool:
        """Whether there is more than one position to visit."""
        s = self.shape
        return s.kernel > 1 or s.pad > 0 or s.in_h * s.in_w * s.out_h * s.out_w > 1

    @property
    def loop(self) -> Shape | None:
        """The shape of the recurrent synapse."""
        n = self.shape.neurons
        return Shape(1, 1, n, 1, 1, n) if self.recurrent else None

    @property
    def outputs(self) -> int:
        """Elements after pooling."""
        side = self.pooled if self.pool != "none" else 1
        return (self.shape.out_h // side) * (self.shape.out_w // side) * self.shape.out_c

    @property
    def learnt(self) -> int:
        """Weights, recurrent weights and biases."""
        loop = self.loop.weights if self.loop else 0
        return self.shape.weights + loop + (0 if self.bias is None else self.shape.out_c)

    @property
    def by_vector(self) -> bool:
        """Whether it learns with one row of post factors in all, its neurons'."""
        return not (self.is_map or self.recurrent or self.post_gain)

    @property
    def state_bytes(self) -> int:
        """Bytes of a membrane's or trace's number; a readout's membrane is always a float."""
        return 4 if self.fixed is None else 2

    @property
    def flat(self) -> Weights:
        """Weights, recurrent weights and biases one after the other."""
        parts = (self.weight, self.recurrent_weight, self.bias)
        return np.concatenate([x.ravel() for x in parts if x is not None])

    @property
    def phases(self) -> list[int]:
        """Phase increments of the square wave; none where a basis is stored or none is needed."""
        if self.signal != "class" or self.basis is not None:
            return []
        if self.balanced:
            return list(balanced_increments(self.classes, self.latents))
        return phase_increments(self.classes)


@dataclass(frozen=True)
class Plan:
    """A network for a device. ``notes`` are what a user must know of it."""

    name: str
    layers: tuple[Layer, ...]
    inputs: int
    classes: int
    notes: tuple[str, ...] = ()

    @property
    def dtype(self) -> Dtype:
        """Of weights: f32, int16 or int8."""
        fixed = self.layers[0].fixed
        return "f32" if fixed is None else fixed.dtype

    @property
    def scratch(self) -> int:
        """Numbers of scratch: latents, one per class, one row of post factors."""
        rows = (layer.shape.out_c for layer in self.layers if layer.signal != "none")
        return self.ahead + max(rows, default=0)

    @property
    def ahead(self) -> int:
        """Numbers of scratch before the row."""
        learns = (layer for layer in self.layers if layer.signal != "none")
        return max((_ahead(layer) for layer in learns), default=0)

    @property
    def hash(self) -> int:
        """CRC32 of everything but the weights that learn: what those must fit."""
        plain = [
            {f.name: getattr(layer, f.name) for f in fields(layer) if f.repr}
            | {"bias": layer.bias is not None, "stays": _stays(layer)}
            for layer in self.layers
        ]
        return crc32(repr((VERSION, self.inputs, self.classes, plain)).encode())

    def buffers(self, mode: Mode) -> dict[str, dict[str, int]]:
        """Bytes of every buffer by layer, each a multiple of 4; `SHARED` has what layers share."""
        shared = {"input": self.inputs, "logits": 4 * self.classes}
        if mode != "infer":
            shared["scratch"] = 4 * self.scratch
        found = {SHARED: shared} | {layer.name: _buffers(layer, mode) for layer in self.layers}
        return {
            name: {k: _aligned(n) for k, n in buffers.items() if n}
            for name, buffers in found.items()
        }

    def arena(self, mode: Mode) -> int:
        """Bytes of the arena."""
        return sum(sum(buffers.values()) for buffers in self.buffers(mode).values())

    def layout(self, mode: Mode) -> dict[tuple[str, str], int]:
        """Where every buffer begins, by layer and name: first what `ls_reset` clears."""
        parts = [
            ((name, buffer), n)
            for name, buffers in self.buffers(mode).items()
            for buffer, n in buffers.items()
        ]
        parts.sort(key=lambda part: part[0][1] in KEPT)  # stable: the input stays first
        ends = accumulate(n for _, n in parts)
        return {key: end - n for (key, n), end in zip(parts, ends, strict=True)}

    def state(self, mode: Mode) -> int:
        """Bytes that `ls_reset` clears."""
        buffers = self.buffers(mode).values()
        return sum(n for parts in buffers for name, n in parts.items() if name not in KEPT)

    def tables(self) -> dict[str, dict[str, int]]:
        """Bytes of every constant table by layer, as `emit.source` writes them."""
        return {layer.name: _tables(layer) for layer in self.layers}

    @property
    def flash(self) -> int:
        """Bytes of weights, bases and phases as exported."""
        return sum(sum(tables.values()) for tables in self.tables().values())


def _tables(layer: Layer) -> dict[str, int]:
    basis = 0 if layer.basis is None else layer.basis.nbytes
    found = {"weight": layer.flat.nbytes, "basis": basis, "phase": 4 * len(layer.phases)}
    return {name: n for name, n in found.items() if n}


def _stays(layer: Layer) -> int:
    """CRC32 of what does not learn: a basis, or all weights of a layer that stays."""
    stored = [] if layer.basis is None else [layer.basis]
    stored += [layer.flat] if layer.signal == "none" else []
    return crc32(b"".join(x.tobytes() for x in stored))


def _ahead(layer: Layer) -> int:
    """Scratch before the row: the latents where they are worked out, and a number per class."""
    return layer.classes + (layer.latents if layer.signal == "class" else 0)


def _buffers(layer: Layer, mode: Mode) -> dict[str, int]:
    n, bits = layer.shape.neurons, _bits(layer.shape.neurons)
    weight, state = layer.weight.itemsize, layer.state_bytes
    found = {"membrane": (state if layer.spikes else 4) * n}
    if layer.spikes:
        found["spikes"] = bits
    if layer.pool != "none":
        found["output"] = layer.outputs if layer.pool == "mean" else _bits(layer.outputs)
    if mode == "infer" or layer.signal == "none":
        return found
    found |= {"weights": weight * layer.learnt, "pre trace": state * layer.shape.inputs}
    if layer.loop:
        found["recurrent pre trace"] = state * n
    if layer.post_gain:
        found["post trace"] = state * n
        found["past spikes"] = bits if layer.loop else 0
    if layer.latent_decay:
        found["latents"] = 4 * layer.latents
    if mode == "gather":
        found["gathered"] = 4 * layer.learnt
    return found


def _bits(n: int) -> int:
    return -(-n // 8)


def _aligned(n: int) -> int:
    return -(-n // 4) * 4


def numbers(plan: Plan) -> Mapping[str, Any]:
    """What a manifest says of a plan."""
    return {
        "version": VERSION,
        "model_hash": f"{plan.hash:08x}",
        "dtype": plan.dtype,
        "inputs": plan.inputs,
        "classes": plan.classes,
        "layers": [layer.name for layer in plan.layers],
        "learns": [layer.name for layer in plan.layers if layer.signal != "none"],
        "flash_bytes": plan.flash,
        "tables": plan.tables(),
        "arena_bytes": {mode: plan.arena(mode) for mode in MODES},
        "buffers": {mode: plan.buffers(mode) for mode in MODES},
        "parameters": sum(layer.learnt for layer in plan.layers),
    }
