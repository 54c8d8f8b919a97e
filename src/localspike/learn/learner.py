"""The learner: marries a network, a rule, a schedule and an optimiser."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ..errors import IllegalError
from ..kernels.compiling import Compile, compiled, wanted
from ..nn.network import Network, masked_sum
from ..rules.base import Rule
from ..rules.basis import seeded
from .bptt import ThroughTimeSchedule
from .capture import Capture
from .checks import (
    HEARD,
    MADE_OF,
    SETTINGS,
    Precision,
    advise,
    check_saved,
    check_tensors,
    compute_dtype,
    load_own,
    setting,
    take_optimizer,
)
from .credit import Credit
from .diagnose import all_finite, explain, gradient_norms, state_is_finite
from .gradients import Gradients
from .layerwise import Layerwise
from .lean import LeanLayerwise
from .lean import obstacle as lean_obstacle
from .lean_sweep import LeanTwoSweep
from .loss import CrossEntropy, Loss
from .outcome import Outcome, Result
from .probe import Probe
from .regulariser import FiringRate
from .running import Seen, of_state
from .schedule import Name, Update, choose
from .stepping import Stepper
from .stream_learning import StreamLearning
from .streaming import summed_up
from .targets import ActiveSteps, Target, chosen_steps, make_targets
from .two_sweep import TwoSweep
from .votes import Votes

WORTHWHILE = 50_000  # neurons from which on a compiler's seconds are taken to pay


class Learner(StreamLearning):
    """Trains a network with a rule. Gradients arrive in ``.grad``; the optimiser applies them.

    Parameters
    ----------
    net, rule, optimizer:
        A `Network`, a `Rule`, and any `torch.optim.Optimizer` over the network's parameters
        (None for a learner that only computes gradients).
    loss:
        `CrossEntropy` (default) or `SquaredError`, applied at every active step.
    schedule:
        "auto" takes layerwise where it is legal, else streaming (BPTT has its own); `schedule` and
        `schedule_reason` then say which, why. "two_sweep" is to be asked for.
    update:
        "sequence": one optimiser step per sequence batch; "step": one per active time step.
    active_steps:
        "all", the last k, given step indices, "random-k" (k steps drawn anew for every batch:
        SLTT-K) or "every-k": where loss and learning signal are on.
    clip_norm:
        Largest norm of the whole gradient, or None.
    accumulate:
        Sequence batches per optimiser step; their gradients are averaged.
    firing_rate:
        A `FiringRate` regulariser, or None.
    precision:
        "float32", "bf16" for products in bfloat16 with float32 state and master weights, or
        "auto": bf16 where the machine has units for it. `precision_reason` says which and why.
    compile:
        "auto" compiles the elementwise kernels of large nets where there is a compiler, "on" and
        "off" say so; the numbers are those of eager code within rounding, but for convolutions in
        bf16, which some processors do by other products (`kernels.winograd`). `compiles` is the
        choice.
        Captured steps are compiled only by "on": seconds for each, which nets of much elementwise
        work take back.
    capture:
        "auto" runs a streaming step that is repeated as one program without Python, with equal
        numbers; "on" from a stream's second step, or refuses; "off" never. `capture_reason` says.

    >>> from localspike import models, rules
    >>> net = models.mlp(20, (30,), 4)
    >>> learner = Learner(net, rules.tess(), torch.optim.Adam(net.parameters(), lr=1e-3))
    >>> learner.schedule
    'layerwise'
    >>> loss, logits = learner.fit(torch.ones(12, 3, 20), torch.tensor([0, 1, 2]))
    >>> logits.shape
    torch.Size([3, 4])
    """

    def __init__(
        self,
        net: Network,
        rule: Rule,
        optimizer: torch.optim.Optimizer | None = None,
        *,
        loss: Loss | None = None,
        schedule: Name = "auto",
        update: Update = "sequence",
        active_steps: ActiveSteps = "all",
        clip_norm: float | None = None,
        accumulate: int = 1,
        firing_rate: FiringRate | None = None,
        precision: Precision = "float32",
        compile: Compile = "auto",
        capture: Capture = "auto",
        seed: int = 0,
        probe: Probe | None = None,
    ) -> None:
        self.net, self.rule, self.optimizer = net, rule, optimizer
        self.loss: Loss = loss or CrossEntropy()
        self.schedule, self.schedule_reason = choose(rule, update, schedule)
        self.update = update
        self.active_steps, self.clip_norm, self.accumulate = active_steps, clip_norm, accumulate
        self.credit = Credit(net, rule, self.loss, firing_rate)
        take_optimizer(optimizer, self.credit)
        advise(optimizer, self.credit)
        self.dtype, self.precision_reason = compute_dtype(precision, next(net.parameters()).device)
        device = next(net.parameters()).device
        self.compiles = wanted(compile, device, net.neurons, WORTHWHILE)
        self.probe = probe
        self._stepper = Stepper(self.credit, self.dtype, probe, capture, compile == "on")
        swept = self.schedule in ("layerwise", "two_sweep")
        self.lean = swept and probe is None and lean_obstacle(self.credit) is None
        self.generator = seeded(seed)
        self.gathered = 0
        self._seen = Seen(net)
        self.grad_norms: dict[str, float] = {}
        self._own_stream = None

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse what a learner is made of, once it is made: half of it would go on as before."""
        made = "_own_stream" in self.__dict__  # the last thing `__init__` sets
        if made and name in MADE_OF and value is not self.__dict__[name]:
            raise IllegalError(
                f"{name} of a learner cannot be changed",
                fix=f"Make a new Learner with it; {', '.join(SETTINGS)} and optimizer can be set",
            )
        if name in SETTINGS:
            value = setting(name, value, self.update)
        if made and name == "optimizer":
            take_optimizer(value, self.credit)
        super().__setattr__(name, value)

    # -- whole sequences -------------------------------------------------------------------

    def fit(self, frames: Tensor, labels: Tensor, lengths: Tensor | None = None) -> Result:
        """One sequence batch: gradient, and an optimiser step (every ``accumulate`` batches).

        frames [T, B, ...] in the network's dtype; labels [B] or [T, B] classes, or values
        [B, C] or [T, B, C]; lengths [B], steps t ≥ length being padding that changes nothing.
        Dropout is drawn once per sequence. A non-finite membrane or gradient raises
        `NumericalError` naming block and step, and the weights stay as they were.
        """
        frames, target, active = self._prepare(frames, labels, lengths)
        if self.gathered == 0:
            self._zero_grad()
        outcome = self._run(frames, target, active, training=True)
        if self.update == "sequence":
            self._require_finite(state_is_finite(outcome.state), frames, target)
            self._seen.add(of_state(outcome.state))
            self.gathered += 1
            if self.gathered >= self.accumulate:
                self._apply_gathered(frames, target)
        return self._result(outcome, lengths)

    def flush(self) -> None:
        """Apply what `fit` has gathered of an unfinished group of ``accumulate`` batches."""
        if self.gathered:
            self._apply_gathered()

    def gradient(self, frames: Tensor, labels: Tensor, lengths: Tensor | None = None) -> Result:
        """Only the gradient: added to ``.grad``, no optimiser step, no clipping, no dropout."""
        drawn = self.generator.get_state()
        frames, target, active = self._prepare(frames, labels, lengths)
        self.generator.set_state(drawn)  # a look changes nothing of what the run will draw
        outcome = self._run(frames, target, active, training=False, learn=False)
        return self._result(outcome, lengths)

    @torch.no_grad()
    def evaluate(
        self,
        frames: Tensor,
        labels: Tensor,
        lengths: Tensor | None = None,
        votes: Votes | None = None,
    ) -> Result:
        """Loss and logits without learning or dropout.

        Where the rule's layers vote, their logits are added to the readout's; the loss is the
        readout's own, which is what it learns from. With votes="auto" they are heard once
        `choose_votes` has said so. New ``votes`` given are filled with what layers say.
        """
        frames, target, _ = self._prepare(frames, labels, lengths, learn=False)
        votes = votes or Votes(self.credit)
        if self.lean:
            engine = LeanLayerwise(self.credit, self.dtype)
            engine.votes = votes
            state = self.net.init_state(frames.shape[1], thin=engine.lean)
            with compiled(self.compiles):
                outcome = engine.run(frames, target, state, None)
            return self._result(outcome._replace(logits=votes.over(outcome.logits)), lengths)
        run = self.net.run(frames, dtype=self.dtype, valid=target.valid, visit=votes.visit)
        assert run.logits is not None  # `Credit` has checked that there is a readout
        loss = self.loss.value(run.logits, target.y, target.weight)
        heard = votes.over(run.logits)
        return self._result(Outcome(loss, heard, run.rates, run.state), lengths)

    def _prepare(
        self, frames: Tensor, labels: Tensor, lengths: Tensor | None, learn: bool = True
    ) -> tuple[Tensor, Target, list[bool]]:
        """Checked frames with padding zeroed, targets, and the steps at which anything learns."""
        check_tensors(labels, lengths)
        self.net.check(frames, lengths)
        self.credit.follow()
        steps, batch = frames.shape[:2]
        lengths = None if lengths is None else lengths.long()  # bytes would wrap round below 0
        if lengths is not None and int(lengths.min()) == steps:
            lengths = None  # nothing is padded, and a static input may stay one frame
        # Judging draws nothing: it would change what the next batch learns from.
        chosen = chosen_steps(self.active_steps, steps, self.generator if learn else None)
        target, active = make_targets(
            self.loss, labels, self.credit.classes, steps, batch, lengths, chosen, frames
        )
        if target.valid is not None:  # a padded step's input must not reach a trace
            mask = target.valid.view(steps, batch, *(1,) * (frames.ndim - 2))
            frames = torch.where(mask, frames, torch.zeros_like(frames))
        if self.credit.acts_at_every_step:  # that is not all padding
            active = [True] * steps if target.valid is None else target.valid.any(1).tolist()
        return frames, target, active

    def _run(
        self, frames: Tensor, target: Target, active: list[bool], training: bool, learn: bool = True
    ) -> Outcome:
        if self.schedule == "streaming":
            return self._run_streaming(frames, target, active, training, learn)
        generator, companion = self.generator if training else None, self.credit.companion
        batch = frames.shape[1]
        extra = 0 if companion is None else companion.count(batch)
        engine = self._sequence_schedule()
        thin = engine.lean if isinstance(engine, LeanLayerwise) else ()
        state = self.net.init_state(
            batch,
            training=training,
            generator=generator,
            extra=extra,
            thin=thin,
            watched=training,
        )
        if isinstance(engine, ThroughTimeSchedule):
            with compiled(self.compiles):
                return engine.run(frames, target, state)
        gradients = Gradients(self.net, self.dtype, self.credit.own_parameters())
        with compiled(self.compiles):
            outcome = engine.run(frames, target, state, gradients)
            gradients.write()
        if training:
            self._seen.add_credits(gradients.take_credits())
        return outcome

    def _sequence_schedule(self) -> Layerwise | TwoSweep | ThroughTimeSchedule:
        if self.schedule == "bptt":
            return ThroughTimeSchedule(self.credit, self.dtype)
        if self.schedule == "two_sweep":
            if self.lean:
                return LeanTwoSweep(self.credit, self.dtype)
            return TwoSweep(self.credit, self.dtype, self.probe)
        if self.lean:
            return LeanLayerwise(self.credit, self.dtype)
        return Layerwise(self.credit, self.dtype, self.probe)

    @torch.no_grad()
    def _run_streaming(
        self, frames: Tensor, target: Target, active: list[bool], training: bool, learn: bool
    ) -> Outcome:
        engine = self._stepper.engine
        state, steps = engine.init(frames.shape[1], training, self.generator, training), []
        always = self.credit.companion is not None  # targets are run at every step
        for t, x in enumerate(frames.unbind(0)):
            now = target.at(t) if active[t] or always else None
            if self._seen.wanted and target.valid is not None:
                state.valid = target.valid[t]
            apply = learn and self.update == "step" and active[t]
            step, told = self._stepper.take(x, now, state, apply, watch=apply)
            steps.append(step)
            if told is not None:
                self.grad_norms = told.norms
                self._require_finite(told.membranes and told.gradients, frames, target)
                if self._seen.wanted:
                    self._seen.add(state.take_seen())
                    self._seen.add_credits(state.gradients.take_credits())
                self._step_optimizer()
        state.gradients.write()
        if training and self.update == "step":  # of steps after the last that learned
            self._seen.add(state.take_seen() if self._seen.wanted else {})
        if training:
            self._seen.add_credits(state.gradients.take_credits())
        return summed_up(steps, state.net, target.valid)

    def _apply_gathered(self, frames: Tensor | None = None, target: Target | None = None) -> None:
        """Average the gathered batches' gradients and step."""
        for p in self._parameters():
            if p.grad is not None and self.gathered > 1:
                p.grad /= self.gathered
        self.gathered = 0
        self._apply(frames, target)

    def _apply(self, frames: Tensor | None, target: Target | None) -> None:
        """Refuse a non-finite gradient, clip, and let the optimiser step."""
        self._require_finite(self._norms_are_finite(), frames, target)
        self._step_optimizer()

    def _parameters(self) -> list[torch.nn.Parameter]:
        """The network's and the rule's own."""
        return self._stepper.parameters()

    def _zero_grad(self) -> None:
        for p in self._parameters():
            p.grad = None

    def _norms_are_finite(self) -> bool:
        self.grad_norms = gradient_norms(self.net)
        own = [p.grad for p in self.credit.own_parameters().values() if p.grad is not None]
        finite = all_finite(own)
        return (finite is None or bool(finite)) and all(
            math.isfinite(norm) for norm in self.grad_norms.values()
        )

    def _step_optimizer(self) -> None:
        if self.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters(), self.clip_norm)
        if self.optimizer is None:  # only gradients are asked for
            self._seen.forget()
        else:
            self._seen.settle()
            self.optimizer.step()
            self.net.updates += 1

    def _require_finite(self, finite: bool, frames: Tensor | None, target: Target | None) -> None:
        """Drop the gradient and say where it came from, before any weight changes."""
        if finite:
            return
        error = explain(self.credit, frames, target, self.dtype)
        self.gathered = 0
        self._seen.forget()
        self._zero_grad()
        raise error

    def _result(self, outcome: Outcome, lengths: Tensor | None) -> Result:
        # One transfer for all blocks: a device is not made to wait for each.
        values = torch.stack(list(outcome.rates.values())).tolist() if outcome.rates else []
        rates = dict(zip(outcome.rates, values, strict=True))
        return Result(outcome.loss, masked_sum(outcome.logits, lengths), rates)

    # -- checkpoints -----------------------------------------------------------------------

    def state_dict(self) -> dict[str, Tensor]:
        """What a bit-identical continuation needs beside net and optimiser: flat, all tensors."""
        state = {"generator": self.generator.get_state(), "gathered": torch.tensor(self.gathered)}
        state |= {f"own.{n}": p.detach() for n, p in self.credit.own_parameters().items()}
        state |= {HEARD: torch.tensor(self.credit.heard)} if self.credit.chooses_votes else {}
        state |= self._seen.state_dict()
        if self.gathered:
            grads = {n: p.grad for n, p in self._named_parameters() if p.grad is not None}
            state |= {f"grad.{name}": grad for name, grad in grads.items()}
        return state

    def _named_parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        yield from self.net.named_parameters()
        for name, parameter in self.credit.own_parameters().items():
            yield f"own.{name}", parameter

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave; CheckpointError for what is no state of this learner."""
        check_saved(self.credit, state)
        self.generator.set_state(state["generator"])
        self.gathered = int(state["gathered"])
        self.credit.forget_choice()
        load_own(self.credit, state)
        if self.credit.chooses_votes and HEARD not in state:
            self.credit.votes = self.credit.heard = True  # saved before there was a choice
        self._seen.load_state_dict(state)
        self._zero_grad()
        for name, parameter in self._named_parameters():
            if f"grad.{name}" in state:
                parameter.grad = state[f"grad.{name}"].to(parameter, copy=True)
