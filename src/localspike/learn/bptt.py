"""Backpropagation through time by autograd on the shared forward code: baseline and oracle."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import IllegalError
from ..nn.layer import Activity, Spiking, Weights
from ..nn.network import State
from ..rules.eligibility import ThroughTime
from .credit import Credit
from .outcome import Outcome
from .targets import Target


class ThroughTimeSchedule:
    """Whole network, whole sequence, one autograd graph of T × neurons."""

    def __init__(self, credit: Credit, dtype: torch.dtype | None = None) -> None:
        self.credit, self.net, self.dtype = credit, credit.net, dtype
        if not isinstance(credit.rule.eligibility, ThroughTime):
            raise IllegalError(f"rule {credit.rule.name!r} does not learn through time")
        self.detach_reset = credit.rule.eligibility.detach_reset

    @torch.enable_grad()
    def run(self, frames: Tensor, target: Target, state: State) -> Outcome:
        """Forward with surrogate spikes, then ``loss.backward()`` into ``.grad``.

        Raises
        ------
        IllegalError
            In inference mode, in which autograd is off for good.
        """
        if torch.is_inference_mode_enabled():
            raise IllegalError(
                "backpropagation through time cannot learn under torch.inference_mode()",
                fix="Take fit() and gradient() out of that block; evaluate() may stay",
            )
        penalties: list[Tensor] = []

        def visit(name: str, block: Spiking, activity: Activity, weights: Weights) -> None:
            if self.credit.regulariser is not None:
                axes = activity.o.ndim - 2
                penalties.append(self.credit.regulariser.value(activity.o, target.valid, axes))

        run = self.net.run(
            frames,
            state,
            psi=self.credit.rule.surrogate,
            detach_reset=self.detach_reset,
            dtype=self.dtype,
            visit=visit,
            valid=target.valid,
        )
        assert run.logits is not None  # `Credit` has checked that there is a readout
        loss = self.credit.loss.value(run.logits, target.y, target.weight)
        total = torch.stack([loss, *penalties]).sum()
        if total.requires_grad:
            total.backward()
        return Outcome(loss.detach(), run.logits.detach(), run.rates, run.state)
