"""What binning, slicing and streaming ask of their arguments, refused alike where impossible."""

from __future__ import annotations

import operator
from typing import Any, Literal, TypeGuard

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, DataError

Origin = Literal["first"] | int
"""Where time begins: "first", with each recording's first event, or at a time in µs."""

Partial = Literal["keep", "drop"]
"""What becomes of a last step or window that is not full."""

MAX_TIME = int(np.iinfo(np.int64).max)


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a value is a whole number, Python's or NumPy's; True and False are none.

    >>> is_whole(3), is_whole(np.int64(3)), is_whole(3.0), is_whole(True)
    (True, True, False, False)
    """
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def as_int(what: str, value: Any) -> int:
    """``value`` as an int where it is a whole number of any library: Python's, NumPy's, torch's.

    Raises DataError, saying ``what`` it is, for anything else, True and False included.

    >>> as_int("seed", np.uint8(3)), as_int("epoch", 4)
    (3, 4)
    """
    kind = str(getattr(value, "dtype", type(value).__name__))
    try:
        if kind not in ("bool", "torch.bool"):
            return operator.index(value)
    except TypeError:
        pass  # said below, as of what is True or False
    raise DataError(
        f"{what} is not a whole number",
        got=repr(value),
        expected="an int",
        fix="Divide with //, or convert it with int()",
    )


def check_positive(**sizes: int | None) -> None:
    """Raise ConfigError unless all are whole numbers of 1 or more, or None."""
    for name, size in sizes.items():
        if size is None:
            continue
        if not is_whole(size) or not 1 <= size <= MAX_TIME:
            raise ConfigError(name, got=repr(size), expected="a whole number of 1 or more")


def check_origin(origin: Origin) -> None:
    """Raise ConfigError unless ``origin`` is "first" or a time of 0 µs or more."""
    if origin == "first":
        return
    if not is_whole(origin) or not 0 <= origin <= MAX_TIME:
        raise ConfigError("origin", got=repr(origin), expected="'first' or a time in µs")


def check_partial(partial: Partial) -> None:
    """Raise ConfigError unless ``partial`` is "keep" or "drop"."""
    if partial not in ("keep", "drop"):
        raise ConfigError("partial", got=repr(partial), expected="'keep' or 'drop'")


def check_rising(t: NDArray[np.int64], last: int, source: str) -> None:
    """Raise DataError unless times (µs) never fall, nor begin before ``last``."""
    if len(t) == 0:
        return
    backwards = t[1:] < t[:-1]
    if t[0] >= last and not backwards.any():
        return
    at = 0 if t[0] < last else int(backwards.argmax()) + 1
    raise DataError(
        f"{source}: event times run backwards",
        got=f"t = {t[at]} µs at event {at} after {t[at - 1] if at else last} µs",
        expected="times >= 0 in rising order, also from chunk to chunk",
        fix="Sort the events of each recording by time",
    )
