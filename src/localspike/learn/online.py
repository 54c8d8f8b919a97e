"""Learning as on a device: one sample, one step after the other, plain weights, plain SGD."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..errors import ConfigError
from ..nn import Network
from ..nn.fold import fold
from ..rules.base import Rule
from .checks import load_own
from .learner import Learner
from .schedule import Update


def online(
    net: Network,
    rule: Rule,
    *,
    rate: float,
    momentum: float = 0.0,
    update: Update = "step",
    own: Mapping[str, Tensor] | None = None,
    rates: Mapping[str, float] | None = None,
) -> Learner:
    """A learner that does what an exported network does on a device.

    The network is folded first (`nn.fold`; `Learner.net` is the folded one, ``net`` stays as it
    is): gains and running statistics are in the weights, and what learns from here on is W itself,

        W ← W − η V,    V ← μ V + G    (μ = 0: W ← W − η G)

    once per step or once per sequence (on a device ``LS_LEARN`` or ``LS_GATHER``), streamed, in
    batches of one. A rule's own trained tensors stay as they are.

    Parameters
    ----------
    rate, momentum:
        η and μ.
    update:
        "step" or "sequence".
    own:
        The trained tensors of the rule, as a run's checkpoint has them.
    rates:
        By block, what η is multiplied with there (1 of the others), as `export.plan_of` takes
        it. Every block is a parameter group of the optimiser, for schedules of one's own.

    Raises
    ------
    ConfigError
        For a step size that is not positive, or rates that are none or of no block.
    IllegalError
        If the rule cannot learn in a stream.

    >>> from localspike import models, rules
    >>> learner = online(models.mlp(20, (30,), 4), rules.tess(), rate=0.01)
    >>> loss, logits = learner.fit(torch.ones(12, 1, 20), torch.tensor([2]))
    >>> learner.schedule, learner.net.blocks["hidden1"].synapse.gain is None
    ('streaming', True)
    """
    if not 0.0 < rate < float("inf"):
        raise ConfigError("rate", got=rate, expected="a finite step size > 0")
    folded = fold(net)
    groups = _groups(folded, rate, rates or {})
    optimizer = torch.optim.SGD(groups, lr=rate, momentum=momentum)
    learner = Learner(folded, rule, optimizer, schedule="streaming", update=update)
    for group in optimizer.param_groups[len(groups) :]:  # the rule's own
        group["lr"] = 0.0
    if own:
        load_own(learner.credit, dict(own))
    return learner


def _groups(net: Network, rate: float, rates: Mapping[str, float]) -> list[dict[str, Any]]:
    """The parameters block by block, each with a step size of its own."""
    blocks = net.modules_by_name
    if unknown := sorted(set(rates) - set(blocks)):
        raise ConfigError("rates of no block", got=", ".join(unknown), expected=", ".join(blocks))
    if not all(0.0 <= part < float("inf") for part in rates.values()):
        raise ConfigError("rates by block", got=dict(rates), expected="finite factors >= 0")
    return [
        {"params": list(block.parameters()), "lr": rate * rates.get(name, 1.0), "name": name}
        for name, block in blocks.items()
    ]
