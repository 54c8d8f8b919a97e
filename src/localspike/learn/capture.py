"""A streaming step as one program: PyTorch's operations of it, run without Python between them.

What may differ from step to step goes in as tensors: frame, target, state, traces, parameters,
gathered gradients. All else (shapes, which parameters learn, whether there is a target) is part of
a program's key, and what cannot be seen in a key is guarded (`Guards`). The first steps of a key
run eagerly; a program takes about as long to make as some tens of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from ..errors import ConfigError
from ..kernels.program import Program, copies
from ..kernels.record import Untraceable
from ..nn.layer import Weights
from .diagnose import report
from .gradients import Gradients
from .guards import Guards, stranger
from .stream_state import StreamState
from .streaming import Step, Streaming
from .targets import Target
from .tree import Layout, Strange, flatten, memory_of, unflatten

Capture = Literal["auto", "on", "off"]

PATIENCE = 32  # eager steps of one key before a program is made of it
LARGEST = 2_000_000  # numbers in a step's tensors, beyond which Python is no part of its time
_KEYS = 64  # keys seen, beyond which nothing is repeated often enough
_COMPILED = 4  # programs of a learner that a compiler's seconds are spent on


Gathered = tuple[dict[Any, Tensor], ...]
"""Sums of gradients by weight, bias and own tensor."""


class Captured(NamedTuple):
    """What a program gave: the step, ``.grad`` by parameter, `diagnose.report`'s numbers."""

    step: Step
    grads: dict[int, Tensor]
    report: list[float]


class _Key(NamedTuple):
    """What a program is made for: layouts of what it is given and of the state it carries on."""

    apply: bool
    watch: bool
    parameters: tuple[tuple[Any, ...], ...]
    given: Layout
    given_count: int
    carried: Layout


class _Places(NamedTuple):
    """Where a program's results are in its row: logits, loss, rates, gradients, report, …

    … the state carried on from ``carried_at``, what is gathered from ``gathered_at``.
    """

    rates: tuple[str, ...]
    learned: tuple[int, ...]
    carried: Layout
    gathered: Layout
    carried_at: int
    gathered_at: int


