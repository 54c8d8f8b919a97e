"""A convolution by matrix products against the library's."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from localspike import Learner, models, rules
from localspike.kernels import unfold
from localspike.kernels.geometry import ConvGeometry
from localspike.kernels.synapse import conv_contract


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 1), (2, 1), (2, 2)])
def test_forward_and_contraction(kernel: int, stride: int, padding: int) -> None:
    draw = torch.Generator().manual_seed(kernel)
    x = torch.randn(3, 4, 7, 9, generator=draw).double()
    weight = torch.randn(6, 4, kernel, kernel, generator=draw).double()
    geometry = ConvGeometry(stride, padding)
    table = unfold.make_table(x, weight, geometry)
    y = unfold.forward(table, x, weight, geometry)
    expected = F.conv2d(x, weight, stride=stride, padding=padding)
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
    post = torch.randn(expected.shape, generator=draw).double()
    grad = conv_contract(post, x, weight.shape, geometry)
    found = unfold.contract(post, table, weight)
    torch.testing.assert_close(found, grad, rtol=1e-12, atol=1e-12)


def test_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfold, "_quick", lambda device: device == "cpu")
    geometry, weight = ConvGeometry(1, 1), torch.empty(512, 512, 3, 3)
    at = {side: torch.empty(2, 512, side, side) for side in (4, 8, 16)}
    narrow = [unfold.pays(x, weight, geometry, torch.bfloat16) for x in at.values()]
    wide = [unfold.pays(x, weight, geometry, torch.float32) for x in at.values()]
    assert (narrow, wide) == ([True, True, False], [True, False, False])
    grouped = ConvGeometry(1, 1, groups=2)
    assert not unfold.pays(at[4], weight[:, :256], grouped, torch.float32)
    assert not unfold.pays(at[4].to("meta"), weight, geometry, torch.float32)


def test_a_block_done_so_has_the_plain_gradient() -> None:
    torch.manual_seed(0)
    net = models.convnet(2, 5, image=16, channels=(128, 128))
    frames, labels = (torch.rand(13, 2, 2, 16, 16) < 0.3).float() * 1.5, torch.tensor([1, 3])
    tables, found = [], []
    real = unfold.make_table

    def seen(*arguments: torch.Tensor) -> torch.Tensor:
        tables.append(1)
        return real(*arguments)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unfold, "WIDE_POSITIONS", 64)
        patch.setattr(unfold, "_quick", lambda device: True)
        patch.setattr(unfold, "make_table", seen)
        for runs_lean in (True, False):
            net.zero_grad()
            learner = Learner(net, rules.tess())
            learner.lean = runs_lean
            result = learner.gradient(frames, labels)
            assert all(0.05 < rate < 0.6 for rate in result.rates.values())
            found.append([p.grad.clone() for p in net.parameters() if p.grad is not None])
    assert len(tables) == 1  # the second convolution; the first has too small a fan-in
    for one, other in zip(*found, strict=True):
        assert float((one - other).norm()) <= 2e-5 * float(other.norm())
