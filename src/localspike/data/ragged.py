"""Recordings that lie end to end in one array: picking some of them in one go."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def spans(
    first: NDArray[np.integer], length: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of all elements of the stretches that begin at ``first``, and their new offsets.

    Stretch i, of ``length[i]`` elements, lies in offsets[i] … offsets[i + 1] of what is picked.

    >>> [one.tolist() for one in spans(np.array([5, 0, 7]), np.array([2, 0, 1]))]
    [[5, 6, 7], [0, 2, 2, 3]]
    """
    offsets = np.zeros(len(length) + 1, np.int64)
    np.cumsum(length, out=offsets[1:])
    position = np.arange(offsets[-1])
    position += np.repeat(first - offsets[:-1], length)
    return position, offsets
