"""A plan as C: ls_model.h has sizes as constant expressions, ls_model.c tables and weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from .fixed import Fixed, one_event, parts_of, trace_unit
from .plan import MODES, SHARED, VERSION, Layer, Mode, Plan, Shape

SIGNALS = {
    "none": "0", "class": "ls_class_signal", "label": "ls_label_signal", "error": "ls_error_signal",
}  # fmt: skip
PSIS = {"Triangle": "ls_triangle", "FastSigmoid": "ls_fast_sigmoid"}
PER_LINE = 6
PLACES = {
    "v": "membrane", "spikes": "spikes", "out": "output", "pre": "pre trace",
    "loop_pre": "recurrent pre trace", "post": "post trace", "latent": "latents",
    "past": "past spikes", "weight": "weights", "gathered": "gathered",
}  # fmt: skip
"""The fields of `ls_place` and the plan's names for them."""
FLOATS = (
    "unit", "decay", "threshold", "reset", "pre_decay", "post_decay", "pre_gain", "post_gain",
    "bias_decay", "psi_height", "psi_slope", "scale", "latent_unit", "latent_decay", "rate",
)  # fmt: skip


def number(value: float) -> str:
    """A float32 as C writes it, exactly.

    >>> number(0.1), number(-2.0)
    ('0x1.99999ap-4f', '-0x1p+1f')
    """
    mantissa, exponent = float(np.float32(value)).hex().split("p")
    return f"{mantissa.rstrip('0').rstrip('.')}p{exponent}f"


def header(plan: Plan) -> str:
    """ls_model.h."""
    lines = [
        "/* The model's dimensions and memory. Written by localspike; do not edit. */",
        "#ifndef LS_MODEL_H", "#define LS_MODEL_H", "",
        '#include "ls.h"', "",
        f"#define LS_LAYERS {len(plan.layers)}u",
        f"#define LS_INPUTS {plan.inputs}u",
        f"#define LS_CLASSES {plan.classes}u",
        f"#define LS_MODEL_HASH 0x{plan.hash:08x}u", "",
        "/* Bytes of every layer's buffers, and of the arena, for the flags of ls_init. */",
    ]  # fmt: skip
    for mode in MODES:
        names = []
        for i, (name, buffers) in enumerate(plan.buffers(mode).items()):
            macro = f"LS_{mode.upper()}_{f'LAYER{i - 1}' if name else 'NET'}"
            terms = " + ".join(f"{n}u" for n in buffers.values())
            said = ", ".join(buffers)
            lines.append(f"#define {macro} ({terms}) /* {name or 'net'}: {said} */")
            names.append(macro)
        lines += [f"#define LS_ARENA_{mode.upper()} ({' + '.join(names)})", ""]
    lines += ["#ifdef __cplusplus", 'extern "C" const ls_config ls_model;', "#else"]
    lines += ["extern const ls_config ls_model;", "#endif", "", "#endif", ""]
    return "\n".join(lines)


