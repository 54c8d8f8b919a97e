"""Direct and Poisson coding: nothing copied; the statistics of Bernoulli draws, and no others."""

from __future__ import annotations

import math

import pytest
import torch

from localspike.data.encoders import direct, poisson
from localspike.errors import ConfigError, DataError, ShapeError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_direct_is_a_view() -> None:
    x = torch.rand(2, 3, 4, requires_grad=True)
    frames = direct(x, 5)
    assert frames.shape == (5, 2, 3, 4)
    assert frames.stride(0) == 0
    assert frames.data_ptr() == x.data_ptr()
    assert not frames.requires_grad
    assert torch.equal(frames[4], x)


@pytest.mark.parametrize("gain", [1.0, 0.5, 2.0])
def test_the_rate_is_the_intensity(gain: float) -> None:
    """The mean of n draws is within 5 standard errors of p; a rate 4 % off would not be."""
    x = torch.linspace(0, 1, 11)
    n = 200_000
    mean = poisson(x, n, generator(), gain).double().mean(0)
    p = (x.double() * gain).clamp(max=1)
    bound = 5 * (p * (1 - p) / n).sqrt()
    assert ((mean - p).abs() <= bound).all()
    assert ((mean - 0.96 * p).abs() > bound)[5:].all()


def test_steps_and_places_are_independent() -> None:
    """Counts over windows have the variance of a binomial; neighbours do not correlate."""
    spikes = poisson(torch.full((400,), 0.3), 2000, generator(1)).double()
    counts = spikes.view(20, 100, 400).sum(1).flatten()
    n = len(counts)
    assert abs(counts.var() / 21.0 - 1) < 5 * math.sqrt(2 / n)
    centred = spikes - spikes.mean()
    for shifted in (centred[1:] * centred[:-1], centred[:, 1:] * centred[:, :-1]):
        assert abs(shifted.mean()) < 5 * 0.21 / math.sqrt(shifted.numel())


def test_the_generator_alone_decides() -> None:
    x = torch.rand(50)
    one = poisson(x, 40, generator(7))
    torch.manual_seed(123)
    assert torch.equal(one, poisson(x, 40, generator(7)))
    assert not torch.equal(one, poisson(x, 40, generator(8)))
    used = generator(7)
    first, second = poisson(x, 40, used), poisson(x, 40, used)
    assert torch.equal(first, one)
    assert not torch.equal(first, second)
    state = torch.get_rng_state()
    poisson(x, 3, generator())
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_is_kept_and_draws_do_not_depend_on_it(dtype: torch.dtype) -> None:
    x = torch.tensor([0.0, 0.25, 0.5, 1.0])
    spikes = poisson(x.to(dtype).requires_grad_(), 100, generator())
    assert spikes.dtype == dtype
    assert not spikes.requires_grad
    assert torch.equal(spikes.float(), poisson(x, 100, generator()))
    assert set(spikes.unique().tolist()) == {0.0, 1.0}
    assert direct(x.to(dtype), 2).dtype == dtype


def test_on_an_accelerator() -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    x = torch.rand(1000, device="cuda")
    spikes = poisson(x, 500, torch.Generator("cuda").manual_seed(0))
    assert spikes.device == x.device
    assert (spikes.mean(0) - x).abs().max() < 0.15


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: direct(torch.zeros(2), 0), ConfigError, "direct: impossible steps: got 0"),
        (lambda: direct(torch.zeros(2), True), ConfigError, "direct: impossible steps: got True"),
        (lambda: direct(torch.zeros(2).int(), 3), ShapeError, "got torch.int32; .* Scale integers"),
        (lambda: poisson([0.5], 3, generator()), ShapeError, "poisson: not a tensor .* got list"),
        (lambda: poisson(torch.zeros(2), 2, generator(), 0.0), ConfigError, "gain: got 0.0"),
        (lambda: poisson(torch.zeros(2), 2, generator(), math.nan), ConfigError, "gain: got nan"),
        (lambda: poisson(torch.tensor([-0.5]), 2, generator()), DataError, "got -0.5; expected f"),
        (lambda: poisson(torch.tensor([math.inf]), 2, generator()), DataError, "got inf"),
        (lambda: poisson(torch.tensor([math.nan]), 2, generator()), DataError, "got nan"),
        (
            lambda: poisson(torch.zeros(2, device="meta"), 2, generator()),
            ConfigError,
            "poisson: generator of another device: got cpu for values on meta",
        ),
    ],
)
def test_what_cannot_be(call, error, said: str) -> None:
    with pytest.raises(error, match=said):
        call()
