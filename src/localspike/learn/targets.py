"""Targets of a batch over time: labels, lengths and active steps as one plain value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeGuard

import numpy as np
import torch
from torch import Tensor

from ..data.dataset import sent
from ..errors import ConfigError, ShapeError
from .loss import Loss

ActiveSteps = str | int | Sequence[int]
_DRAWN = re.compile(r"(random|every)-([1-9][0-9]*)")
_EXPECTED = "'all', the last k >= 1, a sequence of steps, 'random-k' or 'every-k'"


class Target(NamedTuple):
    """What is to be learned: y [..., C], weights [...] (0 = no learning), valid mask [...] or None.

    Leading axes are [B] for a step and [T, B] for a sequence. The weights hold 1/batch.
    """

    y: Tensor
    weight: Tensor
    valid: Tensor | None

    @property
    def told(self) -> Tensor:
        """1 where something is learned [...], 0 elsewhere."""
        return (self.weight != 0).to(self.weight.dtype)

    @property
    def batch(self) -> int:
        """How many samples there are."""
        return self.y.shape[-2]

    def at(self, t: int) -> Target:
        """The target of step t."""
        valid = None if self.valid is None else self.valid[t]
        return Target(self.y[t], self.weight[t], valid)

    def within(self, part: slice) -> Target:
        """The target of some steps."""
        valid = None if self.valid is None else self.valid[part]
        return Target(self.y[part], self.weight[part], valid)


def no_target(like: Tensor, classes: int) -> Target:
    """A target that asks for nothing of a step's batch: weights 0."""
    y = like.new_zeros((like.shape[0], classes))
    return Target(y, y[:, 0], None)


def step_target(loss: Loss, labels: Tensor, classes: int, like: Tensor) -> Target:
    """The target of one step's labels, [B] classes or [B, C] values, for frames ``like`` [B, ...].

    >>> from localspike.learn.loss import CrossEntropy
    >>> step_target(CrossEntropy(), torch.tensor([1]), 2, torch.zeros(1, 3)).y
    tensor([[0., 1.]])
    """
    batch = len(like)
    y, weight = loss.prepare(labels.to(like.device), classes, like.dtype)
    if tuple(weight.shape) != (batch,):  # [1, B] perhaps, or an error to be explained
        return make_targets(loss, labels, classes, 1, batch, None, "all", like)[0].at(0)
    return Target(y.to(like.dtype), weight.to(like.dtype) / batch, None)


def make_targets(
    loss: Loss,
    labels: Tensor,
    classes: int,
    steps: int,
    batch: int,
    lengths: Tensor | None,
    active_steps: ActiveSteps,
    like: Tensor,
) -> tuple[Target, list[bool]]:
    """Targets [T, B] and, per step, whether any sample learns at it.

    Labels are [B] (class per sequence), [T, B] (class per step), [B, C] or [T, B, C] (values).
    A step learns where it is active and, with ``lengths``, not padding; "last k" counts from
    each sample's own end.
    """
    valid = None if lengths is None else _valid(lengths, steps)
    known = _without_padding(labels, valid).to(like.device)
    if valid is not None and loss.of_classes and known.is_floating_point() and known.ndim == 3:
        # A padded step's shares in the classes are never read, but they must be shares.
        padded = ~valid.to(known.device)[..., None]
        known = torch.where(padded, torch.full_like(known, 1.0 / known.shape[-1]), known)
    y, weight = loss.prepare(known, classes, like.dtype)
    expected = {(batch,), (steps, batch)}
    if tuple(weight.shape) not in expected:
        raise ShapeError(
            "labels have the wrong shape",
            got=list(labels.shape),
            expected=f"[{batch}] or, per step, [{steps}, {batch}] (values: one more axis)",
        )
    y = y.to(like.dtype).expand(steps, batch, -1)
    active = active_mask(active_steps, steps, batch, lengths)
    if valid is not None:
        active, valid = active & valid, sent(valid, like.device)
    on = sent(active.to(like.dtype), like.device)
    weight = weight.to(like.dtype).expand(steps, batch) / batch * on
    return Target(y, weight, valid), active.any(1).tolist()


