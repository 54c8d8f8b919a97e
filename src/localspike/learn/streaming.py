"""The streaming schedule: time outside, layers inside, memory independent of T.

Each step runs every block once; blocks with a local signal learn on the spot, the others after
the readout has given its error. Nothing of a step outlives it but state and traces.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import IllegalError
from ..kernels.surrogate import spike_function
from ..nn.layer import Activity, Spiking, Weights
from ..nn.network import INPUT, State, mean_rate
from ..rules.factors import Factors, Local
from .credit import Credit
from .gradients import Gradients, learns
from .outcome import Outcome
from .probe import Probe
from .stream_state import StreamState
from .targets import Target, no_target


class Step(NamedTuple):
    """Of one step: logits [B, C], loss (0-d), spikes per neuron of each sample [B] by block."""

    logits: Tensor
    loss: Tensor
    rates: dict[str, Tensor]


class _Seen(NamedTuple):
    """One block's activity and factors, kept within a step for signals that come from above."""

    activity: Activity
    psi: Tensor
    factors: Factors


class Streaming:
    """Runs a rule step by step. Holds no sequence state: it is passed in and changed in place."""

    def __init__(
        self, credit: Credit, dtype: torch.dtype | None = None, probe: Probe | None = None
    ) -> None:
        self.credit, self.net, self.dtype, self.probe = credit, credit.net, dtype, probe
        self.needs = credit.rule.signal.needs

    def init(
        self,
        batch: int,
        training: bool,
        generator: torch.Generator | None = None,
        watched: bool = False,
    ) -> StreamState:
        """Zero state; traces are made at the first step, when shapes are known."""
        companion = self.credit.companion
        extra = 0 if companion is None else companion.count(batch)
        state = self.net.init_state(
            batch, training=training, generator=generator, extra=extra, watched=watched
        )
        return StreamState(state, self.gradients(), batch)

    def gradients(self) -> Gradients:
        """Nothing gathered yet."""
        return Gradients(self.net, self.dtype, self.credit.own_parameters())

    @torch.no_grad()
    def step(
        self,
        x: Tensor,
        target: Target | None,
        state: StreamState,
    ) -> Step:
        """One step on x [B, ...]; with a target its gradient is added to ``state.gradients``."""
        weights, gradients = state.effective_weights(self.net), state.gradients
        state.steps += 1
        batch, learning, companion = (
            x.shape[0],
            self.credit.hidden_with_signal(),
            self.credit.companion,
        )
        drives: dict[str, Tensor] = {}
        if companion is not None:
            target = _required(target)
            drives = companion.drives(target.y)
        outputs, seen, rates = {INPUT: x}, {}, {}
        for name, block in self.net.blocks.items():
            activity = self._advance(name, block, outputs, state, weights, drives.get(name))
            outputs[name], rates[name] = activity.out, activity.o[:batch].flatten(1).mean(1)
            if name in learning:
                seen[name] = self._remember(name, block, activity, state, weights[name])
                if self.needs in ("output", "target"):
                    self._learn_bound(name, seen.pop(name), target, None, state, gradients)
        logits, error = self._read_out(outputs, target, state, weights, gradients, batch)
        if self.needs == "error":
            for name, s in seen.items():
                self._learn_bound(name, s, target, self._told(error, weights), state, gradients)
        elif seen and target is not None and error is not None:
            self._backpropagate(seen, error, target, weights, gradients)
        return Step(logits, self._loss(logits, target), rates)

    def _told(
        self, error: Tensor | None, weights: dict[str, Weights]
    ) -> tuple[Tensor, Tensor] | None:
        """What the readout sends to signals that need it: its error and its weights."""
        name = self.net.readout_name
        return None if error is None or name is None else (error, weights[name].input)

    def _advance(
        self,
        name: str,
        block: Spiking,
        outputs: dict[str, Tensor],
        state: StreamState,
        weights: dict[str, Weights],
        drive: Tensor | None,
    ) -> Activity:
        spike = spike_function(None, block.neuron.fires_at_threshold)
        x = self.net.gather(name, outputs)
        more: dict[str, Any] = (
            {"valid": state.valid} if block.normalised else {}
        )  # a user's need not know it
        activity, state.net[name] = block.step(
            x, state.net[name], weights[name], spike=spike, dtype=self.dtype, drive=drive, **more
        )
        return activity

    def _remember(
        self, name: str, block: Spiking, activity: Activity, state: StreamState, weights: Weights
    ) -> _Seen:
        """Advance the block's traces."""
        if not learns(block):  # the signal only crosses it, or is compared with it
            return _Seen(activity, self.credit.psi(block, activity), Factors())
        local, rule = self.credit.local(block, activity, weights), self.credit.eligibility(name)
        afferents = activity.afferents()
        if rule.per_synapse:
            local, afferents = _per_synapse(block, local, afferents)
        before = state.traces.get(name) or rule.init(afferents, activity.u)
        factors, state.traces[name] = rule.step(before, afferents, local)
        psi = local.psi.view(activity.u.shape)
        if self.probe is not None:
            self.probe.step(name, activity, psi, state.traces[name])
        return _Seen(activity, psi, factors)

    def _learn_bound(
        self,
        name: str,
        seen: _Seen,
        target: Target | None,
        readout: tuple[Tensor, Tensor] | None,
        state: StreamState,
        gradients: Gradients,
    ) -> None:
        """Learn from the block's own signal; without a target only its filters advance."""
        block, signal = self.net.blocks[name], self.credit.bound[name]
        now = target or no_target(seen.activity.out, self.credit.classes)
        below = self.credit.below(name, state.signals)
        known = self.credit.knowledge(name, seen.activity.out, now, readout, below)
        if target is None:  # the signal is off, but its filter and the traces run all the same
            state.signals[name] = signal.filter(known, state.signals.get(name))
            return
        told = signal.step(known, state.signals.get(name))
        state.signals[name] = told.state
        gradients.add_own(name, told.own)
        m = block.tail_pullback(told.m, seen.activity.contexts)
        self._add(name, m, seen, target, gradients)

    def _add(
        self, name: str, m: Tensor, seen: _Seen, target: Target, gradients: Gradients
    ) -> Tensor:
        """Add a block's step to the gradients; gives back the whole signal at o."""
        block, at_spikes = self.net.blocks[name], self.credit.at_spikes(seen.activity, target)
        if learns(block):
            direct = self.credit.direct(block, seen.activity, target)
            gradients.add_step(name, m, seen.factors, direct, at_spikes)
            if name in self.credit.recentred:
                whole = m if at_spikes is None else m + at_spikes
                self._recentre(name, whole, seen, target, gradients)
        return m if at_spikes is None else m + at_spikes

    def _recentre(
        self, name: str, m: Tensor, seen: _Seen, target: Target, gradients: Gradients
    ) -> None:
        """Take out of a normalised block's gradient what it would undo."""
        current, constant = seen.activity.current, seen.factors.constant
        assert current is not None and constant is not None  # it is normalised
        pushed, x = m * constant, seen.activity.x
        gradients.recentre_step(name, pushed, current, x, target.told, target.batch)

    def _read_out(
        self,
        outputs: dict[str, Tensor],
        target: Target | None,
        state: StreamState,
        weights: dict[str, Weights],
        gradients: Gradients,
        batch: int,
    ) -> tuple[Tensor, Tensor | None]:
        """Logits of the step, and ∂L/∂logits if there is a target."""
        readout, name = self.net.readout, self.net.readout_name
        assert readout is not None and name is not None  # `Credit` has checked
        x = readout.flat(self.net.gather(name, outputs), 1)[:batch]
        logits, state.net[name] = readout.step(x, state.net[name], weights[name], self.dtype)
        error = None if target is None else self.credit.loss.error(logits, target.y, target.weight)
        if self.credit.readout_learns():
            rule, afferents = self.credit.eligibility(name), {"input": x}
            before = state.traces.get(name) or rule.init(afferents, logits)
            local = Local(torch.ones_like(logits), logits, logits)
            factors, state.traces[name] = rule.step(before, afferents, local)
            if error is not None:
                gradients.add_step(name, error, factors)
        if self.probe is not None:
            self.probe.logits(logits)
        return logits, error

    def _backpropagate(
        self,
        seen: dict[str, _Seen],
        error: Tensor,
        target: Target,
        weights: dict[str, Weights],
        gradients: Gradients,
    ) -> None:
        """m of every block by the chain rule through this step's layers, not through time."""
        arriving: dict[str, Tensor] = {}
        shapes = {name: s.activity.out.shape for name, s in seen.items()}
        readout, last = self.net.readout, self.net.readout_name
        assert readout is not None and last is not None  # `Credit` has checked
        flat_shape = torch.Size((error.shape[0], readout.synapse.inputs))
        back = readout.synapse.pullback(error, weights[last].input, flat_shape, self.dtype)
        self.net.scatter(last, back, shapes, arriving)
        for name in reversed(list(seen)):
            block, s = self.net.blocks[name], seen[name]
            m_out = arriving.pop(name, None)  # None: nobody reads this block
            m_out = torch.zeros_like(s.activity.out) if m_out is None else m_out
            m = block.tail_pullback(m_out, s.activity.contexts)
            m = self._add(name, m, s, target, gradients)
            # An input gradient nobody would read is spared.
            if any(source in seen for source in self.net.wires[name]):
                delta = m * s.psi
                back = block.synapse.pullback(
                    delta, weights[name].input, s.activity.x.shape, self.dtype
                )
                self.net.scatter(name, back, shapes, arriving)

    def _loss(self, logits: Tensor, target: Target | None) -> Tensor:
        if target is None:
            return logits.new_zeros(())
        return self.credit.loss.value(logits, target.y, target.weight)


