"""Learning signals from a layer's own class logits: TESS's fixed basis and its relatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, prod
from typing import Literal

import torch
from torch import Tensor, nn

from ..errors import ConfigError, is_finite
from ..kernels import pool, trace
from .basis import BASES, constant_row, random
from .signal import BlockInfo, Knowledge, Signal, Told

Scale = Literal["mean", "sqrt", "l2", "l2_full"] | float
Basis = Literal[
    "integer_square",
    "balanced_square",
    "sine_square",
    "cosine",
    "hadamard",
    "random",
    "trained",
    "adapted",
]
Mixing = Literal["none", "gain", "matrix"]
Votes = bool | Literal["auto"]


@dataclass(frozen=True)
class ClassBasis(Signal):
    """A local learning signal from a class basis B [C, n] on the block's own output.

        a = pool(block output),  z = M(s · B a),  p = f(z),  m = poolᵀ(s · Bᵀ Mᵀ ∂L/∂z)

    With cross-entropy ∂L/∂z = (softmax(z) − onehot) / batch; with a squared loss f is the identity.
    M is the identity in TESS.

    Parameters
    ----------
    basis:
        "integer_square" (canonical, integer arithmetic), "balanced_square" (the same without
        constant rows, which it has at some numbers of classes), "sine_square" (the papers' form),
        "cosine", "hadamard", "random" (drawn per block from ``seed``: DECOLLE's local readout), or
        "trained": a local linear classifier that descends its own loss, from random weights, or
        "adapted": the same from "integer_square".
    scale:
        s: "mean" 1/n, "sqrt" 1/√n, "l2" 1/max(‖a‖₂, 1) per sample and step and held constant
        in m, "l2_full" the same with the norm's own derivative, or a number.
    pool:
        Latent size k: output averaged to k×k (k for vectors); None takes the block's own
        ``latent``, 0 uses every output element.
    latent_decay:
        Decay of a low-pass filter on the latents, ā[t] = δ ā[t−1] + a[t]; 0 as published.
    mixing:
        M: "none", "gain" (one trained factor per class, LLS-M) or "matrix" (a trained C×C
        matrix, LLS-M×M); both begin as the identity.
    votes:
        Whether z is added to the readout's logits when a net is judged (`Learner.evaluate`);
        "auto": where that is better on validation (`learn.choose_votes`).

    Source: TESS (arXiv 2502.01837) eq. (9)–(12); LLS (arXiv 2405.15868) for scale, cosine and
    mixing; DECOLLE (Kaiser et al. 2020) for the random readout.

    >>> ClassBasis().scale
    'l2'
    """

    basis: Basis = "integer_square"
    scale: Scale = "l2"
    pool: int | None = None
    latent_decay: float = 0.0
    mixing: Mixing = "none"
    seed: int = 0
    votes: Votes = False

    def __post_init__(self) -> None:
        known = (*BASES, "random", "trained", "adapted")
        if self.basis not in known:
            raise ConfigError("unknown basis", got=self.basis, expected=f"one of {sorted(known)}")
        if isinstance(self.scale, str) and self.scale not in ("mean", "sqrt", "l2", "l2_full"):
            raise ConfigError(
                "unknown logit scale",
                got=self.scale,
                expected="'mean', 'sqrt', 'l2', 'l2_full' or a number",
            )
        if not isinstance(self.scale, str) and not 0.0 < self.scale < inf:
            raise ConfigError("logit scale", got=self.scale, expected="a finite number > 0")
        if self.pool is not None and self.pool < 0:
            raise ConfigError("pool", got=self.pool, expected="a size >= 1, 0 or None")
        if not (is_finite(self.latent_decay) and 0.0 <= self.latent_decay < 1.0):
            raise ConfigError(
                "latent_decay out of range", got=self.latent_decay, expected="a decay in [0, 1)"
            )
        if self.mixing not in ("none", "gain", "matrix"):
            raise ConfigError(
                "unknown mixing", got=self.mixing, expected="'none', 'gain' or 'matrix'"
            )
        if self.votes not in (True, False, "auto"):
            raise ConfigError("votes", got=repr(self.votes), expected="True, False or 'auto'")

    def bind(self, block: BlockInfo, like: Tensor) -> BoundClassBasis:
        """The working form for one block; B is generated in the dtype and device of ``like``."""
        return BoundClassBasis(self, block, like)


class BoundClassBasis:
    """`ClassBasis` on one block."""

    takes_narrow = True  # spikes in a narrow dtype: latents are made wide, the signal narrow again

    def __init__(self, spec: ClassBasis, block: BlockInfo, like: Tensor) -> None:
        size = block.latent if spec.pool is None else spec.pool
        # Features of a vector block are never pooled by a size meant for feature maps.
        vector_default = len(block.output_shape) == 1 and spec.pool is None
        self.size = None if not size or vector_default else size
        self.latents = _latent_count(block.output_shape, self.size)
        self.spec = spec
        self.parameters: dict[str, nn.Parameter] = {}
        self._make_basis(block, like)
        self._make_mixing(block.classes, like)

    def _make_basis(self, block: BlockInfo, like: Tensor) -> None:
        name, shape = self.spec.basis, (block.classes, self.latents)
        if name in BASES:
            self.basis = BASES[name](*shape).to(like)
            return
        if name == "adapted":
            self.adopt("basis", nn.Parameter(BASES["integer_square"](*shape).to(like)))
            return
        drawn = random(*shape, self.spec.seed * 1_000_003 + block.index)
        if name == "random":
            self.basis = drawn.to(like)
            return
        # A classifier's usual scale, so that its first logits are of order one.
        self.adopt("basis", nn.Parameter((drawn * self.latents**-0.5).to(like)))

    def _make_mixing(self, classes: int, like: Tensor) -> None:
        if self.spec.mixing == "gain":
            self.parameters["mix"] = nn.Parameter(torch.ones(classes).to(like))
        elif self.spec.mixing == "matrix":
            self.parameters["mix"] = nn.Parameter(torch.eye(classes).to(like))

    def adopt(self, name: str, parameter: nn.Parameter) -> None:
        self.parameters[name] = parameter
        if name == "basis":
            self.basis = parameter

    def step(self, known: Knowledge, state: Tensor | None) -> Told:
        if not self.spec.latent_decay:
            return self.spread(self._signal(self._latents(known.output), known, None), known)
        latents = self.filter(known, state)
        assert latents is not None  # there is a decay
        return self.spread(self._signal(latents, known, latents), known)

    def filter(self, known: Knowledge, state: Tensor | None) -> Tensor | None:
        if not self.spec.latent_decay:
            return None
        latents = self._latents(known.output)
        return (
            latents if state is None else trace.trace_step(state, latents, self.spec.latent_decay)
        )

    def sequence(self, known: Knowledge, state: Tensor | None = None) -> Told:
        return self.spread(self.at_latents(known, state), known)

    def at_latents(self, known: Knowledge, state: Tensor | None = None) -> Told:
        """`sequence` with m [T, B, n] = ∂L/∂a at the latents, which `spread` takes to positions.

        It goes on from the ``state`` after the steps before, and gives that after the last one.
        """
        out, after = known.output, None
        latents = self._latents(out.flatten(0, 1)).view(*out.shape[:2], self.latents)
        if self.spec.latent_decay:
            latents = trace.trace_forward(latents, self.spec.latent_decay, state)
            after = latents[-1].clone()
        return self._signal(latents, known, after)

    def _latents(self, output: Tensor) -> Tensor:
        pooled = output if self.size is None else pool.adaptive_pool(output, self.size)
        return pooled.flatten(1).to(self.basis.dtype)

    def _signal(self, a: Tensor, known: Knowledge, state: Tensor | None) -> Told:
        s = self._scale_of(a)
        basis, mix = self.basis.detach(), self.parameters.get("mix")
        plain = (a @ basis.T) * s  # one number a sample and step: cheaper after the product
        error = known.error_of(_mixed(plain, mix))
        to_plain = _mixed(error, None if mix is None else mix.detach().mT if mix.ndim == 2 else mix)
        m = (to_plain @ basis).mul_(s)
        if self.spec.scale == "l2_full":
            m = _remove_radial(m, a)
        own = self._own(a * s, plain, error, to_plain) if self.parameters else {}
        return Told(m, state, own)

    def advice(self) -> str | None:
        """What whoever learns by this signal should know, or None."""
        if self.spec.basis != "integer_square":
            return None
        found = constant_row(*self.basis.shape)
        if found is None:
            return None
        classes, latents = self.basis.shape
        fate = "wins" if found[1] > 0 else "never wins"
        return (
            f"at {classes} classes and {latents} latents the square wave of class {found[0]} is "
            f"nearly constant (mean {found[1]:+.2f}): it {fate} whatever the layer says; "
            "rule.basis=balanced_square has fewer such rows or none"
        )

    @property
    def votes(self) -> bool:
        """Whether its logits may count when a net is judged."""
        return bool(self.spec.votes)

    def vote(self, output: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """z [T, B, C] of the block's output [T, B, ...], from the latents' ``state`` and to it."""
        latents = self._latents(output.flatten(0, 1)).view(*output.shape[:2], self.latents)
        if self.spec.latent_decay:
            latents = trace.trace_forward(latents, self.spec.latent_decay, state)
            state = latents[-1].clone()
        plain = (latents @ self.basis.detach().T) * self._scale_of(latents)
        return _mixed(plain, self.parameters.get("mix")), state

    def spread(self, told: Told, known: Knowledge) -> Told:
        """m over the block's positions, in the dtype its spikes have."""
        m = told.m.to(known.output.dtype)
        return told._replace(m=self._to_output(m, known.output.shape))

    def _own(
        self, scaled: Tensor, plain: Tensor, error: Tensor, to_plain: Tensor
    ) -> Mapping[str, Tensor]:
        """Gradients of the trained basis and mixing: ∂L/∂B = (∂L/∂(s B a)) ⊗ s a, and so on."""
        own = {}
        if "basis" in self.parameters:
            own["basis"] = to_plain.flatten(0, -2).T @ scaled.flatten(0, -2)
        if self.spec.mixing == "gain":
            own["mix"] = (error * plain).flatten(0, -2).sum(0)
        elif self.spec.mixing == "matrix":
            own["mix"] = error.flatten(0, -2).T @ plain.flatten(0, -2)
        return own

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


def _mixed(z: Tensor, mix: Tensor | None) -> Tensor:
    """M z: nothing, one factor per class, or a matrix."""
    if mix is None:
        return z
    mix = mix.detach()
    return z @ mix.T if mix.ndim == 2 else z * mix


def _latent_count(output_shape: tuple[int, ...], size: int | None) -> int:
    if size is None:
        return prod(output_shape)
    return output_shape[0] * size * size if len(output_shape) == 3 else size


def _remove_radial(m: Tensor, a: Tensor) -> Tensor:
    """Apply I − ââᵀ where ‖a‖ ≥ 1; inside the unit ball the scale is constant, so no term."""
    norm_sq = a.square().sum(-1, keepdim=True)
    along = (m * a).sum(-1, keepdim=True) / norm_sq.clamp(min=1.0)
    return m - torch.where(norm_sq >= 1.0, along, torch.zeros_like(along)) * a
