"""Splits are fixed for ever: their members are written down here."""

from __future__ import annotations

import pytest
import torch

from localspike.data.files import carve, choose, fixed_permutation


def test_members_of_the_splits_never_change() -> None:
    assert carve(50_000, "val", "cifar10")[:6].tolist() == [17, 24, 33, 43, 49, 52]
    assert carve(5_000, "val", "nmnist")[:6].tolist() == [3, 5, 6, 11, 15, 26]
    assert choose(torch.arange(45_000), 3, "cifar10").tolist() == [34_015, 25_087, 10_513]


@pytest.mark.parametrize("n", [0, 1, 2, 1000])
def test_fixed_permutation_permutes(n: int) -> None:
    assert sorted(fixed_permutation(n, "a").tolist()) == list(range(n))


def test_fixed_permutation_is_spread_evenly() -> None:
    """Where the first tenth comes from: a mean near the middle, no run of neighbours."""
    tenth = fixed_permutation(50_000, "b")[:5_000].double()
    assert abs(float(tenth.mean()) / 50_000 - 0.5) < 0.02
    assert abs(float(tenth.diff().abs().mean()) / 50_000 - 1 / 3) < 0.02
    assert not torch.equal(fixed_permutation(100, "a"), fixed_permutation(100, "b"))


def test_train_and_val_are_a_partition() -> None:
    train, val = carve(1003, "train", "x"), carve(1003, "val", "x")
    assert len(val) == 100
    assert sorted(torch.cat([train, val]).tolist()) == list(range(1003))
