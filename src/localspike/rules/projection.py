"""Signals through feedback matrices: the readout's error, its sign, or the label itself."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..errors import ConfigError, IllegalError
from ..kernels import trace
from .basis import seeded
from .signal import BlockInfo, Knowledge, Signal, Told

Kind = Literal["dfa", "sdfa", "drtp", "symmetric", "adaptive"]
KINDS = ("dfa", "sdfa", "drtp", "symmetric", "adaptive")


@dataclass(frozen=True)
class Projection(Signal):
    """A matrix B [C, n] carries the output error, its sign, or the label to a block.

    * ``"dfa"``: m = e B, e = ∂L/∂logits of the same step, B fixed and random
    * ``"sdfa"``: m = w sign(e) B
    * ``"drtp"``: m = −w y* B, y* the one-hot label (the error's sign on the target class)
    * ``"symmetric"``: m = e W_out, the readout's own weights; only for a block it reads directly
    * ``"adaptive"``: as "dfa", but B follows the gradient the readout would have on this block's
      output; with weight decay on both they align (Kolen and Pollack)

    w is the sample's weight in the loss: 1/batch times class weight and scale, 0 where inactive.

    Parameters
    ----------
    seed:
        B is drawn per block, uniform in ±1/√C, from (seed, block index); never stored.
    batch_mean:
        False undoes the loss's 1/batch in m, as S-TLLR's release does for DFA.
    matrices:
        B of every block in place of drawn ones, to repeat recorded runs.
    label_period:
        "drtp" only: the label arrives as an event every that many steps and the block learns
        just then (ETLP); 1 is a label that is always there.

    Source: S-TLLR (DFA); sDFA; DRTP (Frenkel et al. 2021); e-prop (Bellec et al. 2020) for
    symmetric and adaptive feedback; ETLP (arXiv 2301.08281) for label events.

    >>> Projection("drtp").local
    True
    """

    kind: Kind = "dfa"
    seed: int = 0
    batch_mean: bool = True
    matrices: tuple[Tensor, ...] | None = None
    label_period: int = 1

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError("unknown projection", got=self.kind, expected=f"one of {KINDS}")
        if type(self.label_period) is not int or self.label_period < 1:
            raise ConfigError("label_period", got=self.label_period, expected="whole steps >= 1")
        if self.label_period > 1 and self.kind != "drtp":
            raise ConfigError(
                "label_period belongs to the label's projection",
                got=self.kind,
                expected="'drtp'",
                fix="Use the learner's active_steps to learn at some steps only",
            )

    @property
    def needs(self) -> str:  # type: ignore[override]
        """Which part of `Knowledge` the signal reads."""
        return "target" if self.kind == "drtp" else "error"

    def bind(self, block: BlockInfo, like: Tensor) -> BoundProjection:
        """The working form for one block, with its own matrix."""
        if self.kind == "symmetric" and not block.reaches_readout:
            raise IllegalError(
                f"symmetric feedback is not defined for block {block.name!r}",
                got="a block whose output the readout does not read alone",
                expected="the readout's weights to fit the block's output",
                fix="Use random or adaptive feedback, or backpropagation within the step",
            )
        return BoundProjection(self, block, like)


class BoundProjection:
    """`Projection` on one block."""

    def __init__(self, spec: Projection, block: BlockInfo, like: Tensor) -> None:
        self.spec, self.leak = spec, block.readout_decay
        self.parameters: dict[str, nn.Parameter] = {}
        self.matrix = None if spec.kind == "symmetric" else _matrix(spec, block).to(like)
        if spec.kind == "adaptive" and self.matrix is not None:
            self.adopt("feedback", nn.Parameter(self.matrix))

    def adopt(self, name: str, parameter: nn.Parameter) -> None:
        self.parameters[name] = self.matrix = parameter

    def step(self, known: Knowledge, state: Any) -> Told:
        after = self.filter(known, state)
        if self.spec.label_period > 1 and after % self.spec.label_period:
            return Told(torch.zeros_like(known.output), after)
        error = self._error(known)
        own = {}
        if self.spec.kind == "adaptive":
            seen = known.output.flatten(1) if after is None else after
            own["feedback"] = error.T @ seen
        return Told(self._projected(error, known), after, own)

    def filter(self, known: Knowledge, state: Any) -> Any:
        """Advance the count of label events, or the trace of the output that B learns from."""
        if self.spec.label_period > 1:
            return (state or 0) + 1
        if self.spec.kind == "adaptive" and self.leak:
            out = known.output.flatten(1)
            return out if state is None else trace.trace_step(state, out, self.leak)
        return None

    def sequence(self, known: Knowledge, state: Any = None) -> Told:
        """m of a whole sequence; a label's count goes on from the ``state`` after earlier steps."""
        error, own, after = self._error(known), {}, None
        if self.spec.label_period > 1:
            before = state or 0
            after = before + len(error)
            count = torch.arange(before + 1, after + 1, device=error.device)
            error = error * (count % self.spec.label_period == 0)[:, None, None]
        if self.spec.kind == "adaptive":
            late = trace.trace_reverse(error, self.leak) if self.leak else error
            own["feedback"] = late.flatten(0, 1).T @ known.output.flatten(2).flatten(0, 1)
        return Told(self._projected(error, known), after, own)

    def _projected(self, error: Tensor, known: Knowledge) -> Tensor:
        matrix = known.readout_weight if self.matrix is None else self.matrix.detach()
        if matrix is None:
            raise ConfigError("symmetric feedback needs the readout's weights")
        return (error @ matrix).view(known.output.shape)

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


def _matrix(spec: Projection, block: BlockInfo) -> Tensor:
    shape = (block.classes, prod(block.output_shape))
    if spec.matrices is not None:
        given = [list(matrix.shape) for matrix in spec.matrices]
        if block.index >= len(given) or given[block.index] != list(shape):
            raise ConfigError(
                f"projection matrices do not fit block {block.name!r}",
                got=given,
                expected=f"one per block, number {block.index} being {list(shape)}",
            )
        return spec.matrices[block.index]
    generator = seeded(spec.seed * 1_000_003 + block.index)
    return (torch.rand(shape, generator=generator) * 2 - 1) * block.classes**-0.5
