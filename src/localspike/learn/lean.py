"""The layerwise schedule in few passes over memory, for two-trace rules on plain LIF blocks.

Same order of work and the same gradient as `Layerwise`. A block keeps spikes and Ψ only, in the
dtype of the products; neurons, Ψ and both traces are fused (`kernels.fused`); feature maps lie
channels last. A long sequence is worked through in parts, which traces and states connect, so that
memory does not grow with T. Blocks that cannot run so (adaptive, with a bias that learns) run as
in `Layerwise`, beside the others and over the whole sequence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..kernels import parts as part_sizes
from ..kernels.maxpool import channels_last
from ..kernels.surrogate import ELEMENTWISE, spike_function
from ..nn import lean
from ..nn.currents import is_static
from ..nn.layer import Activity, BlockState, Spiking, Weights
from ..nn.network import INPUT, State, mean_rate
from ..rules.class_basis import BoundClassBasis
from ..rules.eligibility import TwoTrace
from ..rules.projection import BoundProjection
from .credit import Credit
from .gradients import Gradients
from .layerwise import Layerwise, learn_block
from .lean_credit import AFFERENTS, Between, Did, crosses, learn, learn_readout
from .outcome import Outcome
from .targets import Target
from .votes import Votes

ROWS, NUMBERS = 2048, 1 << 22
"""A part has so many samples times steps, or numbers in its largest layer: enough for a product to
run at full speed."""

CONTINUED = (BoundClassBasis, BoundProjection)
"""Signals whose `sequence` goes on from a state; of these very classes, as subclasses may not."""


def obstacle(credit: Credit) -> str | None:
    """Why no block of this network can run lean under this rule, or None."""
    if credit.companion is not None:
        return "the rule runs targets beside the samples"
    if credit.acts_at_every_step:
        return "a regulariser reads the membrane"
    reasons = {name: block_obstacle(credit, name) for name in credit.net.blocks}
    if all(reasons.values()):
        return next((f"block {k!r}: {why}" for k, why in reasons.items()), "it has no blocks")
    return None


def block_obstacle(credit: Credit, name: str) -> str | None:
    """Why one block runs as in `Layerwise`, or None."""
    block, eligibility = credit.net.blocks[name], credit.eligibility(name)
    if type(eligibility) is not TwoTrace:  # a subclass may mean something else
        return f"its traces are {type(credit.rule.eligibility).__name__}"
    if any(eligibility.fast_decay_of(k) for k in _afferents(block)):
        return "its pre trace is double-exponential"
    if block.recurrent is not None and len({eligibility.decay_of(k) for k in AFFERENTS}) > 1:
        return "its afferents have traces of different decay"
    if block.synapse.bias is not None:
        return "it has a bias"
    if type(credit.rule.surrogate) not in ELEMENTWISE:
        return f"the surrogate {type(credit.rule.surrogate).__name__} is not one of the package's"
    return lean.obstacle(block)


def _afferents(block: Spiking) -> tuple[str, ...]:
    return AFFERENTS if block.recurrent is not None else ("input",)


@dataclass
class Sequence:
    """A sequence batch on its way through the parts: all that one part knows of those before."""

    state: State
    gradients: Gradients | None
    rates: dict[str, list[Tensor]]
    learning: frozenset[str]
    between: dict[str, Between] = field(default_factory=dict)
    weights: dict[str, Weights] = field(default_factory=dict)
    more: bool = False


class LeanLayerwise(Layerwise):
    """Runs a spatially local two-trace rule layer by layer."""

    def __init__(self, credit: Credit, dtype: torch.dtype | None = None) -> None:
        super().__init__(credit, dtype)
        self.lean = {name for name in credit.net.blocks if block_obstacle(credit, name) is None}
        self.votes: Votes | None = None

    @torch.no_grad()
    def run(
        self, frames: Tensor, target: Target, state: State, gradients: Gradients | None
    ) -> Outcome:
        """A whole sequence batch [T, B, ...] from zero traces; gradients are added up.

        Without ``gradients`` nothing learns.
        """
        rates: dict[str, list[Tensor]] = {name: [] for name in self.net.blocks}
        learning = frozenset(self.credit.hidden_with_signal())
        sequence = Sequence(dict(state), gradients, rates, learning)
        parts, logits = self.parts(frames), []
        for part in parts:
            sequence.more = part.stop < len(frames)
            now = target if len(parts) == 1 else target.within(part)
            logits.append(self._part(frames[part], now, sequence))
        whole = logits[0] if len(parts) == 1 else torch.cat(logits)
        loss = self.credit.loss.value(whole, target.y, target.weight)
        fired = {k: mean_rate(torch.cat(r), target.valid) for k, r in rates.items()}
        return Outcome(loss, whole, fired, sequence.state)

    def parts(self, frames: Tensor) -> list[slice]:
        """The time steps [T, B, ...] in groups that are worked through one after the other."""
        steps = len(frames)
        whole = len(self.lean) < len(self.net.blocks) or is_static(frames)
        # Sums of post factors would miss what reaches across a part's start.
        whole = whole or bool(self.net.normalised)
        known = all(type(bound) in CONTINUED for bound in self.credit.bound.values())
        if whole or not known or not crosses(self.credit):
            return [slice(0, steps)]
        return in_parts(steps, steps_at_once(steps, frames.shape[1], self.net.largest))

    def _part(self, frames: Tensor, target: Target, sequence: Sequence) -> Tensor:
        """Some steps of all layers: logits [t, B, C]; state and traces are those after them."""
        signals, state = dict[str, object](), sequence.state
        outputs = {INPUT: self._laid_out(frames)}
        for name, block in self.net.blocks.items():
            x = self.net.gather(name, outputs)
            weights = self._weights(name, sequence)
            kept, state[name] = self._forward(name, block, x, state[name], weights, target.valid)
            outputs[name] = kept.out
            if self.votes is not None and name in self.votes.voters:
                self.votes.add(name, self.seen(name, kept.out))
            self.net.release(name, outputs)
            rates = kept.rates if isinstance(kept, lean.Kept) else lean.spike_rates(kept.o)
            sequence.rates[name].append(rates)
            self._learn(name, kept, weights, target, signals, sequence)
            del kept  # or this layer's sequence would stay while the next one is computed
        return self._read_out(outputs, target, sequence)

    def _weights(self, name: str, sequence: Sequence) -> Weights:
        """The effective weights in force: the same for all parts."""
        if name in sequence.weights:
            return sequence.weights[name]
        block = self.net.modules_by_name[name]
        weights: Weights = block.weights(self.dtype) if name in self.lean else block.weights()  # type: ignore[operator]
        if sequence.more:
            sequence.weights[name] = weights
        return weights

    def _learn(
        self,
        name: str,
        kept: lean.Kept | Activity,
        weights: Weights,
        target: Target,
        signals: dict[str, object],
        sequence: Sequence,
    ) -> None:
        gradients = sequence.gradients
        if gradients is None or name not in sequence.learning:
            return
        if isinstance(kept, lean.Kept):
            before, below = sequence.between.get(name), self.credit.below(name, signals)
            did = Did(name, kept, target, before, below)
            after = learn(self, did, gradients, sequence.more)
            sequence.between[name], signals[name] = after, after.signal
            return
        told = self._told(name, self.seen(name, kept.out), target, signals)
        signals[name] = told.state
        learn_block(self.credit, name, kept, weights, told, target, gradients)

    def _read_out(self, outputs: dict[str, Tensor], target: Target, sequence: Sequence) -> Tensor:
        readout, name = self.net.readout, self.net.readout_name
        assert readout is not None and name is not None  # `Credit` has checked
        x = readout.flat(self.net.gather(name, outputs), 2)
        logits, sequence.state[name] = readout.sequence(
            x, sequence.state[name], self._weights(name, sequence), self.dtype
        )
        if sequence.gradients is not None:
            self._contract_readout(x, logits, target, sequence)
        return logits

    def _contract_readout(
        self, x: Tensor, logits: Tensor, target: Target, sequence: Sequence
    ) -> None:
        name = self.net.readout_name
        assert name is not None and sequence.gradients is not None  # `_read_out`
        sequence.between[name] = learn_readout(
            self.credit, x, logits, target, sequence.between.get(name), sequence.gradients,
            sequence.more,
        )  # fmt: skip

    def seen(self, name: str, out: Tensor) -> Tensor:
        """A block's output as its signal takes it: narrow spikes are not for all of them."""
        narrow = getattr(self.credit.bound[name], "takes_narrow", False)
        return out if narrow else out.to(next(self.net.parameters()).dtype)

    def _laid_out(self, frames: Tensor) -> Tensor:
        """Frames in the dtype of the products, feature maps channels last; a static one once."""
        if is_static(frames):
            one = self._laid_out(frames[:1])
            return one.expand(len(frames), *one.shape[1:])
        frames = frames if self.dtype is None else frames.to(self.dtype)
        if frames.ndim != 5 or frames.dtype == torch.float64:
            return frames
        merged = channels_last(frames.flatten(0, 1))
        return merged.unflatten(0, frames.shape[:2])

    def _forward(
        self,
        name: str,
        block: Spiking,
        x: Tensor,
        state: BlockState,
        weights: Weights,
        valid: Tensor | None,
    ) -> tuple[lean.Kept | Activity, BlockState]:
        if name in self.lean:
            psi = self.credit.rule.surrogate
            return lean.sequence(block, x, state, weights, psi, self.dtype, valid)
        spike = spike_function(None, block.neuron.fires_at_threshold)
        # Its traces and its tail are not made for narrow spikes.
        dtype = weights.input.dtype
        wide = x[0].to(dtype).expand(x.shape) if is_static(x) else x.to(dtype)
        more: dict[str, Any] = {"valid": valid} if block.normalised else {}
        return block.sequence(wide, state, weights, spike=spike, dtype=self.dtype, **more)


def steps_at_once(steps: int, batch: int, neurons: int) -> int:
    """How many of T steps a part has, ``neurons`` being those of the largest layer.

    All of them where there would be few parts: each contracts what crosses its start besides.

    >>> [steps_at_once(steps, batch=32, neurons=256) for steps in (20, 64, 100, 800)]
    [20, 64, 100, 64]
    """
    unit = part_sizes.chunk_of(steps)
    units = min(-(-ROWS // (batch * unit)), -(-NUMBERS // (batch * neurons * unit)))
    size = unit * max(units, 1)
    return steps if steps < 2 * size + unit else size


def in_parts(steps: int, size: int) -> list[slice]:
    """T steps in parts of ``size``; the last may be shorter.

    >>> [(part.start, part.stop) for part in in_parts(5, 2)]
    [(0, 2), (2, 4), (4, 5)]
    """
    return [slice(start, min(start + size, steps)) for start in range(0, steps, size)]
