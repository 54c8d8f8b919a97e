"""Max pooling of channels-last maps with one byte a window instead of eight for its maximum.

For windows that do not overlap: of the size² views of x, one per place in the window, the output is
the largest, and ``which`` the first place that has it, as in `pool.max_pool`.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from .compiling import Kernel


def fits(x: Tensor, size: int) -> bool:
    """Whether maps x [N, C, H, W] can be pooled this way: channels last, whole windows, no graph.

    >>> fits(torch.zeros(1, 2, 4, 4), 2), fits(channels_last(torch.zeros(1, 2, 4, 4)), 2)
    (False, True)
    """
    h, w = x.shape[2:]
    plain = x.is_contiguous()
    last = x.is_contiguous(memory_format=torch.channels_last) and not plain
    return last and not (h % size or w % size or x.requires_grad) and 1 < size <= 15


def channels_last(x: Tensor) -> Tensor:
    """Maps [N, C, H, W] with their channels innermost in memory."""
    return x.contiguous(memory_format=torch.channels_last)


def forward(x: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The pooled maps [N, C, H/size, W/size], channels last, and ``which`` [N, h, w, C] uint8.

    >>> out, which = forward(channels_last(torch.arange(16.0).view(1, 1, 4, 4)), 2)
    >>> out.flatten().tolist(), which.flatten().tolist()
    ([5.0, 7.0, 13.0, 15.0], [3, 3, 3, 3])
    """
    n, c, h, w = x.shape
    rows = x.permute(0, 2, 3, 1).view(n, h // size, size, w // size, size, c)
    out, which = _forward_kernel(size)(rows, key=(x.dtype, x.device))
    return out.permute(0, 3, 1, 2), which


def pullback(grad: Tensor, which: Tensor, size: int) -> Tensor:
    """Each output's gradient [N, C, h, w] at its window's first maximum: [N, C, H, W].

    >>> _, which = forward(channels_last(torch.zeros(1, 1, 2, 2)), 2)
    >>> pullback(torch.ones(1, 1, 1, 1), which, 2).flatten()
    tensor([1., 0., 0., 0.])
    """
    n, h, w, c = which.shape
    out = _pullback_kernel(size)(
        grad.permute(0, 2, 3, 1), which, key=(grad.dtype, grad.device, grad.stride(1) == 1)
    )
    return out.view(n, h * size, w * size, c).permute(0, 3, 1, 2)


@cache
def _forward_kernel(size: int) -> Kernel:
    def run(rows: Tensor) -> tuple[Tensor, Tensor]:
        parts = [rows[:, :, i, :, j] for i in range(size) for j in range(size)]
        out = parts[0]
        for part in parts[1:]:
            out = torch.maximum(out, part)
        which = torch.zeros_like(out, dtype=torch.uint8)
        for place in range(size * size - 1, 0, -1):
            which = torch.where(parts[place] == out, place, which)
        return out, torch.where(parts[0] == out, 0, which).to(torch.uint8)

    return Kernel(run)


@cache
def _pullback_kernel(size: int) -> Kernel:
    def run(grad: Tensor, which: Tensor) -> Tensor:
        nothing = torch.zeros_like(grad)
        places = [torch.where(which == k, grad, nothing) for k in range(size * size)]
        rows = [torch.stack(places[i * size : (i + 1) * size], 3) for i in range(size)]
        return torch.stack(rows, 2)  # [N, h, size, w, size, C]

    return Kernel(run)
