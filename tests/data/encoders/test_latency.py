"""Time to first spike: the stronger the earlier, each at most once, by the stated formulas."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from localspike.data.encoders import FORMS, latency, latency_steps
from localspike.errors import ConfigError, DataError, ShapeError

unit = st.floats(0, 1, width=32)


@given(st.lists(unit, min_size=2, max_size=30), st.integers(1, 40), st.sampled_from(FORMS))
def test_stronger_is_never_later(values: list[float], steps: int, form: str) -> None:
    x = torch.tensor(values).sort().values
    step = latency_steps(x, steps, form=form)
    assert (step.diff() <= 0).all()
    assert ((step >= 0) & (step <= steps)).all()
    assert ((step == steps) == (x < torch.tensor(0.01))).all()


@given(st.lists(unit, min_size=1, max_size=20), st.integers(1, 20), st.sampled_from(FORMS))
def test_each_spikes_once_at_its_step_or_never(values: list[float], steps: int, form: str) -> None:
    x = torch.tensor(values)
    spikes, step = latency(x, steps, form=form), latency_steps(x, steps, form=form)
    assert torch.equal(spikes.sum(0), (step < steps).float())
    assert torch.equal((spikes * torch.arange(steps)[:, None]).sum(0)[step < steps],
                       step[step < steps].float())  # fmt: skip


def test_the_linear_form_is_inverted_to_half_a_step() -> None:
    x, steps, threshold = torch.rand(2000).double(), 33, 0.2
    step = latency_steps(x, steps, threshold=threshold)
    back = 1 - (1 - threshold) * step / (steps - 1)
    heard = x >= threshold
    assert ((back - x).abs()[heard] <= 0.5 * (1 - threshold) / (steps - 1) + 1e-12).all()
    assert (step[~heard] == steps).all()
    assert step.unique().numel() == steps + 1


def test_the_log_form_delays_equal_ratios_equally() -> None:
    x = 0.5 ** torch.arange(6).double()
    assert latency_steps(x, 51, form="log", threshold=0.5**5).tolist() == [0, 10, 20, 30, 40, 50]
    x, steps, threshold = torch.rand(2000).double(), 33, 0.05
    step = latency_steps(x, steps, form="log", threshold=threshold)
    back = threshold ** (step / (steps - 1))
    heard = x >= threshold
    half = 0.5 * abs(math.log(threshold)) / (steps - 1)
    assert ((back.log() - x.log()).abs()[heard] <= half + 1e-12).all()


def test_the_ends() -> None:
    for form in FORMS:
        x = torch.tensor([1.0, 0.1, 0.0999, 0.0])
        assert latency_steps(x, 9, form=form, threshold=0.1).tolist() == [0, 8, 9, 9]
        assert latency_steps(x, 1, form=form, threshold=0.1).tolist() == [0, 0, 1, 1]
    assert latency_steps(torch.tensor([0.0, 1e-30]), 9, threshold=0.0).tolist() == [9, 8]


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_dtype_shape_and_no_gradient(dtype: torch.dtype) -> None:
    x = torch.rand(2, 3, 4, dtype=dtype, requires_grad=True)
    spikes = latency(x, 7)
    assert (spikes.shape, spikes.dtype, spikes.requires_grad) == ((7, 2, 3, 4), dtype, False)
    assert latency(torch.tensor(0.5), 3).shape == (3,)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: latency(torch.tensor([1.5]), 3), DataError, r"latency: value out .* got 1.5"),
        (lambda: latency(torch.tensor([-0.1]), 3), DataError, "got -0.1"),
        (lambda: latency(torch.tensor([math.nan]), 3), DataError, "got nan"),
        (lambda: latency(torch.tensor([1]), 3), ShapeError, "got torch.int64"),
        (lambda: latency(torch.ones(1), 0), ConfigError, "impossible steps: got 0"),
        (lambda: latency(torch.ones(1), 3, form="exp"), ConfigError, "got 'exp'; expected linear"),
        (lambda: latency(torch.ones(1), 3, threshold=1.0), ConfigError, "threshold of the linear"),
        (lambda: latency(torch.ones(1), 3, threshold=math.nan), ConfigError, "got nan"),
        (lambda: latency(torch.ones(1), 3, form="log", threshold=0), ConfigError, "0 < threshold"),
    ],
)
def test_what_cannot_be(call, error, said: str) -> None:
    with pytest.raises(error, match=said):
        call()
