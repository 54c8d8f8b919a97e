"""Code compiled for CUDA knows of aligned rows: one variant for them, one for all others."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from localspike.kernels import compiling


@pytest.mark.parametrize(
    ("devices", "variants", "knows"), [(("cpu",), 2, True), (("cuda",), 1, False)]
)
def test_aligned_rows_are_a_variant_of_their_own(
    monkeypatch: pytest.MonkeyPatch, devices: tuple[str, ...], variants: int, knows: bool
) -> None:
    monkeypatch.setattr(compiling, "_WIDE_LOADS", devices)
    made: list[str] = []

    def keep(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., object]:
        made.append(graph.code)
        return graph.forward

    def double(x: Tensor) -> Tensor:
        compiling.tell_of_alignment(x)
        return 2 * x

    compiled = torch.compile(double, backend=keep, dynamic=True, fullgraph=True)
    for columns in (48, 64, 50, 70, 160, 33):
        x = torch.randn(3, columns)
        assert torch.equal(compiled(x), 2 * x)
    assert len(made) == variants
    assert any("_check" in code or "_assert" in code for code in made) is knows
