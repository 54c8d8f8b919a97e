"""All randomness of the transforms: numbers drawn from the generator that was handed in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..batching import stream


def whole(low: int, high: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Whole numbers low … high, both included.

    >>> whole(3, 3, (2,), torch.Generator())
    tensor([3, 3])
    """
    return torch.randint(low, high + 1, shape, generator=generator)


def between(
    ends: tuple[float, float], shape: tuple[int, ...], generator: torch.Generator
) -> Tensor:
    """Numbers (float64) spread evenly over ``ends`` = (low, high).

    >>> between((2.0, 2.0), (2,), torch.Generator())
    tensor([2., 2.], dtype=torch.float64)
    """
    low, high = ends
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)


def chance(probability: float, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Booleans, each True with ``probability``: never for 0, always for 1.

    >>> chance(1.0, (2,), torch.Generator())
    tensor([True, True])
    """
    return torch.rand(shape, generator=generator) < probability


def substreams(
    generator: torch.Generator, parts: Sequence[Callable[..., Any]]
) -> list[torch.Generator]:
    """One generator for each part, known by the part's name and how often it stood before.

    One number is drawn from ``generator``, whatever the parts are. So a part draws the same
    whether or not parts of other names stand beside it, and wherever they stand.

    >>> first, _ = substreams(torch.Generator().manual_seed(0), [int, str])
    >>> _, again = substreams(torch.Generator().manual_seed(0), [str, int])
    >>> bool(torch.rand(1, generator=first) == torch.rand(1, generator=again))
    True
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    names = [getattr(part, "__name__", type(part).__name__) for part in parts]
    return [stream(seed, name, names[:at].count(name)) for at, name in enumerate(names)]
