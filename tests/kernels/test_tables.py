"""Which form of a convolution is taken, and by which machine."""

from __future__ import annotations

import pytest
import torch

from localspike.kernels import compiling, unfold, winograd
from localspike.kernels.geometry import ConvGeometry
from localspike.kernels.tables import FORMS, Table, form_of

MACHINES = {"matrix units": (True, True), "instructions": (False, True), "neither": (False, False)}


@pytest.mark.parametrize("machine", MACHINES)
def test_machines_and_their_forms(machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    amx, bf16 = MACHINES[machine]
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)
    x, weight = torch.empty(64, 512, 4, 4), torch.empty(512, 512, 3, 3)
    for form in (unfold, winograd):
        form._quick.cache_clear()
    try:
        found = []
        for dtype in (torch.bfloat16, torch.float32):
            with compiling.compiled():
                found.append(form_of(x, weight, ConvGeometry(1, 1), dtype))
                assert form_of(x.to("meta"), weight, ConvGeometry(1, 1), dtype) is None
    finally:
        for form in (unfold, winograd):
            form._quick.cache_clear()
    expected = {
        "matrix units": [FORMS["patches"]] * 2,
        "instructions": [FORMS["windows"], None],
        "neither": [None, None],
    }
    assert found == expected[machine]


@pytest.mark.parametrize("name", FORMS)
def test_a_table_goes_with_its_form(name: str) -> None:
    x, weight, geometry = torch.rand(2, 3, 6, 6), torch.rand(4, 3, 3, 3), ConvGeometry(1, 1)
    form = FORMS[name]
    assert form.possible(x, weight, geometry)
    assert not form.possible(x, weight, ConvGeometry(1, 1, 3))
    table = Table(form, form.make_table(x, weight, geometry))
    expected = torch.nn.functional.conv2d(x, weight, padding=1)
    torch.testing.assert_close(table.forward(x, weight, geometry), expected, rtol=0, atol=1e-4)
    assert table.contract(expected, weight).shape == weight.shape
