"""A signal that is the same over windows of a feature map, kept at one number a window.

A local signal on latents of g × g says the same to every neuron of a window, as does what comes
back through a pooling. Spread out it would be as large as the layer, written once and read once for
nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from . import fused
from .fused import Choice, Post, TwoTraceConstants
from .slopes import Slopes


class Windows(NamedTuple):
    """Where a signal m [T, B, C, g, g] arrives on neurons [T, B, C, H, W] that lie channels last.

    Each value goes to q × q neurons, or (``which``: max pooling's choices, uint8 [T·B, g, g, C])
    to the chosen one of them.
    """

    m: Tensor
    which: Tensor | None = None


def collapse(
    at: Windows,
    psi: Slopes,
    constants: TwoTraceConstants,
    h: Tensor | None = None,
    lead: bool = False,
) -> Post:
    """`fused.collapse` on maps: Ψ and c [T, B, C, H, W], h and lead [B, C, H, W], channels last.

    >>> import torch
    >>> from localspike.kernels.slopes import kept
    >>> psi = kept(torch.ones(2, 1, 1, 4, 4))
    >>> c, _ = collapse(Windows(torch.ones(2, 1, 1, 2, 2)), psi, TwoTraceConstants(0.5))
    >>> c[:, 0, 0, 0].tolist()
    [[1.5, 1.5, 1.5, 1.5], [1.0, 1.0, 1.0, 1.0]]
    """
    m, slopes, choice = _folded(at, psi)
    behind = None if h is None else h.permute(0, 2, 3, 1).reshape(slopes.source.shape[1:])
    post = fused.collapse(m, slopes, constants, choice, behind, lead)
    first = None if post.lead is None else _maps(post.lead[None], psi.source)[0]
    return Post(_maps(post.c, psi.source), first)


def collapse_sum(at: Windows, psi: Slopes, constants: TwoTraceConstants) -> Tensor:
    """`fused.collapse_sum` on maps: [B, C, H, W], channels last.

    >>> import torch
    >>> from localspike.kernels.slopes import kept
    >>> psi = kept(torch.ones(2, 1, 1, 2, 2))
    >>> total = collapse_sum(Windows(torch.ones(2, 1, 1, 1, 1)), psi, TwoTraceConstants(0.5))
    >>> total.flatten().tolist()
    [2.5, 2.5, 2.5, 2.5]
    """
    m, slopes, choice = _folded(at, psi)
    total = fused.collapse_sum(m, slopes, constants, choice)
    return _maps(total[None], psi.source)[0]


def _folded(at: Windows, psi: Slopes) -> tuple[Tensor, Slopes, Choice | None]:
    """m [T, R, 1, Q, 1, C] and Ψ [T, R, q, Q, q, C] with R = B·g rows and Q = g columns."""
    steps, batch, c, rows, columns = at.m.shape
    q = psi.source.shape[3] // rows
    m = at.m.permute(0, 1, 3, 4, 2).reshape(steps, batch * rows, 1, columns, 1, c)
    shape = (steps, batch * rows, q, columns, q, c)
    slopes = psi.shaped(psi.source.permute(0, 1, 3, 4, 2).reshape(shape))
    if at.which is None:
        return m.contiguous(), slopes, None
    return m.contiguous(), slopes, Choice(at.which.view(m.shape), q)


def _maps(x: Tensor, like: Tensor) -> Tensor:
    """x [T, R, q, Q, q, C] as maps [T, B, C, H, W] in channels-last memory."""
    b, c, h, w = like.shape[1:]
    return x.view(len(x), b, h, w, c).permute(0, 1, 4, 2, 3)


def spread(m: Tensor, factor: int) -> Tensor:
    """m [T, B, C, g, g] with every value on factor × factor places, channels last, as a copy.

    >>> import torch
    >>> spread(torch.tensor([[1.0, 2.0]]).view(1, 1, 1, 1, 2), 2)[0, 0, 0].tolist()
    [[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]
    """
    t, b, c, h, w = m.shape
    last = m.permute(0, 1, 3, 4, 2)[:, :, :, None, :, None]
    wide = last.expand(t, b, h, factor, w, factor, c).reshape(t, b, h * factor, w * factor, c)
    return wide.permute(0, 1, 4, 2, 3)
