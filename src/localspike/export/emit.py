"""A plan as C: ls_model.h has sizes as constant expressions, ls_model.c tables and weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from .plan import MODES, VERSION, Floats, Layer, Plan, Shape

POOLS = {"none": "0", "max": "&ls_max_pool", "mean": "&ls_mean_pool"}
SIGNALS = {
    "none": "0", "class": "ls_class_signal", "label": "ls_label_signal", "error": "ls_error_signal",
}  # fmt: skip
PSIS = {"Triangle": "ls_triangle", "FastSigmoid": "ls_fast_sigmoid"}
PER_LINE = 6


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
            macro = f"LS_{mode.upper()}_{'NET' if name == 'net' else f'LAYER{i - 1}'}"
            terms = " + ".join(f"{n}u" for n in buffers.values())
            said = ", ".join(buffers)
            lines.append(f"#define {macro} ({terms}) /* {name}: {said} */")
            names.append(macro)
        lines += [f"#define LS_ARENA_{mode.upper()} ({' + '.join(names)})", ""]
    lines += ["extern const ls_config ls_model;", "", "#endif", ""]
    return "\n".join(lines)


def source(plan: Plan) -> str:
    """ls_model.c."""
    lines = [
        "/* The model's tables and weights. Written by localspike; do not edit. */",
        '#include "ls_model.h"', "",
        "static ls_slot slots[LS_LAYERS];", "",
    ]  # fmt: skip
    for i, layer in enumerate(plan.layers):
        lines += _arrays(i, layer)
    lines += ["static const ls_layer layers[LS_LAYERS] = {"]
    for i, layer in enumerate(plan.layers):
        lines += [*_layer(i, layer)]
    lines += [
        "};", "",
        "const ls_config ls_model = {",
        f"    {VERSION}u, LS_MODEL_HASH, LS_LAYERS, LS_CLASSES, LS_INPUTS, {plan.scratch}u,",
        "    layers, slots",
        "};", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _arrays(i: int, layer: Layer) -> Iterator[str]:
    for name, values in (
        ("weight", layer.weight),
        ("recurrent", layer.recurrent_weight),
        ("bias", layer.bias),
        ("basis", layer.basis),
    ):
        if values is not None:
            yield from array(
                "float", f"{name}{i}", map(number, values.ravel().tolist()), values.size
            )
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
    def named(table: str, there: Floats | bool | None) -> str:
        return f"{table}{i}" if there is not None and there is not False else "0"

    fields: list[tuple[str, object]] = [
        ("shape", _shape(layer.shape)),
        ("loop", f"&loop{i}" if layer.loop else "0"),
        ("pool", POOLS[layer.pool]),
        ("signal", SIGNALS[layer.signal]),
        ("psi", PSIS[layer.psi] if layer.spikes else "0"),
        ("classes", layer.classes),
        ("latents", layer.latents),
        ("side", layer.side),
        ("window", layer.window),
        ("pooled", layer.pooled),
        ("counts", int(layer.pool == "mean")),
    ]
    floats = (
        "unit", "decay", "threshold", "reset", "pre_decay", "post_decay", "pre_gain", "post_gain",
        "bias_decay",
        "psi_height", "psi_slope", "scale", "latent_unit", "latent_decay",
    )  # fmt: skip
    fields += [(name, number(getattr(layer, name))) for name in floats]
    fields += [
        ("weight", f"weight{i}"),
        ("recurrent", named("recurrent", layer.recurrent_weight)),
        ("bias", named("bias", layer.bias)),
        ("basis", named("basis", layer.basis)),
        ("phase", named("phase", bool(layer.phases))),
    ]
    yield f"    {{ /* {layer.name} */"
    for name, value in fields:
        yield f"        .{name} = {value},"
    yield "    },"
