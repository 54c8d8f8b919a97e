"""TESS's learning signal: a fixed class basis on the block's own output, nothing sent anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ..errors import ConfigError
from ..kernels import pool, trace
from .basis import BASES
from .signal import BlockInfo, BoundSignal, Knowledge

Scale = Literal["mean", "sqrt", "l2", "l2_full"] | float


@dataclass(frozen=True)
class ClassBasis:
    """TESS's local learning signal from a fixed class basis B [C, n].

        a = pool(block output),  z = s · B a,  p = f(z),  m = poolᵀ(s · Bᵀ ∂L/∂z)

    With cross-entropy ∂L/∂z = (softmax(z) − onehot) / batch; with a squared loss f is the identity.

    Parameters
    ----------
    basis:
        "integer_square" (canonical, integer arithmetic) or "sine_square" (the papers' form).
    scale:
        s: "mean" 1/n, "sqrt" 1/√n, "l2" 1/max(‖a‖₂, 1) per sample and step and held constant
        in m, "l2_full" the same with the norm's own derivative, or a number.
    pool:
        Latent size k: output averaged to k×k (k for vectors); None takes the block's own
        ``latent``, 0 uses every output element.
    latent_decay:
        Decay of a low-pass filter on the latents, ā[t] = δ ā[t−1] + a[t]; 0 as published.

    Source: TESS (arXiv 2502.01837) eq. (9)–(12); scale options from its release and LLS.

    >>> ClassBasis().scale
    'l2'
    """

    basis: Literal["integer_square", "sine_square"] = "integer_square"
    scale: Scale = "l2"
    pool: int | None = None
    latent_decay: float = 0.0

    local: ClassVar[bool] = True
    needs: ClassVar[str] = "output"

    def __post_init__(self) -> None:
        if self.basis not in BASES:
            raise ConfigError("unknown basis", got=self.basis, expected=f"one of {sorted(BASES)}")
        if isinstance(self.scale, str) and self.scale not in ("mean", "sqrt", "l2", "l2_full"):
            raise ConfigError(
                "unknown logit scale",
                got=self.scale,
                expected="'mean', 'sqrt', 'l2', 'l2_full' or a number",
            )
        if self.pool is not None and self.pool < 0:
            raise ConfigError("pool", got=self.pool, expected="a size >= 1, 0 or None")
        if not 0.0 <= self.latent_decay < 1.0:
            raise ConfigError(
                "latent_decay out of range", got=self.latent_decay, expected="a decay in [0, 1)"
            )

    def bind(self, block: BlockInfo, like: Tensor) -> BoundSignal:
        """The working form for one block; B is generated in the dtype and device of ``like``."""
        return _BoundClassBasis(self, block, like)


class _BoundClassBasis:
    def __init__(self, spec: ClassBasis, block: BlockInfo, like: Tensor) -> None:
        size = block.latent if spec.pool is None else spec.pool
        # Features of a vector block are never pooled by a size meant for feature maps.
        vector_default = len(block.output_shape) == 1 and spec.pool is None
        self.size = None if not size or vector_default else size
        self.latents = _latent_count(block.output_shape, self.size)
        self.spec = spec
        self.basis = BASES[spec.basis](block.classes, self.latents).to(like)

    def step(self, known: Knowledge, state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if not self.spec.latent_decay:
            return self._signal(self._latents(known.output), known), None
        latents = self.filter(known.output, state)
        return self._signal(latents, known), latents  # type: ignore[arg-type]

    def filter(self, output: Tensor, state: Tensor | None) -> Tensor | None:
        if not self.spec.latent_decay:
            return None
        latents = self._latents(output)
        return (
            latents if state is None else trace.trace_step(state, latents, self.spec.latent_decay)
        )

    def sequence(self, known: Knowledge) -> Tensor:
        out = known.output
        latents = self._latents(out.flatten(0, 1)).view(*out.shape[:2], self.latents)
        if self.spec.latent_decay:
            latents = trace.trace_forward(latents, self.spec.latent_decay)
        return self._signal(latents, known)

    def _latents(self, output: Tensor) -> Tensor:
        pooled = output if self.size is None else pool.adaptive_pool(output, self.size)
        return pooled.flatten(1)

    def _signal(self, a: Tensor, known: Knowledge) -> Tensor:
        s = self._scale_of(a)
        error = known.error_of((a * s) @ self.basis.T)
        m = s * (error @ self.basis)
        if self.spec.scale == "l2_full":
            m = _remove_radial(m, a)
        return self._to_output(m, known.output.shape)

    def _scale_of(self, a: Tensor) -> Tensor | float:
        scale = self.spec.scale
        if scale in ("l2", "l2_full"):
            return a.norm(dim=-1, keepdim=True).clamp_(min=1.0).reciprocal_()
        if scale == "mean":
            return 1.0 / self.latents
        return self.latents**-0.5 if scale == "sqrt" else float(scale)

    def _to_output(self, m: Tensor, shape: torch.Size) -> Tensor:
        if self.size is None:
            return m.view(shape)
        lead, event = m.shape[:-1], shape[m.ndim - 1 :]
        inner = (*event[:-2], self.size, self.size) if len(event) == 3 else (self.size,)
        flat = pool.adaptive_pool_pullback(
            m.reshape(-1, *inner), torch.Size((lead.numel(), *event))
        )
        return flat.reshape(shape)


def _latent_count(output_shape: tuple[int, ...], size: int | None) -> int:
    if size is None:
        return prod(output_shape)
    return output_shape[0] * size * size if len(output_shape) == 3 else size


def _remove_radial(m: Tensor, a: Tensor) -> Tensor:
    """Apply I − ââᵀ where ‖a‖ ≥ 1; inside the unit ball the scale is constant, so no term."""
    norm_sq = a.square().sum(-1, keepdim=True)
    along = (m * a).sum(-1, keepdim=True) / norm_sq.clamp(min=1.0)
    return m - torch.where(norm_sq >= 1.0, along, torch.zeros_like(along)) * a