def _per_synapse(
    block: Spiking, local: Local, afferents: dict[str, Tensor]
) -> tuple[Local, dict[str, Tensor]]:
    """Afferents as patches [B, 1 or K, L, F] and the neurons as [B, K, L].

    Samples without synaptic input (companions in a first block) get patches of zeros.
    """
    psi, u, o = (
        x.flatten(2) if x.ndim > 2 else x[..., None] for x in (local.psi, local.u, local.o)
    )
    patches = {"input": block.synapse.patches(afferents["input"])}
    silent = len(psi) - len(patches["input"])
    if silent:
        padding = (0, 0) * (patches["input"].ndim - 1) + (0, silent)
        patches["input"] = torch.nn.functional.pad(patches["input"], padding)
    if block.recurrent is not None:
        patches["recurrent"] = block.recurrent.patches(afferents["recurrent"])
    return Local(psi, u, o, local.recurrent), patches


def _required(target: Target | None) -> Target:
    if target is None:
        raise IllegalError(
            "this rule runs the labels through the network beside the data",
            got="a step without labels",
            expected="labels at every step",
            fix="Pass labels, or use another rule where there are none",
        )
    return target


def summed_up(steps: list[Step], state: State, valid: Tensor | None = None) -> Outcome:
    """One outcome of many steps: summed loss, stacked logits, mean rates over valid steps."""
    rates = {
        name: mean_rate(torch.stack([step.rates[name] for step in steps]), valid)
        for name in steps[0].rates
    }
    loss = torch.stack([step.loss for step in steps]).sum()
    return Outcome(loss, torch.stack([step.logits for step in steps]), rates, state)
