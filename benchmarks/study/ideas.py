"""Ideas of the accuracy study that the package does not have: rules of a plugin.

python benchmarks/study/trial.py NAME RECIPE rule=dense --plugin benchmarks/study/ideas.py ...
"""

from __future__ import annotations

from dataclasses import dataclass

import batchnorm  # noqa: F401 - a model for BPTT
import torch
from torch import Tensor

from localspike import rules
from localspike.rules import Rule, Triangle
from localspike.rules.basis import BASES, random
from localspike.rules.class_basis import BoundClassBasis, ClassBasis
from localspike.rules.eligibility import TwoTrace
from localspike.rules.presets import surrogate_named
from localspike.rules.signal import BlockInfo, Knowledge, Told


def _traces(pre_decay: float, post_gain: float) -> TwoTrace:
    return TwoTrace(pre_decay, 0.2, 1.0, post_gain)


@dataclass(frozen=True)
class Dense(ClassBasis):
    """Every window of a block's output predicts the class by itself, all with one basis.

    In TESS the basis runs over channels and positions, so that a filter, whose weights are shared
    by all positions, is asked for another code at each. Here the code is the channel's.
    """

    def bind(self, block: BlockInfo, like: Tensor) -> BoundClassBasis:
        return BoundDense(self, block, like)


class BoundDense(BoundClassBasis):
    """`Dense` on one block."""

    def __init__(self, spec: ClassBasis, block: BlockInfo, like: Tensor) -> None:
        super().__init__(spec, block, like)
        self.channels = block.output_shape[0]
        self.basis = _basis(spec, block, self.channels).to(like)

    def _signal(self, a: Tensor, known: Knowledge, state: Tensor | None) -> Told:
        windows = a.unflatten(-1, (self.channels, -1)).transpose(-1, -2)
        norm = windows.norm(dim=-1, keepdim=True).clamp(min=1.0).reciprocal()
        z = (windows @ self.basis.T) * norm
        error = torch.stack([known.error_of(z[..., w, :]) for w in range(z.shape[-2])], -2)
        m = (error @ self.basis) * norm / z.shape[-2]
        return Told(m.transpose(-1, -2).flatten(-2), state, {})


@dataclass(frozen=True)
class Orthogonal(ClassBasis):
    """The square wave's rows made orthogonal, each as long as before."""

    def bind(self, block: BlockInfo, like: Tensor) -> BoundClassBasis:
        bound = BoundClassBasis(self, block, like)
        rows = bound.basis.double()
        found, corner = torch.linalg.qr(rows.T)
        upright = found * corner.diagonal().sign()  # or a row might turn into its opposite
        bound.basis = (upright.T * rows.norm(dim=1, keepdim=True)).to(bound.basis)
        return bound


def _basis(spec: ClassBasis, block: BlockInfo, n: int) -> Tensor:
    if spec.basis in BASES:
        return BASES[spec.basis](block.classes, n)
    return random(block.classes, n, spec.seed * 1_000_003 + block.index)


@rules.register
def dense(
    pool: int | None = None,
    post_gain: float = 0.0,
    pre_decay: float = 0.5,
    basis: str = "integer_square",
    latent_decay: float = 0.0,
) -> Rule:
    """One prediction per window, the basis over channels."""
    return Rule(
        "dense",
        _traces(pre_decay, post_gain),
        Dense(basis, "l2", pool, latent_decay),
        surrogate_named("triangle"),
    )


@rules.register
def plain(
    pool: int | None = None,
    post_gain: float = 0.0,
    pre_decay: float = 0.5,
    basis: str = "integer_square",
    scale: float | str = "l2",
    mixing: str = "none",
    latent_decay: float = 0.0,
    width: float = 1.0,
    votes: bool = False,
    seed: int = 0,
) -> Rule:
    """TESS with any of the package's bases, scales and mixings, and a surrogate of any width."""
    kind, first = ClassBasis, basis
    if basis == "orthogonal":
        kind, first = Orthogonal, "integer_square"
    return Rule(
        "plain",
        _traces(pre_decay, post_gain),
        kind(first, scale, pool, latent_decay, mixing, seed, votes),
        Triangle(width=width),
    )
