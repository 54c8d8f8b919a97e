"""An intensity as the time of one spike: the stronger, the earlier."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from ...errors import ConfigError
from .check import check_floating, check_range, check_steps

Form = Literal["linear", "log"]
FORMS: tuple[Form, ...] = ("linear", "log")


def latency_steps(
    x: Tensor, steps: int, *, form: Form = "linear", threshold: float = 0.01
) -> Tensor:
    """The step of the one spike of each intensity, int64 like x; ``steps`` for none.

        linear   s = round((T − 1) (1 − x) / (1 − θ))
        log      s = round((T − 1) ln(x) / ln(θ))

    for x in θ … 1, so that x = 1 spikes at once and x = θ at the last step T − 1; whatever is below
    θ, or 0, never does. ``linear`` gives equal differences of intensity equal delays, ``log`` equal
    ratios. Raises ShapeError for integers, DataError for x outside 0 … 1, ConfigError for another
    form, steps, or a threshold outside 0 ≤ θ < 1 (0 < θ for ``log``).

    >>> latency_steps(torch.tensor([1.0, 0.5, 0.1, 0.0]), 11, threshold=0.1).tolist()
    [0, 6, 10, 11]
    >>> latency_steps(torch.tensor([1.0, 0.5, 0.25]), 3, form="log", threshold=0.25).tolist()
    [0, 1, 2]
    """
    check_floating("latency", x)
    steps = check_steps("latency", steps)
    _check_form(form, threshold)
    check_range("latency", x, 0.0, 1.0)
    value = x.detach().double()
    if form == "linear":
        delay = (1.0 - value) / (1.0 - threshold)
    else:
        delay = value.log() / math.log(threshold)
    step = torch.floor(delay * (steps - 1) + 0.5)
    # θ itself belongs in, also where the dtype of x rounds it down.
    heard = (x >= torch.tensor(threshold, dtype=x.dtype)) & (x > 0)
    return torch.where(heard, step.clamp(0, steps - 1), float(steps)).long()


def latency(x: Tensor, steps: int, *, form: Form = "linear", threshold: float = 0.01) -> Tensor:
    """At most one spike for each intensity: o[t, i] = 1 where t = s_i, [steps, *x.shape].

    s is that of ``latency_steps``, which says the rest and raises the same errors. Time to first
    spike: Thorpe and Gautrais, "Rank order coding", Computational Neuroscience: Trends in Research,
    1998.

    >>> latency(torch.tensor([1.0, 0.5, 0.0]), 3).T
    tensor([[1., 0., 0.],
            [0., 1., 0.],
            [0., 0., 0.]])
    """
    step = latency_steps(x, steps, form=form, threshold=threshold)
    clock = torch.arange(steps, device=x.device).view(-1, *[1] * x.dim())
    return (clock == step).to(x.dtype)


def _check_form(form: str, threshold: float) -> None:
    if form not in FORMS:
        raise ConfigError("latency: no such form", got=repr(form), expected=" or ".join(FORMS))
    number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
    if not number or not 0 <= threshold < 1 or (form == "log" and threshold == 0):
        raise ConfigError(
            f"latency: impossible threshold of the {form} form",
            got=repr(threshold),
            expected="0 < threshold < 1" if form == "log" else "0 <= threshold < 1",
        )
