"""Ψ found again from the currents, and neurons pooled as they come, against the two-pass forms."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from localspike.kernels import fused, maxpool, parts, pooled, windows
from localspike.kernels.neuron import Constants
from localspike.kernels.slopes import Dynamics, Slopes, kept
from localspike.kernels.surrogate import Triangle

LIF = Constants(0.7, 0.6, "soft", 0.4)
DYNAMICS = Dynamics(LIF, Triangle())
TRACES = fused.TwoTraceConstants(0.9, 0.3, 0.2, 1.0)


def waves(steps: int, *shape: int) -> Tensor:
    """Currents under which neurons fire now and then."""
    draw = torch.Generator().manual_seed(steps)
    return torch.randn(steps, *shape, generator=draw).double()


def again(currents: Tensor, v: Tensor | None) -> tuple[Slopes, Slopes]:
    """Slopes that keep the currents, as compiled kernels have them, and those that keep Ψ."""
    psis, starts, pieces = [], [], tuple(parts.parts_of(currents))
    for part in pieces:
        starts.append(v)
        _, psi, v = fused.scan(currents[part], v, LIF, Triangle())
        psis.append(psi.source)
    assert psi.dynamics is None  # eager code keeps Ψ
    return Slopes(currents, pieces, tuple(starts), DYNAMICS), kept(torch.cat(psis))


@pytest.mark.parametrize("steps", [1, 13, 37])
@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("starting", [False, True])
def test_slopes_found_again_are_those_kept(steps: int, static: bool, starting: bool) -> None:
    currents = waves(steps, 23)
    currents = currents[:1].expand(steps, 23) if static else currents
    v = torch.linspace(-1, 1, 23).double() if starting else None
    found, ours = again(currents, v)
    m, h = waves(steps + 1, 23)[1:], torch.linspace(0, 1, 23).double()
    for one, other in zip(
        fused.collapse(m, found, TRACES, h=h, lead=True),
        fused.collapse(m, ours, TRACES, h=h, lead=True),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    for function in (fused.collapse_sum, lambda m, psi, c: fused.trace_end(psi, h, 0.3)):
        one, other = function(m, found, TRACES), function(m, ours, TRACES)
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("chosen", [False, True])
def test_over_windows_too(chosen: bool) -> None:
    maps = maxpool.channels_last(waves(26, 3, 8, 8)).unflatten(0, (13, 2))
    found, ours = again(fused.flat(maps), None)
    found = found._replace(source=maps)
    ours = ours._replace(source=fused.unflat(ours.source, maps))
    _, which = maxpool.forward(maps.flatten(0, 1), 2)
    at = windows.Windows(waves(13, 2, 3, 4, 4), which if chosen else None)
    one, other = (windows.collapse(at, psi, TRACES).c for psi in (found, ours))
    torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("steps", [1, 6, 21])
@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("starting", [False, True])
def test_neurons_pooled_as_they_come(steps: int, size: int, starting: bool) -> None:
    rows = waves(steps, 4, size, 3, size, 5)
    v = waves(1, *rows.shape[1:])[0] if starting else None
    found = pooled.scan(rows, v, DYNAMICS)
    start = None if v is None else v.flatten()
    o, psi, last = fused.scan(rows.flatten(1), start, LIF, Triangle())
    maps = o.view(steps * 4, size, 3 * size, 5).permute(0, 3, 1, 2)
    out, which = maxpool.forward(maps, size)
    assert 0.05 < float(o.mean()) < 0.6
    assert torch.equal(found.out.view(-1, 1, 3, 5), out.permute(0, 2, 3, 1))
    assert torch.equal(found.which.view(which.shape), which)
    assert torch.equal(found.spikes.double(), o.view(rows.shape).sum((2, 4)))
    assert torch.equal(found.v.flatten(), last)
    m = waves(steps, o.shape[1])
    one = fused.collapse(m.view(rows.shape), found.slopes, TRACES).c.flatten(1)
    torch.testing.assert_close(one, fused.collapse(m, psi, TRACES).c, rtol=0, atol=0)
