"""Running a case on a schedule and comparing every recorded array with ours."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError
from ..kernels import neuron as dynamics
from ..kernels import trace
from ..learn.learner import Learner
from ..learn.probe import Probe
from ..learn.schedule import obstacles
from ..rules.eligibility import TwoTrace
from .cases import Case, build
from .vectors import Vectors

RELATIVE, RELATIVE_SHARP = 1e-5, 2e-4
"""Largest norm of the difference over norm of the reference; the second for the sharp Ψ."""

ELEMENTWISE = 1e-3
"""Largest single difference over the reference's largest magnitude."""

SPIKES = ("out_spikes", "hidden_spikes", "spikes1", "spikes2")


@dataclass(frozen=True)
class Comparison:
    """One array: for spikes the mismatches, else relative and largest elementwise error."""

    array: str
    ok: bool
    mismatches: int | None = None
    relative_error: float | None = None
    elementwise_error: float | None = None
    tolerance: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data without the fields that do not apply; null for a number that is none."""
        fields = {k: v for k, v in asdict(self).items() if v is not None}
        wild = [k for k, v in fields.items() if isinstance(v, float) and not math.isfinite(v)]
        return fields | dict.fromkeys(wild)


@dataclass(frozen=True)
class Report:
    """One file on one schedule."""

    schedule: str
    comparisons: tuple[Comparison, ...]

    @property
    def ok(self) -> bool:
        """True where every array agrees."""
        return all(c.ok for c in self.comparisons)

    @property
    def mismatches(self) -> int:
        """Spikes that differ, over all spike arrays."""
        return sum(c.mismatches or 0 for c in self.comparisons)


def verify_file(vectors: Vectors) -> list[Report]:
    """Repeat a recorded run on every schedule that is legal for its rule."""
    case = build(vectors)
    names = _outputs(vectors, case)
    legal = [s for s, why in obstacles(case.rule, "sequence").items() if why is None]
    return [_verify(vectors, case, names, schedule) for schedule in legal]


def _outputs(vectors: Vectors, case: Case) -> list[str]:
    names = vectors.outputs()
    unknown = [name for name in names if name not in case.where]
    if unknown:
        raise DataError(
            f"{vectors.path}: arrays this kind does not have",
            got=unknown,
            expected=f"of {vectors.kind}: {sorted(case.where)}",
        )
    missing = sorted(case.where.keys() - set(names) - case.optional)
    if missing:
        raise DataError(
            f"{vectors.path}: recorded outputs are missing",
            got=f"no {', '.join(missing)}",
            expected=f"all outputs of {vectors.kind}",
        )
    return names


def _verify(vectors: Vectors, case: Case, names: list[str], schedule: str) -> Report:
    probe = Probe()
    case.net.zero_grad(set_to_none=True)
    learner = Learner(
        case.net,
        case.rule,
        loss=case.loss,
        schedule=schedule,  # type: ignore[arg-type]
        active_steps=case.active,
        probe=probe,
    )
    learner.gradient(case.frames, case.labels)
    tolerance = RELATIVE_SHARP if case.sharp else RELATIVE
    return Report(
        schedule,
        tuple(
            _compare(
                name, _ours(case, probe, *case.where[name]), vectors.reference(name), tolerance
            )
            for name in names
        ),
    )


def _ours(case: Case, probe: Probe, block: str, quantity: str) -> Tensor:
    """The quantity of our run that a recorded array stands for."""
    if "." in quantity:
        owner, _, part = quantity.partition(".")
        synapse = getattr(case.net.modules_by_name[block], owner)
        parameter = getattr(synapse, part)
        if parameter is None:  # a gain recorded though unused has no influence: gradient zero
            return torch.zeros_like(synapse.weight[:, :1])
        return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    if quantity == "logits":
        return probe.series("readout", "logits")
    if quantity in ("v", "v_final"):
        v = _membrane(case, probe, block)
        return v if quantity == "v" else v[-1]
    if quantity in ("q", "h"):
        return _trace(case, probe, block, quantity)
    return probe.series(block, quantity)


def _membrane(case: Case, probe: Probe, block: str) -> Tensor:
    neuron = case.net.blocks[block].neuron
    u, o = probe.series(block, "u"), probe.series(block, "o")
    return dynamics.after_reset(u, o, neuron.reset, neuron.amount)


def _trace(case: Case, probe: Probe, block: str, which: str) -> Tensor:
    """The final trace the schedule kept; where it keeps none, the trace of what it recorded."""
    kept = probe.final(block, "q_input" if which == "q" else "h")
    if kept is not None:
        return kept
    rule = case.rule.eligibility
    assert isinstance(rule, TwoTrace)  # every kind is a rule of traces
    if which == "q":
        return trace.trace_forward(probe.series(block, "x"), rule.decay_of("input"))[-1]
    return trace.trace_forward(probe.series(block, "psi"), rule.post_decay)[-1]


def _compare(name: str, ours: Tensor, reference: np.ndarray, tolerance: float) -> Comparison:
    got = ours.detach().numpy().astype(np.float64)
    if got.shape != reference.shape:
        raise DataError(
            f"recorded array {name!r} has the wrong shape",
            got=list(reference.shape),
            expected=list(got.shape),
        )
    if name in SPIKES:
        wrong = int(np.count_nonzero(~(np.abs(got - reference) < 1e-6)))
        return Comparison(name, wrong == 0, mismatches=wrong)
    difference = np.abs(got - reference)
    relative = float(np.linalg.norm(difference)) / max(float(np.linalg.norm(reference)), 1e-30)
    largest = float(difference.max()) / max(float(np.abs(reference).max()), 1e-30)
    ok = bool(relative <= tolerance and largest <= ELEMENTWISE)
    return Comparison(
        name, ok, relative_error=relative, elementwise_error=largest, tolerance=tolerance
    )
