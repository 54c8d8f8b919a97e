"""A learner's steps of an endless stream."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from ..errors import IllegalError, ShapeError
from ..nn.network import Network
from ..rules.base import Rule
from .checks import check_tensors
from .credit import Credit
from .diagnose import explain_stream
from .loss import Loss
from .outcome import Result
from .running import Seen
from .schedule import Update, obstacles
from .stepping import Stepper
from .stream_state import StreamState
from .targets import ActiveSteps, step_target


class StreamLearning(ABC):
    """What `Learner` does with one time step at a time."""

    net: Network
    rule: Rule
    loss: Loss
    credit: Credit
    update: Update
    active_steps: ActiveSteps
    accumulate: int
    grad_norms: dict[str, float]
    _seen: Seen
    _stepper: Stepper
    _own_stream: StreamState | None

    @property
    def capture_reason(self) -> str:
        """Whether streaming steps run as captured programs, or why they do not."""
        return self._stepper.capturing.reason

    def init_stream(self, batch: int) -> StreamState:
        """A fresh state for `stream`; several can run interleaved, each with its own gradient."""
        return self._stepper.engine.init(batch, training=False, watched=True)

    @torch.no_grad()
    def stream(
        self, x: Tensor, labels: Tensor | None = None, state: StreamState | None = None
    ) -> Result:
        """One time step x [B, ...] of an endless sequence; memory is constant for ever.

        With labels ([B] classes or [B, C] values) the step learns: with update="step" the
        weights change now, with "sequence" gradients gather until `end_sequence`. Without
        labels states and traces run and nothing is learned. There is no dropout. ``state``
        defaults to the learner's own, started at the first step, dropped by `end_sequence`.
        """
        self._require_streamable()
        state = self._stream_state(x, state)
        target = None
        if labels is not None:
            check_tensors(labels, None)
            target = step_target(self.loss, labels, self.credit.classes, x)
        apply = target is not None and self.update == "step"
        taken = self._stepper.take(x, target, state, apply, watch=True)
        told = taken.report
        assert told is not None  # a watched step has one
        if not told.membranes:
            raise explain_stream(self.net, state)
        if apply:
            self.grad_norms = told.norms
            self._apply_stream(state, told.gradients)
        return taken.result

    @torch.no_grad()
    def end_sequence(self, state: StreamState | None = None) -> None:
        """Apply what a stream has gathered (update="sequence"); the learner's own is forgotten."""
        ended = state or self._own_stream
        if state is None:
            self._own_stream = None
        if ended is not None and ended.gradients:
            self._stepper.write(ended)
            self._apply_stream(ended, self._norms_are_finite())

    def _apply_stream(self, state: StreamState, finite: bool) -> None:
        if not finite:
            error = explain_stream(self.net, state)
            self._zero_grad()
            if self._seen.wanted:  # or the next update would take it in
                state.take_seen()
                state.gradients.take_credits()
            raise error
        if self._seen.wanted:
            self._seen.add(state.take_seen())
            self._seen.add_credits(state.gradients.take_credits())
        self._step_optimizer()

    def _require_streamable(self) -> None:
        why = obstacles(self.rule, self.update)["streaming"]
        if why is not None:
            raise IllegalError(f"rule {self.rule.name!r} cannot stream: {why}")
        if self.accumulate > 1:
            raise IllegalError("a stream cannot accumulate over batches", fix="Use accumulate=1")
        if not (isinstance(self.active_steps, str) and self.active_steps == "all"):
            raise IllegalError(
                "an endless stream has no last step, so active_steps cannot choose",
                got=self.active_steps,
                expected="'all'",
                fix="Pass labels only at the steps that should learn",
            )

    def _stream_state(self, x: Tensor, state: StreamState | None) -> StreamState:
        self.net.check_step(x)
        self.credit.follow()
        if len(x) == 0:
            raise ShapeError("an empty batch: no sample", got=list(x.shape), expected="B >= 1")
        if state is None:
            state = self._own_stream = self._own_stream or self.init_stream(len(x))
        if state.batch != len(x):
            raise ShapeError(
                "the batch changed within a stream",
                got=len(x),
                expected=state.batch,
                fix="Call end_sequence() first, or pass another state",
            )
        return state

    # -- what the learner brings ---------------------------------------------------------------

    @abstractmethod
    def _norms_are_finite(self) -> bool:
        """Whether all of ``.grad`` is finite."""

    @abstractmethod
    def _zero_grad(self) -> None:
        """Drop ``.grad``."""

    @abstractmethod
    def _step_optimizer(self) -> None:
        """Clip, and let the optimiser step."""
