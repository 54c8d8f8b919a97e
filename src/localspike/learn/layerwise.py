"""The layerwise schedule: layers outside, time inside; one contraction per layer and sequence.

Legal where the signal is spatially local and weights change once per sequence. A layer's whole
sequence is computed, its learning signal for all steps found, its traces collapsed by the
reverse-time identity, and only its spikes go on to the next layer.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..nn.layer import Activity, Spiking
from ..nn.network import State
from .credit import Credit
from .gradients import Gradients
from .outcome import Outcome
from .probe import Probe
from .targets import Target


class Layerwise:
    """Runs a spatially local rule layer by layer."""

    def __init__(
        self, credit: Credit, dtype: torch.dtype | None = None, probe: Probe | None = None
    ) -> None:
        self.credit, self.net, self.dtype, self.probe = credit, credit.net, dtype, probe

    @torch.no_grad()
    def run(self, frames: Tensor, target: Target, state: State, gradients: Gradients) -> Outcome:
        """A whole sequence batch [T, B, ...] from zero traces; gradients are added up."""
        learning = self.credit.hidden_that_learn()

        def visit(name: str, block: Spiking, activity: Activity) -> None:
            if name in learning:
                self._learn(name, block, activity, target, gradients)

        readout_name = self.net.readout_name
        assert readout_name is not None  # `Credit` has checked
        run = self.net.run(frames, state, dtype=self.dtype, visit=visit, valid=target.valid)
        assert run.logits is not None and run.readout_input is not None
        error = self.credit.loss.error(run.logits, target.y, target.weight)
        if self.credit.readout_learns():
            rule = self.credit.eligibility(readout_name)
            collapsed = rule.collapse(error, torch.ones_like(error))
            gradients.add_sequence(readout_name, collapsed, {"input": run.readout_input})
        if self.probe is not None:
            self.probe.logits(run.logits)
        loss = self.credit.loss.value(run.logits, target.y, target.weight)
        return Outcome(loss, run.logits, run.rates, run.state)

    def _learn(
        self, name: str, block: Spiking, activity: Activity, target: Target, gradients: Gradients
    ) -> None:
        psi = self.credit.psi(block, activity.u)
        if self.probe is not None:
            self.probe.sequence(name, activity, psi)
        known = self.credit.knowledge(activity.out, target, activity.o.shape[1])
        m_out = self.credit.bound[name].sequence(known)
        m = block.tail_pullback(m_out.flatten(0, 1), activity.contexts).view(activity.o.shape)
        signal = self.credit.regularise(m, block, activity, target)
        assert signal is not None  # m was not None
        afferents = activity.afferents()
        collapsed = self.credit.eligibility(name).collapse(
            signal, psi, afferents, bias=gradients.has_bias(name)
        )
        gradients.add_sequence(name, collapsed, afferents)
