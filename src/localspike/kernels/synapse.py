"""Linear and convolutional synapses: forward, weight contraction, pullback, MAC count.

``contract`` is the ⊗ of the rule specification: Σ over batch (and positions) of post × pre, in
the shape of the weight. ``pullback`` carries a post factor to the synapse's input. ``dtype``
casts the operands of the call (bf16 products); results come back in the operands' own dtype.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from . import winograd
from .geometry import ConvGeometry


def _cast(x: Tensor, dtype: torch.dtype | None) -> Tensor:
    return x if dtype is None else x.to(dtype)


def _widened(y: Tensor, weight: Tensor, narrow: bool) -> Tensor:
    return y if narrow else y.to(weight.dtype)


def linear_forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    dtype: torch.dtype | None = None,
    narrow: bool = False,
) -> Tensor:
    """I = x Wᵀ + b for x [..., I], W [O, I]; ``narrow`` leaves I in ``dtype``.

    >>> linear_forward(torch.ones(1, 2), torch.ones(3, 2))
    tensor([[2., 2., 2.]])
    """
    y = _widened(F.linear(_cast(x, dtype), _cast(weight, dtype)), weight, narrow)
    return y if bias is None else y + bias.to(y.dtype)


def linear_contract(post: Tensor, pre: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Σ_b post[b]ᵀ pre[b]: [N, O] × [N, I] → [O, I].

    >>> linear_contract(torch.ones(4, 1), torch.ones(4, 2))
    tensor([[4., 4.]])
    """
    return (_cast(post, dtype).T @ _cast(pre, dtype)).to(post.dtype)


def linear_pullback(post: Tensor, weight: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """post W: [N, O] → [N, I].

    >>> linear_pullback(torch.ones(1, 3), torch.ones(3, 2))
    tensor([[3., 3.]])
    """
    return (_cast(post, dtype) @ _cast(weight, dtype)).to(post.dtype)


def linear_macs(weight_shape: torch.Size) -> int:
    """Multiply-accumulates of one sample: O · I."""
    return weight_shape[0] * weight_shape[1]


def conv_forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    geometry: ConvGeometry,
    dtype: torch.dtype | None = None,
    narrow: bool = False,
) -> Tensor:
    """I = W ∗ x + b for x [N, C, H, W], W [K, C/groups, kh, kw]; ``narrow`` leaves I in ``dtype``.

    >>> conv_forward(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 3, 3), None, ConvGeometry()).item()
    9.0
    """
    y = _convolve(_cast(x, dtype), _cast(weight, dtype), geometry)
    y = _widened(y, weight, narrow)
    return y if bias is None else y + bias.to(y.dtype)[:, None, None]


def _convolve(x: Tensor, weight: Tensor, geometry: ConvGeometry) -> Tensor:
    """By the library; under autograd by windows where those pay, as in the lean schedules."""
    recorded = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
    if recorded and winograd.pays(x, weight, geometry, x.dtype):
        return winograd.convolve(x, weight, geometry)
    return F.conv2d(x, weight, None, *_spread(geometry))


def _spread(geometry: ConvGeometry) -> tuple[int, int, int, int]:
    """Positional (stride, padding, dilation, groups) of `torch.nn.functional.conv2d`."""
    return geometry.stride, geometry.padding, 1, geometry.groups


def _conv_backward(
    post: Tensor, pre: Tensor, weight: Tensor, geometry: ConvGeometry, mask: list[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    stride, padding = [geometry.stride] * 2, [geometry.padding] * 2
    grads: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        post, pre, weight, None, stride, padding, [1, 1], False, [0, 0], geometry.groups, mask
    )
    return grads


def conv_contract(
    post: Tensor,
    pre: Tensor,
    weight_shape: torch.Size,
    geometry: ConvGeometry,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Convolution weight gradient: post [N, K, H', W'] × pre [N, C, H, W] → weight shape.

    >>> one = torch.ones(1, 1, 3, 3)
    >>> conv_contract(one, one, torch.Size((1, 1, 1, 1)), ConvGeometry()).item()
    9.0
    """
    a, b = _cast(post, dtype), _cast(pre, dtype)
    shape_only = a.new_empty(1).expand(weight_shape)
    return _conv_backward(a, b, shape_only, geometry, [False, True, False])[1].to(post.dtype)


def conv_pullback(
    post: Tensor,
    weight: Tensor,
    input_shape: torch.Size,
    geometry: ConvGeometry,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Wᵀ ∗ post: [N, K, H', W'] → [N, C, H, W] = ``input_shape``.

    >>> post, weight = torch.ones(1, 1, 1, 1), torch.ones(1, 1, 3, 3)
    >>> conv_pullback(post, weight, torch.Size((1, 1, 3, 3)), ConvGeometry()).sum().item()
    9.0
    """
    a = _cast(post, dtype)
    shape_only = a.new_empty(1).expand(input_shape)
    # The result lies in memory as the weights do.
    w = _cast(weight, dtype).contiguous(memory_format=_order(a))
    grads = _conv_backward(a, shape_only, w, geometry, [True, False, False])
    return grads[0].to(post.dtype)


def _order(maps: Tensor) -> torch.memory_format:
    """How maps [N, C, H, W] lie in memory."""
    if maps.is_contiguous() or not maps.is_contiguous(memory_format=torch.channels_last):
        return torch.contiguous_format
    return torch.channels_last


def conv_macs(weight_shape: torch.Size, output_shape: torch.Size) -> int:
    """Multiply-accumulates of one sample: (C/groups)·kh·kw per output element [K, H', W'].

    >>> conv_macs(torch.Size((64, 3, 3, 3)), torch.Size((64, 32, 32)))
    1769472
    """
    return weight_shape[1:].numel() * output_shape.numel()


def conv_patches(x: Tensor, weight_shape: torch.Size, geometry: ConvGeometry) -> Tensor:
    """What every synapse of a convolution sees of x [B, C, H, W]: [B, 1 or K, L, C/groups·kh·kw].

    >>> conv_patches(torch.ones(2, 3, 5, 5), torch.Size((4, 3, 3, 3)), ConvGeometry()).shape
    torch.Size([2, 1, 9, 27])
    """
    kernel = (weight_shape[2], weight_shape[3])
    columns = F.unfold(x, kernel, padding=geometry.padding, stride=geometry.stride)
    grouped = columns.unflatten(1, (geometry.groups, -1)).transpose(2, 3)
    if geometry.groups == 1:
        return grouped
    return grouped.repeat_interleave(weight_shape[0] // geometry.groups, dim=1)


def contract_dense(
    m: Tensor, eligibility: Tensor, full: bool = False, dtype: torch.dtype | None = None
) -> Tensor:
    """Σ_b m · E for a trace per synapse: E [B, K, L, F] → [K, F], summed over positions L.

    ``full``: E [B, N, K, F] is the eligibility of every neuron N of a layer by every synapse.

    >>> contract_dense(torch.ones(2, 3), torch.ones(2, 3, 1, 4)).shape
    torch.Size([3, 4])
    """
    a, e = _cast(m, dtype), _cast(eligibility, dtype)
    if full:
        return torch.einsum("bn,bnkf->kf", a.flatten(1), e).to(m.dtype)
    return torch.einsum("bkl,bklf->kf", a.flatten(2) if a.ndim > 2 else a[..., None], e).to(m.dtype)
