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
from torch import Tensor

from ..errors import ConfigError

Compile = Literal["auto", "on", "off"]

# A kernel is compiled once for every constant of a neuron or rule and every T: more than torch's
# usual limit of variants of one function, and each of them is wanted.
_VARIANTS = 256

_on: ContextVar[bool] = ContextVar("compiled kernels", default=False)
_spent = 0.0
_failure: str | None = None


def obstacle(device: torch.device) -> str | None:
    """Why kernels cannot be compiled for this device, or None if they can.

    >>> obstacle(torch.device("meta"))
    'there is no compiler for the device meta'
    """
    if _failure is not None:
        return _failure
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


def seconds_spent() -> float:
    """Seconds this process has spent in first calls of compiled kernels."""
    return _spent


class Kernel:
    """A function of tensors that is compiled at its first call within `compiled`.

    Sizes are free in the compiled form, apart from T, over which loops are unrolled. Should
    compiling fail, one warning says why and eager goes on.

    >>> Kernel(lambda x: 2 * x)(torch.ones(2))
    tensor([2., 2.])
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self._compiled: Callable[..., Any] | None = None
        self._seen: set[object] = set()

    def __call__(self, *tensors: Tensor, key: object = None) -> Any:
        """The result; ``key`` names the variant, so that a first call is known as one."""
        if not _on.get() or _failure is not None:
            return self.function(*tensors)
        if key in self._seen and self._compiled is not None:
            return self._compiled(*tensors)
        return self._first(tensors, key)

    def _first(self, tensors: tuple[Tensor, ...], key: object) -> Any:
        global _spent, _failure
        started = time.perf_counter()
        try:
            with torch._dynamo.config.patch(recompile_limit=_VARIANTS):
                if self._compiled is None:
                    self._compiled = torch.compile(self.function, dynamic=True, fullgraph=True)
                result = self._compiled(*tensors)
        except Exception as error:  # whatever a compiler raises: no kernel, and eager is right
            _failure = f"the compiler failed: {str(error).strip().splitlines()[0][:200]}"
            warnings.warn(f"{_failure}; kernels run uncompiled", RuntimeWarning, stacklevel=4)
            return self.function(*tensors)
        self._seen.add(key)
        _spent += time.perf_counter() - started
        return result
