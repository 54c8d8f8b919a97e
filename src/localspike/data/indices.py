"""Which of N samples (or windows) are meant: by numbers, or by a mask, in any form they come in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import DataError

Index = Tensor | NDArray[Any] | Sequence[int] | Sequence[bool]


def chosen(index: Index, count: int, what: str = "samples") -> Tensor:
    """The places [K] int64, each 0 … ``count`` - 1, that ``index`` chooses of ``count`` ``what``.

    A list, range, array or tensor of whole numbers means these, negative ones counted from the
    end; ``count`` booleans mean the places of those that are True. Raises DataError for anything
    else, naming the first number that is out of range.

    >>> chosen([2, -1], 4).tolist(), chosen(np.array([True, False, True]), 3).tolist()
    ([2, 3], [0, 2])
    """
    given = _array(index, what)
    if given.ndim != 1:
        raise _refused(what, f"{given.ndim} axes" if given.ndim else repr(index))
    if given.dtype == np.bool_:
        return torch.from_numpy(_marked(given, count, what))
    if given.size and given.dtype.kind not in "iu":
        raise _refused(what, f"numbers of type {given.dtype}")
    wrong = (given >= count) | (given < -count)
    if wrong.any():
        at = int(wrong.argmax())
        raise DataError(
            f"no such place among {count} {what}",
            got=f"{given[at]} at place {at} of the index",
            expected=f"{-count} … {count - 1}" if count else "an empty index",
        )
    places = given.astype(np.int64)
    places[places < 0] += count
    return torch.from_numpy(places)


def _array(index: Index, what: str) -> NDArray[Any]:
    if isinstance(index, Tensor):
        # NumPy has no bfloat16 to refuse.
        if index.is_floating_point() or index.is_complex():
            raise _refused(what, f"numbers of type {index.dtype}")
        return index.detach().cpu().numpy()
    if isinstance(index, list | tuple):
        marks = sum(isinstance(one, bool | np.bool_) for one in index)
        if 0 < marks < len(index):
            raise _refused(what, "booleans among numbers")
    try:
        return np.asarray(index)
    except (ValueError, TypeError, RuntimeError) as error:
        raise _refused(what, f"{type(index).__name__}: {error}") from error


def _marked(mask: NDArray[np.bool_], count: int, what: str) -> NDArray[np.int64]:
    if len(mask) != count:
        raise DataError(
            f"a mask of another length than the {what}",
            got=f"{len(mask)} booleans",
            expected=count,
            fix="Give one boolean for each, or the numbers of those that are meant",
        )
    return np.flatnonzero(mask)


def _refused(what: str, got: str) -> DataError:
    return DataError(
        f"not an index of {what}",
        got=got,
        expected="a list of whole numbers, or a mask of booleans",
        fix="Round and convert numbers with .astype(int) or .long()",
    )
