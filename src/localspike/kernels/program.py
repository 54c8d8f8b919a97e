"""A Python function of tensors run once, written down, and run again without its Python.

What is written down are PyTorch's operations with every number that is not a tensor: whoever keeps
a program must know that nothing else it depends on has changed.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.fx import GraphModule

from . import compiling, script
from .record import Function, recorded

How = Literal["script", "graph", "compiled"]


class Program:
    """The operations of ``function`` at ``examples``, for tensors of the same layout.

    ``how`` they are run: by TorchScript's interpreter ("script"), bit for bit as the function does;
    one by one ("graph") where the interpreter cannot; or in machine code ("compiled"), equal within
    rounding. ``seconds`` is what writing down and the first run took.

    The function is run on the examples and may change them; operations that change an input do so
    in every run.

    Raises
    ------
    Untraceable
        If the function looks at a number inside a tensor, or does what cannot be written down.

    >>> program = Program(lambda xs: [xs[0] * 2 + xs[1]], [torch.ones(2), torch.ones(2)])
    >>> program([torch.ones(2), torch.zeros(2)])[0], program.how
    (tensor([2., 2.]), 'script')
    """

    def __init__(
        self, function: Function, examples: Sequence[Tensor], compile: bool = False
    ) -> None:
        started = time.perf_counter()
        twins = [copies(examples) for _ in range(2 if compile else 1)]
        module, expected = recorded(function, examples)
        self.operations = sum(n.op == "call_function" for n in module.graph.nodes)
        self.constants = [
            getattr(module, str(n.target)) for n in module.graph.nodes if n.op == "get_attr"
        ]
        self.how: How = "graph"
        self._run: Callable[..., Any] = module
        if compile:
            self._compile(module, twins.pop())
        if self.how == "graph":
            self._write(module, twins.pop(), expected)
        self.seconds = time.perf_counter() - started

    def __call__(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The function's results at other tensors of the examples' layout."""
        if self.how != "script":
            return list(self._run(*tensors))
        # As it stands: without passes that look for shapes and types in the first runs.
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            found: list[Tensor] = self._run(*tensors, *self.constants)
        return found

    def _write(self, module: GraphModule, twins: list[Tensor], expected: list[Tensor]) -> None:
        """Let TorchScript run it, if it does what the function did."""
        try:
            self._run, self.how = script.scripted(script.source(module.graph)), "script"
            alike = script.same(self(twins), expected)
        except Exception:  # the interpreter knows fewer operations than PyTorch: one by one then
            alike = False
        if not alike:
            self._run, self.how = module, "graph"

    def _compile(self, module: GraphModule, twins: list[Tensor]) -> None:
        kernel = compiling.Kernel(_without_alpha(module), dynamic=False)
        with compiling.compiled():
            kernel(*twins, key="step")
        if not kernel.failed:
            self._kernel, self.how = kernel, "compiled"
            self._run = self._compiled

    def _compiled(self, *tensors: Tensor) -> Any:
        with compiling.compiled():
            return self._kernel(*tensors, key="step")


def copies(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The same values in memory of their own, laid out alike; parameters stay what they are.

    >>> copies([torch.ones(2)])
    [tensor([1., 1.])]
    """
    return [x if isinstance(x, torch.nn.Parameter) else x.clone() for x in tensors]


def _without_alpha(module: GraphModule) -> GraphModule:
    """a + α b as a sum and a product: torch 2.13's compiler drops α where a is a matrix product."""
    module = GraphModule(module, copy.deepcopy(module.graph))
    aten = torch.ops.aten
    for node in list(module.graph.nodes):
        if node.target in (aten.add.Tensor, aten.sub.Tensor) and "alpha" in node.kwargs:
            a, b = node.args
            with module.graph.inserting_before(node):
                scaled = module.graph.call_function(aten.mul.Tensor, (b, node.kwargs["alpha"]))
            node.args, node.kwargs = (a, scaled), {}
    module.recompile()
    return module
