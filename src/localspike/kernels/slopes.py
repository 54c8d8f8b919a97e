"""Where Ψ of a sequence comes from: kept, or found again from the currents that made it.

Ψ is as large as the currents, and those are there: a compiled kernel that needs Ψ steps the neurons
again in registers, from v at the start of every part of the steps, instead of reading what would
have to be written first. Eager code, for which that is several passes, keeps Ψ.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .compiling import tell_of_alignment
from .neuron import Constants, NeuronState, neuron_step
from .parts import parts_of
from .surrogate import Surrogate, heaviside


class Dynamics(NamedTuple):
    """What takes currents to Ψ: a neuron, its surrogate, and whether it fires at θ itself."""

    constants: Constants
    psi: Surrogate
    inclusive: bool = False


class Slopes(NamedTuple):
    """Ψ [T, ...], or with ``dynamics`` the currents it is found from, by parts of the steps.

    ``starts`` are then v before every part in the shape of one step, None at rest.
    """

    source: Tensor
    parts: tuple[slice, ...]
    starts: tuple[Tensor | None, ...]
    dynamics: Dynamics | None = None

    def shaped(self, source: Tensor) -> Slopes:
        """The same on the ``source`` seen in another shape."""
        starts = tuple(None if v is None else v.view(source.shape[1:]) for v in self.starts)
        return self._replace(source=source, starts=starts)


def kept(psi: Tensor) -> Slopes:
    """Ψ itself.

    >>> kept(torch.ones(3, 2)).starts
    (None,)
    """
    parts = tuple(parts_of(psi))
    return Slopes(psi, parts, (None,) * len(parts))


def wide(x: Tensor) -> torch.dtype:
    """Float32, or the dtype of x above it: that of state and sums."""
    return torch.promote_types(x.dtype, torch.float32)


def membranes(
    currents: Tensor, v: Tensor | None, dynamics: Dynamics
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """u and o of every step of currents [t, ...] from v [...] (None: zero), and the last v.

    >>> from .surrogate import Triangle
    >>> u, o, v = membranes(torch.ones(2, 1), None, Dynamics(Constants(0.5, 0.6), Triangle()))
    >>> [x.item() for x in (*u, *o, v)]
    [1.0, 1.0, 1.0, 1.0, 0.0]
    """
    if v is None:
        v = torch.zeros_like(currents[0], dtype=wide(currents))
    us, spikes = [], []
    for current in currents.unbind(0):
        u, o, after = neuron_step(
            current.to(v.dtype), NeuronState(v), dynamics.constants,
            spike=lambda d: heaviside(d, dynamics.inclusive),
        )  # fmt: skip
        v = after.v
        us.append(u)
        spikes.append(o)
    return us, spikes, v


def slopes_of(us: list[Tensor], dynamics: Dynamics, dtype: torch.dtype) -> list[Tensor]:
    """Ψ(u − θ) of every step in ``dtype``."""
    return [dynamics.psi(u - dynamics.constants.threshold).to(dtype) for u in us]


def unrolled(
    source: Tensor, v: Tensor | None, dynamics: Dynamics | None, still: Tensor | None
) -> list[Tensor]:
    """Ψ of every step of a part, wide, as it would be read had it been kept.

    ``still`` are zeros added to the currents: see `still_for`.
    """
    tell_of_alignment(source)
    if dynamics is None:
        return [x.to(wide(source)) for x in source.unbind(0)]
    currents = source if still is None else source.to(still.dtype) + still
    us, _, _ = membranes(currents, v, dynamics)
    return [x.to(wide(source)) for x in slopes_of(us, dynamics, source.dtype)]


def still_for(m: Tensor, slopes: Slopes) -> Tensor | None:
    """Zeros in the shape of one step of m where that is smaller than the currents, or None.

    The compiler makes one loop of what runs over the same axes, and merges axes wherever a tensor
    is dense. Where m is the same over some, a term of its shape keeps those of the currents apart
    as well: the same numbers in one loop, instead of two with every Ψ written between them.
    """
    if slopes.dynamics is None or m.shape[1:] == slopes.source.shape[1:]:
        return None
    return torch.zeros(m.shape[1:], dtype=wide(slopes.source), device=m.device)
