"""Every hand-written pullback and contraction against autograd in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from localspike.kernels import norm, pool, synapse
from localspike.kernels.geometry import ConvGeometry
from localspike.nn import tail


def rand(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def adjoint(forward, x: Tensor, grad: Tensor) -> Tensor:
    """What autograd of torch's own operation gives."""
    leaf = x.clone().requires_grad_(True)
    return torch.autograd.grad(forward(leaf), leaf, grad)[0]


SIDES = [(4, 4, 2), (5, 7, 2), (7, 5, 3), (3, 3, 3), (6, 9, 4), (2, 2, 1)]


@pytest.mark.parametrize(("h", "w", "size"), SIDES)
def test_max_pool(h: int, w: int, size: int) -> None:
    x = rand(2, 3, h, w)
    y, indices = pool.max_pool(x, size)
    windows = [
        x[:, :, i * size : (i + 1) * size, j * size : (j + 1) * size].amax((2, 3))
        for i in range(h // size)
        for j in range(w // size)
    ]
    assert torch.equal(y, torch.stack(windows, -1).view_as(y))
    grad = torch.randn_like(y)
    want = adjoint(lambda t: F.max_pool2d(t, size), x, grad)
    assert torch.equal(pool.max_pool_pullback(grad, indices, x.shape), want)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_max_pool_ties_go_to_the_first(dtype: torch.dtype, memory: torch.memory_format) -> None:
    """Spikes tie all the time: every window of 0/1 values, also all zeros, by brute force."""
    x = (torch.rand(64, 8, 5, 5) < 0.4).to(dtype).to(memory_format=memory)
    y, indices = pool.max_pool(x, 2)
    grad = torch.randn_like(y)
    got = pool.max_pool_pullback(grad, indices, x.shape)
    want = torch.zeros_like(x, memory_format=torch.contiguous_format)
    for i in range(2):
        for j in range(2):
            cells = [(2 * i, 2 * j), (2 * i, 2 * j + 1), (2 * i + 1, 2 * j), (2 * i + 1, 2 * j + 1)]
            free = torch.ones(64, 8, dtype=torch.bool)
            for a, b in cells:
                hit = free & (x[:, :, a, b] == y[:, :, i, j])
                want[:, :, a, b] = torch.where(hit, grad[:, :, i, j], want[:, :, a, b])
                free &= ~hit
    assert torch.equal(got, want)


@pytest.mark.parametrize(("h", "w", "size"), SIDES)
def test_avg_pool(h: int, w: int, size: int) -> None:
    x = rand(2, 3, h, w)
    y = pool.avg_pool(x, size)
    grad = torch.randn_like(y)
    want = adjoint(lambda t: F.avg_pool2d(t, size), x, grad)
    assert torch.allclose(pool.avg_pool_pullback(grad, size, x.shape), want, atol=1e-14)


@pytest.mark.parametrize(
    ("h", "w", "size"),
    [(6, 6, 1), (6, 6, 2), (5, 7, 3), (7, 4, 2), (3, 3, 5), (4, 4, 4), (2, 5, 4), (1, 1, 2)],
)
def test_adaptive_pool_of_maps(h: int, w: int, size: int) -> None:
    x = rand(2, 3, h, w)
    y = pool.adaptive_pool(x, size)
    for a in range(size):
        for b in range(size):
            rows = slice(a * h // size, -(-(a + 1) * h // size))
            columns = slice(b * w // size, -(-(b + 1) * w // size))
            assert torch.allclose(y[:, :, a, b], x[:, :, rows, columns].mean((2, 3)), atol=1e-14)
    for grad in (torch.randn_like(y), torch.randn_like(y).transpose(2, 3)):
        want = adjoint(lambda t: F.adaptive_avg_pool2d(t, size), x, grad)
        assert torch.allclose(pool.adaptive_pool_pullback(grad, x.shape), want, atol=1e-14)


@pytest.mark.parametrize(("n", "size"), [(12, 3), (10, 4), (7, 5), (5, 1), (6, 6), (4, 7), (1, 3)])
def test_adaptive_pool_of_vectors(n: int, size: int) -> None:
    x = rand(3, n)
    y = pool.adaptive_pool(x, size)
    for a in range(size):
        cells = slice(a * n // size, -(-(a + 1) * n // size))
        assert torch.allclose(y[:, a], x[:, cells].mean(1), atol=1e-14)
    grad = torch.randn_like(y)
    want = adjoint(lambda t: F.adaptive_avg_pool1d(t[:, None], size)[:, 0], x, grad)
    assert torch.allclose(pool.adaptive_pool_pullback(grad, x.shape), want, atol=1e-14)


OPS = [
    (tail.MaxPool(2), (3, 5, 6)),
    (tail.AvgPool(2), (3, 5, 6)),
    (tail.GlobalAvgPool(), (3, 5, 6)),
    (tail.GlobalAvgPool(3), (3, 5, 7)),
    (tail.Flatten(), (3, 5, 6)),
    (tail.Dropout(0.4), (3, 5, 6)),
    (tail.Dropout(0.4), (9,)),
]


@pytest.mark.parametrize(("op", "shape"), OPS)
def test_every_tail_pulls_back_its_own_forward(op: tail.Tail, shape: tuple[int, ...]) -> None:
    x = rand(4, *shape).requires_grad_(True)
    mask = op.draw((4, *shape), x.detach(), None) if isinstance(op, tail.Dropout) else None
    out, context = op.forward(x, mask)
    assert tuple(out.shape[1:]) == op.output_shape(shape)
    grad = torch.randn_like(out)
    want = torch.autograd.grad(out, x, grad)[0]
    with torch.no_grad():
        out, context = op.forward(x.detach(), mask)
        assert torch.allclose(op.pullback(grad, context), want, atol=1e-14)


@pytest.mark.parametrize("shape", [(4, 6), (1, 9), (5, 3, 3, 3), (6, 2, 1, 1), (2, 4, 5, 5)])
def test_weight_standardisation(shape: tuple[int, ...]) -> None:
    w = (rand(*shape) * 0.3).requires_grad_(True)
    g = rand(shape[0], *(1,) * (len(shape) - 1)).requires_grad_(True)
    out = norm.standardise(w, g)
    n = w[0].numel()
    for k in range(shape[0]):
        row = w[k].detach().flatten()
        mean = row.sum() / n
        var = ((row - mean) ** 2).sum() / (n - 1)
        want = g[k].detach().flatten() * (row - mean) / torch.sqrt(var * n + 1e-4)
        assert torch.allclose(out[k].detach().flatten(), want, atol=1e-13)
    grad = torch.randn_like(out)
    want_w, want_g = torch.autograd.grad(out, (w, g), grad)
    got_w, got_g = norm.standardise_pullback(grad, w.detach(), g.detach())
    assert got_w.shape == w.shape
    assert got_g.shape == g.shape
    assert torch.allclose(got_w, want_w, atol=1e-12)
    assert torch.allclose(got_g, want_g, atol=1e-12)


def test_weight_standardisation_passes_gradcheck() -> None:
    w, g = rand(3, 5).requires_grad_(True), rand(3, 1).requires_grad_(True)
    assert torch.autograd.gradcheck(norm.standardise, (w, g))


def test_constant_weights_stay_finite() -> None:
    w, g = torch.full((2, 4), 0.7), torch.ones(2, 1)
    assert float(norm.standardise(w, g).abs().max()) == 0.0
    for grad in norm.standardise_pullback(torch.randn(2, 4), w, g):
        assert bool(torch.isfinite(grad).all())


def test_linear() -> None:
    x, w, b = rand(5, 7), rand(3, 7), rand(3)
    want = torch.stack([sum(x[n, i] * w[:, i] for i in range(7)) + b for n in range(5)])
    assert torch.allclose(synapse.linear_forward(x, w, b), want, atol=1e-13)
    post = rand(5, 3)
    outer = sum(torch.outer(post[n], x[n]) for n in range(5))
    assert torch.allclose(synapse.linear_contract(post, x), outer, atol=1e-13)
    leaf = x.clone().requires_grad_(True)
    want = torch.autograd.grad(F.linear(leaf, w), leaf, post)[0]
    assert torch.allclose(synapse.linear_pullback(post, w), want, atol=1e-13)
    assert synapse.linear_macs(w.shape) == 21


GEOMETRIES = [
    (ConvGeometry(1, 1, 1), 3, 4, 4, (6, 7)),
    (ConvGeometry(2, 0, 1), 3, 2, 4, (7, 8)),
    (ConvGeometry(3, 2, 2), 3, 4, 6, (8, 5)),
    (ConvGeometry(2, 1, 4), 3, 4, 4, (5, 5)),
    (ConvGeometry(1, 0, 1), 1, 3, 2, (4, 4)),
    (ConvGeometry(2, 2, 1), 5, 2, 3, (6, 6)),
    (ConvGeometry(4, 0, 1), 2, 2, 3, (9, 9)),
]


@pytest.mark.parametrize(("geometry", "k", "c", "o", "sides"), GEOMETRIES)
def test_convolution(
    geometry: ConvGeometry, k: int, c: int, o: int, sides: tuple[int, int]
) -> None:
    x = rand(2, c, *sides).requires_grad_(True)
    w = rand(o, c // geometry.groups, k, k).requires_grad_(True)
    b = rand(o)
    y = F.conv2d(x, w, b, geometry.stride, geometry.padding, 1, geometry.groups)
    assert torch.allclose(synapse.conv_forward(x, w, b, geometry), y, atol=1e-12)
    post = torch.randn_like(y)
    want_x, want_w = torch.autograd.grad(y, (x, w), post)
    with torch.no_grad():
        got_w = synapse.conv_contract(post, x, w.shape, geometry)
        got_x = synapse.conv_pullback(post, w, x.shape, geometry)
    assert torch.allclose(got_w, want_w, atol=1e-12)
    assert torch.allclose(got_x, want_x, atol=1e-12)
    macs = y[0].numel() * k * k * c // geometry.groups
    assert synapse.conv_macs(w.shape, y.shape[1:]) == macs


def test_expanded_and_channels_last_operands() -> None:
    """Signals from global pooling arrive with stride 0; images may be channels last."""
    geometry = ConvGeometry(1, 1, 1)
    x = rand(2, 3, 4, 4).to(memory_format=torch.channels_last)
    post = rand(2, 5, 1, 1).expand(2, 5, 4, 4)
    w = rand(5, 3, 3, 3)
    plain = synapse.conv_contract(post.contiguous(), x.contiguous(), w.shape, geometry)
    assert torch.allclose(synapse.conv_contract(post, x, w.shape, geometry), plain, atol=1e-12)
    plain = synapse.conv_pullback(post.contiguous(), w, x.shape, geometry)
    assert torch.allclose(synapse.conv_pullback(post, w, x.shape, geometry), plain, atol=1e-12)


@pytest.mark.parametrize("call", ["linear", "conv"])
def test_bf16_products_come_back_in_float32(call: str) -> None:
    half = torch.bfloat16
    if call == "linear":
        x, w, post = torch.randn(4, 6), torch.randn(3, 6), torch.randn(4, 3)
        pairs = [
            (
                synapse.linear_forward(x, w, torch.ones(3), half),
                synapse.linear_forward(x, w, torch.ones(3)),
            ),
            (synapse.linear_contract(post, x, half), synapse.linear_contract(post, x)),
            (synapse.linear_pullback(post, w, half), synapse.linear_pullback(post, w)),
        ]
    else:
        g = ConvGeometry(1, 1, 1)
        x, w, post = torch.randn(2, 3, 5, 5), torch.randn(4, 3, 3, 3), torch.randn(2, 4, 5, 5)
        pairs = [
            (
                synapse.conv_forward(x, w, torch.ones(4), g, half),
                synapse.conv_forward(x, w, torch.ones(4), g),
            ),
            (
                synapse.conv_contract(post, x, w.shape, g, half),
                synapse.conv_contract(post, x, w.shape, g),
            ),
            (
                synapse.conv_pullback(post, w, x.shape, g, half),
                synapse.conv_pullback(post, w, x.shape, g),
            ),
        ]
    for low, full in pairs:
        assert low.dtype == torch.float32
        assert not torch.equal(low, full)
        assert float((low - full).norm() / full.norm()) < 1e-2
