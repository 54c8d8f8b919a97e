"""DECOLLE's regulariser: membranes neither stuck above threshold nor far below it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..errors import ConfigError, is_finite


@dataclass(frozen=True)
class MembraneBand:
    """R = Σ_t 1/B Σ_b mean_i ( upper · [d + 0.01]₊ + lower · [0.1 − σ(d)]₊ ),  d = u − threshold.

    Its derivative acts on the membrane itself, so its post factor has no Ψ.

    Source: DECOLLE (Kaiser et al. 2020), whose threshold is 0; its release has lower = 0.003 upper.

    >>> MembraneBand(upper=0.1).lower
    0.0
    """

    upper: float = 0.0
    lower: float = 0.0

    def __post_init__(self) -> None:
        if not all(is_finite(bound) and bound >= 0 for bound in (self.upper, self.lower)):
            raise ConfigError(
                "membrane band", got=(self.upper, self.lower), expected="finite strengths >= 0"
            )

    def value(self, d: Tensor, event_axes: int) -> Tensor:
        """R per leading entry [...] (not yet divided by the batch) for d [..., *event]."""
        axes = tuple(range(d.ndim - event_axes, d.ndim))
        high, low = (d + 0.01).relu(), (0.1 - d.sigmoid()).relu()
        return self.upper * high.mean(axes) + self.lower * low.mean(axes)

    def error(self, d: Tensor, event_axes: int) -> Tensor:
        """∂(value)/∂u, in the shape of d."""
        size, p = d.shape[d.ndim - event_axes :].numel(), d.sigmoid()
        low = (p < 0.1).to(d) * p * (1.0 - p)
        return (self.upper * (d > -0.01).to(d) - self.lower * low) / size
