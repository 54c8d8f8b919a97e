"""The methods a worker of this package can time: our rules, the naive baseline, the floor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor

from .. import rules
from ..config.options import nearest
from ..errors import ConfigError
from ..kernels.compiling import seconds_spent
from ..learn.cuda import settle
from ..learn.learner import Learner
from ..nn import Network
from . import checks
from .exchange import load
from .floor import Floor
from .job import LEARNING_RATE, Job
from .places import load_naive


@dataclass
class Stepper:
    """One training step as a function; ``check`` proves it right, ``about`` says what it is."""

    step: Callable[[], None]
    check: Callable[[], dict[str, Any]]
    about: dict[str, Any] = field(default_factory=dict)
    learner: Learner | None = None

    def spent(self) -> float:
        """Seconds that went into compiling so far."""
        return seconds_spent()


def build(job: Job) -> Stepper:
    """The method of a job.

    Raises
    ------
    ConfigError
        If there is none of that name, or it cannot train this net.
    """
    settle(torch.device(job.device), job.precision, job.repeatable and job.method != "floor")
    if job.method == "naive":
        return naive(job)
    if job.method == "floor":
        return floor(job)
    if job.method not in rules.PRESETS:
        known = (*rules.PRESETS, "naive", "floor")
        raise ConfigError(f"unknown method {job.method!r}", fix=nearest(job.method, known))
    return ours(job)


def network(job: Job) -> Network:
    """The job's net: that of its file of parameters, or made anew from the seed."""
    if not job.parameters:
        return job.workload.network()
    net = job.workload.blank()
    net.load_state_dict(load(job.parameters))
    return net


def inputs(job: Job, net: Network) -> tuple[Tensor, Tensor]:
    """Frames [T, B, ...] and labels on the job's device; a static image lies there once."""
    frames = job.workload.frames(net)
    if job.workload.static:
        return frames[:1].to(job.device).expand(frames.shape), job.workload.labels(net).to(
            job.device
        )
    return frames.to(job.device), job.workload.labels(net).to(job.device)


def ours(job: Job) -> Stepper:
    """A rule of this package under the schedule it takes by itself, or the one asked for."""
    net = network(job).to(job.device)
    optimizer = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE, fused=True)
    learner = Learner(
        net,
        rules.PRESETS[job.method](),
        optimizer,
        schedule=job.schedule,  # type: ignore[arg-type]
        update=job.update,
        precision=job.precision,
        compile=job.compile,
    )
    about = {
        "schedule": learner.schedule,
        # Under autograd transforms of convolutions are, where those are by windows (`compile_s`).
        "compiled": learner.compiles and learner.schedule != "bptt",
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "repeatable": job.repeatable,
    }
    if learner.compiles:  # the compiler's own modules are no part of a step's memory
        torch.compile(_nothing)(torch.ones(2, device=job.device))
    if job.feed == "steps":
        return Stepper(_fed_by_step(job, net, learner), dict, about, learner)
    frames, labels = inputs(job, net)

    def step() -> None:
        learner.fit(frames, labels)

    return Stepper(step, partial(_check, job, learner, frames, labels), about, learner)


def _nothing(x: Tensor) -> Tensor:
    return x + 1


def _fed_by_step(job: Job, net: Network, learner: Learner) -> Callable[[], None]:
    """A sequence of which no more than a few steps ever exist."""
    pool, labels = job.workload.pool(net).to(job.device), job.workload.labels(net).to(job.device)

    def step() -> None:
        for t in range(job.workload.steps):
            learner.stream(pool[t % len(pool)], labels)
        learner.end_sequence()

    return step


def _check(job: Job, learner: Learner, frames: Tensor, labels: Tensor) -> dict[str, Any]:
    if not job.reference:
        return {}
    expected = load(job.reference)
    count = job.workload.steps * job.workload.batch
    for name, block in learner.net.blocks.items():
        neurons = prod(block.neuron_shape(learner.net.input_shapes[name]))
        expected[f"rate.{name}"] = expected[f"spikes.{name}"] / (count * neurons)
    result, found = checks.against_streaming(learner, frames, labels)
    return {**checks.against_reference(result, expected, job.precision), **found}


def naive(job: Job) -> Stepper:
    """TESS as a careful user writes it with autograd: `benchmarks/naive.py`."""
    if job.workload.net not in ("vgg9", "mlp"):
        raise ConfigError(f"the naive baseline does not train {job.workload.net}")
    if job.device != "cpu" or job.precision != "float32":
        raise ConfigError("the naive baseline runs in float32 on the CPU only")
    module, net = load_naive(job.benchmarks), network(job)
    plain = module.Naive(net)
    optimizer = torch.optim.Adam(plain.parameters(), lr=LEARNING_RATE, fused=True)
    frames, labels = inputs(job, net)
    frames = frames.contiguous()

    def step() -> None:
        plain.gradient(frames, labels)
        optimizer.step()

    return Stepper(step, partial(checks.of_naive, module, job.workload.net == "vgg9"))


def floor(job: Job) -> Stepper:
    """The products of a step alone."""
    made = Floor(network(job), job.workload, job.dtype, job.device)
    return Stepper(made, partial(checks.of_floor, made), {"layouts": made.choose_layouts()})
