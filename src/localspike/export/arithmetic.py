"""How the runtime counts: floats, or whole numbers that saturate; in the order of the C code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from .fixed import MOST, PARTS, Fixed, one_event, parts_of, trace_unit
from .plan import Floats, Layer

F = np.float32
FADED = F(2.0**-14)
"""Float traces below it end: `LS_FADED`."""
STRIDE = np.uint32(0x9E3779B9)
"""Between the random numbers of a row."""
GOLDEN = 20251
"""The golden ratio of `PARTS`, odd: multiples of it go through all places of rounding, evenly."""
Kind = Literal["weight", "recurrent", "bias"]
KINDS: tuple[Kind, ...] = ("weight", "recurrent", "bias")
Numbers = NDArray[Any]


@dataclass
class Slot:
    """What one layer carries: the arena's buffers, spikes and outputs one number each."""

    v: Numbers
    weight: Numbers
    recurrent: Numbers | None
    bias: Numbers | None
    spikes: Floats
    out: Floats
    pre: Numbers
    loop_pre: Numbers | None
    post: Numbers | None
    latent: Floats | None
    past: Floats | None = None
    bias_pre: Any = field(default_factory=lambda: F(0.0))
    gathered: dict[str, Floats] = field(default_factory=dict)

    def learnt(self) -> dict[str, Numbers]:
        """Weights by kind."""
        held = {"weight": self.weight, "recurrent": self.recurrent, "bias": self.bias}
        return {name: x for name, x in held.items() if x is not None}


@dataclass
class Lesson:
    """A row of post factors on its way to weights of one kind."""

    kind: Kind
    row: Numbers
    into: Numbers
    factor: Any
    gathered: bool


class Arithmetic(Protocol):
    """What `ls_inside.h` has twice. Rows are those of one position, changed where they lie."""

    state: type[Any]
    """Of membranes and traces."""

    def begin(self, step: int) -> None: ...
    def leak(self, layer: Layer, v: Numbers) -> None: ...
    def send(self, layer: Layer, kind: Kind, v: Numbers, weight: Numbers, count: float) -> None: ...
    def trace(self, layer: Layer, kind: Kind, pre: Numbers, counts: Floats) -> None: ...
    def membranes(self, layer: Layer) -> tuple[Any, Any]:
        """Threshold and reset."""
        ...

    def above(self, layer: Layer, v: Numbers, spikes: Floats) -> Floats:
        """u - threshold in real numbers."""
        ...

    def trace_post(self, layer: Layer, post: Numbers, psi: Floats) -> None: ...
    def post_values(self, layer: Layer, post: Numbers) -> Floats: ...
    def teach_bias(self, layer: Layer, lesson: Lesson, trace: Any) -> None: ...
    def by_gain(self, layer: Layer, lesson: Lesson, gain: Any) -> None: ...
    def events(self, layer: Layer, kind: Kind, counts: Floats) -> Numbers:
        """Counts of events as a trace counts them."""
        ...

    def events_gain(self, layer: Layer) -> Any: ...
    def teach(self, lesson: Lesson, at: tuple[int, int], seen: Numbers) -> None:
        """Weights [in, out] at one place of the kernel from the traces of its inputs."""
        ...

    def settle(self, layer: Layer, slot: Slot, rate: Any) -> None: ...


