"""One streaming step for a learner: captured where that can be, eagerly where not."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..errors import DataError
from .capture import Capture, Captured, Capturing
from .credit import Credit
from .diagnose import Report, read, report, state_is_finite
from .outcome import Result
from .probe import Probe
from .stream_state import StreamState
from .streaming import Step, Streaming
from .targets import Target


class Taken(NamedTuple):
    """A step, and what its host was told of it (None if it was not asked for)."""

    step: Step
    report: Report | None

    @property
    def result(self) -> Result:
        """The step as a `Result`."""
        assert self.report is not None  # whoever wants a result has asked for the report
        return Result(self.step.loss, self.step.logits, self.report.rates)


class Stepper:
    """Takes steps and writes their gradients; holds no state of any stream."""

    def __init__(
        self,
        credit: Credit,
        dtype: torch.dtype | None,
        probe: Probe | None,
        capture: Capture,
        compile: bool,
    ) -> None:
        self.credit = credit
        self.engine = Streaming(credit, dtype, probe)
        self.capturing = Capturing(self.engine, capture, compile)

    def take(
        self, x: Tensor, target: Target | None, state: StreamState, apply: bool, watch: bool
    ) -> Taken:
        """One step on x [B, ...], to be called without autograd; with ``watch`` there is a report.

        With ``apply`` (and ``watch``) what the stream has gathered becomes the whole ``.grad``,
        unless a membrane is not finite.

        Raises
        ------
        DataError
            If the frame is watched and holds a non-finite value; the state is as before.
        """
        # What is gathered is added to in place, so that here a program cannot be the one to tell.
        if watch and not apply and not bool(torch.isfinite(x).all()):
            raise _not_finite()
        captured = self.capturing.step(x, target, state, apply, watch)
        if captured is None:
            return self._eagerly(x, target, state, apply, watch)
        if not captured.report:
            return Taken(captured.step, None)
        told = read(captured.report, self.credit.net)
        if not told.frame:
            raise _not_finite()
        if not told.membranes and state_is_finite(state.net):  # a sum too large, of finite terms
            told = told._replace(membranes=True)
        if apply and told.membranes:
            self._set(captured)
        return Taken(captured.step, told)

    def _set(self, captured: Captured) -> None:
        for i, p in enumerate(self.capturing.parameters):
            p.grad = captured.grads.get(i)

    def _eagerly(
        self, x: Tensor, target: Target | None, state: StreamState, apply: bool, watch: bool
    ) -> Taken:
        if not watch:
            return Taken(self.engine.step(x, target, state), None)
        if apply and not bool(torch.isfinite(x).all()):  # otherwise `take` has looked
            raise _not_finite()
        step = self.engine.step(x, target, state)
        step = step._replace(logits=step.logits.clone())
        finite = state_is_finite(state.net)
        if apply and finite:
            self.write(state)
        numbers = report(self.credit, x, state.net, step.rates, apply and finite).tolist()
        return Taken(step, read(numbers, self.credit.net)._replace(membranes=finite))

    def write(self, state: StreamState) -> None:
        """Let a stream's gathered gradient be the whole ``.grad``."""
        for p in self.parameters():
            p.grad = None
        state.gradients.write()

    def parameters(self) -> list[nn.Parameter]:
        """The network's and the rule's own."""
        return [*self.credit.net.parameters(), *self.credit.own_parameters().values()]


def _not_finite() -> DataError:
    return DataError("a frame holds a non-finite value", expected="finite numbers")
