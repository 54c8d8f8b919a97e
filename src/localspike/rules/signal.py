"""Spatial credit: where a block's learning signal m[t], an estimate of ∂L/∂o[t], comes from.

A signal is a frozen value. ``bind`` gives its working form for one block; the working form maps
what the block may know (its own output, the target, or the readout's error) to m at the block's
output. Signals that need only what is there when the block has run are spatially local.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

from torch import Tensor


@dataclass(frozen=True)
class BlockInfo:
    """What a signal may know of a block when it is bound."""

    index: int
    output_shape: tuple[int, ...]
    latent: int | None
    classes: int


class Knowledge(NamedTuple):
    """What a signal may know at run time; leading axes [B] in a step, [T, B] in a sequence.

    ``error_of(z)`` is ∂L/∂z of the network's loss at logits z [..., C], with the batch mean, the
    class weights and the mask of active steps already in it; ``weight`` [...] is that factor alone,
    0 where inactive. ``target`` is the one-hot class or the value [..., C]; ``readout_error`` is
    ∂L/∂logits of this very step.
    """

    output: Tensor
    error_of: Callable[[Tensor], Tensor]
    target: Tensor
    weight: Tensor
    batch: int
    readout_error: Tensor | None = None


class BoundSignal(Protocol):
    """A signal at work on one block; ``state`` is None for memoryless signals."""

    def step(self, known: Knowledge, state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """m at the block's output for one step, and the signal's next state."""
        ...

    def filter(self, output: Tensor, state: Tensor | None) -> Tensor | None:
        """Advance the signal's state over a step without learning."""
        ...

    def sequence(self, known: Knowledge) -> Tensor:
        """m at the block's output for a whole sequence [T, B, ...] from zero state."""
        ...


@dataclass(frozen=True)
class Silent:
    """No signal: hidden blocks stay as they are (the frozen baseline); the readout still learns."""

    local: ClassVar[bool] = True
    needs: ClassVar[str] = "nothing"


@dataclass(frozen=True)
class Backprop:
    """m[t] by backpropagation of the step's loss through the layers of the same step, not time.

    Source: S-TLLR (BP), OTTT, SLTT.
    """

    local: ClassVar[bool] = False
    needs: ClassVar[str] = "backprop"
