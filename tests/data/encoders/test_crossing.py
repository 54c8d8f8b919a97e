"""Level crossing: a loop as the oracle, the bound on what is rebuilt, hysteresis, going on."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from localspike.data import FrontEnd
from localspike.data.cochlea import encode, levels
from localspike.data.encoders import delta, level_crossing, on_off, reconstruct
from localspike.errors import ConfigError, DataError, ShapeError

# Multiples of 1/8 with θ a power of two: no rounding, so the bounds hold to the last bit.
eighths = st.integers(-80, 80).map(lambda n: n / 8)
signals = st.lists(eighths, min_size=1, max_size=70)
powers = st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0])


def one_by_one(signal: list[float], threshold: float) -> list[float]:
    """An event whenever the signal is a whole level from where the events have got to."""
    at, counts = signal[0], []
    for value in signal:
        count = 0
        while value - at >= threshold:
            at, count = at + threshold, count + 1
        while at - value >= threshold:
            at, count = at - threshold, count - 1
        counts.append(float(count))
    return counts


@given(signals, powers)
def test_it_is_the_loop(signal: list[float], threshold: float) -> None:
    crossings = level_crossing(torch.tensor(signal), threshold)
    assert crossings.tolist() == one_by_one(signal, threshold)


@given(signals, powers)
def test_what_is_rebuilt_is_closer_than_a_level(signal: list[float], threshold: float) -> None:
    x = torch.tensor(signal)
    rebuilt = reconstruct(x[0], level_crossing(x, threshold), threshold)
    assert ((x - rebuilt).abs() < threshold).all()


def test_the_bound_is_tight_and_rounding_keeps_it() -> None:
    x = torch.randn(3000, 4, generator=torch.Generator().manual_seed(0)).cumsum(0)
    error = (x - reconstruct(x[0], level_crossing(x, 0.7), 0.7)).abs().max()
    assert 0.69 < error < 0.7 * (1 + 1e-4)


def test_delta_forgets_what_level_crossing_remembers() -> None:
    ramp = torch.arange(100).double() / 8
    assert delta(ramp, 1.0).abs().sum() == 0
    assert level_crossing(ramp, 1.0).sum() == 12


@given(signals, powers)
def test_delta_is_the_formula(signal: list[float], threshold: float) -> None:
    found = delta(torch.tensor(signal), threshold).tolist()
    steps = zip([signal[0], *signal], signal, strict=False)
    assert found == [float(math.trunc((new - old) / threshold)) for old, new in steps]


@given(st.lists(st.integers(-7, 7).map(lambda n: n / 8), min_size=1, max_size=50))
def test_noise_below_a_level_gives_nothing(noise: list[float]) -> None:
    """Even around a level just crossed, where a comparison without hysteresis would chatter."""
    x = torch.tensor([-1.0, 0.0, *(abs(n) - 0.5 for n in noise)])
    crossings = level_crossing(x, 1.0)
    assert crossings[1] == 1
    assert crossings[2:].abs().sum() == 0


@given(signals, powers, st.integers(0, 70))
def test_a_signal_in_two_parts(signal: list[float], threshold: float, cut: int) -> None:
    x = torch.tensor(signal)
    cut = 1 + cut % len(signal)
    first = level_crossing(x[:cut], threshold)
    if cut < len(signal):
        reached = reconstruct(x[0], first, threshold)[-1]
        rest = level_crossing(x[cut:], threshold, reference=reached)
        assert torch.equal(torch.cat([first, rest]), level_crossing(x, threshold))


def test_it_is_the_crossing_of_the_cochlea() -> None:
    time = np.arange(16_000) / 16_000
    sound = np.sin(2 * np.pi * (200 + 1500 * time) * time) * (time > 0.2)
    front, events = FrontEnd(), encode(sound)
    value = torch.from_numpy(levels(sound, front))
    counts = on_off(level_crossing(value, front.step_db))[1:]
    expected = torch.zeros_like(counts)
    place = (events["t"] // front.tick_us, events["p"] * front.bands + events["x"])
    np.add.at(expected.numpy(), place, 1.0)
    assert len(events) > 300
    assert torch.equal(counts, expected)


def test_many_channels_are_each_their_own() -> None:
    x = torch.randn(50, 3, 4, generator=torch.Generator().manual_seed(1)).cumsum(0)
    together = level_crossing(x, 0.5)
    for i in range(3):
        assert torch.equal(together[:, i, 2], level_crossing(x[:, i, 2], 0.5))


def test_off_comes_before_on() -> None:
    crossings = torch.tensor([[[2.0, -3.0]], [[0.0, 1.0]]])
    both = on_off(crossings, dim=1)
    assert both.shape == (2, 2, 2)
    assert both[0].tolist() == [[0.0, 3.0], [2.0, 0.0]]
    assert torch.equal(both[:, 1] - both[:, 0], crossings[:, 0])


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("encode_", [delta, level_crossing])
def test_dtype_and_no_gradient(encode_, dtype: torch.dtype) -> None:
    x = torch.arange(12, dtype=dtype).view(6, 2).requires_grad_()
    crossings = encode_(x, 1.0)
    assert (crossings.dtype, crossings.requires_grad) == (dtype, False)
    assert crossings.tolist() == [[0.0, 0.0], *[[2.0, 2.0]] * 5]


@pytest.mark.parametrize("encode_", [delta, level_crossing])
@pytest.mark.parametrize(
    ("signal", "threshold", "error", "said"),
    [
        (torch.zeros(3), 0.0, ConfigError, "impossible threshold: got 0.0"),
        (torch.zeros(3), math.inf, ConfigError, "impossible threshold: got inf"),
        (torch.zeros(3).long(), 1.0, ShapeError, "got torch.int64"),
        (torch.tensor(1.0), 1.0, ShapeError, "no time axis"),
        (torch.zeros(0, 3), 1.0, ShapeError, r"no time axis: got \[0, 3\]"),
        (torch.tensor([0.0, math.inf]), 1.0, DataError, "got inf; expected finite"),
        (torch.tensor([0.0, math.nan]), 1.0, DataError, "got nan"),
    ],
)
def test_what_cannot_be(encode_, signal, threshold: float, error, said: str) -> None:
    with pytest.raises(error, match=said):
        encode_(signal, threshold)


def test_levels_beyond_counting_and_a_reference_of_another_shape() -> None:
    with pytest.raises(DataError, match="level_crossing: levels: value out of range: got 1e"):
        level_crossing(torch.tensor([0.0, 1e300], dtype=torch.float64), 1.0)
    with pytest.raises(ShapeError, match=r"reference of another shape: got \[3\]; expected \[2\]"):
        level_crossing(torch.zeros(4, 2), 1.0, torch.zeros(3))
