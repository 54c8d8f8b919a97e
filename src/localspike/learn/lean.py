"""The layerwise schedule in few passes over memory, for two-trace rules on plain LIF blocks.

Same order of work and the same gradient as `Layerwise`. A block keeps spikes and Ψ only, in the
dtype of the products; neurons, Ψ and both traces are fused (`kernels.fused`); feature maps lie
channels last. Blocks that cannot run so (recurrent, adaptive, with a bias that learns) run as in
`Layerwise`, beside the others.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..kernels import fused, windows
from ..kernels.maxpool import channels_last
from ..kernels.surrogate import ELEMENTWISE, spike_function
from ..kernels.windows import Windows
from ..nn import lean
from ..nn.layer import Activity, BlockState, Spiking, Weights, is_static
from ..nn.network import INPUT, Run, State, mean_rate
from ..rules.class_basis import BoundClassBasis
from ..rules.eligibility import TwoTrace
from ..rules.signal import Told
from .credit import Credit
from .gradients import Gradients, learns
from .layerwise import Layerwise, learn_block, learn_readout
from .outcome import Outcome
from .targets import Target


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
    if eligibility.fast_decay_of("input"):
        return "its pre trace is double-exponential"
    if block.synapse.bias is not None:
        return "it has a bias"
    if type(credit.rule.surrogate) not in ELEMENTWISE:
        return f"the surrogate {type(credit.rule.surrogate).__name__} is not one of the package's"
    return lean.obstacle(block)


class LeanLayerwise(Layerwise):
    """Runs a spatially local two-trace rule layer by layer."""

    def __init__(self, credit: Credit, dtype: torch.dtype | None = None) -> None:
        super().__init__(credit, dtype)
        self.lean = {name for name in credit.net.blocks if block_obstacle(credit, name) is None}

    @torch.no_grad()
    def run(
        self, frames: Tensor, target: Target, state: State, gradients: Gradients | None
    ) -> Outcome:
        """A whole sequence batch [T, B, ...] from zero traces; gradients are added up.

        Without ``gradients`` nothing learns.
        """
        learning = {} if gradients is None else self.credit.hidden_with_signal()
        signals = dict[str, object]()
        outputs, rates, state = {INPUT: self._laid_out(frames)}, dict[str, Tensor](), dict(state)
        for name, block in self.net.blocks.items():
            x = self.net.gather(name, outputs)
            weights = block.weights(self.dtype) if name in self.lean else block.weights()
            kept, state[name] = self._forward(name, block, x, state[name], weights)
            outputs[name] = kept.out
            self.net.release(name, outputs)
            rates[name] = mean_rate(_fired(kept.o), target.valid)
            if gradients is not None and name in learning:
                if isinstance(kept, lean.Kept):
                    signals[name] = self._learn(name, kept, target, signals, gradients)
                else:
                    told = self._told(name, self._seen(name, kept.out), target, signals)
                    signals[name] = told.state
                    learn_block(self.credit, name, kept, weights, told, target, gradients)
                    del told
            del kept  # or this layer's sequence would stay while the next one is computed
        run = self._readout(outputs, rates, state)
        assert run.logits is not None  # `Credit` has checked
        if gradients is not None:
            learn_readout(self.credit, run, target, gradients)
        loss = self.credit.loss.value(run.logits, target.y, target.weight)
        return Outcome(loss, run.logits, rates, run.state)

    def _seen(self, name: str, out: Tensor) -> Tensor:
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
        self, name: str, block: Spiking, x: Tensor, state: BlockState, weights: Weights
    ) -> tuple[lean.Kept | Activity, BlockState]:
        if name in self.lean:
            return lean.sequence(block, x, state, weights, self.credit.rule.surrogate, self.dtype)
        spike = spike_function(None, block.neuron.fires_at_threshold)
        # Its traces and its tail are not made for narrow spikes.
        dtype = weights.input.dtype
        wide = x[0].to(dtype).expand(x.shape) if is_static(x) else x.to(dtype)
        return block.sequence(wide, state, weights, spike=spike, dtype=self.dtype)

    def _learn(
        self,
        name: str,
        kept: lean.Kept,
        target: Target,
        signals: dict[str, object],
        gradients: Gradients,
    ) -> object:
        """One contraction of a lean block's whole sequence; what its signal keeps."""
        block, eligibility = self.net.blocks[name], self.credit.eligibility(name)
        assert isinstance(eligibility, TwoTrace)  # `block_obstacle`
        told, at = self._signal(name, kept, target, signals)
        gradients.add_own(name, told.own)
        if not learns(block):
            return told.state
        constants = _constants(eligibility)
        collapse = _collapse_sum if is_static(kept.x) else _collapse
        grad = lean.contract(block, kept, collapse(at, kept, constants), self.dtype)
        gradients.add_weight(name, grad)
        return told.state

    def _signal(
        self, name: str, kept: lean.Kept, target: Target, signals: dict[str, object]
    ) -> tuple[Told, Tensor | Windows]:
        """What the signal says, and m at the spikes, one number a window where that is enough."""
        block, bound = self.net.blocks[name], self.credit.bound[name]
        # Of that very class: a subclass may say something else over a sequence.
        if type(bound) is BoundClassBasis and bound.size and kept.out.ndim == 5:
            known = self.credit.knowledge(name, kept.out, target, None, None)
            told = bound.at_latents(known)
            shape = (*told.m.shape[:2], kept.out.shape[2], bound.size, bound.size)
            at = lean.windows(block, kept, told.m.view(shape))
            if at is not None:
                return told, at
            told = bound.spread(told, known)
        else:
            told = self._told(name, self._seen(name, kept.out), target, signals)
        m = block.tail_pullback(told.m.flatten(0, 1), kept.contexts)
        return told, _ordered(m, kept.psi.flatten(0, 1)).unflatten(0, kept.psi.shape[:2])

    def _readout(self, outputs: dict[str, Tensor], rates: dict[str, Tensor], state: State) -> Run:
        readout, last = self.net.readout, self.net.readout_name
        assert readout is not None and last is not None  # `Credit` has checked
        x = readout.flat(self.net.gather(last, outputs), 2)
        logits, state[last] = readout.sequence(x, state[last], readout.weights(), self.dtype)
        return Run(logits, rates, state, x)


