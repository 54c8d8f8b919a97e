"""The two-sweep schedule: forward through all layers, then back through them, each step on its own.

For rules whose signal comes from the readout. Their signal does not cross time, so once every
layer's sequence is at hand, m of all steps follows layer by layer in one batched pass, and each
layer's traces collapse into one contraction. The same gradient as streaming, in fewer and larger
operations, for the price BPTT pays: the memory of every layer's whole sequence.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..nn.layer import Activity, Spiking, Weights
from ..nn.network import Network, State
from ..rules.signal import Told
from .credit import Credit
from .gradients import Gradients
from .layerwise import forward, learn_block, learn_readout
from .outcome import Outcome
from .probe import Probe
from .targets import Target

_Kept = dict[str, tuple[Activity, Weights]]


class TwoSweep:
    """Runs a rule whose signal is sent from the readout, over a whole sequence batch."""

    def __init__(
        self, credit: Credit, dtype: torch.dtype | None = None, probe: Probe | None = None
    ) -> None:
        self.credit, self.net, self.dtype, self.probe = credit, credit.net, dtype, probe

    @torch.no_grad()
    def run(self, frames: Tensor, target: Target, state: State, gradients: Gradients) -> Outcome:
        """A whole sequence batch [T, B, ...] from zero traces; gradients are added up."""
        kept: _Kept = {}
        wanted = self.credit.hidden_with_signal()

        def visit(name: str, block: Spiking, activity: Activity, weights: Weights) -> None:
            if name in wanted:
                kept[name] = (activity, weights)
                if self.probe is not None:
                    self.probe.sequence(name, activity, self.credit.psi(block, activity))

        run = forward(self.credit, frames, target, state, self.dtype, visit)
        assert run.logits is not None  # `Credit` has checked
        error = learn_readout(self.credit, run, target, gradients)
        if self.probe is not None:
            self.probe.logits(run.logits)
        if self.credit.rule.signal.needs == "backprop":
            self._sweep_back(kept, error, target, gradients)
        else:
            self._project(kept, error, target, gradients)
        loss = self.credit.loss.value(run.logits, target.y, target.weight)
        return Outcome(loss, run.logits, run.rates, run.state)

    def _project(self, kept: _Kept, error: Tensor, target: Target, gradients: Gradients) -> None:
        """Every block's own signal, from the readout's error of all steps."""
        readout, signals = self.net.readout, dict[str, object]()
        assert readout is not None
        weight = readout.weights().input
        for name in list(kept):
            activity, weights = kept.pop(name)
            below = self.credit.below(name, signals)
            known = self.credit.knowledge(name, activity.out, target, (error, weight), below)
            told = self.credit.bound[name].sequence(known)
            signals[name] = told.state
            learn_block(self.credit, name, activity, weights, told, target, gradients)

    def _sweep_back(self, kept: _Kept, error: Tensor, target: Target, gradients: Gradients) -> None:
        """m of every block by the chain rule through each step's layers, all steps at once."""
        if not kept:
            return
        shapes = {name: activity.out.shape for name, (activity, _) in kept.items()}
        arriving = from_readout(self.net, error, shapes, self.dtype)
        for name in reversed(list(kept)):
            activity, weights = kept.pop(name)
            m_out = arriving.pop(name, None)  # None: nobody reads this block
            told = Told(torch.zeros_like(activity.out) if m_out is None else m_out)
            m = learn_block(self.credit, name, activity, weights, told, target, gradients)
            if any(source in shapes for source in self.net.wires[name]):
                back = sent_down(self.credit, name, activity, weights, m, self.dtype)
                self.net.scatter(name, back, shapes, arriving)


def from_readout(
    net: Network, error: Tensor, shapes: Mapping[str, torch.Size], dtype: torch.dtype | None
) -> dict[str, Tensor]:
    """∂L/∂logits [T, B, C] carried to the blocks the readout reads, of those in ``shapes``."""
    readout, last, arriving = net.readout, net.readout_name, dict[str, Tensor]()
    assert readout is not None and last is not None  # `Credit` has checked
    merged, weight = error.flatten(0, 1), readout.weights().input
    flat = torch.Size((len(merged), readout.synapse.inputs))
    net.scatter(last, readout.synapse.pullback(merged, weight, flat, dtype), shapes, arriving)
    return arriving


def sent_down(
    credit: Credit,
    name: str,
    activity: Activity,
    weights: Weights,
    m: Tensor,
    dtype: torch.dtype | None,
) -> Tensor:
    """m Ψ [T, B, ...] of a block carried to its input [T·B, ...], each step on its own."""
    block = credit.net.blocks[name]
    delta = (m * credit.psi(block, activity)).flatten(0, 1)
    shape = torch.Size((len(delta), *activity.x.shape[2:]))
    return block.synapse.pullback(delta, weights.input, shape, dtype)
