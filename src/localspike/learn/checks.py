"""What a learner refuses before it does anything: settings and arguments of the wrong kind."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ConfigError, ShapeError
from ..nn.network import Network


def compute_dtype(precision: str) -> torch.dtype | None:
    """The dtype products are computed in: bfloat16 for "bf16", the operands' own for "float32"."""
    if precision not in ("float32", "bf16"):
        raise ConfigError("unknown precision", got=precision, expected="'float32' or 'bf16'")
    return torch.bfloat16 if precision == "bf16" else None


def check_tensors(labels: object, lengths: object) -> None:
    """Labels, and lengths where given, must be tensors."""
    for name, value in (("labels", labels), ("lengths", lengths)):
        if not isinstance(value, Tensor) and not (name == "lengths" and value is None):
            raise ShapeError(
                f"{name} are not a tensor",
                got=type(value).__name__,
                expected="torch.Tensor",
                fix=f"Convert with torch.as_tensor({name})",
            )


def check_optimizer(net: Network, optimizer: torch.optim.Optimizer | None) -> None:
    """An optimiser must hold some of the network's parameters and step without a closure."""
    if optimizer is None:
        return
    if isinstance(optimizer, torch.optim.LBFGS):
        raise ConfigError(
            "LBFGS evaluates the loss again within a step, which gradients in .grad cannot serve",
            expected="an optimiser that steps without a closure",
        )
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    trainable = [p for p in net.parameters() if p.requires_grad]
    if trainable and not any(id(p) in held for p in trainable):
        raise ConfigError(
            "the optimiser holds no parameter of this network",
            fix="Make it with the network's own parameters: Adam(net.parameters())",
        )
