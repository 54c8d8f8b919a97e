"""Spatial credit: where a block's learning signal m[t], an estimate of ∂L/∂o[t], comes from.

A signal is a frozen value. ``bind`` gives its working form for one block; the working form maps
what the block may know (its own output, the target, the block below, or the readout's error) to m
at the block's output. Signals that need only what is there when the block has run are spatially
local.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

from torch import Tensor, nn


@dataclass(frozen=True)
class BlockInfo:
    """What a signal may know of a block when it is bound.

    ``sources`` are the blocks it reads ("input" is the network's input); ``reaches_readout`` says
    that the readout reads this block and nothing else, and leaks with ``readout_decay``.
    """

    index: int
    output_shape: tuple[int, ...]
    latent: int | None
    classes: int
    name: str = ""
    sources: tuple[str, ...] = ("input",)
    reaches_readout: bool = False
    readout_decay: float = 0.0


class Knowledge(NamedTuple):
    """What a signal may know at run time; leading axes [B] in a step, [T, B] in a sequence.

    ``error_of(z)`` is ∂L/∂z of the network's loss at logits z [..., C], with the batch mean, the
    class weights and the mask of active steps already in it; ``weight`` [...] is that factor alone,
    0 where inactive. ``target`` is the one-hot class or the value [..., C]; ``readout_error`` is
    ∂L/∂logits of this very step and ``readout_weight`` [C, n] what made the logits. ``below`` is
    what the signal of the block below keeps (`Told.state`), where there is such a block. ``valid``
    [...] is False at padded steps, None where nothing is padded.
    """

    output: Tensor
    error_of: Callable[[Tensor], Tensor]
    target: Tensor
    weight: Tensor
    batch: int
    readout_error: Tensor | None = None
    readout_weight: Tensor | None = None
    below: Any = None
    valid: Tensor | None = None


class Told(NamedTuple):
    """What a signal says: m at the block's output, its own next state, its parameters' gradients.

    In a sequence ``state`` is what the block above may know of the whole sequence.
    """

    m: Tensor
    state: Any = None
    own: Mapping[str, Tensor] = {}


class BoundSignal(Protocol):
    """A signal at work on one block."""

    @property
    def parameters(self) -> Mapping[str, nn.Parameter]:
        """Its own trained tensors, by name."""
        ...

    def adopt(self, name: str, parameter: nn.Parameter) -> None:
        """Use this tensor for one of the parameters from now on."""
        ...

    def step(self, known: Knowledge, state: Any) -> Told:
        """m of one step from the state after the step before (None at the start)."""
        ...

    def filter(self, known: Knowledge, state: Any) -> Any:
        """The state after a step without learning."""
        ...

    def sequence(self, known: Knowledge) -> Told:
        """m of a whole sequence [T, B, ...] from zero state."""
        ...


@dataclass(frozen=True)
class Companion:
    """A second stream of samples, the targets themselves, run by the same weights.

    ``per_class``: one companion per class; otherwise one per sample of the batch, its label.
    ``drive`` is the label's current into the blocks that read the network's input, in thresholds.
    ``among_samples``: only what the batch itself holds is compared with, so that it takes two.
    """

    per_class: bool
    drive: float
    seed: int
    among_samples: bool = False


NEEDS = ("output", "target", "error", "backprop", "nothing")


@dataclass(frozen=True)
class Signal:
    """Base of all signals: what they need, whether they are local, and how they are bound.

    ``needs`` is "output" (own activity and target), "target", "error" (the readout's, of the same
    step), "backprop" (the error through the layers above) or "nothing".
    """

    needs: ClassVar[str] = "output"

    @property
    def companion(self) -> Companion | None:
        """The second stream this signal compares with, or None."""
        return None

    @property
    def local(self) -> bool:
        """True where nothing of the layers above is needed (the label is no layer)."""
        return self.needs not in ("error", "backprop")

    def bind(self, block: BlockInfo, like: Tensor) -> BoundSignal | None:
        """The working form for one block in the dtype and device of ``like``; None if it has none.

        Raises
        ------
        IllegalError
            If the signal is not defined for this block, with the reason.
        """
        return None


@dataclass(frozen=True)
class Silent(Signal):
    """No signal: hidden blocks stay as they are (the frozen baseline); the readout still learns."""

    needs: ClassVar[str] = "nothing"


@dataclass(frozen=True)
class Backprop(Signal):
    """m[t] by backpropagation of the step's loss through the layers of the same step, not time.

    Source: S-TLLR (BP), OTTT, SLTT.
    """

    needs: ClassVar[str] = "backprop"
