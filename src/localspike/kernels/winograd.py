"""A 3 × 3 convolution in 4/9 of its products: Winograd's F(2 × 2, 3 × 3) in batched products.

Maps are cut into overlapping windows of 4 × 4, of each of which come 2 × 2 outputs. With

    x̃ = Bᵀ x B,   w̃ = G w Gᵀ,   y = Aᵀ [Σ_c w̃ ⊙ x̃] A

a window and channel takes 16 products where the plain sum takes 36. The weight gradient is the same
form transposed, over the same x̃. Bᵀ adds and subtracts only: where x are spikes, x̃ are whole
numbers from −2 to 4, which bfloat16 holds exactly. Rounded are w̃ and the sums before the last
transform: currents and gradients in bfloat16 err 1.8 and 2.3 times as much as the library's do, by
0.4 % (tested). Where x are other numbers (pooled means, scaled spikes, post factors), x̃ are rounded
too.

What is saved in products is paid in memory traffic, x̃ being four times as large as x. It pays where
products take the time: on processors with AVX-512 instructions for bfloat16 and no matrix units.
Fused by a compiler only; transforms in eager code take longer than they save. Where it pays was
measured on one processor of that kind, with one and two threads.

Source: S. Winograd, Arithmetic Complexity of Computations, 1980; A. Lavin and S. Gray, Fast
Algorithms for Convolutional Neural Networks, CVPR 2016.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from . import compiling
from .compiling import Kernel
from .geometry import ConvGeometry

_off: ContextVar[bool] = ContextVar("no windows", default=False)

TRAFFIC, WINDOWS = 40, 256
"""It pays from so many products by number moved, C K / (C + K), and windows in a batch on."""


def pays(x: Tensor, weight: Tensor, geometry: ConvGeometry, dtype: torch.dtype) -> bool:
    """Whether maps x [N, C, H, W] under ``weight`` are faster this way in products of ``dtype``.

    >>> x, weight = torch.empty(64, 128, 8, 8), torch.empty(128, 128, 3, 3)
    >>> pays(x, weight, ConvGeometry(1, 1), torch.float32)
    False
    """
    if dtype != torch.bfloat16 or not _quick(x.device.type) or not compiling.active():
        return False
    if _off.get():
        return False
    if any(kernel.failed for kernel in (OF_INPUT, OF_SUMS, OF_POST)):
        return False
    return possible(x, weight, geometry) and _large(x, weight, geometry)


@contextmanager
def off() -> Iterator[None]:
    """Within it convolutions of this thread stay with the library: to compare with."""
    before = _off.set(True)
    try:
        yield
    finally:
        _off.reset(before)


def pays_back(post: Tensor, weight: Tensor, geometry: ConvGeometry, dtype: torch.dtype) -> bool:
    """`pays` of the way back, from post [N, K, H', W'] to the input (`pullback`)."""
    return pays(post, weight.transpose(0, 1), _back(geometry), dtype)


def possible(x: Tensor, weight: Tensor, geometry: ConvGeometry) -> bool:
    """Whether this convolution has the form: 3 × 3, stride 1, one group, even sides of output.

    >>> possible(torch.empty(1, 2, 6, 6), torch.empty(4, 2, 3, 3), ConvGeometry(1, 1))
    True
    """
    plain = geometry.stride == geometry.groups == 1 and 0 <= geometry.padding <= 2
    fits = x.ndim == 4 and weight.shape[1:] == (x.shape[1], 3, 3)
    return plain and fits and all(side > 0 and side % 2 == 0 for side in _sides(x, geometry))


def _large(x: Tensor, weight: Tensor, geometry: ConvGeometry) -> bool:
    rows, columns = _sides(x, geometry)
    k, c = weight.shape[:2]
    return k * c >= TRAFFIC * (k + c) and len(x) * (rows // 2) * (columns // 2) >= WINDOWS


@cache
def _quick(device: str) -> bool:
    """Whether this machine's products in bfloat16 take long enough beside its memory's traffic."""
    bf16 = torch.cpu._is_avx512_bf16_supported()
    return device == "cpu" and bf16 and not torch.cpu._is_amx_tile_supported()


def make_table(x: Tensor, weight: Tensor, geometry: ConvGeometry) -> Tensor:
    """x̃ of the 4 × 4 windows, two pixels apart, of x [N, C, H, W]: [16, windows, C].

    The same under all ``weight`` of the form.

    >>> make_table(torch.ones(1, 3, 4, 4), torch.empty(5, 3, 3, 3), ConvGeometry(padding=0)).shape
    torch.Size([16, 1, 3])
    """
    p = geometry.padding
    maps = x.permute(0, 2, 3, 1)
    maps = (F.pad(maps, (0, 0, p, p, p, p)) if p else maps).contiguous()
    made: Tensor = OF_INPUT(maps, key=_key(maps))
    return made.flatten(1, 3)


def forward(table: Tensor, x: Tensor, weight: Tensor, geometry: ConvGeometry) -> Tensor:
    """The convolution [N, K, H', W'], channels last, of the maps x that ``table`` was made of.

    >>> x, w, geometry = torch.randn(2, 3, 6, 4), torch.randn(4, 3, 3, 3), ConvGeometry(1, 1)
    >>> y = forward(make_table(x, w, geometry), x, w, geometry)
    >>> torch.allclose(y, F.conv2d(x, w, padding=1), atol=1e-5)
    True
    """
    k, c = weight.shape[:2]
    rows, columns = _sides(x, geometry)
    turned = (_weights(weight.dtype, weight.device) @ weight.reshape(k * c, 9).T).view(16, k, c)
    sums = torch.bmm(table, turned.transpose(1, 2))
    sums = sums.view(16, len(x), rows // 2, columns // 2, k)
    made: Tensor = OF_SUMS(sums, key=_key(sums))
    return made.flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)


def contract(post: Tensor, table: Tensor, weight: Tensor) -> Tensor:
    """Σ post ⊗ patches: post [N, K, H', W'] → the shape of ``weight`` [K, C, 3, 3].

    >>> one, weight = torch.ones(1, 1, 2, 2), torch.empty(1, 1, 3, 3)
    >>> contract(one, make_table(one, weight, ConvGeometry(1, 1)), weight)[0, 0, 1].tolist()
    [2.0, 4.0, 2.0]
    """
    k, c = weight.shape[:2]
    made: Tensor = OF_POST(post.permute(0, 2, 3, 1).contiguous(), key=_key(post))
    rows = made.flatten(1, 3).transpose(1, 2)
    sums = torch.bmm(rows, table).view(16, k * c)
    return (sums.T @ _weights(sums.dtype, sums.device)).view(weight.shape)


def macs(x: Tensor, weight: Tensor, geometry: ConvGeometry) -> int:
    """Multiply-accumulates of both products, weights and their gradient transformed included.

    >>> macs(torch.empty(9, 1, 4, 4), torch.empty(1, 1, 3, 3), ConvGeometry(1, 1))
    1440
    """
    rows, columns = _sides(x, geometry)
    pairs, count = weight.shape[0] * weight.shape[1], len(x) * (rows // 2) * (columns // 2)
    return 2 * pairs * 16 * (count + 9)


def pullback(post: Tensor, weight: Tensor, geometry: ConvGeometry) -> Tensor:
    """Wᵀ ∗ post: [N, K, H', W'] → [N, C, H, W], channels last.

    >>> post, weight = torch.ones(1, 1, 2, 2), torch.ones(1, 1, 3, 3)
    >>> pullback(post, weight, ConvGeometry(1, 1))[0, 0].tolist()
    [[4.0, 4.0], [4.0, 4.0]]
    """
    turned, back = weight.transpose(0, 1).flip(2, 3), _back(geometry)
    return forward(make_table(post, turned, back), post, turned, back)


def convolve(x: Tensor, weight: Tensor, geometry: ConvGeometry) -> Tensor:
    """The convolution under autograd: both of its gradients are made of windows, too.

    >>> x, w = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 3, 3, requires_grad=True)
    >>> convolve(x, w, ConvGeometry(1, 1)).sum().backward()
    >>> w.grad[0, 0].tolist()
    [[9.0, 12.0, 9.0], [12.0, 16.0, 12.0], [9.0, 12.0, 9.0]]
    """
    y: Tensor = _Convolution.apply(x, weight, geometry)
    return y


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, geometry: ConvGeometry) -> Tensor:
        ctx.save_for_backward(x, weight)  # not the table, which is four times as large
        ctx.geometry = geometry
        return forward(make_table(x, weight, geometry), x, weight, geometry)

    @staticmethod
    def backward(ctx: Any, post: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        wants_x, wants_weight, _ = ctx.needs_input_grad
        at_x = pullback(post, weight, ctx.geometry) if wants_x else None
        if not wants_weight:
            return at_x, None, None
        table = make_table(x, weight, ctx.geometry)
        return at_x, contract(post, table, weight), None


def _back(geometry: ConvGeometry) -> ConvGeometry:
    return geometry._replace(padding=2 - geometry.padding)


def _sides(x: Tensor, geometry: ConvGeometry) -> tuple[int, int]:
    return x.shape[2] + 2 * geometry.padding - 2, x.shape[3] + 2 * geometry.padding - 2


def _key(x: Tensor) -> object:
    return x.dtype, x.device


_G = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
_GG = [[a * b for a in upper for b in lower] for upper in _G for lower in _G]


def _weights(dtype: torch.dtype, device: torch.device) -> Tensor:
    """G ⊗ G [16, 9]: halves and quarters, exact in any dtype."""
    return torch.tensor(_GG, dtype=dtype, device=device)


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


# One axis of each transform, on lists of tensors; both axes are the same.


def _b(x: list[Tensor]) -> list[Tensor]:
    return [x[0] - x[2], x[1] + x[2], x[2] - x[1], x[1] - x[3]]


def _a(x: list[Tensor]) -> list[Tensor]:
    return [x[0] + x[1] + x[2], x[1] - x[2] - x[3]]


def _a_transposed(x: list[Tensor]) -> list[Tensor]:
    return [x[0], x[0] + x[1], x[0] - x[1], -x[1]]


def _make_windows(maps: Tensor) -> Tensor:
    """[N, H + 2, W + 2, C] → [16, N, H/2, W/2, C]."""
    rows, columns = maps.shape[1] - 2, maps.shape[2] - 2
    seen = [
        [_wide(maps[:, i : i + rows : 2, j : j + columns : 2]) for i in range(4)] for j in range(4)
    ]
    across = zip(*(_b(column) for column in seen), strict=True)
    return torch.stack([x.to(maps.dtype) for row in across for x in _b(list(row))])


def _make_currents(sums: Tensor) -> Tensor:
    """[16, N, h, w, K] → [N, h, 2, w, 2, K]."""
    seen = [[_wide(sums[4 * i + j]) for i in range(4)] for j in range(4)]
    across = zip(*(_a(column) for column in seen), strict=True)
    rows = [torch.stack([x.to(sums.dtype) for x in _a(list(row))], 3) for row in across]
    return torch.stack(rows, 2)


def _make_post(post: Tensor) -> Tensor:
    """[N, 2h, 2w, K] → [16, N, h, w, K]."""
    seen = [[_wide(post[:, i::2, j::2]) for i in range(2)] for j in range(2)]
    across = zip(*(_a_transposed(column) for column in seen), strict=True)
    return torch.stack([x.to(post.dtype) for row in across for x in _a_transposed(list(row))])


OF_INPUT, OF_SUMS, OF_POST = Kernel(_make_windows), Kernel(_make_currents), Kernel(_make_post)
