"""From a folded network and a rule to a plan."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ..describe import BlockDescription, Description, describe
from ..errors import IllegalError
from ..nn import AvgPool, GlobalAvgPool, MaxPool, Network, Readout, Spiking
from ..rules import Rule
from .emit import FLOATS
from .plan import Floats, Layer, Plan, PoolKind, Shape
from .refuse import MOST_SIDE, WAVES, check

Matrices = Mapping[str, Tensor]
"""By block: the basis or projection [C, n] of signals that are not generated."""


def plan_of(
    net: Network,
    rule: Rule,
    matrices: Matrices | None = None,
    learns: Collection[str] | None = None,
    name: str = "model",
    rates: Mapping[str, float] | None = None,
) -> Plan:
    """What a device needs of a folded network under a rule.

    Parameters
    ----------
    net:
        A network with plain weights (`nn.fold`), one block after the other.
    matrices:
        The matrices of a rule whose signal stores some, as its bound signals have them.
    learns:
        The blocks that learn on the device, of those that the rule teaches; None takes all.
    rates:
        By block, what the step size is multiplied with there; 1 of the others.

    Raises
    ------
    IllegalError
        Naming the block or part that the runtime has no code for.

    >>> from localspike.nn import fold
    >>> from localspike.nn import models
    >>> from localspike.rules import tess
    >>> made = plan_of(fold(models.mlp(64, (48, 32), 10)), tess(post_gain=0.0))
    >>> made.arena("infer"), made.arena("learn")
    (476, 21228)
    """
    about = describe(net, rule)
    asked = {block.name for block in about.blocks}
    if learns is not None and (unknown := set(learns) - asked):
        raise IllegalError("no such block to learn", got=", ".join(sorted(unknown)))
    rates = rates or {}
    if unknown := set(rates) - asked:
        raise IllegalError("rates of no block", got=", ".join(sorted(unknown)))
    if not all(0.0 <= part < float("inf") for part in rates.values()):
        raise IllegalError("rates by block", got=dict(rates), expected="finite factors >= 0")
    taught = _taught(about) & (asked if learns is None else set(learns))
    check(about, taught)
    layers: list[Layer] = []
    for block in about.blocks:
        before = layers[-1] if layers else None
        made = _layer(net, about, block, block.name in taught, matrices or {}, before)
        layers.append(replace(made, rate=rates.get(block.name, 1.0)))
    for layer in layers:
        _check_sizes(layer)
    return Plan(name, tuple(layers), layers[0].shape.inputs, about.classes)


MOST_FLOAT = float(np.finfo(np.float32).max)


def _check_sizes(layer: Layer) -> None:
    """Refuse what the tables' 16 and 8 bits do not hold, and weights that are no numbers."""
    sides, small = layer.shape[:6], layer.shape[6:]
    if max(*sides, layer.classes) > 0xFFFF or max(small) > 0xFF:
        raise IllegalError(
            f"block {layer.name!r} cannot be exported to C",
            got=f"sizes {tuple(layer.shape)} and {layer.classes} classes",
            expected="sides, channels, inputs and classes to 65535, kernel, stride and pad to 255",
        )
    wide = {name: getattr(layer, name) for name in FLOATS}
    if outside := {k: x for k, x in wide.items() if not abs(x) <= MOST_FLOAT}:
        name, value = next(iter(outside.items()))
        raise IllegalError(
            f"block {layer.name!r} cannot be exported to C",
            got=f"{name} {value:g}",
            expected="constants that float32 holds",
        )
    held = [layer.flat] if layer.basis is None else [layer.flat, layer.basis.ravel()]
    if not all(np.isfinite(x).all() for x in held):
        raise IllegalError(
            f"block {layer.name!r} cannot be exported to C",
            got="weights that are not finite",
            fix="Go back to a checkpoint from before the run diverged",
        )


def _taught(about: Description) -> set[str]:
    """The blocks that the rule teaches."""
    silent = about.rule["signal"]["kind"] == "Silent"
    return {b.name for b in about.blocks if b.learns and (b.kind == "readout" or not silent)}


def _layer(
    net: Network,
    about: Description,
    block: BlockDescription,
    learns: bool,
    matrices: Matrices,
    before: Layer | None,
) -> Layer:
    module = cast("Spiking | Readout", net.modules_by_name[block.name])
    shape = _shape(block)
    pool, pooled = _pool(module, block)
    trace, psi = about.traces[block.name], about.rule["surrogate"]
    area = pooled if pool == "mean" else 1
    signal = _signal(about, block, learns, matrices, _out_map(shape, pooled), area)
    loop = getattr(module, "recurrent", None)
    two = trace.kind == "TwoTrace"
    return Layer(
        name=block.name,
        shape=shape,
        recurrent=loop is not None,
        pool=pool,
        pooled=pooled,
        spikes=block.kind != "readout",
        classes=about.classes,
        unit=1.0 if before is None or before.pool != "mean" else 1.0 / before.pooled**2,
        decay=float(block.neuron.decay),  # 1 is 1.0 in the hash, too
        threshold=float(block.neuron.threshold or 0.0),
        reset=float(block.neuron.reset_by or 0.0) if block.kind != "readout" else 0.0,
        pre_decay=trace.pre["input"] if two else 0.0,
        post_decay=trace.post_decay,
        pre_gain=trace.pre_gain,
        post_gain=trace.post_gain if block.kind != "readout" else 0.0,
        bias_decay=trace.pre["input"] if two and trace.trace_bias else 0.0,
        psi=psi["kind"],
        psi_height=psi.get("height", 0.0),
        psi_slope=psi["height"] / psi["width"] if "height" in psi else psi.get("slope", 0.0),
        weight=_weight(module.synapse.weight, _out_shape(net, before)),
        recurrent_weight=None if loop is None else _linear(loop.weight),
        bias=None if module.synapse.bias is None else _array(module.synapse.bias),
        **signal,
    )