class FloatArithmetic:
    """float32 throughout."""

    state = np.float32

    def begin(self, step: int) -> None:
        """Floats round alike at every step."""

    def leak(self, layer: Layer, v: Numbers) -> None:
        v *= F(layer.decay)

    def send(self, layer: Layer, kind: Kind, v: Numbers, weight: Numbers, count: float) -> None:
        v += (F(layer.unit) if kind == "weight" else F(1.0)) * F(count) * weight

    def trace(self, layer: Layer, kind: Kind, pre: Numbers, counts: Floats) -> None:
        value = F(layer.unit) * counts if kind == "weight" else counts
        pre[...] = F(layer.pre_decay) * pre + value
        pre[pre < FADED] = 0

    def membranes(self, layer: Layer) -> tuple[Any, Any]:
        return F(layer.threshold), F(layer.reset)

    def above(self, layer: Layer, v: Numbers, spikes: Floats) -> Floats:
        reset = np.where(spikes > 0, F(layer.reset), F(0.0))
        found: Floats = v + reset - F(layer.threshold)
        return found

    def trace_post(self, layer: Layer, post: Numbers, psi: Floats) -> None:
        post[...] = F(layer.post_decay) * post + psi

    def post_values(self, layer: Layer, post: Numbers) -> Floats:
        return post

    def teach_bias(self, layer: Layer, lesson: Lesson, trace: Any) -> None:
        lesson.into += lesson.factor * trace * lesson.row

    def by_gain(self, layer: Layer, lesson: Lesson, gain: Any) -> None:
        lesson.factor = lesson.factor * gain

    def events(self, layer: Layer, kind: Kind, counts: Floats) -> Numbers:
        return counts

    def events_gain(self, layer: Layer) -> Any:
        return F(layer.unit)

    def teach(self, lesson: Lesson, at: tuple[int, int], seen: Numbers) -> None:
        _add(lesson, at, np.flatnonzero(seen), seen)

    def settle(self, layer: Layer, slot: Slot, rate: Any) -> None:
        for name, held in slot.learnt().items():
            held -= rate * slot.gathered[name]


class FixedArithmetic:
    """int16 or int8 weights that change by whole units, drawn by a seeded generator."""

    state = np.int32  # int16 on the device: it never holds more

    def __init__(self, seed: int = 1) -> None:
        self.seed = (seed & 0xFFFFFFFF or 1) * int(STRIDE) & 0xFFFFFFFF  # as `ls_set_seed`
        self.round = 0

    def begin(self, step: int) -> None:
        """Where this step rounds up (`begin` of ls_inside.h)."""
        self.round = step * GOLDEN % PARTS

    def _decayed(self, x: Numbers, decay: float) -> Numbers:
        """What is left of x: without a bias over many steps."""
        found: Numbers = (x.astype(np.int64) * parts_of(decay) + self.round) // PARTS
        return found

    def _randoms(self, n: int) -> NDArray[np.uint32]:
        """A row of random numbers (`next` and STRIDE of ls_fixed.c)."""
        x = self.seed
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        self.seed = x
        return np.uint32(x) + np.arange(n, dtype=np.uint32) * STRIDE

    def leak(self, layer: Layer, v: Numbers) -> None:
        if layer.spikes:
            v[...] = self._decayed(v, layer.decay)
        else:
            v *= F(layer.decay)

    def send(self, layer: Layer, kind: Kind, v: Numbers, weight: Numbers, count: float) -> None:
        which = KINDS.index(kind)
        if layer.spikes:
            gain, shift = _fixed(layer).gains[which]
            product = min(int(count) * gain, MOST) * weight.astype(np.int32)
            v[...] = np.clip(v + ((product + ((1 << shift) >> 1)) >> shift), -MOST, MOST)
            return
        unit = layer.unit if kind == "weight" else 1.0
        v += F(count) * F(unit * 2.0 ** -_fixed(layer).points[which]) * weight.astype(F)

    def trace(self, layer: Layer, kind: Kind, pre: Numbers, counts: Floats) -> None:
        added = counts.astype(np.int32) * self._one(layer, kind)
        pre[...] = np.minimum(self._decayed(pre, layer.pre_decay) + added, MOST)

    def _one(self, layer: Layer, kind: Kind) -> int:
        return one_event(layer)[kind == "recurrent"]

    def membranes(self, layer: Layer) -> tuple[Any, Any]:
        point = 2.0 ** _fixed(layer).state
        return round(layer.threshold * point), round(layer.reset * point)

    def above(self, layer: Layer, v: Numbers, spikes: Floats) -> Floats:
        threshold, reset = self.membranes(layer)
        found = F(2.0 ** -_fixed(layer).state) * (v + reset * (spikes > 0) - threshold).astype(F)
        return found.astype(F)

    def trace_post(self, layer: Layer, post: Numbers, psi: Floats) -> None:
        added = np.minimum(psi * F(2.0 ** _fixed(layer).post), F(MOST)).astype(np.int32)
        post[...] = np.minimum(self._decayed(post, layer.post_decay) + added, MOST)

    def post_values(self, layer: Layer, post: Numbers) -> Floats:
        found: Floats = post.astype(F) * F(2.0 ** -_fixed(layer).post)
        return found

    def teach_bias(self, layer: Layer, lesson: Lesson, trace: Any) -> None:
        by = lesson.factor * trace
        if lesson.gathered:
            lesson.into += by * lesson.row
            return
        by = by * F(2.0 ** _fixed(layer).bias)
        _move(lesson.into, _drawn(lesson.row * by, self._randoms(lesson.row.size)), layer)

    def by_gain(self, layer: Layer, lesson: Lesson, gain: Any) -> None:
        at = _fixed(layer)
        lesson.factor = lesson.factor * gain * F(trace_unit(layer))
        if not lesson.gathered:
            point = at.points[KINDS.index(lesson.kind)]
            by = lesson.factor * F(2.0**point) * F(2.0**at.shift)
            lesson.row = _drawn(lesson.row * by, self._randoms(lesson.row.size))
            lesson.factor = at.shift

    def events(self, layer: Layer, kind: Kind, counts: Floats) -> Numbers:
        return np.minimum(counts.astype(np.int32) * self._one(layer, kind), MOST)

    def events_gain(self, layer: Layer) -> Any:
        return F(1.0)

    def teach(self, lesson: Lesson, at: tuple[int, int], seen: Numbers) -> None:
        active = np.flatnonzero(seen)
        if lesson.gathered:
            _add(lesson, at, active, seen.astype(F))
            return
        n, shift = lesson.row.size, lesson.factor
        random = np.array([self._randoms(n) for _ in active], np.uint32).reshape(-1, n)
        product = seen[active, None].astype(np.int64) * lesson.row
        into = lesson.into[at]  # a view
        by = (product + (random >> np.uint32(32 - shift))) >> shift
        most = np.iinfo(into.dtype).max
        into[active] = np.clip(into[active] + by, -most, most)

    def settle(self, layer: Layer, slot: Slot, rate: Any) -> None:
        at, held = _fixed(layer), slot.learnt()
        points = [
            np.full(x.size, 2.0 ** at.points[KINDS.index(name)], F) for name, x in held.items()
        ]
        gathered = np.concatenate([slot.gathered[name].ravel() for name in held])
        by = gathered * (-rate * np.concatenate(points))
        drawn = _drawn(by, self._randoms(by.size))
        for x, part in zip(held.values(), _split(drawn, held), strict=True):
            _move(x, part.reshape(x.shape), layer)


