"""What `localspike cost` prints of a network on a device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .output import table

Tree = dict[str, Any]
SHARED = "(shared)"
FEW = 6
"""Columns of bytes that fit in a line."""
WORK = ("forward", "signal", "change")


def device_lines(device: Tree) -> list[str]:
    """Bytes by layer and buffer, flash, products, and every rule beside the plan."""
    if not device["exported"]:
        return [f"No C for a device: {device['reason']}"]
    learns = ", ".join(device["learns"]) or "nothing"
    lines = [f"on a device, as `localspike export c` has it; learns: {learns}. Bytes of the arena:"]
    if device["reason"]:
        lines.insert(0, f"Only to infer on a device: {device['reason']}")
    return [
        *lines,
        table([*_byte_rows(device)]),
        "",
        f"flash, {device['flash_bytes']:,} bytes in all:",
        table([*_flash_rows(device)]),
        "",
        *_work_lines(device),
        "",
        "arena under every rule, bytes: buffers to infer, weights, state; no scratch:",
        table([*_rule_rows(device)]),
        *_undefined(device),
        *_few_by_buffer(device),
    ]


def _modes(device: Tree) -> tuple[str, ...]:
    return ("infer", "learn", "gather") if device["learns"] else ("infer",)


def _byte_rows(device: Tree) -> Iterator[tuple[str, ...]]:
    """A row for every buffer, then the sums; BPTT's column is worked out, not emitted."""
    bptt, modes = device["bptt"], _modes(device)
    columns = {mode: device["buffers"][mode] for mode in modes}
    yield from _by_buffer(columns | {f"BPTT, T = {bptt['steps']}": bptt["buffers"]})
    totals = (f"{device['arena_bytes'][mode]:,}" for mode in modes)
    yield ("arena", "", *totals, f"{bptt['bytes']:,}")


def _flash_rows(device: Tree) -> Iterator[tuple[str, ...]]:
    kinds = tuple(dict.fromkeys(kind for held in device["tables"].values() for kind in held))
    yield ("layer", *kinds)
    for layer, held in device["tables"].items():
        yield (layer, *(f"{held[kind]:,}" if kind in held else "" for kind in kinds))


def _work_lines(device: Tree) -> list[str]:
    """Products of a step: `forward` is all of one that infers; at rates where some are known."""
    rates = device.get("rates")
    said = ["multiply-accumulates of a step on a device, at most"]
    if rates is not None:
        given = ", ".join(f"{name} {rate:.3g}" for name, rate in rates.items())
        said.append(f", and at spikes per neuron and step of: {given}")
    every = [device["macs"]] + ([device["operations"]] if rates is not None else [])
    kinds = (*WORK, "a learning step") if device["learns"] else WORK[:1]
    heads = (f"{kind}{', at rates' * at}" for at in range(len(every)) for kind in kinds)
    rows = [("layer", *heads)]
    for layer in [*device["macs"], None]:
        summed = (_summed(tree, layer) for tree in every)
        rows.append((layer or "all", *(f"{each[kind]:,.0f}" for each in summed for kind in kinds)))
    return ["".join(said) + ":", table(rows)]


def _summed(tree: Tree, layer: str | None) -> dict[str, float]:
    chosen = tree.values() if layer is None else [tree[layer]]
    found = {kind: sum(each[kind] for each in chosen) for kind in WORK}
    return found | {"a learning step": sum(found.values())}


def _rule_rows(device: Tree) -> Iterator[tuple[str, ...]]:
    bptt, idle = device["bptt"], device["arena_bytes"]["infer"]
    yield (
        "rule",
        *(layer or SHARED for layer in bptt["buffers"]),
        "arena",
        "x infer",
        "MACs a step",
    )
    for name, rule in _compared(device).items():
        layers = (f"{sum(held.values()):,}" for held in rule["buffers"].values())
        macs = f"{rule['macs']:,}" if "macs" in rule else ""
        yield (name, *layers, f"{rule['bytes']:,}", f"{rule['bytes'] / idle:.1f}", macs)


def _compared(device: Tree) -> Tree:
    """Every rule that is defined, and BPTT."""
    rows = {name: rule for name, rule in device["rules"].items() if rule["defined"]}
    return rows | {f"bptt, T = {device['bptt']['steps']}": device["bptt"]}


def _few_by_buffer(device: Tree) -> list[str]:
    """Buffer by buffer, where so few rules are asked for that a line has room for them."""
    rules = _compared(device)
    if len(rules) > FEW:
        return []
    columns = {name: rule["buffers"] for name, rule in rules.items()}
    return ["", "the same by buffer:", table([*_by_buffer(columns)])]


def _by_buffer(columns: Tree) -> Iterator[tuple[str, ...]]:
    """A row for every buffer that one of the columns has."""
    yield ("layer", "buffer", *columns)
    every = list(columns.values())
    for layer in every[-1]:
        for buffer in dict.fromkeys(name for held in every for name in held[layer]):
            held = (f"{c[layer][buffer]:,}" if buffer in c[layer] else "" for c in every)
            yield (layer or SHARED, buffer, *held)


def _undefined(device: Tree) -> list[str]:
    return [
        f"{name} is not defined there: {rule['reason']}."
        for name, rule in device["rules"].items()
        if not rule["defined"]
    ]
