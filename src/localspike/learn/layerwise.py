"""The layerwise schedule: layers outside, time inside; one contraction per layer and sequence.

Legal where the signal is spatially local and weights change once per sequence. A layer's whole
sequence is computed, its learning signal for all steps found, its traces collapsed by the
reverse-time identity, and only its spikes go on to the next layer.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..nn.layer import Activity, Spiking, Weights
from ..nn.network import Run, State, Visit
from ..rules.factors import Collapsed, Local
from ..rules.signal import Told
from .credit import Credit
from .gradients import Gradients, learns
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
        learning, signals = self.credit.hidden_with_signal(), dict[str, object]()

        def visit(name: str, block: Spiking, activity: Activity, weights: Weights) -> None:
            if name in learning:
                told = self._told(name, activity.out, target, signals)
                signals[name] = told.state
                learn_block(self.credit, name, activity, weights, told, target, gradients)
                if self.probe is not None:
                    self.probe.sequence(name, activity, self.credit.psi(block, activity))

        run = forward(self.credit, frames, target, state, self.dtype, visit)
        assert run.logits is not None  # `Credit` has checked
        learn_readout(self.credit, run, target, gradients)
        if self.probe is not None:
            self.probe.logits(run.logits)
        loss = self.credit.loss.value(run.logits, target.y, target.weight)
        return Outcome(loss, run.logits, run.rates, run.state)

    def _told(self, name: str, output: Tensor, target: Target, signals: dict[str, object]) -> Told:
        below = self.credit.below(name, signals)
        known = self.credit.knowledge(name, output, target, None, below)
        return self.credit.bound[name].sequence(known)


def forward(
    credit: Credit,
    frames: Tensor,
    target: Target,
    state: State,
    dtype: torch.dtype | None,
    visit: Visit,
) -> Run:
    """The forward pass of all blocks, companions beside the samples where the rule has them."""
    companion, drives = credit.companion, dict[str, Tensor]()
    batch = frames.shape[1]
    if companion is not None:
        drives = companion.drives(target.y)
    return credit.net.run(
        frames, state, dtype=dtype, visit=visit, valid=target.valid, drives=drives, samples=batch
    )


def learn_block(
    credit: Credit,
    name: str,
    activity: Activity,
    weights: Weights,
    told: Told,
    target: Target,
    gradients: Gradients,
) -> Tensor:
    """Contract one block's whole sequence; gives back m at the spikes o [T, B, ...]."""
    block = credit.net.blocks[name]
    m = block.tail_pullback(told.m.flatten(0, 1), activity.contexts).view(activity.o.shape)
    at_spikes = credit.at_spikes(activity, target)
    if learns(block):
        collapsed = credit.eligibility(name).collapse(
            m,
            credit.local(block, activity, weights),
            activity.afferents(),
            bias=gradients.has_bias(name),
            direct=credit.direct(block, activity, target),
            at_spikes=at_spikes,
        )
        if name in credit.recentred:
            collapsed = _recentred(name, collapsed, activity, target, gradients)
        gradients.add_sequence(name, collapsed, activity.afferents())
    gradients.add_own(name, told.own)
    return m if at_spikes is None else m + at_spikes


def _recentred(
    name: str, collapsed: Collapsed, activity: Activity, target: Target, gradients: Gradients
) -> Collapsed:
    """The input's post factors of a normalised block without what it would undo."""
    assert activity.current is not None  # it is normalised
    post = dict(collapsed.post)
    post["input"] = gradients.recentred(
        name, post["input"], activity.current, target.told, target.batch
    )
    return collapsed._replace(post=post)


def learn_readout(credit: Credit, run: Run, target: Target, gradients: Gradients) -> Tensor:
    """Contract the readout's whole sequence; gives back ∂L/∂logits [T, B, C]."""
    assert run.logits is not None and run.readout_input is not None  # `Credit` has checked
    return contract_readout(credit, run.readout_input, run.logits, target, gradients)[0]


def contract_readout(
    credit: Credit, x: Tensor, logits: Tensor, target: Target, gradients: Gradients
) -> tuple[Tensor, Collapsed | None]:
    """The readout on x [T, B, n]: ∂L/∂logits [T, B, C], and what was contracted if it learns."""
    error = credit.loss.error(logits, target.y, target.weight)
    name = credit.net.readout_name
    if name is None or not credit.readout_learns():
        return error, None
    local = Local(torch.ones_like(error), error, error)
    collapsed = credit.eligibility(name).collapse(error, local)
    gradients.add_sequence(name, collapsed, {"input": x})
    return error, collapsed
