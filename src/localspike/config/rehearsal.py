"""What only the first batch or a later epoch would find out, tried before anything is written."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import torch
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from ..errors import ConfigError, LocalspikeError
from ..learn.targets import chosen_steps, make_targets
from .build import Session, build_scheduler, optimizer_over, said
from .schema import RunConfig

SAMPLES = 2
LONGEST = 20_000
"""Steps of a scheduler that are tried at most; longer ones have shown their way by then."""


def rehearse(session: Session) -> None:
    """Try augmentation, targets and the whole course of the step size, without learning anything.

    Raises
    ------
    LocalspikeError
        What would have stopped the run later.
    """
    config = session.config
    _rehearse_batch(session)
    _rehearse_last_batch(session)
    for number, lr in enumerate(step_sizes(config, len(session.train))):
        if not (math.isfinite(lr) and lr >= 0):
            raise ConfigError(
                f"scheduler {config.scheduler.name} leaves the step sizes there are",
                got=f"{lr} after {number + 1} {config.scheduler.every}s",
                expected="a finite number >= 0",
                fix="Change the scheduler's settings",
            )


def _rehearse_batch(session: Session) -> None:
    config, learner = session.config, session.learner
    size = min(SAMPLES, session.train.batch_size)
    feed = replace(session.train, batch_size=size, bucket=None)  # of all T steps
    try:
        frames, labels, lengths = next(feed.batches())
    except LocalspikeError as error:
        raise type(error)(
            f"augment {config.augment.name} cannot work on data {config.data.name}: {error.what}",
            got=error.got,
            expected=error.expected,
            fix=error.fix or "Choose another with augment=, or augment=none",
        ) from error
    steps, batch = frames.shape[:2]
    # A generator of our own: the run's draws stay what they would have been.
    active = chosen_steps(learner.active_steps, steps, torch.Generator())
    make_targets(
        learner.loss, labels, learner.credit.classes, steps, batch, lengths, active, frames
    )


def _rehearse_last_batch(session: Session) -> None:
    """A rule that contrasts a batch with itself cannot learn from a last batch of one."""
    companion, size = session.learner.credit.companion, session.train.batch_size
    if companion is None or not companion.spec.among_samples:
        return
    if len(session.train.dataset) % size == 1 or size == 1:
        raise ConfigError(
            f"rule {session.config.rule.name} contrasts the samples of a batch; one would hold 1",
            got=f"{len(session.train.dataset)} training samples in batches of {size}",
            fix="Choose another batch_size or limit, or rule.against=classes (merged takes two)",
        )


def step_sizes(config: RunConfig, batches: int) -> Iterator[float]:
    """The step size after every step of the configured scheduler, in a run of so many batches.

    Raises
    ------
    ConfigError
        If the scheduler fails on the way.
    """
    optimizer = optimizer_over(config, [torch.nn.Parameter(torch.zeros(2, 2))])
    scheduler = build_scheduler(config, optimizer, batches)
    if scheduler is None:
        return
    length = config.training.epochs * (batches if config.scheduler.every == "step" else 1)
    for number in islice(range(length), LONGEST):
        try:
            _advance(scheduler)
        except (ValueError, ArithmeticError) as error:
            raise ConfigError(
                f"scheduler {config.scheduler.name} fails at {config.scheduler.every} "
                f"{number + 1} of {length}: {said(error)}",
                fix="Change the scheduler's settings, or leave its length out to take the run's",
            ) from error
        yield float(optimizer.param_groups[0]["lr"])


def _advance(scheduler: LRScheduler) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of steps without a step of the optimiser
        if isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step(0.0)
        else:
            scheduler.step()
