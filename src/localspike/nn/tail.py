"""The parameter-free tail of a block, as frozen values with a forward and a pullback.

``forward(x, mask)`` returns the output and what the pullback needs; only `Dropout` has a mask,
which lives in the block's state so that a whole sequence shares it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from ..errors import ConfigError, ShapeError, is_finite
from ..kernels import maxpool, pool


def _feature_map(shape: tuple[int, ...], what: str) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise ShapeError(f"{what} needs a feature map", got=list(shape), expected="[C, H, W]")
    return shape[0], shape[1], shape[2]


@dataclass(frozen=True)
class MaxPool:
    """Maximum over size×size windows; the signal goes to the first maximum."""

    size: int = 2

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """[C, H, W] → [C, H/size, W/size]."""
        return _pooled(shape, self.size, "max pooling")

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Any]:
        """Pooled x and where the first maxima are."""
        if maxpool.fits(x, self.size):
            out, which = maxpool.forward(x, self.size)
            return out, (which, None)
        out, indices = pool.max_pool(x, self.size)
        return out, (indices, x.shape)

    def pullback(self, grad: Tensor, context: Any) -> Tensor:
        """To the first maximum of each window."""
        where, shape = context
        if shape is None:
            return maxpool.pullback(grad, where, self.size)
        return pool.max_pool_pullback(grad, where, shape)


@dataclass(frozen=True)
class AvgPool:
    """Mean over size×size windows."""

    size: int = 2

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """[C, H, W] → [C, H/size, W/size]."""
        return _pooled(shape, self.size, "average pooling")

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Any]:
        """Pooled x and its shape before."""
        return pool.avg_pool(x, self.size), x.shape

    def pullback(self, grad: Tensor, context: Any) -> Tensor:
        """Spread evenly over each window."""
        return pool.avg_pool_pullback(grad, self.size, context)


@dataclass(frozen=True)
class GlobalAvgPool:
    """Mean over all positions (adaptive average to size×size)."""

    size: int = 1

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """[C, H, W] → [C, size, size]."""
        return (_feature_map(shape, "global pooling")[0], self.size, self.size)

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Any]:
        """Pooled x and its shape before."""
        return pool.adaptive_pool(x, self.size), x.shape

    def pullback(self, grad: Tensor, context: Any) -> Tensor:
        """Spread evenly over each window."""
        return pool.adaptive_pool_pullback(grad, context)


@dataclass(frozen=True)
class Flatten:
    """[C, H, W] → [C·H·W], channel-major."""

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """One axis of all elements."""
        return (prod(shape),)

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Any]:
        """Flattened x and its shape before."""
        return x.flatten(1), x.shape

    def pullback(self, grad: Tensor, context: Any) -> Tensor:
        """Back to the shape before."""
        return grad.view(context)


@dataclass(frozen=True)
class Dropout:
    """Drops elements with probability p, the same ones for a whole sequence, scaled by 1/(1−p)."""

    p: float = 0.5

    def __post_init__(self) -> None:
        if not (is_finite(self.p) and 0.0 <= self.p < 1.0):
            raise ConfigError("dropout probability", got=self.p, expected="p in [0, 1)")

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Unchanged."""
        return shape

    def draw(
        self, shape: tuple[int, ...], like: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        """A mask [B, ...] for one sequence, with entries 0 or 1/(1−p)."""
        # Drawn on the generator's device so that one seed gives one mask on every device.
        uniform = torch.rand(shape, generator=generator)
        return ((uniform >= self.p).to(like.dtype) / (1.0 - self.p)).to(like.device)

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Any]:
        """Masked x; without a mask (evaluation) x itself."""
        if mask is None:
            return x, None
        # A sequence merged to [T·B, ...] repeats the sequence's mask over time.
        times = x.shape[0] // mask.shape[0]
        full = mask if times == 1 else mask.repeat(times, *(1,) * (mask.ndim - 1))
        full = full.to(x.dtype)
        return x * full, full

    def pullback(self, grad: Tensor, context: Any) -> Tensor:
        """Masked again."""
        return grad if context is None else grad * context


Tail = MaxPool | AvgPool | GlobalAvgPool | Flatten | Dropout


def _pooled(shape: tuple[int, ...], size: int, what: str) -> tuple[int, ...]:
    c, h, w = _feature_map(shape, what)
    if min(h, w) < size:
        raise ShapeError(
            f"{what} window larger than the map", got=list(shape), expected=f"sides ≥ {size}"
        )
    return c, h // size, w // size
