"""Convolutions by windows against the library's, and where they are chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from localspike import Learner, models, rules
from localspike.kernels import compiling, winograd
from localspike.kernels.geometry import ConvGeometry
from localspike.kernels.synapse import conv_contract, conv_pullback

needs_compiler = pytest.mark.skipif(
    compiling.obstacle(torch.device("cpu")) is not None, reason="no C++ compiler"
)


def _maps(dtype: torch.dtype, *shape: int, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=draw, dtype=torch.float64).to(dtype)


def _spikes(dtype: torch.dtype, *shape: int) -> Tensor:
    return (_maps(torch.float64, *shape, seed=9) > 1).to(dtype)


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("padding", [0, 1, 2])
def test_all_three_products_are_the_librarys(padding: int, order: torch.memory_format) -> None:
    x = _maps(torch.float64, 3, 5, 6, 8).contiguous(memory_format=order)
    weight, geometry = _maps(torch.float64, 7, 5, 3, 3, seed=1), ConvGeometry(1, padding)
    table = winograd.make_table(x, weight, geometry)
    y, expected = winograd.forward(table, x, weight, geometry), F.conv2d(x, weight, padding=padding)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-12)
    assert y.is_contiguous(memory_format=torch.channels_last)
    post = _maps(torch.float64, *expected.shape, seed=2).contiguous(memory_format=order)
    grad = conv_contract(post, x, weight.shape, geometry)
    found = winograd.contract(post, table, weight)
    torch.testing.assert_close(found, grad, rtol=0, atol=1e-12)
    back = conv_pullback(post, weight, x.shape, geometry)
    torch.testing.assert_close(winograd.pullback(post, weight, geometry), back, rtol=0, atol=1e-12)


def test_autograd_goes_through_it() -> None:
    x, weight = _maps(torch.float64, 2, 2, 4, 4), _maps(torch.float64, 3, 2, 3, 3, seed=1)
    x.requires_grad_(), weight.requires_grad_()
    geometry = ConvGeometry(1, 1)

    def made(x: Tensor, w: Tensor) -> Tensor:
        return winograd.convolve(x, w, geometry)

    assert torch.autograd.gradcheck(made, (x, weight))
    made(x.detach(), weight).sum().backward()
    assert weight.grad is not None and x.grad is None
    made(x, weight.detach()).sum().backward()
    assert x.grad is not None


@needs_compiler
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_compiled_as_eager(dtype: torch.dtype) -> None:
    geometry = ConvGeometry(1, 1)
    x, weight = _spikes(dtype, 4, 24, 8, 6), _maps(dtype, 40, 24, 3, 3)
    post = _maps(dtype, 4, 40, 8, 6, seed=3)
    found = []
    for on in (False, True):
        with compiling.compiled(on):
            table = winograd.make_table(x, weight, geometry)
            y = winograd.forward(table, x, weight, geometry)
            back = winograd.pullback(post, weight, geometry)
            found.append((table, y, winograd.contract(post, table, weight), back))
    kernels = (winograd.OF_INPUT, winograd.OF_SUMS, winograd.OF_POST)
    assert not any(kernel.failed for kernel in kernels)
    tolerance = 1e-5 if dtype == torch.float32 else 0.01
    for eager, compiled in zip(*found, strict=True):
        assert float((eager - compiled).norm()) <= tolerance * float(eager.norm())
    assert torch.equal(found[0][0], found[1][0])  # sums of spikes: nothing to round


def test_windows_of_spikes_are_exact_in_bfloat16() -> None:
    weight, geometry = torch.empty(1, 9, 3, 3), ConvGeometry(1, 1)
    narrow = winograd.make_table(_spikes(torch.bfloat16, 6, 9, 12, 12), weight, geometry)
    exact = winograd.make_table(_spikes(torch.float64, 6, 9, 12, 12), weight, geometry)
    assert torch.equal(narrow.double(), exact)
    assert set(exact.unique().tolist()) == {-2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0}


def test_error_in_bfloat16_is_about_twice_the_librarys() -> None:
    """More than the library's by what rounding the sums before the last transform adds."""
    geometry, half = ConvGeometry(1, 1), torch.bfloat16
    x, weight = _spikes(torch.float64, 16, 128, 8, 8), _maps(torch.float64, 96, 128, 3, 3)
    post = _maps(torch.float64, 16, 96, 8, 8, seed=4)
    exact = F.conv2d(x, weight, padding=1), conv_contract(post, x, weight.shape, geometry)
    table = winograd.make_table(x.to(half), weight, geometry)
    windows = (
        winograd.forward(table, x, weight.to(half), geometry),
        winograd.contract(post.to(half), table, weight),
    )
    library = (
        F.conv2d(x.to(half), weight.to(half), padding=1),
        conv_contract(post.to(half), x.to(half), weight.shape, geometry),
    )
    for ours, theirs, right, most in zip(windows, library, exact, (2.2, 3.0), strict=True):
        mine, other = (float((y.double() - right).norm() / right.norm()) for y in (ours, theirs))
        assert 0.001 < other < 0.004
        assert other < mine < min(most * other, 0.006)


