"""What a learner refuses before it does anything: settings and arguments of the wrong kind."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from operator import index
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from ..errors import BasisWarning, CheckpointError, ConfigError, IllegalError, ShapeError
from ..nn.network import Network
from ..rules.class_basis import BoundClassBasis
from .credit import Credit
from .targets import named_steps

Precision = Literal["auto", "float32", "bf16"]
Number = TypeVar("Number", int, float)
MADE_OF = ("net", "rule", "loss", "schedule", "update", "credit", "dtype", "probe")
SETTINGS = ("clip_norm", "accumulate", "active_steps")
"""What a learner cannot do without being made anew, and what may be set at any time."""
HEARD = "votes.heard"
"""In a learner's saved state: whether layers that may vote are heard."""


def compute_dtype(precision: str, device: torch.device) -> tuple[torch.dtype | None, str]:
    """The dtype products are computed in (None: the operands' own), and why.

    >>> compute_dtype("bf16", torch.device("cpu"))
    (torch.bfloat16, 'asked for')
    """
    if precision not in ("auto", "float32", "bf16"):
        raise ConfigError(
            "unknown precision", got=precision, expected="'auto', 'float32' or 'bf16'"
        )
    if precision != "auto":
        return (torch.bfloat16 if precision == "bf16" else None), "asked for"
    units = matrix_units(device)
    if units is None:
        return None, "float32: this machine has no units for bfloat16"
    return torch.bfloat16, f"bf16: {units}"


def matrix_units(device: torch.device) -> str | None:
    """What multiplies bfloat16 matrices faster than float32 ones on a device, or None."""
    if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0):
        return "tensor cores"
    if device.type == "cpu" and torch.cpu._is_amx_tile_supported():
        return "AMX tiles"
    if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return "AVX-512 instructions"  # a training step of nets of all kinds takes 0.6 to 0.75
    return None


def setting(name: str, value: Any, update: str) -> Any:
    """A setting that may change while a learner learns, as Python's own type.

    Raises
    ------
    ConfigError, IllegalError
        For what it cannot be.
    """
    if name == "active_steps":
        return named_steps(value)
    if name == "clip_norm":
        return None if value is None else _norm(value)
    number = None if isinstance(value, bool) else _tried(index, value)
    if number is None or number < 1:
        raise ConfigError("accumulate", got=repr(value), expected="a whole number >= 1")
    if update == "step" and number > 1:
        raise IllegalError("update='step' cannot accumulate over batches", fix="Use accumulate=1")
    return number


def _norm(value: Any) -> float:
    number = None if isinstance(value, bool | str) else _tried(float, value)
    if number is None or not number > 0:
        raise ConfigError("clip_norm", got=repr(value), expected="a norm > 0, or None")
    return number


def _tried(kind: Callable[[Any], Number], value: Any) -> Number | None:
    try:
        return kind(value)
    except (TypeError, ValueError, RuntimeError):
        return None


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
    if isinstance(getattr(optimizer, "base", optimizer), torch.optim.LBFGS):
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


def advise(optimizer: torch.optim.Optimizer | None, credit: Credit) -> None:
    """Warn of what a learner that learns should know of its signals; at the line that makes it."""
    for name, bound in credit.bound.items() if optimizer is not None else ():
        said = bound.advice() if isinstance(bound, BoundClassBasis) else None
        if said is not None:
            warnings.warn(f"block {name!r}: {said}", BasisWarning, stacklevel=3)


def take_optimizer(optimizer: torch.optim.Optimizer | None, credit: Credit) -> None:
    """Check an optimiser, and let it train what a rule's signals bring, as a group of their own.

    They then have its default step size; make a scheduler of step sizes after the learner.

    Raises
    ------
    ConfigError
        If it is not one of this network, or cannot serve gradients in ``.grad``.
    """
    check_optimizer(credit.net, optimizer)
    own = list(credit.own_parameters().values())
    if optimizer is None or not own:
        return
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    new = [p for p in own if id(p) not in held]
    if new:
        optimizer.add_param_group({"params": new})


def check_saved(credit: Credit, state: dict[str, Tensor]) -> None:
    """Refuse a state that is not a learner's of this rule on this network; nothing is changed.

    Raises
    ------
    CheckpointError
        Saying what it has and what is expected.
    """
    lacking = [name for name in ("generator", "gathered") if name not in state]
    if lacking:
        raise CheckpointError(
            "this is no learner's state",
            got=", ".join(list(state)[:3]) or "nothing",
            expected=f"what Learner.state_dict() gave, with {' and '.join(lacking)}",
        )
    own = credit.own_parameters()
    held = {f"own.{name}": list(p.shape) for name, p in own.items()}
    saved = {name: list(x.shape) for name, x in state.items() if name.startswith("own.")}
    if held != saved:
        raise CheckpointError(
            f"the saved state is not of rule {credit.rule.name!r} on this network",
            got=saved or "no trained tensors",
            expected=held or "no trained tensors",
        )


@torch.no_grad()
def load_own(credit: Credit, state: dict[str, Tensor]) -> None:
    """Put saved tensors back into a rule's signals."""
    for name, parameter in credit.own_parameters().items():
        parameter.copy_(state[f"own.{name}"])
    if credit.chooses_votes and HEARD in state:
        credit.heard = bool(state[HEARD])
