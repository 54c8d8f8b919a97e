"""Regularisers of activity that every rule can carry."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..errors import ConfigError, is_finite


@dataclass(frozen=True)
class FiringRate:
    """Regulariser R = strength/2B · Σ_t Σ_b (mean_i o_i[t] − target)² of every spiking block.

    Its derivative strength (mean_i o − target)/(B n) is added to the learning signal at o[t],
    so it works under every rule; padded steps do not count.

    >>> FiringRate(0.1, 3.0).target
    0.1
    """

    target: float
    strength: float

    def __post_init__(self) -> None:
        numbers = is_finite(self.target) and is_finite(self.strength)
        if not (numbers and 0.0 <= self.target <= 1.0 and self.strength >= 0.0):
            raise ConfigError(
                "firing-rate regulariser",
                got=(self.target, self.strength),
                expected="a target in [0, 1] and a finite strength >= 0",
            )

    def error(self, o: Tensor, valid: Tensor | None, event_axes: int) -> Tensor:
        """∂R/∂o for o [..., B, *event], broadcast over the event axes."""
        axes = tuple(range(o.ndim - event_axes, o.ndim))
        excess = self._excess(o, valid, axes)
        batch, size = o.shape[-event_axes - 1], o.shape[-event_axes:].numel()
        return (self.strength / (batch * size)) * excess

    def value(self, o: Tensor, valid: Tensor | None, event_axes: int) -> Tensor:
        """R for o [..., B, *event]."""
        axes = tuple(range(o.ndim - event_axes, o.ndim))
        batch = o.shape[-event_axes - 1]
        return self._excess(o, valid, axes).square().sum() * (self.strength / (2 * batch))

    def _excess(self, o: Tensor, valid: Tensor | None, axes: tuple[int, ...]) -> Tensor:
        excess = o.mean(axes, keepdim=True) - self.target
        if valid is None:
            return excess
        return excess * valid.to(excess).view(*valid.shape, *(1,) * len(axes))