def test_modes_of_a_first_call_leave_nothing_behind() -> None:
    x, weight = _maps(torch.float64, 2, 2, 4, 4), _maps(torch.float64, 3, 2, 3, 3, seed=1)
    geometry = ConvGeometry(1, 1)
    with torch.inference_mode():
        winograd.forward(winograd.make_table(x, weight, geometry), x, weight, geometry)
    weight.requires_grad_()
    made = winograd.convolve(x, weight, geometry).square().sum()
    (grad,) = torch.autograd.grad(made, weight, create_graph=True)
    grad.square().sum().backward()  # twice through it
    plain = F.conv2d(x, weight, padding=1).square().sum()
    (other,) = torch.autograd.grad(plain, weight, create_graph=True)
    torch.testing.assert_close(grad, other, rtol=1e-10, atol=1e-10)
    found, weight.grad = weight.grad, None
    other.square().sum().backward()
    torch.testing.assert_close(found, weight.grad, rtol=1e-10, atol=1e-10)


def test_which_convolutions_have_the_form() -> None:
    x, w = torch.empty(2, 4, 8, 6), torch.empty(3, 4, 3, 3)
    assert all(winograd.possible(x, w, ConvGeometry(1, p)) for p in (0, 1, 2))
    assert not winograd.possible(x, w, ConvGeometry(2, 1))
    assert not winograd.possible(x, w, ConvGeometry(1, 3))
    assert not winograd.possible(x, w[:, :2], ConvGeometry(1, 1, 2))
    assert not winograd.possible(x, torch.empty(3, 4, 5, 5), ConvGeometry(1, 2))
    assert not winograd.possible(x[:, :, :7], w, ConvGeometry(1, 1))
    assert not winograd.possible(x[:, :, :2], w, ConvGeometry(1, 0))  # nothing comes out
    assert not winograd.possible(x[0, 0], torch.empty(3, 6), ConvGeometry())


def test_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    geometry, half = ConvGeometry(1, 1), torch.bfloat16
    x, w = torch.empty(16, 128, 8, 8, dtype=half), torch.empty(128, 128, 3, 3, dtype=half)

    def pays(x: Tensor, w: Tensor, dtype: torch.dtype = half, on: bool = True) -> bool:
        with compiling.compiled(on):
            back = winograd.pays_back(x, w.transpose(0, 1), geometry, dtype)
            assert back == winograd.pays(x, w, geometry, dtype)
            return back

    monkeypatch.setattr(winograd, "_quick", lambda device: device == "cpu")
    assert pays(x, w)
    assert not pays(x, w, torch.float32) and not pays(x, w, on=False)
    assert not pays(x[:15], w)  # 240 windows
    assert not pays(x[:, :64], w[:64, :64]) and pays(x[:, :64], w[:, :64])
    assert not pays(x.to("meta"), w)
    with winograd.off():
        assert not pays(x, w)
    with monkeypatch.context() as broken:
        broken.setattr(winograd.OF_SUMS, "_failed", True)
        assert not pays(x, w)
    monkeypatch.setattr(winograd, "_quick", lambda device: False)
    assert not pays(x, w)


