"""Samples and windows chosen by numbers or by a mask, in whatever form these come."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from localspike.data import Dataset, Frames, make_events, sparse_frames, windows
from localspike.data.indices import chosen
from localspike.errors import DataError

N = 5
VALUES = torch.arange(1.0, N + 1).view(N, 1, 1)
DATA = Dataset("toy", "train", Frames(VALUES), torch.arange(N), tuple("abcde"))
WINDOWS = windows(make_events(*(np.arange(N) * by for by in (10, 0, 0))), 10)

DOORS: dict[str, Callable[[object], list[int]]] = {
    "subset": lambda index: DATA.subset(index).labels.tolist(),
    "batch": lambda index: DATA.batch(index).labels.tolist(),
    "windows": lambda index: (WINDOWS.subset(index).start_us // 10).tolist(),
    "sparse": lambda index: (sparse_frames(DATA, index).to_dense().flatten() - 1).int().tolist(),
    "sparse source": lambda index: (
        (sparse_frames(DATA.inputs, index).to_dense().flatten() - 1).int().tolist()
    ),
}
MASK = [True, False, False, True, True]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (MASK, [0, 3, 4]),
        (np.array(MASK), [0, 3, 4]),
        (torch.tensor(MASK), [0, 3, 4]),
        ([3, -1, 3], [3, 4, 3]),
        ((2, -5), [2, 0]),
        (range(1, 4), [1, 2, 3]),
        (np.array([4, 0], np.uint8), [4, 0]),
        (torch.tensor([-2, 1], dtype=torch.int16), [3, 1]),
        ([np.int64(2), torch.tensor(1)], [2, 1]),
    ],
)
def test_numbers_and_masks_of_every_kind(door: str, index, expected: list[int]) -> None:
    assert DOORS[door](index) == expected


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("index", "text"),
    [
        (MASK[:4], "a mask of another length .*: got 4 booleans; expected 5"),
        (torch.tensor([*MASK, True]), "got 6 booleans; expected 5"),
        ([5], "no such place among 5 .*: got 5 at place 0 of the index; expected -5 … 4"),
        (np.array([1, -6]), "got -6 at place 1 of the index"),
        (np.array([2**63], np.uint64), "got 9223372036854775808 at place 0"),
        ([1.0, 2.0], "not an index of .*: got numbers of type float64; expected a list of whole"),
        (torch.tensor([1.5]), "got numbers of type torch.float32"),
        (torch.tensor([1.0], dtype=torch.bfloat16), "got numbers of type torch.bfloat16"),
        (np.array([1j]), "got numbers of type complex128"),
        ([True, 2], "got booleans among numbers"),
        (3, "got 3; expected"),
        ([[1, 2]], "got 2 axes"),
        ([[1], [1, 2]], "got list: "),
        (["a"], "got numbers of type <U1"),
        (None, "got None"),
    ],
)
def test_what_is_no_index(door: str, index, text: str) -> None:
    with pytest.raises(DataError, match=text):
        DOORS[door](index)


def test_nothing_may_be_chosen() -> None:
    for nothing in ([], (), np.array([]), torch.zeros(0, dtype=torch.long), [False] * N):
        assert chosen(nothing, N).tolist() == [] and chosen(nothing, N).dtype == torch.int64
    with pytest.raises(DataError, match="expected an empty index"):
        chosen([0], 0)
