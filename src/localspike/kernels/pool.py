"""Parameter-free maps on feature maps [N, C, H, W] with their adjoints (pullbacks).

Every forward returns what its pullback needs; under autograd the same forwards are differentiable.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def max_pool(x: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Maximum over size×size windows and the index of each window's **first** maximum.

    >>> max_pool(torch.ones(1, 1, 2, 2), 2)[1].item()
    0
    """
    return F.max_pool2d(x, size, return_indices=True)


def max_pool_pullback(grad: Tensor, indices: Tensor, input_shape: torch.Size) -> Tensor:
    """Send each output's gradient to its window's first maximum.

    >>> y, i = max_pool(torch.zeros(1, 1, 2, 2), 2)
    >>> max_pool_pullback(torch.ones(1, 1, 1, 1), i, torch.Size((1, 1, 2, 2))).flatten()
    tensor([1., 0., 0., 0.])
    """
    flat = grad.new_zeros((*input_shape[:2], input_shape[2] * input_shape[3]))
    flat.scatter_(2, indices.flatten(2), grad.flatten(2))
    return flat.view(input_shape)


def avg_pool(x: Tensor, size: int) -> Tensor:
    """Mean over size×size windows.

    >>> avg_pool(torch.ones(1, 1, 2, 2), 2).item()
    1.0
    """
    return F.avg_pool2d(x, size)


def avg_pool_pullback(grad: Tensor, size: int, input_shape: torch.Size) -> Tensor:
    """Spread each output's gradient evenly over its window.

    >>> avg_pool_pullback(torch.ones(1, 1, 1, 1), 2, torch.Size((1, 1, 2, 2))).flatten()
    tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    n, c, height, width = grad.shape
    share = (grad / (size * size))[:, :, :, None, :, None]
    spread = share.expand(n, c, height, size, width, size).reshape(
        n, c, height * size, width * size
    )
    rest = (0, input_shape[3] - spread.shape[3], 0, input_shape[2] - spread.shape[2])
    return F.pad(spread, rest) if any(rest) else spread


def adaptive_pool(x: Tensor, size: int) -> Tensor:
    """Adaptive average: [N, C, H, W] → [N, C, size, size], or [N, F] → [N, size].

    >>> adaptive_pool(torch.arange(4.0)[None], 2)
    tensor([[0.5000, 2.5000]])
    """
    if x.ndim == 2:
        return F.adaptive_avg_pool1d(x[:, None], size)[:, 0]
    return F.adaptive_avg_pool2d(x, size)


def adaptive_pool_pullback(grad: Tensor, input_shape: torch.Size) -> Tensor:
    """Adjoint of `adaptive_pool`: spread each output's gradient evenly over its window.

    >>> adaptive_pool_pullback(torch.ones(1, 2), torch.Size((1, 4)))
    tensor([[0.5000, 0.5000, 0.5000, 0.5000]])
    """
    if len(input_shape) == 2:
        return _adjoint_1d(grad, input_shape)
    if grad.shape[2:] == (1, 1):
        return (grad / (input_shape[2] * input_shape[3])).expand(input_shape)
    if input_shape[2:] == grad.shape[2:]:
        return grad
    shape_only = grad.new_empty(1).expand(input_shape)
    out: Tensor = torch.ops.aten._adaptive_avg_pool2d_backward(grad, shape_only)
    return out


def _adjoint_1d(grad: Tensor, input_shape: torch.Size) -> Tensor:
    """One-dimensional adjoint as a product with the pooling matrix (exact for uneven windows)."""
    eye = torch.eye(input_shape[1], dtype=grad.dtype, device=grad.device)
    return grad @ adaptive_pool(eye, grad.shape[1]).T
