"""The two-sweep schedule in few passes over memory: `LeanLayerwise` for signals from the readout.

Same order of work and the same gradient as `TwoSweep`. Every block's sequence stays until the
readout's error is known, as spikes and slopes in the dtype of the products. Then m goes down from
block to block, one number a window where neurons were pooled, or straight to each of them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..kernels.windows import Windows
from ..nn import lean
from ..nn.layer import Activity, Weights
from ..rules.signal import Told
from . import two_sweep
from .credit import Credit
from .gradients import Gradients, learns
from .layerwise import contract_readout, learn_block
from .lean import LeanLayerwise, Sequence
from .lean_credit import Did, arrived, contract, sent_down, signal
from .targets import Target


class _Held(NamedTuple):
    """What a block did, and the weights that it did it with."""

    kept: lean.Kept | Activity
    weights: Weights


class LeanTwoSweep(LeanLayerwise):
    """Runs a two-trace rule whose signal is sent from the readout, one sequence batch."""

    def __init__(self, credit: Credit, dtype: torch.dtype | None = None) -> None:
        super().__init__(credit, dtype)
        self._held: dict[str, _Held] = {}

    def parts(self, frames: Tensor) -> list[slice]:
        """All steps at once: every block waits for the readout's error."""
        return [slice(0, len(frames))]

    def _learn(
        self,
        name: str,
        kept: lean.Kept | Activity,
        weights: Weights,
        target: Target,
        signals: dict[str, object],
        sequence: Sequence,
    ) -> None:
        """Hold it until the readout has an error."""
        if sequence.gradients is None or name not in sequence.learning:
            return
        if isinstance(kept, lean.Kept):
            # The table is soon made again; spikes before pooling are for recurrent weights alone.
            o = kept.o if kept.o_prev is not None else None
            kept = kept._replace(table=None, o=o)
        self._held[name] = _Held(kept, weights)

    def _contract(self, did: Did, weights: Weights, at: Tensor | Windows, to: Gradients) -> None:
        """With the table of its input, which goes when that is done."""
        block = self.net.blocks[did.name]
        if learns(block):
            did = did._replace(kept=lean.with_table(block, did.kept, weights, self.dtype))
        contract(self, did, at, to)

    def _contract_readout(
        self, x: Tensor, logits: Tensor, target: Target, sequence: Sequence
    ) -> None:
        assert sequence.gradients is not None  # `_read_out`
        error, _ = contract_readout(self.credit, x, logits, target, sequence.gradients)
        if self.credit.rule.signal.needs == "backprop":
            self._sweep_back(error, target, sequence.gradients)
        else:
            self._project(error, target, sequence.gradients)

    def _project(self, error: Tensor, target: Target, gradients: Gradients) -> None:
        """Every block's own signal, from the readout's error of all steps."""
        readout, signals = self.net.readout, dict[str, object]()
        assert readout is not None  # `Credit` has checked
        known = (error, readout.weights().input)
        for name in list(self._held):
            kept, weights = self._held.pop(name)
            below = self.credit.below(name, signals)
            if isinstance(kept, lean.Kept):
                did = Did(name, kept, target, None, below, known)
                told, at = signal(self, did)
                gradients.add_own(name, told.own)
                signals[name] = told.state
                self._contract(did, weights, at, gradients)
                continue
            seen = self.seen(name, kept.out)
            told = self.credit.bound[name].sequence(
                self.credit.knowledge(name, seen, target, known, below)
            )
            signals[name] = told.state
            learn_block(self.credit, name, kept, weights, told, target, gradients)

    def _sweep_back(self, error: Tensor, target: Target, gradients: Gradients) -> None:
        """m of every block by the chain rule through each step's layers, all steps at once."""
        if not self._held:
            return
        shapes = {name: held.kept.out.shape for name, held in self._held.items()}
        arriving = two_sweep.from_readout(self.net, error, shapes, self.dtype)
        for name in reversed(list(self._held)):
            held, m = self._held.pop(name), arriving.pop(name, None)
            if m is None:  # nobody reads this block
                m = torch.zeros_like(held.kept.out)
            further = any(source in shapes for source in self.net.wires[name])
            back = self._through(name, held, m, further, target, gradients)
            if back is not None:
                self.net.scatter(name, back, shapes, arriving)

    def _through(
        self,
        name: str,
        held: _Held,
        m: Tensor,
        further: bool,
        target: Target,
        gradients: Gradients,
    ) -> Tensor | None:
        """Learn from m at a block's output; what it sends to its input [T·B, ...] if wanted."""
        (kept, weights), block = held, self.net.blocks[name]
        if isinstance(kept, lean.Kept):
            at = arrived(block, kept, m)
            self._contract(Did(name, kept, target), weights, at, gradients)
            return sent_down(block, kept, at, weights, self.dtype) if further else None
        told = Told(m.to(kept.o.dtype))
        at_spikes = learn_block(self.credit, name, kept, weights, told, target, gradients)
        if not further:
            return None
        return two_sweep.sent_down(self.credit, name, kept, weights, at_spikes, self.dtype)
