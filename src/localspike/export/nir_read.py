"""A network for inference from a NIR graph, ours or another simulator's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from math import prod
from typing import Any, cast

import numpy as np

from ..errors import DataError
from ..nn import INPUT, Integrator, Linear, Network, Readout, Spiking
from .nir_flat import LEAKS, NEURONS, SYNAPSES, TAILS, Flat, flatten, kind_of
from .nir_nodes import Factor, Reading, integrator, neuron, synapse, tail


@dataclass
class _Part:
    """A block to be: its nodes by role, where it reads, and its tail once a reader says so."""

    name: str
    synapse: str
    neuron: str | None = None
    loop: str | None = None
    sources: list[str] = field(default_factory=list)
    tail: tuple[str, ...] | None = None


def network_of(graph: Any, how: Reading) -> Network:
    """The network of a NIR graph: synapses, the neurons behind them, the pooling behind those.

    Raises
    ------
    DataError
        Naming the node that no part of a network can be, and what was expected.
    """
    flat = flatten(graph)
    parts = {part.name: part for part in _parts(flat)}
    for part in parts.values():
        for source in flat.before[part.synapse]:
            part.sources.append(_trace(flat, parts, source, part.synapse))
    last = _last(flat, parts)
    names = _names(parts)
    order = [parts[name] for name in _ordered(parts, last)]
    blocks = {names[part.name]: _block(flat, parts, part, how) for part in order}
    wires = {
        names[part.name]: [names.get(source, source) for source in part.sources] for part in order
    }
    return Network(blocks, _sample_shape(flat, order), wires)


def _parts(flat: Flat) -> Iterable[_Part]:
    """Every synapse with what is behind it: neurons, a leaking readout, or nothing (a readout)."""
    taken: set[str] = set()
    for name in flat.of(*NEURONS):
        before = flat.before[name]
        loops = [s for s in before if flat.before[s] == [name] and flat.after[s] == [name]]
        inputs = [s for s in before if s not in loops]
        _require(flat, name, inputs, loops)
        taken |= set(before)
        yield _Part(name, inputs[0], name, loops[0] if loops else None)
    for name in flat.of(*LEAKS):
        _require(flat, name, flat.before[name], [])
        taken |= set(flat.before[name])
        yield _Part(name, flat.before[name][0], name)
    for name in flat.of(*SYNAPSES):
        if name not in taken:
            yield _Part(name, name)


def _require(flat: Flat, name: str, inputs: list[str], loops: list[str]) -> None:
    """Refuse neurons that are not behind one synapse of their own."""
    own = len(inputs) == 1 and flat.kind(inputs[0]) in SYNAPSES and flat.after[inputs[0]] == [name]
    looped = all(flat.kind(loop) in ("Linear", "Affine") for loop in loops)
    if not own or len(loops) > 1 or not looped:
        raise DataError(
            f"NIR node {name!r} ({flat.kind(name)}) is not wired as a layer",
            got=f"inputs {flat.before[name]}",
            expected="one Linear, Affine or Conv2d before it, and at most one Linear or Affine "
            "from it back to itself",
        )


def _trace(flat: Flat, parts: dict[str, _Part], name: str, reader: str) -> str:
    """The block (or "input") behind the pooling that ``reader`` reads; gives it that tail."""
    chain: list[str] = []
    start = name
    while flat.kind(name) in TAILS:
        chain.insert(0, name)
        if len(flat.before[name]) != 1:
            raise DataError(f"NIR node {name!r} needs one input", got=flat.before[name] or "none")
        name = flat.before[name][0]
    if flat.kind(name) == "Input":
        pools = [n for n in chain if flat.kind(n) != "Flatten"]
        if pools:
            raise DataError(
                f"NIR node {pools[0]!r} pools the input", fix="Pool the frames yourself"
            )
        return INPUT
    part = parts.get(name)
    if part is None or part.neuron is None or flat.kind(part.neuron) in LEAKS:
        raise DataError(
            f"NIR node {reader!r} reads no spikes",
            got=f"{start!r} ({flat.kind(name)})",
            expected="the input, or neurons that spike",
        )
    if part.tail not in (None, tuple(chain)):
        raise DataError(
            f"NIR node {name!r} is read in two ways",
            got=f"through {list(part.tail or ())} and {chain}",
            expected="one chain of pooling behind a layer",
        )
    part.tail = tuple(chain)
    return name


def _last(flat: Flat, parts: dict[str, _Part]) -> str:
    """The block that the graph's output is; every block that does not spike must be it."""
    (end,) = flat.of("Output")
    before = flat.before[end]
    if len(before) != 1:
        raise DataError("the NIR graph's Output needs one input", got=before or "none")
    silent = [p.name for p in parts.values() if p.neuron is None or flat.kind(p.neuron) in LEAKS]
    if stray := [name for name in silent if [name] != before]:
        raise DataError(
            f"NIR node {stray[0]!r} ({flat.kind(stray[0])}) has no neurons behind it",
            got=f"read by {flat.after[stray[0]] or 'none'}",
            expected="LIF, CubaLIF or IF behind it, or the Output",
        )
    if before[0] in silent:
        return before[0]
    last = _trace(flat, parts, before[0], end)
    if last != INPUT and _sum(flat, parts[last]) != 1.0:
        raise DataError(f"NIR node {before[0]!r} ends the graph", got="a sum over windows")
    return last


