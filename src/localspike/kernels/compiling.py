"""Elementwise kernels through `torch.compile`: one machine loop where eager makes a pass an op.

Eager is the reference. A kernel here is a plain function of tensors that runs as it is without a
compiler, and gives the same numbers within rounding with one.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, Literal

import torch
import torch.fx.experimental._config as tracing
from torch import Tensor
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from ..errors import ConfigError

Compile = Literal["auto", "on", "off"]

# A kernel is compiled once for every constant of a neuron or rule and every T: more than torch's
# usual limit of variants of one function, and each of them is wanted.
_VARIANTS = 256

# Devices whose loads may be wider than a number; machine code for CPUs finds out as it runs.
_WIDE_LOADS = ("cuda",)

_on: ContextVar[bool] = ContextVar("compiled kernels", default=False)
_spent = 0.0
_said: set[str] = set()


def obstacle(device: torch.device) -> str | None:
    """Why kernels cannot be compiled for this device, or None if they can.

    >>> obstacle(torch.device("meta"))
    'there is no compiler for the device meta'
    """
    if device.type == "cuda":
        return None if importlib.util.find_spec("triton") else "triton is not installed"
    if device.type != "cpu":
        return f"there is no compiler for the device {device.type}"
    return None if _cpp_compiler() else "there is no C++ compiler (g++, clang++ or $CXX)"


@cache
def _cpp_compiler() -> str | None:
    names = [name for name in (os.environ.get("CXX"), "g++", "clang++") if name]
    return next((found for name in names if (found := shutil.which(name))), None)


def wanted(choice: Compile, device: torch.device, neurons: int, worthwhile: int) -> bool:
    """Whether to compile: as asked, or ("auto") where it can be done and the net is large enough.

    The answer depends on the network and the machine only, never on a batch: a run that is taken
    up again computes as it did before.

    Raises
    ------
    ConfigError
        If ``choice`` is unknown, or "on" where kernels cannot be compiled.

    >>> wanted("off", torch.device("cpu"), 1_000_000, 50_000)
    False
    """
    if choice not in ("auto", "on", "off"):
        raise ConfigError("unknown compile", got=repr(choice), expected="'auto', 'on' or 'off'")
    if choice == "off":
        return False
    why = obstacle(device)
    if choice == "on" and why is not None:
        raise ConfigError(
            f"kernels cannot be compiled: {why}", fix="Install one, or use compile='auto'"
        )
    return why is None and (choice == "on" or neurons >= worthwhile)


@contextmanager
def compiled(on: bool = True) -> Iterator[None]:
    """Within it, kernels of this thread run compiled (or not)."""
    before = _on.set(on)
    try:
        yield
    finally:
        _on.reset(before)


def active() -> bool:
    """Whether kernels of this thread run compiled now.

    Not under a dispatch mode, such as one that counts products: it could not see into them.
    """
    return _on.get() and not is_in_torch_dispatch_mode(include_infra_modes=False)


def seconds_spent() -> float:
    """Seconds this process has spent in first calls of compiled kernels."""
    return _spent


class Kernel:
    """A function of tensors that is compiled at its first call within `compiled`.

    Sizes are free in the compiled form (unless not ``dynamic``), apart from T, over which loops are
    unrolled. Under autograd it runs as it is. Should compiling fail, one warning says why and eager
    goes on: ``failed``.

    >>> Kernel(lambda x: 2 * x)(torch.ones(2))
    tensor([2., 2.])
    """

    def __init__(self, function: Callable[..., Any], dynamic: bool = True) -> None:
        self.function, self.dynamic = function, dynamic
        self._compiled: Callable[..., Any] | None = None
        self._seen: set[object] = set()
        self._failed = False

    @property
    def failed(self) -> bool:
        """Whether the compiler could not do it."""
        return self._failed

    def __call__(self, *tensors: Tensor | bool | None, key: object = None) -> Any:
        """The result; ``key`` names the variant, so that a first call is known as one."""
        global _spent
        if self._failed or not active() or _recorded(tensors):
            return self.function(*tensors)
        started = time.perf_counter()
        try:
            if self._compiled is None:
                _allow_variants()
                self._compiled = torch.compile(self.function, dynamic=self.dynamic, fullgraph=True)
            result = self._run(tensors, key)
        except Exception as error:  # whatever a compiler raises: no kernel, and eager is right
            return self._give_up(error, tensors)
        if key not in self._seen:
            self._seen.add(key)
            _spent += time.perf_counter() - started
        return result

    def _run(self, tensors: tuple[Tensor | bool | None, ...], key: object) -> Any:
        assert self._compiled is not None  # made by the caller
        if not self.dynamic:
            return self._compiled(*tensors)
        # Not as views: the compiler would make another variant for each base of the same view.
        plain = [x.data if isinstance(x, Tensor) else x for x in tensors]
        if key in self._seen:
            return self._compiled(*plain)
        # Nor sizes as one because they are equal now: 16 channels need not be 16 samples.
        with tracing.patch(use_duck_shape=False):  # type: ignore[attr-defined]
            return self._compiled(*plain)

    def _give_up(self, error: Exception, tensors: tuple[Tensor | bool | None, ...]) -> Any:
        self._failed = True
        result = self.function(*tensors)  # where this fails too, it is no matter of compiling
        text = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        if text not in _said:
            _said.add(text)
            warnings.warn(
                f"the compiler failed: {text}; kernels run uncompiled", RuntimeWarning, stacklevel=4
            )
        return result


def _recorded(tensors: tuple[Tensor | bool | None, ...]) -> bool:
    """Whether autograd is to see what becomes of them: kernels run on bare data."""
    if not torch.is_grad_enabled():
        return False
    return any(isinstance(x, Tensor) and x.requires_grad for x in tensors)


def tell_of_alignment(x: Tensor) -> None:
    """Let code compiled for a device know where the last axis of x is a multiple of 16.

    To be called in a kernel's function. Sizes are free in compiled code, which for bfloat16 then
    moves two bytes at a time where it could move eight or sixteen. Where the axis is no multiple,
    that is another variant of the kernel.

    >>> tell_of_alignment(torch.ones(3))
    """
    if x.device.type in _WIDE_LOADS and x.shape[-1] % 16 == 0:
        torch._check(x.shape[-1] % 16 == 0)


def _allow_variants() -> None:
    """Raise torch's limit of variants of one function, should it be lower."""
    config = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, _VARIANTS)
