"""What worker processes say to the one that started them."""

from __future__ import annotations

import warnings

import pytest

from helpers_workers import learner_of
from localspike.errors import BasisWarning
from localspike.recipes.workers import Workers


def test_a_constant_row_is_told_once_for_all_workers(capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings(record=True) as told, Workers(total=0) as workers:
        warnings.simplefilter("always")
        done = sorted(workers.run(learner_of, [27, 10, 27]))
    assert done == [(10, 10), (27, 27), (27, 27)]
    assert [w.category for w in told] == [BasisWarning]
    assert str(told[0].message).startswith("block 'hidden1': at 27 classes and 30 latents")
    assert "of another kind" in capfd.readouterr().err