RULES: dict[str, Callable[[], rules.Rule]] = {
    "tess": rules.tess,  # layer by layer
    "s_tllr": rules.s_tllr,  # in two sweeps: the way back, too
    "bptt": rules.bptt,  # under autograd
}


@pytest.mark.parametrize("rule", RULES)
def test_nets_learn_the_same_by_it(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    net = models.convnet(2, 5, image=16, channels=(12, 20))
    frames, labels = (torch.rand(13, 2, 2, 16, 16) < 0.3).float() * 1.5, torch.tensor([1, 3])
    products = {"forward", "contract"} | ({"pullback"} if rule != "tess" else set())
    schedule: Any = "two_sweep" if rule == "s_tllr" else "auto"
    used: list[str] = []

    def watched(name: str) -> Callable[..., Tensor]:
        real = getattr(winograd, name)
        return lambda *arguments: used.append(name) or real(*arguments)

    for name in ("forward", "contract", "pullback"):
        monkeypatch.setattr(winograd, name, watched(name))
    found = []
    for expected, pays in ((products, winograd.possible), (set(), lambda *_: False)):
        monkeypatch.setattr(winograd, "pays", lambda x, w, g, dtype, pays=pays: pays(x, w, g))
        net.zero_grad()
        used.clear()
        result = Learner(net, RULES[rule](), schedule=schedule).gradient(frames, labels)
        assert set(used) == expected
        assert all(0.05 < rate < 0.6 for rate in result.rates.values())
        found.append([p.grad.clone() for p in net.parameters() if p.grad is not None])
    for one, other in zip(*found, strict=True):
        assert float(other.norm()) > 0
        assert float((one - other).norm()) <= 2e-5 * float(other.norm())


@pytest.mark.parametrize("norm", [None, 0.1])
@pytest.mark.parametrize("rule", RULES)
def test_nets_in_bfloat16_learn_about_the_same(
    rule: str, norm: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spikes flip where a membrane is near its threshold: no farther from float32's, not equal."""
    torch.manual_seed(0)
    net = models.convnet(2, 5, image=16, channels=(12, 20), norm_momentum=norm)
    frames, labels = (torch.rand(13, 4, 2, 16, 16) < 0.3).float() * 1.5, torch.arange(4)
    schedule: Any = "two_sweep" if rule == "s_tllr" else "auto"

    def gradient(precision: Any, pays: Callable[..., bool]) -> Tensor:
        monkeypatch.setattr(winograd, "pays", lambda x, w, g, dtype: pays(x, w, g))
        net.zero_grad()
        learner = Learner(net, RULES[rule](), schedule=schedule, precision=precision)
        learner.gradient(frames, labels)
        return torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])

    exact = gradient("float32", lambda *_: False)
    windows, library = gradient("bf16", winograd.possible), gradient("bf16", lambda *_: False)
    assert not torch.equal(windows, library)
    assert float((library - exact).norm()) <= 0.3 * float(exact.norm())
    assert float((windows - exact).norm()) <= 1.5 * float((library - exact).norm())


def test_streams_and_hooked_synapses_stay_with_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "pays", lambda x, w, g, dtype: winograd.possible(x, w, g))
    used: list[str] = []
    real = winograd.forward
    monkeypatch.setattr(winograd, "forward", lambda *a: used.append("forward") or real(*a))
    net = models.convnet(2, 5, image=16, channels=(12, 20))
    frames, labels = (torch.rand(3, 2, 2, 16, 16) < 0.3).float(), torch.tensor([1, 3])
    Learner(net, rules.tess(), schedule="streaming", precision="bf16").gradient(frames, labels)
    assert not used
    calls: list[int] = []
    second = list(net.blocks.values())[1].synapse
    handle = second.register_forward_hook(lambda *_: calls.append(1))
    learner = Learner(net, rules.tess(), precision="bf16")
    learner.gradient(frames, labels)
    assert calls == [1] and used == ["forward"]  # of the first block
    handle.remove()
    learner.gradient(frames, labels)
    assert calls == [1] and len(used) == 3
