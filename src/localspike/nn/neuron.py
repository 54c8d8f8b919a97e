"""Neurons as frozen values; their dynamics are in `localspike.kernels.neuron`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from ..errors import ConfigError, is_finite
from ..kernels.neuron import Constants


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

    # No fields: what a neuron without adaptation and without a synaptic filter answers.
    adaptation = 0.0
    adaptation_decay = 0.0
    synaptic_decay = 0.0

    def __post_init__(self) -> None:
        _in_unit("LIF decay out of range", self.decay, "γ in [0, 1]")
        if not (is_finite(self.threshold) and self.threshold > 0.0):
            raise ConfigError(
                "LIF threshold",
                got=self.threshold,
                expected="a finite θ > 0",
                fix="Change the neuron's threshold, e.g. to 1.0",
            )
        if self.reset_by is not None and not (is_finite(self.reset_by) and self.reset_by >= 0.0):
            raise ConfigError(
                "LIF reset_by",
                got=self.reset_by,
                expected="a finite r >= 0, or None for θ",
                fix="Leave reset_by out to subtract the threshold",
            )
        if self.reset not in ("soft", "hard", "none"):
            raise ConfigError("LIF reset", got=self.reset, expected="'soft', 'hard' or 'none'")

    @property
    def amount(self) -> float:
        """What a soft reset subtracts."""
        return self.threshold if self.reset_by is None else self.reset_by

    @cached_property
    def constants(self) -> Constants:
        """The numbers the kernels take."""
        return Constants(
            self.decay,
            self.threshold,
            self.reset,
            self.amount,
            self.adaptation,
            self.adaptation_decay,
            self.synaptic_decay,
        )


@dataclass(frozen=True)
class ALIF(LIF):
    """Adaptive LIF: every spike raises the neuron's own threshold, which decays back to θ.

        A[t] = θ + β a[t]        o[t] = H(u[t] − A[t])        a[t+1] = ρ a[t] + o[t],  a[0] = 0

    A soft reset subtracts θ (or ``reset_by``), not A. Source: Bellec et al. 2018 and e-prop
    (Bellec et al. 2020).

    Parameters
    ----------
    adaptation:
        β ≥ 0, in units of the membrane; 0 is plain LIF.
    adaptation_decay:
        ρ per step in [0, 1].

    >>> ALIF(threshold=1.0).adaptation, LIF().adaptation, isinstance(ALIF(), LIF)
    (0.2, 0.0, True)
    """

    adaptation: float = 0.2
    adaptation_decay: float = 0.97

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (is_finite(self.adaptation) and self.adaptation >= 0.0):
            raise ConfigError("ALIF adaptation", got=self.adaptation, expected="a finite β >= 0")
        _in_unit("ALIF adaptation_decay", self.adaptation_decay, "ρ in [0, 1]")


@dataclass(frozen=True)
class CubaLIF(LIF):
    """Current-based LIF: the current is low-pass filtered before it charges the membrane.

        i[t] = α i[t−1] + I[t]        u[t] = γ v[t−1] + i[t]

    One input spike gives a difference of two exponentials.

    Parameters
    ----------
    synaptic_decay:
        α per step in [0, 1]; 0 is plain LIF.

    >>> CubaLIF(decay=0.9).synaptic_decay
    0.5
    """

    synaptic_decay: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        _in_unit("CubaLIF synaptic_decay", self.synaptic_decay, "α in [0, 1]")


NEURONS: dict[str, type[LIF]] = {"lif": LIF, "alif": ALIF, "cuba_lif": CubaLIF}
"""Spiking neurons by the name configurations choose them by."""


@dataclass(frozen=True)
class Integrator:
    """Non-spiking readout: y[t] = γ_out y[t−1] + I[t]; 0 is a plain linear readout, 1 no leak.

    >>> Integrator().decay
    0.0
    """

    decay: float = 0.0

    def __post_init__(self) -> None:
        _in_unit("integrator decay", self.decay, "γ_out in [0, 1]")


def _in_unit(what: str, value: float, expected: str) -> None:
    if not (is_finite(value) and 0.0 <= value <= 1.0):
        raise ConfigError(
            what,
            got=repr(value),
            expected=expected,
            fix="Give the share that is kept from step to step",
        )
