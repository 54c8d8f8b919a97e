"""Signals through fixed random matrices: the readout's error, its sign, or the label itself."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

import torch
from torch import Tensor

from ..errors import ConfigError
from .signal import BlockInfo, BoundSignal, Knowledge


@dataclass(frozen=True)
class Projection:
    """A fixed random matrix B [C, n] carries the output error, its sign, or the label to a block.

    * ``"dfa"``: m = e B, e = ∂L/∂logits of the same step (direct feedback alignment)
    * ``"sdfa"``: m = w sign(e) B
    * ``"drtp"``: m = −w y* B, y* the one-hot label (the error's sign on the target class)

    w is the sample's weight in the loss: 1/batch times class weight and scale, 0 where inactive.

    Parameters
    ----------
    seed:
        B is drawn per block, uniform in ±1/√C, from (seed, block index); never stored.
    batch_mean:
        False undoes the loss's 1/batch in m, as S-TLLR's release does for DFA.

    Source: S-TLLR (DFA); sDFA; DRTP (Frenkel et al. 2021).

    >>> Projection("drtp").local
    True
    """

    kind: Literal["dfa", "sdfa", "drtp"] = "dfa"
    seed: int = 0
    batch_mean: bool = True
    matrices: tuple[Tensor, ...] | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("dfa", "sdfa", "drtp"):
            raise ConfigError(
                "unknown projection", got=self.kind, expected="'dfa', 'sdfa' or 'drtp'"
            )

    @property
    def local(self) -> bool:
        """True where nothing of the layers above is needed (the label is no layer)."""
        return self.kind == "drtp"

    @property
    def needs(self) -> str:
        """Which part of `Knowledge` the signal reads."""
        return "target" if self.kind == "drtp" else "error"

    def bind(self, block: BlockInfo, like: Tensor) -> BoundSignal:
        """The working form for one block, with its own matrix."""
        return _BoundProjection(self, self._matrix(block).to(like))

    def _matrix(self, block: BlockInfo) -> Tensor:
        if self.matrices is not None:
            return self.matrices[block.index]
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + block.index)
        shape = (block.classes, prod(block.output_shape))
        return (torch.rand(shape, generator=generator) * 2 - 1) * block.classes**-0.5


class _BoundProjection:
    def __init__(self, spec: Projection, matrix: Tensor) -> None:
        self.spec, self.matrix = spec, matrix

    def step(self, known: Knowledge, state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return self.sequence(known), state

    def filter(self, output: Tensor, state: Tensor | None) -> Tensor | None:
        return state

    def sequence(self, known: Knowledge) -> Tensor:
        error = self._error(known)
        return (error @ self.matrix).view(known.output.shape)

    def _error(self, known: Knowledge) -> Tensor:
        if self.spec.kind == "drtp":
            error = -known.target * known.weight[..., None]
        elif known.readout_error is None:
            raise ConfigError("a projected error needs the readout's error of the same step")
        elif self.spec.kind == "sdfa":
            error = known.readout_error.sign() * known.weight[..., None]
        else:
            error = known.readout_error
        return error if self.spec.batch_mean else error * known.batch
