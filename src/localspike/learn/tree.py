"""State as a flat list of tensors with a layout: what a captured step takes and gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Strange(Exception):
    """A state that holds what has no place in a list of tensors; the message names it."""


_NUMBER = "number", float  # the place of a number; that of a tensor is its layout in memory


class Layout(NamedTuple):
    """A tree without its tensors: hashable, equal where two trees differ in values only.

    Whole numbers, texts, booleans and None are part of the layout; other numbers are values.
    """

    kind: Any
    keys: tuple[Any, ...]
    parts: tuple[Any, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """Whole numbers in it, in order: what a state counts by itself.

        >>> flatten({"n": 3, "x": (0.5, True)})[0].counts
        (3,)
        """
        found: list[int] = []
        for part in self.parts:
            if isinstance(part, Layout):
                found += part.counts
            elif type(part) is int:
                found.append(part)
        return tuple(found)


def flatten(tree: Any) -> tuple[Any, list[Tensor]]:
    """The layout of nested mappings, tuples and lists, and their tensors in order.

    A number that is not whole becomes a tensor of float64 on the CPU.

    Raises
    ------
    Strange
        If it holds anything else.

    >>> layout, tensors = flatten({"q": torch.ones(2), "bias": 0.5, "none": None})
    >>> tensors[1]
    tensor(0.5000, dtype=torch.float64)
    >>> unflatten(layout, tensors)
    {'q': tensor([1., 1.]), 'bias': tensor(0.5000, dtype=torch.float64), 'none': None}
    """
    tensors: list[Tensor] = []
    return _flatten(tree, tensors), tensors


def memory_of(x: Tensor) -> tuple[Any, ...]:
    """How a tensor lies in memory, and what it is made of.

    >>> memory_of(torch.ones(2, 3))
    (torch.Size([2, 3]), (3, 1), torch.float32, device(type='cpu'))
    """
    return x.shape, x.stride(), x.dtype, x.device


def _flatten(tree: Any, tensors: list[Tensor]) -> Any:
    if isinstance(tree, Tensor):
        tensors.append(tree)
        if tree.ndim == 0 and tree.dtype == torch.float64 and tree.device.type == "cpu":
            return _NUMBER
        return memory_of(tree)
    if isinstance(tree, float):
        tensors.append(torch.tensor(tree, dtype=torch.float64))
        return _NUMBER
    if tree is None or isinstance(tree, bool | int | str):
        return tree
    if isinstance(tree, Mapping):
        keys, parts = tuple(tree), tuple(tree.values())
    elif isinstance(tree, tuple | list):
        keys, parts = (), tuple(tree)
    else:
        raise Strange(f"its state holds an object of type {type(tree).__name__}")
    return Layout(type(tree), keys, tuple(_flatten(part, tensors) for part in parts))


def unflatten(layout: Any, tensors: list[Tensor], numbers: bool = False) -> Any:
    """The tree of a layout and its tensors; with ``numbers`` as Python numbers again.

    >>> layout, tensors = flatten((0.5, [torch.ones(1)]))
    >>> unflatten(layout, tensors, numbers=True)
    (0.5, [tensor([1.])])
    """
    return _unflatten(layout, iter(tensors), numbers)


def _unflatten(layout: Any, rest: Iterator[Tensor], numbers: bool) -> Any:
    if type(layout) is tuple:
        tensor = next(rest)
        return tensor.item() if numbers and layout is _NUMBER else tensor
    if not isinstance(layout, Layout):
        return layout
    parts = [_unflatten(part, rest, numbers) for part in layout.parts]
    if issubclass(layout.kind, Mapping):
        return dict(zip(layout.keys, parts, strict=True))
    if hasattr(layout.kind, "_fields"):
        return layout.kind(*parts)
    return layout.kind(parts)