class Capturing:
    """Captured steps of one learner; `reason` says whether steps are captured, and why not."""

    def __init__(self, engine: Streaming, choice: Capture = "auto", compile: bool = False) -> None:
        if choice not in ("auto", "on", "off"):
            raise ConfigError("unknown capture", got=repr(choice), expected="'auto', 'on', 'off'")
        self.engine, self.choice, self.compile = engine, choice, compile
        self.patience = PATIENCE if choice == "auto" else 1
        self.calls = 0
        self.obstacle = self._known_obstacle()
        if choice == "on" and self.obstacle is not None:
            raise ConfigError(
                f"steps cannot be captured: {self.obstacle}", fix="Use capture='auto'"
            )
        self._forget()

    def _forget(self) -> None:
        """Nothing is taken for granted and no program is left."""
        self.guards: Guards | None = None
        self.parameters: list[nn.Parameter] = []
        self._programs: dict[Hashable, _Made] = {}
        self._seen: Counter[Hashable] = Counter()
        self._plain: dict[tuple[Any, ...], Layout] = {}
        self._unlooked = 0

    def __getstate__(self) -> dict[str, Any]:
        """For copies: a copy's network is another, and makes programs of its own."""
        kept = ("engine", "choice", "compile", "patience", "obstacle")
        return {name: getattr(self, name) for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.calls = 0
        self._forget()

    def _known_obstacle(self) -> str | None:
        """What is known before any step."""
        if self.choice == "off":
            return "capture is off"
        if self.engine.probe is not None:
            return "a probe looks at every step"
        return stranger(self.engine.credit)

    def _start(self) -> Guards:
        """Begin again from the network and rule as they are now."""
        self._forget()
        credit = self.engine.credit
        self._of_net: list[nn.Parameter] = list(credit.net.parameters())
        self.parameters = [*self._of_net, *credit.own_parameters().values()]
        self.guards = Guards(credit)
        if (why := stranger(credit)) is not None:
            self._give_up(why)
        return self.guards

    @property
    def blind(self) -> int:
        """How many of the steps that patience lasts are not looked at; of a short one none."""
        return self.patience // 2 if self.patience > 4 else 0

    @property
    def reason(self) -> str:
        """Whether steps are captured, or why they are not."""
        if self.obstacle is not None:
            return f"eager: {self.obstacle}"
        if not self._programs:
            return f"eager until a step has been repeated {self.patience} times"
        made = list(self._programs.values())
        how = ", ".join(f"{p.program.operations} operations ({p.program.how})" for p in made)
        return f"captured: {how}, in {sum(p.program.seconds for p in made):.2f} s"

    @property
    def compiles(self) -> bool:
        """Whether the next program is to be machine code."""
        made = sum(p.program.how == "compiled" for p in self._programs.values())
        return self.compile and made < _COMPILED

    def step(
        self, x: Tensor, target: Target | None, state: StreamState, apply: bool, watch: bool
    ) -> Captured | None:
        """The step by a program, or None where it is to be run eagerly.

        With ``apply`` the gathered gradient goes to ``.grad`` (given, not yet set); with ``watch``
        there is a report (`diagnose.report`). With both, a state is changed only if the frame is
        finite.
        """
        if self.obstacle is not None or not state.steps:
            return None
        guards = self.guards
        if guards is None or not guards.hold:
            guards = self._start()
        if self.obstacle is not None or guards.watched or _in_the_way() or self._early():
            return None
        try:
            return self._step(x, target, state, apply, watch)
        except (Strange, Untraceable) as error:
            self._give_up(str(error))
        return None

    def _early(self) -> bool:
        """Whether it is too early to look: a key takes a fifth of an eager step's time."""
        if self._unlooked == self.blind:
            return False
        self._unlooked += 1
        return True

    def _give_up(self, why: str) -> None:
        self.obstacle = why
        if self.choice == "on":
            raise ConfigError(f"steps cannot be captured: {why}", fix="Use capture='auto'")

    def _step(
        self, x: Tensor, target: Target | None, state: StreamState, apply: bool, watch: bool
    ) -> Captured | None:
        layout, carried = state.carried()
        kept = {} if apply else state.effective_weights(self.engine.net, self._of_net)
        before = gathered(state.gradients)
        if apply and state.gradients:  # they are added to in place, though the step may be refused
            before = cloned(before)
        found, given = self._given(x, target, kept, before)
        learns = tuple((p.requires_grad, *memory_of(p)) for p in self.parameters)
        key = _Key(apply, watch, learns, found, len(given), layout)
        tensors = [*given, *carried, *self.parameters]
        made = self._programs.get(key)
        if made is None:
            if not self._worth(key, tensors):
                return None
            if len(self._programs) == _KEYS:
                self._programs.clear()
            made = self._programs[key] = _Made(self, key, tensors)
        self.calls += 1
        return made.run(tensors, state)

    def _given(
        self, x: Tensor, target: Target | None, kept: dict[str, Weights], before: Gathered
    ) -> tuple[Layout, list[Tensor]]:
        """Layout and tensors of what a step is given beside its state and the parameters."""
        tree = (x, target, kept, before)
        if target is None or kept or any(tree[-1]):
            return flatten(tree)
        plain = [part for part in (x, *target) if part is not None]
        laid = tuple(map(memory_of, plain))
        if laid not in self._plain:
            self._plain = {laid: flatten(tree)[0]}
        return self._plain[laid], plain

    def versions(self) -> tuple[int, ...]:
        """Of the parameters now, as `StreamState.versions` has them."""
        return (self.engine.net.updates, *(p._version for p in self._of_net))

    def _worth(self, key: Hashable, tensors: list[Tensor]) -> bool:
        """Whether a step that has no program is to be given one now."""
        self._seen[key] += 1
        if self._seen[key] < self.patience - self.blind:
            if len(self._seen) > _KEYS:
                self._seen.clear()
                if not self._programs:
                    self._give_up("shapes or state change from step to step")
            return False
        if self.choice == "auto" and sum(x.numel() for x in tensors) > LARGEST:
            self._give_up("steps of this size gain nothing")
            return False
        return True


class _Made:
    """One program of a learner: the step at one key."""

    def __init__(self, owner: Capturing, key: _Key, tensors: list[Tensor]) -> None:
        self.owner, self.key = owner, key
        self._known: list[_Places] = []
        grads = [p.grad for p in owner.parameters]
        try:
            self.program = Program(self._body, copies(tensors), owner.compiles)
        finally:
            for p, grad in zip(owner.parameters, grads, strict=True):
                p.grad = grad
        found = self._known.pop()
        if found.carried.counts != key.carried.counts:
            raise Untraceable("its state counts steps by itself")
        # One object for equal layouts: comparing keys then ends where it begins.
        same = found.carried == key.carried
        self.places = found._replace(carried=key.carried) if same else found

    def _body(self, tensors: list[Tensor]) -> list[Tensor]:
        """The step as Python: inputs in a row, results in a row."""
        engine, key, count = self.owner.engine, self.key, self.key.given_count
        parameters = self.owner.parameters  # inputs too, known by being the very objects
        x, target, kept, before = unflatten(key.given, tensors[:count])
        net, traces, signals = unflatten(key.carried, tensors[count:])
        state = StreamState(net, engine.gradients(), len(x))
        state.traces.update(traces)
        state.signals.update(signals)
        _put(state.gradients, before)
        if not key.apply:
            state.weights, state.versions = kept, self.owner.versions()
        for p in parameters:
            p.grad = None
        step = engine.step(x, target, state)
        if key.apply:
            state.gradients.write()
        # The logits may be a readout's state, which a caller must not be able to write into.
        head = [step.logits.clone(), step.loss, *step.rates.values()]
        grads = {i: p.grad for i, p in enumerate(parameters) if p.grad is not None}
        head += grads.values()
        if key.watch:
            head.append(report(engine.credit, x, state.net, step.rates, key.apply))
        carried, middle = state.carried()
        after, last = flatten(gathered(state.gradients))
        at = len(head), len(head) + len(middle)
        self._known.append(_Places(tuple(step.rates), tuple(grads), carried, after, *at))
        return [*head, *middle, *last]

    def run(self, tensors: list[Tensor], state: StreamState) -> Captured:
        """Take the step; the state moves on unless the frame is reported as not finite."""
        made, places = self.program(tensors), self.places
        numbers = made[places.carried_at - 1].tolist() if self.key.watch else []
        if not numbers or numbers[0]:
            state.carry(places.carried, made[places.carried_at : places.gathered_at])
            state.steps += 1
            if self.key.apply:  # what was gathered has gone into ``.grad``, as if written
                state.gradients.clear()
                state.weights, state.versions = {}, ()
            else:
                _put(state.gradients, unflatten(places.gathered, made[places.gathered_at :]))
        rest = iter(made[2:])
        rates = {name: next(rest) for name in places.rates}
        grads = {i: next(rest) for i in places.learned}
        return Captured(Step(made[0], made[1], rates), grads, numbers)


def _in_the_way() -> bool:
    """A mode under which the same Python would do other operations, or be looked at."""
    return (
        torch.is_autocast_enabled("cpu")
        or torch.is_autocast_enabled("cuda")
        or is_in_torch_dispatch_mode(include_infra_modes=False)
    )


def gathered(gradients: Gradients) -> Gathered:
    """What gradients hold."""
    return gradients.weight, gradients.bias, gradients.own


def cloned(held: Gathered) -> Gathered:
    """The same numbers in memory of their own."""
    return tuple({key: x.clone() for key, x in part.items()} for part in held)


def _put(gradients: Gradients, held: Gathered) -> None:
    for mine, its in zip(gathered(gradients), held, strict=True):
        mine.update(its)
