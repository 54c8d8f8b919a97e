"""A straight-line graph of tensor operations as the text of a TorchScript function.

Its interpreter runs the same operations in the same order without Python between them.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, Node

from .record import INPUT

NAME = "run"


class Unwritable(Exception):
    """What a graph holds that cannot be written down; the message says it."""


def source(graph: Graph) -> str:
    """The function `run` of the graph's inputs, then its constants; returns a list of tensors.

    Raises
    ------
    Unwritable
        If the graph holds anything but plain operations on tensors and numbers.

    >>> graph = Graph()
    >>> x = graph.create_node(INPUT, "x")
    >>> _ = graph.output([graph.call_function(torch.ops.aten.neg.default, (x,))])
    >>> print(source(graph))
    def run(x: Tensor) -> List[Tensor]:
        neg_default = torch.ops.aten.neg(x)
        return [neg_default]
    """
    inputs = [n.name for n in graph.nodes if n.op == INPUT]
    constants = [n.name for n in graph.nodes if n.op == "get_attr"]
    arguments = ", ".join(f"{name}: Tensor" for name in inputs + constants)
    body = [line for node in graph.nodes for line in _lines(node)]
    return "\n    ".join([f"def {NAME}({arguments}) -> List[Tensor]:", *body])


def _lines(node: Node) -> list[str]:
    if node.op in (INPUT, "get_attr"):
        return []
    if node.op == "output":
        return [f"return {_literal(list(node.args[0]), 'Tensor[]')}"]  # type: ignore[arg-type]
    if node.op != "call_function":
        raise Unwritable(f"a node of kind {node.op}")
    if node.target is operator.getitem:
        return [_item(node)]
    if not isinstance(node.target, torch._ops.OpOverload):
        raise Unwritable(f"a call of {node.target}")
    return [_call(node, node.target)]


def _item(node: Node) -> str:
    """One of several results; or one of a list, which is a single result."""
    whole, index = node.args
    assert isinstance(whole, Node)
    if len(whole.target._schema.returns) > 1:  # type: ignore[union-attr]
        return f"{node.name} = {whole.name}_{index}"
    return f"{node.name} = {whole.name}[{index}]"


def _call(node: Node, op: torch._ops.OpOverload) -> str:
    schema = op._schema
    kinds = {a.name: str(a.type) for a in schema.arguments}
    given = [_literal(v, k) for v, k in zip(node.args, kinds.values(), strict=False)]
    given += [f"{name}={_literal(v, kinds[name])}" for name, v in node.kwargs.items()]
    call = f"torch.ops.{schema.name.replace('::', '.')}({', '.join(given)})"
    count = len(schema.returns)
    if count == 0:
        return call
    made = [node.name] if count == 1 else [f"{node.name}_{i}" for i in range(count)]
    return f"{', '.join(made)} = {call}"


def _literal(value: Any, kind: str) -> str:
    """An argument; ``kind`` is the type that the operation's schema gives it."""
    if isinstance(value, Node):
        return value.name
    if isinstance(value, list | tuple):
        return _list(value, kind)
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int | float):
        return _number(value, kind)
    if isinstance(value, str):
        return repr(value)
    if isinstance(value, torch.device):
        return f"torch.device({str(value)!r})"
    if isinstance(value, torch.dtype | torch.layout | torch.memory_format):
        return str(value)
    raise Unwritable(f"an argument of type {type(value).__name__}")


def _list(value: Any, kind: str) -> str:
    if not value and "int" in kind.lower():  # an empty list is one of tensors unless it is said
        return "torch.jit.annotate(List[int], [])"
    return f"[{', '.join(_literal(part, '') for part in value)}]"


def _number(value: float, kind: str) -> str:
    if isinstance(value, int):
        return f"{value}.0" if kind == "float" else str(value)
    return repr(value) if math.isfinite(value) else f"float('{value}')"


def scripted(text: str) -> Any:
    """The function of that text.

    >>> scripted("def run(x: Tensor) -> List[Tensor]:\\n    return [x + 1]")(torch.ones(1))
    [tensor([2.])]
    """
    return getattr(torch.jit.CompilationUnit(text + "\n"), NAME)


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    """Whether two lists of tensors are equal bit by bit in place and value, NaN to NaN.

    >>> same([torch.ones(2)], [torch.ones(2)]), same([torch.ones(2)], [torch.zeros(2)])
    (True, False)
    """
    return len(a) == len(b) and all(
        x.dtype == y.dtype and x.stride() == y.stride() and _equal(x, y)
        for x, y in zip(a, b, strict=True)
    )


def _equal(x: Tensor, y: Tensor) -> bool:
    return bool(torch.equal(x, y)) or bool(torch.allclose(x, y, rtol=0.0, atol=0.0, equal_nan=True))
