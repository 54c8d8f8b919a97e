"""The class bases against exact arithmetic that shares nothing with the library's."""

from __future__ import annotations

import math
import warnings
from fractions import Fraction

import mpmath
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st

from localspike import Learner, models, rules
from localspike.errors import ConfigError, LocalspikeWarning
from localspike.rules.basis import (
    balanced_increments,
    balanced_square,
    cosine,
    hadamard,
    integer_square,
    phase_increments,
    random,
    sine_square,
)

SIZES = [(c, n) for c in (10, 11, 20, 100) for n in (512, 1024, 2048, 4096)]


def exact_increment(c: int, classes: int) -> int:
    """floor(frac(f_c / 2π) · 2³²) with 60 decimals of π."""
    with mpmath.workdps(60):
        f = mpmath.mpf(50) + mpmath.mpf(462 * c) / max(classes - 1, 1)
        return int(mpmath.floor(f / (2 * mpmath.pi) * 2**32)) % 2**32


def true_sign(classes: int, latents: int) -> torch.Tensor:
    """sign(sin(f_c i)) with f_c exact and the argument reduced in double precision."""
    f = torch.tensor([50 + 462 * c / (classes - 1) for c in range(classes)], dtype=torch.float64)
    return torch.sin(f[:, None] * torch.arange(latents, dtype=torch.float64)).sign()


@pytest.mark.parametrize("classes", [1, 2, 3, 10, 11, 20, 35, 100, 1000])
def test_increments_are_the_exact_phase(classes: int) -> None:
    assert phase_increments(classes) == [exact_increment(c, classes) for c in range(classes)]


@given(st.integers(2, 300), st.integers(0, 299), st.integers(0, 10**5))
def test_entries_are_the_top_bit_of_the_phase(classes: int, c: int, i: int) -> None:
    c = c % classes
    phase = exact_increment(c, classes) * i % 2**32
    row = (phase_increments(classes)[c] * i) & 0xFFFFFFFF
    assert row == phase
    if i < 2000:
        assert float(integer_square(classes, i + 1)[c, i]) == (1.0 if phase < 2**31 else -1.0)


def test_whole_matrix_by_python_integers() -> None:
    b = integer_square(7, 600)
    for c in range(7):
        step = exact_increment(c, 7)
        assert b[c].tolist() == [1.0 if step * i % 2**32 < 2**31 else -1.0 for i in range(600)]
    assert b.dtype == torch.float32


@pytest.mark.parametrize(("classes", "latents"), SIZES)
def test_differs_from_the_sine_in_two_in_a_thousand_at_most(classes: int, latents: int) -> None:
    """Against sign(sin) itself; latent 0, where the sine is 0, is most of the difference."""
    differs = integer_square(classes, latents).double() != true_sign(classes, latents)
    assert float(differs.double().mean()) <= 0.002
    assert float(differs[:, 1:].double().mean()) <= 2e-5


@pytest.mark.parametrize(("classes", "latents"), SIZES)
def test_published_float32_form_stays_near_the_true_sine(classes: int, latents: int) -> None:
    """The release multiplies f·i in float32, whose rounding flips up to 0.5 % of far entries."""
    published = sine_square(classes, latents)
    assert published[:, 0].abs().sum() == 0
    assert bool((published[:, 1:].abs() == 1).all())
    differs = published.double() != true_sign(classes, latents)
    assert float(differs.double().mean()) <= 0.006


@given(st.integers(2, 120), st.integers(1, 400))
def test_basis_is_binary_and_its_columns_extend(classes: int, latents: int) -> None:
    b = integer_square(classes, latents)
    assert b.shape == (classes, latents)
    assert bool((b.abs() == 1).all())
    assert torch.equal(b[:, 0], torch.ones(classes))
    assert torch.equal(integer_square(classes, latents + 7)[:, :latents], b)
    fractions = [Fraction(p, 2**32) for p in phase_increments(classes)]
    if latents > 1:
        assert [1.0 if f < Fraction(1, 2) else -1.0 for f in fractions] == b[:, 1].tolist()