def _add(lesson: Lesson, at: tuple[int, int], active: NDArray[np.intp], seen: Numbers) -> None:
    lesson.into[at][active] += (lesson.factor * seen[active])[:, None] * lesson.row


def _split(x: Numbers, held: Mapping[str, Numbers]) -> list[Numbers]:
    """A row of all learnt numbers, by kind."""
    return np.split(x, np.cumsum([part.size for part in held.values()])[:-1])


def _fixed(layer: Layer) -> Fixed:
    assert layer.fixed is not None
    return layer.fixed


def _drawn(x: Floats, random: NDArray[np.uint32]) -> NDArray[np.int32]:
    """Whole numbers, up as often as the fraction says; at most `MOST`."""
    x = np.where(np.isnan(x), F(0.0), np.clip(x, F(-MOST), F(MOST)))
    whole = np.trunc(x).astype(np.int32)
    part = ((x - whole.astype(F)) * F(2.0**24)).astype(np.int32)
    draw = (random >> np.uint32(8)).astype(np.int32)
    found: NDArray[np.int32] = whole + ((part > 0) & (draw < part)) - ((part < 0) & (draw < -part))
    return found


def _move(weight: Numbers, by: NDArray[np.int32], layer: Layer) -> None:
    most = _fixed(layer).most
    weight[...] = np.clip(weight.astype(np.int32) + by, -most, most)
