"""A NIR graph without graphs in it: nodes by name, and who reads whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import DataError

Edge = tuple[str, str]
SYNAPSES = ("Linear", "Affine", "Conv2d")
NEURONS = ("LIF", "CubaLIF", "IF")
LEAKS = ("LI", "I")
POOLS = ("AvgPool2d", "SumPool2d")
TAILS = (*POOLS, "Flatten")
ENDS = ("Input", "Output")
KNOWN = (*ENDS, *SYNAPSES, *NEURONS, *LEAKS, *TAILS)


def kind_of(node: Any) -> str:
    """The name of a node's type."""
    return type(node).__name__


@dataclass(frozen=True)
class Flat:
    """Nodes by name, with ``before`` and ``after``: who is read by and who reads each."""

    nodes: dict[str, Any]
    before: dict[str, list[str]]
    after: dict[str, list[str]]

    def kind(self, name: str) -> str:
        """The type of a node."""
        return kind_of(self.nodes[name])

    def of(self, *kinds: str) -> list[str]:
        """Names of all nodes of these types, in the file's order."""
        return [name for name in self.nodes if self.kind(name) in kinds]


def flatten(graph: Any) -> Flat:
    """A graph with the graphs in it unpacked, as "outer.inner".

    Raises
    ------
    DataError
        Edges to nodes that are not there, nodes of types a network has nothing for, or not exactly
        one input and one output.
    """
    nodes, edges = _unpack(graph, "")
    for a, b in edges:
        if missing := {a, b} - set(nodes):
            raise DataError(
                "an edge of the NIR graph leads nowhere", got=f"{a} -> {b}, without {missing.pop()}"
            )
    for name, node in nodes.items():
        if kind_of(node) not in KNOWN:
            raise DataError(
                f"NIR node {name!r} cannot be part of a network",
                got=kind_of(node),
                expected=f"one of {', '.join(KNOWN)}",
            )
    for kind in ENDS:
        found = [name for name, node in nodes.items() if kind_of(node) == kind]
        if len(found) != 1:
            raise DataError(f"the NIR graph needs one {kind}", got=found or "none")
    once = list(dict.fromkeys(edges))
    before = {name: [a for a, b in once if b == name] for name in nodes}
    after = {name: [b for a, b in once if a == name] for name in nodes}
    return Flat(nodes, before, after)


def _unpack(graph: Any, prefix: str) -> tuple[dict[str, Any], list[Edge]]:
    """All nodes and edges, graphs replaced by what is in them."""
    nodes: dict[str, Any] = {}
    edges = [(prefix + str(a), prefix + str(b)) for a, b in graph.edges]
    for key, node in graph.nodes.items():
        name = prefix + key
        if kind_of(node) != "NIRGraph":
            nodes[name] = node
            continue
        inner, inside = _unpack(node, f"{name}.")
        doors = {k: [n for n in inner if kind_of(inner[n]) == k] for k in ENDS}
        for kind in ENDS:
            if len(doors[kind]) != 1:
                raise DataError(f"NIR graph {name!r} needs one {kind}", got=doors[kind] or "none")
        (entry,), (leave,) = doors["Input"], doors["Output"]
        edges = [(leave if a == name else a, entry if b == name else b) for a, b in edges]
        for door in (entry, leave):
            edges, inside = _joined([*edges, *inside], door), []
        nodes |= {n: x for n, x in inner.items() if n not in (entry, leave)}
    return nodes, edges


def _joined(edges: list[Edge], door: str) -> list[Edge]:
    """The edges with everything before ``door`` wired to everything behind it."""
    ahead = [a for a, b in edges if b == door]
    behind = [b for a, b in edges if a == door]
    kept = [edge for edge in edges if door not in edge]
    return kept + list(_pairs(ahead, behind))


def _pairs(ahead: list[str], behind: list[str]) -> Iterator[Edge]:
    return ((a, b) for a in ahead for b in behind)