def _ordered(parts: dict[str, _Part], last: str) -> list[str]:
    """Names in order of execution, a readout last."""
    ahead = {p.name: [s for s in p.sources if s != INPUT] for p in parts.values()}
    try:
        order = [*TopologicalSorter(ahead).static_order()]
    except CycleError as error:
        raise DataError(
            "the NIR graph has a loop through several layers",
            got=" -> ".join(map(str, error.args[1])),
            expected="loops of a layer with itself only",
        ) from error
    if last == INPUT:
        raise DataError("the NIR graph has no layer between its input and its output")
    return [name for name in order if name != last] + [last]


def _names(parts: dict[str, _Part]) -> dict[str, str]:
    """Names that a network's blocks can have, each once."""
    found: dict[str, str] = {}
    for name in parts:
        wanted = name.replace(".", "_") or "layer"
        while wanted in (INPUT, *found.values()):
            wanted += "_"
        found[name] = wanted
    return found


def _block(flat: Flat, parts: dict[str, _Part], part: _Part, how: Reading) -> Spiking | Readout:
    node, factor, bias = flat.nodes[part.synapse], _factor(flat, parts, part), _bias(flat, part)
    if part.neuron is None or flat.kind(part.neuron) in LEAKS:
        return _readout(flat, part, factor, how)
    neurons, gain = neuron(part.neuron, flat.nodes[part.neuron], how)
    loop = None
    if part.loop is not None:
        loop = cast(Linear, synapse(part.loop, flat.nodes[part.loop], gain, None, how.dtype))
    made = synapse(part.synapse, node, gain, bias, how.dtype, factor)
    ops = [tail(name, flat.nodes[name])[0] for name in part.tail or ()]
    return Spiking(made, neurons, loop, tail=ops)


def _readout(flat: Flat, part: _Part, factor: float, how: Reading) -> Readout:
    cell, gain = Integrator(), cast(Factor, 1.0)
    if part.neuron is not None:
        cell, gain = integrator(part.neuron, flat.nodes[part.neuron], how)
    node = flat.nodes[part.synapse]
    made = synapse(part.synapse, node, gain, _bias(flat, part), how.dtype, factor)
    if not isinstance(made, Linear):
        raise DataError(
            f"NIR node {part.synapse!r} ends the graph",
            got=kind_of(node),
            expected="Linear or Affine, or neurons behind it",
        )
    return Readout(made, cell)


def _bias(flat: Flat, part: _Part) -> Any:
    """The bias of a layer: its synapse's, and its loop's, for both are there at every step."""
    nodes = [flat.nodes[name] for name in (part.synapse, part.loop) if name is not None]
    held = [np.asarray(x, np.float64) for n in nodes if (x := getattr(n, "bias", None)) is not None]
    if len({x.shape for x in held}) > 1:
        raise DataError(f"NIR nodes {part.synapse!r} and {part.loop!r} have biases of two shapes")
    return sum(held[1:], start=held[0]) if held else None


def _factor(flat: Flat, parts: dict[str, _Part], part: _Part) -> float:
    """What the sums before a synapse are of the means that are taken in their place."""
    found = {_sum(flat, parts[source]) for source in part.sources if source != INPUT}
    if len(found) > 1:
        raise DataError(f"NIR node {part.synapse!r} adds sums over windows of different sizes")
    return found.pop() if found else 1.0


def _sum(flat: Flat, part: _Part) -> float:
    return prod(tail(name, flat.nodes[name])[1] for name in part.tail or ())


def _sample_shape(flat: Flat, order: list[_Part]) -> tuple[int, ...]:
    """Shape of a frame: the input's, without the batch that some writers leave in it."""
    (start,) = flat.of("Input")
    shape = tuple(int(n) for n in np.ravel(flat.nodes[start].input_type["input"]))
    first = next(part.synapse for part in order if INPUT in part.sources)
    if flat.kind(first) != "Conv2d":
        return (int(flat.nodes[first].weight.shape[-1]),)
    if len(shape) < 3:
        raise DataError("the NIR graph's Input is no map", got=list(shape), expected="[C, H, W]")
    return shape[-3:]