def _without_padding(labels: Tensor, valid: Tensor | None) -> Tensor:
    """Labels per step with 0 where a step is padded: what stands there (−1, say) is never read."""
    per_step_axes = 3 if labels.is_floating_point() else 2
    if valid is None or labels.ndim != per_step_axes or labels.shape[:2] != valid.shape:
        return labels
    mask = valid.to(labels.device).view(*valid.shape, *(1,) * (labels.ndim - 2))
    return torch.where(mask, labels, torch.zeros_like(labels))


def _valid(lengths: Tensor, steps: int) -> Tensor:
    return torch.arange(steps)[:, None] < lengths.cpu()


def chosen_steps(active: ActiveSteps, steps: int, generator: torch.Generator | None) -> ActiveSteps:
    """Turn "random-k" into k of the T steps drawn without replacement, "every-k" into each k-th.

    Without a generator nothing is drawn: "random-k" is then all steps.

    >>> chosen_steps("every-5", 12, None)
    [4, 9]
    """
    found = _DRAWN.fullmatch(active) if isinstance(active, str) else None
    if found is None:
        return active
    k = int(found[2])
    if k > steps:
        does = "draws" if found[1] == "random" else "skips"
        raise ConfigError(
            f"active_steps {does} more steps than there are", got=active, expected=f"k <= {steps}"
        )
    if found[1] == "every":
        return list(range(k - 1, steps, k))
    if generator is None:
        return "all"
    return sorted(torch.randperm(steps, generator=generator)[:k].tolist())


def named_steps(active: object) -> ActiveSteps:
    """Active steps as a word, a number or a list of Python's, whatever T is.

    Raises
    ------
    ConfigError
        For what names no steps.

    >>> named_steps(torch.tensor([2, 5])), named_steps(np.int64(3))
    ([2, 5], 3)
    """
    if isinstance(active, str) and (active == "all" or _DRAWN.fullmatch(active)):
        return active
    found = active.tolist() if isinstance(active, Tensor | np.ndarray | np.generic) else active
    if _is_step(found) and found >= 1:
        return int(found)
    if isinstance(found, Iterable) and not isinstance(found, str):
        steps = list(found)  # none at all is a look without learning
        if all(map(_is_step, steps)):
            return [int(t) for t in steps]
    raise ConfigError("active_steps", got=repr(active), expected=_EXPECTED)


def _is_step(value: object) -> TypeGuard[int]:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def steps_asked(active: ActiveSteps) -> int:
    """How many steps a batch must have for these active ones, whatever its samples have.

    >>> steps_asked("all"), steps_asked("random-6"), steps_asked(10), steps_asked([1, 6])
    (1, 6, 10, 7)
    """
    if isinstance(active, str):
        found = _DRAWN.fullmatch(active)
        return int(found[2]) if found else 1
    if isinstance(active, int | np.integer):
        return int(active)
    return max((int(t) + 1 for t in active), default=1)


def active_mask(active: ActiveSteps, steps: int, batch: int, lengths: Tensor | None) -> Tensor:
    """[T, B] booleans on the CPU: where the signal is on, padding not yet considered.

    >>> active_mask(2, 4, 1, torch.tensor([3])).flatten().tolist()
    [False, True, True, True]
    """
    time = torch.arange(steps)[:, None].expand(steps, batch)
    if isinstance(active, str):
        return torch.ones(steps, batch, dtype=torch.bool)
    if isinstance(active, int | np.integer):
        if active > steps:
            raise ConfigError(
                "active_steps asks for more steps than there are",
                got=active,
                expected=f"the last k <= {steps}, or 'all'",
            )
        ends = torch.full((batch,), steps) if lengths is None else lengths.cpu()
        return time >= ends - int(active)
    chosen = torch.zeros(steps, batch, dtype=torch.bool)
    outside = [t for t in active if not 0 <= t < steps]
    if outside:
        raise ConfigError(
            "active_steps name steps that do not exist", got=outside, expected=f"0..{steps - 1}"
        )
    chosen[list(active)] = True
    return chosen
