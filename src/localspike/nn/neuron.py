"""Neurons as frozen values; their dynamics are in `localspike.kernels.neuron`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import ConfigError


@dataclass(frozen=True)
class LIF:
    """Leaky integrate-and-fire: u = γ v_prev + I, o = H(u − θ), v = u − r·o.

    Parameters
    ----------
    decay:
        γ per step in [0, 1].
    threshold:
        θ > 0.
    reset:
        "soft" subtracts r, "hard" sets to 0, "none" leaves the membrane.
    reset_by:
        r of the soft reset; None means θ. The TESS release's conv layers subtract 1.0.
    fires_at_threshold:
        True fires at u ≥ θ (OTTT's release), False at u > θ.

    >>> LIF().amount
    0.6
    """

    decay: float = 0.5
    threshold: float = 0.6
    reset: Literal["soft", "hard", "none"] = "soft"
    reset_by: float | None = None
    fires_at_threshold: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.decay <= 1.0:
            raise ConfigError("LIF decay out of range", got=self.decay, expected="γ in [0, 1]")
        if not self.threshold > 0:
            raise ConfigError("LIF threshold", got=self.threshold, expected="θ > 0")
        if self.reset not in ("soft", "hard", "none"):
            raise ConfigError("LIF reset", got=self.reset, expected="'soft', 'hard' or 'none'")

    @property
    def amount(self) -> float:
        """What a soft reset subtracts."""
        return self.threshold if self.reset_by is None else self.reset_by


@dataclass(frozen=True)
class Integrator:
    """Non-spiking readout: y[t] = γ_out y[t−1] + I[t]; 0 is a plain linear readout, 1 no leak.

    >>> Integrator().decay
    0.0
    """

    decay: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.decay <= 1.0:
            raise ConfigError("integrator decay", got=self.decay, expected="γ_out in [0, 1]")
