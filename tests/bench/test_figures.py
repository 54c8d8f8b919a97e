"""Ratios of known seconds, fitted lines with known errors, and what a record of training says."""

from __future__ import annotations

import pytest

from helpers_bench import BLOCKS
from localspike.bench import figures, memory, overhead, peers, scale, train
from localspike.errors import ConfigError


def test_ratios_of_known_seconds() -> None:
    found = train.summary(BLOCKS, {})
    assert found["best_precision"] == "bf16"
    assert found["ratios"] == {
        "vs_naive_bf16": 11.0,
        "vs_naive_f32": 11.0 / 4.0,
        "vs_bptt": 6.0,
        "vs_bptt_same_precision": 6.0 / 4.0,  # the smaller one: in bf16 it is 4
        "vs_spikingjelly": 8.0,
        "of_floor": 0.75,
    }
    within = found["spread"]["vs_naive_f32"]["naive float32 / tess float32"]
    assert (within["min"], within["max"], within["n"]) == (11.0 / 4.0, 5.0, 3)
    both = found["spread"]["vs_bptt_same_precision"]
    assert {k: v["ratio"] for k, v in both.items()} == {
        "bptt float32 / tess float32": 1.5,
        "bptt bf16 / tess bf16": 4.0,
    }
    assert found["methods"]["tess float32"]["rounds_s"] == [2.0, 4.0, 4.0]
    assert found["missing"] == {}


def test_the_best_precision_is_that_which_is_faster() -> None:
    turned = {**BLOCKS, "tess bf16": [[8.0]] * 3}
    found = train.summary(turned, {})
    assert found["best_precision"] == "float32"
    assert found["ratios"]["vs_bptt"] == 6.0 / 4.0
    assert found["ratios"]["of_floor"] == 0.25


def test_what_is_missing_is_null_with_its_reason() -> None:
    here = {k: v for k, v in BLOCKS.items() if not k.startswith(("naive", "spikingjelly"))}
    found = train.summary(here, {"naive float32": "no checkout"})
    assert found["ratios"]["vs_naive_bf16"] is None and found["ratios"]["vs_naive_f32"] is None
    assert found["missing"]["vs_naive_bf16"] == "no checkout"
    assert found["missing"]["vs_spikingjelly"] == "spikingjelly bptt was not measured"
    assert found["ratios"]["vs_bptt"] == 6.0


def test_peers_are_divided_by_the_first_method() -> None:
    blocks = {"ours": [[1.0], [2.0]], "theirs": [[3.0], [6.0]]}
    found = peers.compared(blocks, {"ours": 4.0})
    assert found["methods"]["theirs"]["over_ours"]["ratio"] == 3.0
    assert found["methods"]["theirs"]["rise_mib"] is None
    assert found["methods"]["ours"]["rise_mib"] == 4.0


def test_a_slope_and_its_standard_error() -> None:
    """By hand: residuals −0.2, 0.4, −0.2 about 1.5 x + 0.2; s² = 0.24, Σ(x − mean)² = 2."""
    found = figures.line([0, 1, 2], [0.0, 2.1, 3.0])
    assert found.slope == pytest.approx(1.5)
    assert found.intercept == pytest.approx(0.2)
    assert found.error == pytest.approx((0.24 / 2) ** 0.5)
    assert figures.line([0, 1], [0, 1]).error is None
    with pytest.raises(ConfigError, match="two different points"):
        figures.line([1, 1], [0, 1])


def test_exponents_of_known_laws() -> None:
    rows = [
        {"size": n, "products": 7 * n**2, "step_s": {"median": 3 * n**2}, "rise_mib": {"median": n}}
        for n in (1, 2, 5, 10, 20)
    ]
    found = scale.exponents(rows)
    assert found["time"]["slope"] == pytest.approx(2)
    assert found["time_of_products"]["slope"] == pytest.approx(1)
    assert found["memory"]["slope"] == pytest.approx(1)
    assert found["fitted_from"] == 2


def test_memory_against_steps() -> None:
    """0.5 MiB a step is 512 KiB; repeats at one T go into the error, not into new T."""
    points = [(t, 3 + 0.5 * t + off) for t in (10, 20, 40) for off in (-0.1, 0.1)]
    found = memory.fitted(points)
    assert found["kib_per_step"]["slope"] == pytest.approx(512)
    assert found["kib_per_step"]["error"] > 0
    assert list(found["rise_mib"]) == ["10", "20", "40"]
    assert found["rise_mib"]["20"]["median"] == pytest.approx(13)
    assert "kib_per_step" not in memory.fitted([(10, 1.0)])


def test_shares_outside_operations_have_bounds() -> None:
    found = overhead.outside(step=1.0, profiled=1.2, operations=0.8)
    assert found == pytest.approx({"low": 0.2, "share": 0.3, "high": 0.4})
    assert overhead.outside(1.0, 1.1, 1.05)["low"] == 0.0