def _shape(block: BlockDescription) -> Shape:
    if block.synapse.kind == "Conv2d":
        (c, h, w), (k, oh, ow) = block.input_shape, block.neuron_shape
        geometry = block.synapse.geometry
        assert geometry is not None and block.synapse.kernel is not None
        return Shape(h, w, c, oh, ow, k, block.synapse.kernel, geometry.stride, geometry.padding)
    fan_in, n = block.synapse.fan_in, block.neurons
    return Shape(1, 1, fan_in, 1, 1, n)


def _pool(module: Spiking | Readout, block: BlockDescription) -> tuple[PoolKind, int]:
    for op in getattr(module, "tail", ()):
        if isinstance(op, MaxPool):
            return "max", op.size
        if isinstance(op, AvgPool):
            return "mean", _fits(block, op.size)
        if isinstance(op, GlobalAvgPool):
            side = block.neuron_shape[-1]
            if len(set(block.neuron_shape[1:])) > 1 or side % op.size:
                raise IllegalError(
                    f"block {block.name!r} cannot be exported to C",
                    got=f"a mean over windows of different sizes of {list(block.neuron_shape)}",
                    expected="a square map that the windows divide",
                )
            return "mean", _fits(block, side // op.size)
    return "none", 1


def _fits(block: BlockDescription, side: int) -> int:
    if side > MOST_SIDE:
        raise IllegalError(
            f"block {block.name!r} cannot be exported to C",
            got=f"a mean over {side} x {side} spikes, counted in a byte",
            expected=f"windows of at most {MOST_SIDE} x {MOST_SIDE}",
        )
    return side


def _out_map(shape: Shape, pooled: int) -> tuple[int, int, int]:
    """Channels, height and width of a layer's output."""
    return shape.out_c, shape.out_h // pooled, shape.out_w // pooled


def _signal(
    about: Description,
    block: BlockDescription,
    learns: bool,
    matrices: Matrices,
    out: tuple[int, int, int],
    area_side: int,
) -> dict[str, Any]:
    """The fields of `Layer` that say where its learning signal comes from."""
    spec = about.rule["signal"]
    none = {
        "signal": "none", "latents": 0, "side": 0, "window": 1,
        "scale": 1.0, "latent_unit": 0.0, "latent_decay": 0.0,
    }  # fmt: skip
    if not learns:
        return none
    if block.kind == "readout":
        return none | {"signal": "error", "latents": about.classes}
    if spec["kind"] == "drtp":
        stored = -_stored(block, matrices).reshape(about.classes, *out)
        # A mean sends each of its spikes its share.
        inner = stored.transpose(0, 2, 3, 1).reshape(about.classes, -1)
        basis: Floats = np.ascontiguousarray(inner / np.float32(area_side**2))
        return none | {"signal": "label", "latents": basis.shape[1], "basis": basis}
    side, window = _latent_map(block, spec["pool"], out)
    latents = out[0] * max(side, 1) ** 2
    scales = {"l2": 0.0, "mean": 1.0 / latents, "sqrt": latents**-0.5}
    wave = spec["basis"] in WAVES
    return {
        "signal": "class",
        "latents": latents,
        "side": side,
        "window": window,
        "scale": scales[spec["scale"]] if isinstance(spec["scale"], str) else float(spec["scale"]),
        "latent_unit": 1.0 / (area_side * window) ** 2,
        "latent_decay": spec["latent_decay"],
        "basis": None if wave else _stored(block, matrices),
        "balanced": spec["basis"] == "balanced_square",
    }


def _latent_map(
    block: BlockDescription, asked: int | None, out: tuple[int, int, int]
) -> tuple[int, int]:
    """Side of the latent map and of what a latent covers; 0 for vectors, whose latents they are."""
    vector, (height, width) = len(block.output_shape) == 1, out[1:]
    if vector and asked:
        raise IllegalError(
            f"block {block.name!r} cannot be exported to C",
            got=f"a vector pooled to {asked} latents",
            expected="all outputs of a vector block as latents",
        )
    if len(block.neuron_shape) == 1:
        return 0, 1
    size = height if vector else (block.latent if asked is None else asked) or height
    if height != width or height % size:
        raise IllegalError(
            f"block {block.name!r} cannot be exported to C",
            got=f"latents {size} x {size} of a map {height} x {width}",
            expected="a square map that the latents divide",
            fix="Choose another signal pool (rule.pool)",
        )
    return size, height // size


def _stored(block: BlockDescription, matrices: Matrices) -> Floats:
    """A stored matrix [C, n]."""
    if block.name not in matrices:
        raise IllegalError(f"the matrix of block {block.name!r} is not given")
    return _array(matrices[block.name])


def _out_shape(net: Network, before: Layer | None) -> tuple[int, ...]:
    """Channels, height and width that a layer reads, as far as they are known."""
    return net.sample_shape if before is None else _out_map(before.shape, before.pooled)


def _weight(weight: Tensor, before: tuple[int, ...]) -> Floats:
    """[ky, kx, in, out] of a convolution, [1, 1, in, out] of a linear synapse."""
    if weight.ndim == 4:
        return _array(weight.permute(2, 3, 1, 0))
    if len(before) == 3:  # the maps of PyTorch are flattened channels outermost
        weight = weight.unflatten(1, before).permute(0, 2, 3, 1).flatten(1)
    return _linear(weight)


def _linear(weight: Tensor) -> Floats:
    return _array(weight.T)[None, None]


def _array(x: Tensor) -> Floats:
    return np.ascontiguousarray(x.detach().to("cpu", torch.float32).numpy())
