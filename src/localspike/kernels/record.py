"""Writing down the operations that a Python function of tensors does, as a graph."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node, symbolic_trace
from torch.fx.node import map_aggregate
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

Function = Callable[[list[Tensor]], list[Tensor]]

INPUT: str = next(iter(symbolic_trace(torch.nn.Identity()).graph.nodes)).op
"""The kind of node by which torch.fx itself writes down that a function has an input."""


class Untraceable(Exception):
    """Why a function cannot be written down; the message says it."""


def recorded(function: Function, examples: Sequence[Tensor]) -> tuple[GraphModule, list[Tensor]]:
    """The graph of a function at ``examples``, on which it is run, and what it gave.

    Tensors that are neither given nor made become attributes of the graph: the very tensors.

    Raises
    ------
    Untraceable
        If the function looks at a number inside a tensor, or fails.

    >>> module, found = recorded(lambda xs: [xs[0] * 2], [torch.ones(2)])
    >>> module(torch.zeros(2)), found
    ([tensor([0., 0.])], [tensor([2., 2.])])
    """
    recorder = _Recorder(examples)
    try:
        with recorder:
            found = function(list(examples))
    except Exception as error:  # whatever it is, the function itself will say it again
        raise Untraceable(_first_line(error)) from error
    recorder.graph.output([recorder.node(x) for x in found])
    recorder.graph.eliminate_dead_code()
    return GraphModule(recorder.constants, recorder.graph), found


class _Recorder(TorchDispatchMode):
    """Sees every operation below autograd, in order, with the tensors themselves."""

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        super().__init__()
        self.graph = Graph()
        self.constants = torch.nn.Module()
        self._nodes: Any = WeakTensorKeyDictionary()
        for i, x in enumerate(inputs):
            self._nodes[x] = self.graph.create_node(INPUT, f"x{i}")

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if any("Tensor" not in str(r.type) for r in func._schema.returns):
            raise Untraceable("it looks at a number inside a tensor")
        node = self.graph.call_function(func, *map_aggregate((args, kwargs), self._known))
        made = func(*args, **kwargs)
        self._name(node, made)
        return made

    def node(self, x: Tensor) -> Node:
        """Where a tensor comes from."""
        if x not in self._nodes:
            name = f"constant{len(self._nodes)}_{len(self.graph.nodes)}"
            # Not registered: a parameter stays what it is and nobody counts it.
            object.__setattr__(self.constants, name, x)
            self._nodes[x] = self.graph.create_node("get_attr", name)
        found: Node = self._nodes[x]
        return found

    def _known(self, value: Any) -> Any:
        return self.node(value) if isinstance(value, Tensor) else value

    def _name(self, node: Node, made: Any) -> None:
        if isinstance(made, Tensor):
            self._nodes[made] = node
        elif isinstance(made, tuple | list):
            for i, x in enumerate(made):
                if isinstance(x, Tensor):
                    item = self.graph.call_function(operator.getitem, (node, i))
                    self._nodes[x] = item


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