def source(plan: Plan) -> str:
    """ls_model.c."""
    lines = [
        "/* The model's tables and weights. Written by localspike; do not edit. */",
        '#include "ls_model.h"', "",
    ]  # fmt: skip
    for i, layer in enumerate(plan.layers):
        lines += _arrays(i, layer)
    lines += ["static const ls_layer layers[LS_LAYERS] = {"]
    for i, layer in enumerate(plan.layers):
        lines += [*_layer(i, layer)]
    lines += ["};", ""]
    for mode in MODES:
        lines += _places(plan, mode)
    lines += ["static const ls_layout layouts[] = {"]
    for mode in MODES:
        there = plan.layout(mode)
        shared = (f"{there.get((SHARED, name), 0)}u" for name in ("logits", "scratch"))
        sizes = f"LS_ARENA_{mode.upper()}, {plan.state(mode)}u, {', '.join(shared)}"
        lines.append(f"    {{{sizes}, {mode}_places}},")
    lines += [
        "};", "",
        "const ls_config ls_model = {",
        f"    {VERSION}u, LS_MODEL_HASH, LS_LAYERS, LS_CLASSES, LS_INPUTS, {plan.ahead}u,",
        "    layouts, layers,"
        "};", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _places(plan: Plan, mode: Mode) -> Iterator[str]:
    """Where a mode's buffers begin."""
    there = plan.layout(mode)
    yield f"static const ls_place {mode}_places[LS_LAYERS] = {{"
    for layer in plan.layers:
        found = {field: there.get((layer.name, name)) for field, name in PLACES.items()}
        if found["out"] is None:
            found["out"] = found["spikes"]
        at = ("LS_NOWHERE" if offset is None else f"{offset}u" for offset in found.values())
        yield f"    {{{', '.join(at)}}}, /* {layer.name} */"
    yield "};"
    yield ""


def _arrays(i: int, layer: Layer) -> Iterator[str]:
    flat, basis = layer.flat, layer.basis
    written = map(number if layer.fixed is None else str, flat.tolist())
    yield from array("ls_weight", f"weight{i}", written, flat.size)
    if basis is not None:
        yield from array("float", f"basis{i}", map(number, basis.ravel().tolist()), basis.size)
    if layer.phases:
        phases = (f"0x{phase:08x}u" for phase in layer.phases)
        yield from array("uint32_t", f"phase{i}", phases, layer.classes)
    if layer.loop:
        yield f"static const ls_shape loop{i} = {_shape(layer.loop)};"
        yield ""


def array(kind: str, name: str, values: Iterable[str], size: int) -> Iterator[str]:
    """Lines of a constant table."""
    yield f"static const {kind} {name}[{size}] = {{"
    row: list[str] = []
    for value in values:
        row.append(value)
        if len(row) == PER_LINE:
            yield f"    {', '.join(row)},"
            row = []
    if row:
        yield f"    {', '.join(row)},"
    yield "};"
    yield ""


def _shape(shape: Shape) -> str:
    return "{" + ", ".join(map(str, shape)) + "}"


def _layer(i: int, layer: Layer) -> Iterator[str]:
    yield f"    {{ /* {layer.name} */"
    for name, value in (*_kernels(i, layer).items(), *_sizes(layer).items()):
        yield f"        .{name} = {value},"
    for name in FLOATS:
        yield f"        .{name} = {number(getattr(layer, name))},"
    yield f"        .weight = weight{i},"
    yield f"        .basis = {'0' if layer.basis is None else f'basis{i}'},"
    yield f"        .phase = {f'phase{i}' if layer.phases else '0'},"
    if layer.fixed is not None:
        yield from _fixed(layer, layer.fixed)
    yield "    },"


def _fixed(layer: Layer, at: Fixed) -> Iterator[str]:
    """The members of `ls_fixed`."""
    units = (layer.unit, 1.0, 1.0)
    yield "        .fixed = {"
    yield "            .scale = {"
    for (gain, shift), unit, point in zip(at.gains, units, at.points, strict=True):
        worth = f"{number(unit * 2.0**-point)}, {number(2.0**point)}"
        yield f"                {{{gain}, {shift}, {worth}}},"
    yield "            },"
    one, loop_one = one_event(layer)
    whole = {
        "threshold": round(layer.threshold * 2.0**at.state),
        "reset": round(layer.reset * 2.0**at.state),
        "decay": parts_of(layer.decay),
        "pre_decay": parts_of(layer.pre_decay),
        "post_decay": parts_of(layer.post_decay),
        "one": one,
        "loop_one": loop_one,
        "shift": at.shift,
    }
    real = {
        "state_unit": 2.0**-at.state,
        "trace_unit": trace_unit(layer),
        "post_unit": 2.0**-at.post,
        "post_steps": 2.0**at.post,
    }
    for name, value in (*whole.items(), *((k, number(x)) for k, x in real.items())):
        yield f"            .{name} = {value},"
    yield "        },"


def dtype_header(plan: Plan) -> str:
    """ls_dtype.h."""
    bits = 8 * plan.layers[0].weight.itemsize
    return (
        "/* Bits of a weight: 32 (float), 16 or 8. Written by localspike; do not edit. */\n"
        f"#ifndef LS_BITS\n#define LS_BITS {bits}\n#endif\n"
    )


def _kernels(i: int, layer: Layer) -> dict[str, str]:
    """Which kernels the layer is run and learnt by; null where it has no such part."""
    learns, posts = layer.signal != "none", layer.post_gain != 0.0
    learn = "ls_learn_all" if posts or layer.recurrent else "ls_learn_causal"
    learn = "ls_learn_vector" if layer.by_vector else learn
    read = "ls_read_map" if layer.side else "ls_read_vector"
    return {
        "shape": _shape(layer.shape),
        "loop": f"&loop{i}" if layer.loop else "0",
        "synapse": "&ls_conv" if layer.is_map else "&ls_linear",
        "before": "ls_trace_post" if learns and posts else "0",
        "recur": "ls_recur" if layer.recurrent else "0",
        "pool": "0" if layer.pool == "none" else "ls_pool",
        "after": "ls_filter" if learns and layer.latent_decay else "0",
        "takes": "ls_first_takes" if layer.pool == "max" else "0",
        "read": read if layer.signal == "class" else "0",
        "signal": SIGNALS[layer.signal],
        "learn": learn if learns else "0",
        "psi": PSIS[layer.psi] if layer.spikes else "0",
    }


def _sizes(layer: Layer) -> dict[str, int]:
    return {
        "inputs": layer.shape.inputs,
        "neurons": layer.shape.neurons,
        "outputs": layer.outputs,
        "weights": layer.shape.weights,
        "learnt": layer.learnt,
        "latents": layer.latents,
        "classes": layer.classes,
        "side": layer.side,
        "window": layer.window,
        "pooled": layer.pooled,
        "counts": int(layer.pool == "mean"),
        "biased": int(layer.bias is not None),
    }