def _constants(rule: TwoTrace) -> fused.TwoTraceConstants:
    return fused.TwoTraceConstants(
        rule.decay_of("input"), rule.pre_gain, rule.post_decay, rule.post_gain
    )


def _collapse(at: Tensor | Windows, kept: lean.Kept, c: fused.TwoTraceConstants) -> Tensor:
    """The post factor [T, B, ...]."""
    if isinstance(at, Windows):
        return windows.collapse(at, kept.psi, c)
    return fused.unflat(fused.collapse(fused.flat(at), fused.flat(kept.psi), c), kept.psi)


def _collapse_sum(at: Tensor | Windows, kept: lean.Kept, c: fused.TwoTraceConstants) -> Tensor:
    """The post factor summed over time [B, ...]."""
    if isinstance(at, Windows):
        return windows.collapse_sum(at, kept.psi, c)
    total = fused.collapse_sum(fused.flat(at), fused.flat(kept.psi), c)
    return fused.unflat(total[None], kept.psi[:1])[0]


def _fired(o: Tensor) -> Tensor:
    """Spikes per neuron [T, B] of o [T, B, ...] in any memory order."""
    events = o.permute(0, 1, 3, 4, 2) if o.ndim == 5 and not o.is_contiguous() else o
    return fused.rates(events.flatten(2))


def _ordered(m: Tensor, like: Tensor) -> Tensor:
    """m [N, ...] dense in the memory order of ``like``; a signal spread over positions is not."""
    if like.ndim == 4 and not like.is_contiguous():
        return channels_last(m)
    return m.contiguous()
