"""A convolution as two matrix products over one table of patches.

Libraries order a convolution's weights anew at every call. Where the weights are large, the maps
small and products quick that is most of the time: 512 → 512 channels on 4 × 4, T·B = 96, bfloat16,
one core with matrix units: 21 ms forward and 62 ms for the contraction, as matrix products 7 and
11 ms and 3 ms for the table, which both share. On 8 × 8 it still pays in bfloat16, on larger maps
no more. Without matrix units it takes 1.1 to 1.4 times as long as the library.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from .geometry import ConvGeometry

NARROW_POSITIONS, WIDE_POSITIONS = 64, 16
FAN_IN, FILTERS = 1024, 128


def pays(x: Tensor, weight: Tensor, geometry: ConvGeometry, dtype: torch.dtype) -> bool:
    """Whether maps x [N, C, H, W] under ``weight`` are faster this way in products of ``dtype``.

    >>> x, geometry = torch.empty(8, 512, 4, 4), ConvGeometry(padding=1)
    >>> pays(x, torch.empty(64, 512, 3, 3), geometry, torch.float32)
    False
    """
    if not _quick(x.device.type) or not possible(x, weight, geometry):
        return False
    rows, columns = _sides(x, weight, geometry)
    limit = NARROW_POSITIONS if dtype == torch.bfloat16 else WIDE_POSITIONS
    wide = weight[0].numel() >= FAN_IN and len(weight) >= FILTERS
    return wide and rows * columns <= limit


@cache
def _quick(device: str) -> bool:
    """Whether products take so little time on this machine."""
    return device == "cpu" and torch.cpu._is_amx_tile_supported()


def possible(x: Tensor, weight: Tensor, geometry: ConvGeometry) -> bool:
    """Whether this convolution has the form: one group.

    >>> possible(torch.empty(1, 4, 3, 3), torch.empty(2, 2, 3, 3), ConvGeometry(groups=2))
    False
    """
    return x.ndim == 4 and geometry.groups == 1 and x.shape[1] == weight.shape[1]


def make_table(x: Tensor, weight: Tensor, geometry: ConvGeometry) -> Tensor:
    """What each output position sees of x [N, C, H, W]: [N·H'·W', kh·kw·C].

    >>> make_table(torch.ones(1, 2, 3, 3), torch.empty(4, 2, 3, 3), ConvGeometry(1, 1)).shape
    torch.Size([9, 18])
    """
    (kh, kw), p, s = weight.shape[2:], geometry.padding, geometry.stride
    rows, columns = _sides(x, weight, geometry)
    maps = F.pad(x.permute(0, 2, 3, 1), (0, 0, p, p, p, p)).contiguous()
    n, c = len(x), x.shape[1]
    sample, row, column, channel = maps.stride()
    seen = maps.as_strided(
        (n, rows, columns, kh, kw, c), (sample, s * row, s * column, row, column, channel)
    )
    return seen.reshape(n * rows * columns, kh * kw * c)


def forward(table: Tensor, x: Tensor, weight: Tensor, geometry: ConvGeometry) -> Tensor:
    """The convolution [N, K, H', W'], channels last, of the maps x that ``table`` was made of.

    >>> x, w, geometry = torch.randn(2, 3, 5, 5), torch.randn(4, 3, 3, 3), ConvGeometry(2, 1)
    >>> y = forward(make_table(x, w, geometry), x, w, geometry)
    >>> torch.allclose(y, F.conv2d(x, w, stride=2, padding=1), atol=1e-5)
    True
    """
    rows, columns = _sides(x, weight, geometry)
    y = F.linear(table, weight.permute(0, 2, 3, 1).reshape(len(weight), -1))
    return y.view(len(x), rows, columns, len(weight)).permute(0, 3, 1, 2)


def contract(post: Tensor, table: Tensor, weight: Tensor) -> Tensor:
    """Σ post ⊗ patches: post [N, K, H', W'] → the shape of ``weight`` [K, C, kh, kw].

    >>> contract(torch.ones(1, 1, 1, 1), torch.ones(1, 9), torch.empty(1, 1, 3, 3)).sum().item()
    9.0
    """
    k, c, kh, kw = weight.shape
    rows = post.permute(0, 2, 3, 1).reshape(-1, k)
    return (rows.T @ table).view(k, kh, kw, c).permute(0, 3, 1, 2)


def macs(x: Tensor, weight: Tensor, geometry: ConvGeometry) -> int:
    """Multiply-accumulates of both products: the library's.

    >>> macs(torch.empty(1, 1, 3, 3), torch.empty(1, 1, 3, 3), ConvGeometry())
    18
    """
    rows, columns = _sides(x, weight, geometry)
    return 2 * weight.numel() * len(x) * rows * columns


def _sides(x: Tensor, weight: Tensor, geometry: ConvGeometry) -> tuple[int, int]:
    p, s = geometry.padding, geometry.stride
    rows, columns = (
        (side + 2 * p - kernel) // s + 1
        for side, kernel in zip(x.shape[2:], weight.shape[2:], strict=True)
    )
    return rows, columns
