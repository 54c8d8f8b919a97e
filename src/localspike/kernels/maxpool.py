"""Max pooling of channels-last maps with one byte a window instead of eight for its maximum.

For windows that do not overlap: of the size² views of x, one per place in the window, the output is
the largest, and ``which`` the first place that has it, as in `pool.max_pool`.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from .compiling import Kernel, tell_of_alignment


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
    # Dense in the same order: the compiler's own transposed loads of bfloat16 came out wrong.
    rows = grad.permute(0, 2, 3, 1).contiguous()
    out = _pullback_kernel(size)(rows, which, key=(grad.dtype, grad.device))
    return out.view(n, h * size, w * size, c).permute(0, 3, 1, 2)


@cache
def _forward_kernel(size: int) -> Kernel:
    def run(rows: Tensor) -> tuple[Tensor, Tensor]:
        tell_of_alignment(rows)
        parts = [rows[:, :, i, :, j] for i in range(size) for j in range(size)]
        wide = torch.promote_types(rows.dtype, torch.float32)
        # Numbered in floating point, which machine code compares sixteen at a time, unlike bytes.
        out, which = parts[0].to(wide), torch.zeros(1, dtype=wide, device=rows.device)
        for place, part in enumerate(parts[1:], start=1):
            more = part.to(wide) > out
            which = torch.where(more, float(place), which)
            out = torch.where(more, part.to(wide), out)
        return out.to(rows.dtype), which.to(torch.uint8)

    return Kernel(run)


@cache
def _pullback_kernel(size: int) -> Kernel:
    def run(grad: Tensor, which: Tensor) -> Tensor:
        wide = torch.promote_types(grad.dtype, torch.float32)
        places = torch.arange(size * size, dtype=wide, device=which.device)
        here = which.to(wide)[:, :, None, :, None] == places.view(size, 1, size, 1)
        chosen = torch.where(here, grad.to(wide)[:, :, None, :, None], 0.0)
        return chosen.to(grad.dtype)  # [N, h, size, w, size, C]

    return Kernel(run)