@pytest.mark.parametrize("classes", [10, 100])
def test_rows_are_distinct(classes: int) -> None:
    b = integer_square(classes, 512)
    overlap = (b @ b.T / 512).fill_diagonal_(0.0)
    assert float(overlap.abs().max()) < 0.75


def test_unknown_basis_is_refused() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^unknown basis: got fourier; expected one of \['adapted', 'balanced_square",
    ):
        rules.tess(basis="fourier")  # type: ignore[arg-type]


@pytest.mark.parametrize("classes", [2, 5, 10])
@pytest.mark.parametrize("latents", [1, 64, 300])
def test_cosine_is_the_squares_wave_with_unit_variance(classes: int, latents: int) -> None:
    b = cosine(classes, latents)
    for c in range(classes):
        f = 50 + 462 * c / (classes - 1)
        row = [math.sqrt(2) * math.cos(f * i) for i in range(latents)]
        assert float((b[c].double() - torch.tensor(row, dtype=torch.float64)).abs().max()) < 1e-6
    if latents == 300:
        assert bool(((b**2).mean(1) - 1).abs().max() < 0.1)


@pytest.mark.parametrize(("classes", "latents"), [(3, 4), (7, 8), (10, 16), (10, 128), (100, 512)])
def test_hadamard_rows_are_orthogonal_and_never_constant(classes: int, latents: int) -> None:
    """Against scipy's matrix; the row of ones, which cross-entropy cannot see, is left out."""
    b = hadamard(classes, latents)
    want = torch.from_numpy(scipy.linalg.hadamard(latents)[1 : classes + 1]).float()
    assert torch.equal(b, want)
    assert torch.equal(b @ b.T, latents * torch.eye(classes))
    assert bool((b.sum(1) == 0).all())


def test_hadamard_of_any_length_is_cut_from_the_next_power() -> None:
    assert torch.equal(hadamard(5, 12), hadamard(5, 16)[:, :12])
    assert torch.equal(hadamard(5, 8), hadamard(5, 16)[:, :8])


@pytest.mark.parametrize(("classes", "latents"), [(4, 4), (10, 8), (1, 1), (5, 3)])
def test_hadamard_with_too_few_latents_is_refused(classes: int, latents: int) -> None:
    text = (
        rf"^a Hadamard basis needs more latents than classes: got {classes} classes, {latents} "
        r"latents\. Choose another basis, or a larger signal pool\.$"
    )
    with pytest.raises(ConfigError, match=text):
        hadamard(classes, latents)


def test_a_learner_refuses_a_hadamard_basis_that_does_not_fit_the_blocks_latents() -> None:
    net = models.mlp(14, (12, 10), 5, rate=None)
    Learner(net, rules.lls("hadamard"))
    with pytest.raises(ConfigError, match=r"^a Hadamard basis needs more latents than classes"):
        Learner(net, rules.lls("hadamard", pool=4))


def test_random_basis_is_seeded_uniform_and_of_unit_variance() -> None:
    b = random(10, 4000, 3)
    assert torch.equal(b, random(10, 4000, 3))
    assert not torch.equal(b, random(10, 4000, 4))
    assert float(b.abs().max()) <= 3**0.5
    assert abs(float(b.var()) - 1.0) < 0.02
    assert abs(float(b.mean())) < 0.02
    state = torch.get_rng_state()
    random(2, 3)
    assert torch.equal(state, torch.get_rng_state())


DEGENERATE = [(27, 128), (20, 64), (35, 512), (100, 256)]
"""Classes and latents at which a row of the published wave is constant."""


