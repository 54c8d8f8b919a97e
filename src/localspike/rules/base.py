"""A learning rule is a value: temporal credit × spatial credit × secondary activation."""

from __future__ import annotations

from dataclasses import dataclass

from ..kernels.surrogate import Surrogate
from .class_basis import ClassBasis
from .eligibility import Eligibility, ThroughTime
from .projection import Projection
from .signal import Backprop, Silent

Signal = Silent | Backprop | ClassBasis | Projection


@dataclass(frozen=True)
class Rule:
    """What changes the weights: ``eligibility`` (time), ``signal`` (space) and Ψ (``surrogate``).

    >>> from localspike.rules import tess
    >>> tess().name
    'tess'
    """

    name: str
    eligibility: Eligibility
    signal: Signal
    surrogate: Surrogate

    @property
    def local_in_time(self) -> bool:
        """True where no state of past steps is kept but traces."""
        return not isinstance(self.eligibility, ThroughTime)

    @property
    def local_in_space(self) -> bool:
        """True where a block's gradient needs nothing of any other block."""
        return self.local_in_time and self.signal.local

    @property
    def layerwise_obstacle(self) -> str | None:
        """Why one layer's whole sequence cannot be learned before the next layer runs, or None."""
        if not self.local_in_time:
            return "credit flows backward through time and layers"
        if isinstance(self.signal, Backprop):
            return "its signal is backpropagated from the layers above at every step"
        if self.signal.needs == "error":
            return "its signal needs the readout's error, which exists only after all layers ran"
        return None