@pytest.mark.parametrize(("classes", "latents"), DEGENERATE)
def test_the_published_wave_has_constant_rows(classes: int, latents: int) -> None:
    """In exact arithmetic too: of almost any spikes its class has the largest logit, or the least.

    Of 35 classes it is the least: the row is negative.
    """
    exact = true_sign(classes, latents)[:, 1:]  # sin 0 is 0
    assert float(exact.mean(1).abs().max()) > 0.99
    for basis, least, most in ((integer_square, 0.9, 1.0), (balanced_square, 0.0, 0.6)):
        made = basis(classes, latents)
        constant = int(integer_square(classes, latents).mean(1).abs().argmax())
        sign = float(integer_square(classes, latents)[constant].mean().sign())
        spikes = (torch.rand(500, latents) < 0.3).float()
        won = (sign * (spikes @ made.T)).argmax(1) == constant
        assert least <= float(won.double().mean()) <= most


@pytest.mark.parametrize("latents", [64, 128, 256, 512, 2048])
def test_a_balanced_wave_has_none_and_no_two_alike(latents: int) -> None:
    for classes in (*range(2, 61), *((80, 100) if latents > 64 else ())):
        rows = balanced_square(classes, latents)
        likeness = (rows @ rows.T / latents).fill_diagonal_(0.0).abs()
        assert float(rows.mean(1).abs().max()) <= 0.5, classes
        assert float(likeness.max()) <= 0.5, classes


def test_a_balanced_wave_is_a_wave_of_integers() -> None:
    """Top bits of its own increments, of which only those of degenerate rows have moved."""
    increments, plain = balanced_increments(27, 128), phase_increments(27)
    assert [i for i in range(27) if increments[i] != plain[i]]
    assert sum(a != b for a, b in zip(increments, plain, strict=True)) < 5
    rows = balanced_square(27, 128)
    for c, increment in enumerate(increments):
        for i in (0, 1, 63, 127):
            assert float(rows[c, i]) == (1.0 if increment * i % 2**32 < 2**31 else -1.0)


@pytest.mark.parametrize("latents", [32, 64, 128, 800, 4096])
def test_of_ten_classes_it_is_the_published_one(latents: int) -> None:
    assert torch.equal(balanced_square(10, latents), integer_square(10, latents))


@pytest.mark.parametrize(("classes", "latents"), [(1, 1), (1, 64), (10, 1), (10, 4), (200, 32)])
def test_where_too_few_latents_are_it_is_made_all_the_same(classes: int, latents: int) -> None:
    assert balanced_square(classes, latents).shape == (classes, latents)


def learner(classes: int, latents: int = 128, learns: bool = True, **options: object) -> Learner:
    net = models.mlp(5, (latents,), classes)
    optimizer = torch.optim.SGD(net.parameters(), 0.1) if learns else None
    return Learner(net, rules.tess(**options), optimizer)  # type: ignore[arg-type]


@pytest.mark.parametrize(("classes", "latents", "fate"), [(27, 128, "wins"), (35, 512, "never")])
def test_whoever_learns_by_a_constant_row_is_told(classes: int, latents: int, fate: str) -> None:
    said = rf"'hidden1': at {classes} classes and {latents} latents.* {fate}.*balanced_square"
    with pytest.warns(LocalspikeWarning, match=said) as told:
        learner(classes, latents)
    assert told[0].filename == __file__  # the line to look at is the user's
    with pytest.warns(LocalspikeWarning):  # not all can be mended, but most
        learner(1000, 64)


def test_who_need_not_know_is_not_told() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learner(10)
        learner(27, basis="balanced_square")
        learner(27, published_code=True)  # which leaves no choice
        learner(27, learns=False)
        learner(10, 2)  # too few latents for any wave
    assert float(integer_square(10, 2).mean(1).abs().max()) == 1.0


def test_bases_are_made_on_the_cpu_wherever_tensors_go() -> None:
    with torch.device("meta"):
        assert balanced_increments(27, 96)[0] and not balanced_square(27, 96).is_meta
    net = models.mlp(5, (128,), 27).to("meta")
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    with pytest.warns(LocalspikeWarning):
        assert Learner(net, rules.tess(), optimizer).credit.bound["hidden1"].basis.is_meta  # type: ignore[attr-defined]
