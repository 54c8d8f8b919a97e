"""Learning signals against autograd of the local loss, and the random projections' formulas."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from helpers_reference import basis, class_basis_signal
from localspike import rules
from localspike.errors import ConfigError
from localspike.learn.loss import CrossEntropy, SquaredError
from localspike.rules import ClassBasis, Projection
from localspike.rules.signal import BlockInfo, Knowledge

LIKE = torch.zeros(1, dtype=torch.float64)
SHAPES = {"vector": (13,), "map": (3, 5, 6)}


def know(outs: Tensor, labels: Tensor, classes: int, error: Tensor | None = None) -> Knowledge:
    """Cross-entropy knowledge for outputs [T, B, ...] or [B, ...]."""
    lead = outs.shape[: 2 if error is None or error.ndim == 3 else 1]
    y = torch.eye(classes, dtype=torch.float64)[labels].expand(*lead, classes)
    w = torch.full(lead, 1 / len(labels), dtype=torch.float64)
    return Knowledge(outs, lambda z: CrossEntropy().error(z, y, w), y, w, len(labels), error)


def spikes(*shape: int) -> Tensor:
    return (torch.rand(*shape) < 0.3).double()


@pytest.mark.parametrize("where", SHAPES)
@pytest.mark.parametrize("pool", [None, 0, 1, 2, 4])
@pytest.mark.parametrize("scale", ["mean", "sqrt", "l2", "l2_full", 1.0, 0.05])
@pytest.mark.parametrize("decay", [0.0, 0.7])
def test_class_basis_is_autograd_of_its_loss(
    where: str, pool: int | None, scale, decay: float
) -> None:
    shape, classes = SHAPES[where], 7
    outs = spikes(6, 4, *shape)
    outs[:, 1] = 0.0  # a sample that never fires
    labels = torch.tensor([0, 3, 6, 2])
    latent = None if where == "vector" else 2
    bound = ClassBasis(scale=scale, pool=pool, latent_decay=decay).bind(
        BlockInfo(0, shape, latent, classes), LIKE
    )
    side = pool if pool is not None else latent
    n = outs[0, 0].numel() if not side else (side if where == "vector" else shape[0] * side * side)
    want = class_basis_signal(
        outs, labels, basis(classes, n, False), scale=scale, pool=side, latent_decay=decay
    )
    got = bound.sequence(know(outs, labels, classes)).m
    assert float((got - torch.stack(want)).abs().max()) < 1e-13
    assert bool(torch.isfinite(got).all())
    state = None
    for t, out in enumerate(outs):
        y = torch.eye(classes, dtype=torch.float64)[labels]
        w = torch.full((4,), 0.25, dtype=torch.float64)
        known = Knowledge(out, lambda z, y=y, w=w: CrossEntropy().error(z, y, w), y, w, 4)
        m, state, own = bound.step(known, state)
        assert own == {}
        assert float((m - want[t]).abs().max()) < 1e-13


@pytest.mark.parametrize("scale", ["mean", "sqrt", "l2", "l2_full", 2.0])
def test_silent_samples_give_finite_signals(scale) -> None:
    bound = ClassBasis(scale=scale).bind(BlockInfo(0, (8,), None, 3), torch.zeros(1))
    outs = torch.zeros(5, 2, 8)
    y, w = torch.eye(3)[torch.tensor([0, 2])].expand(5, 2, 3), torch.full((5, 2), 0.5)
    known = Knowledge(outs, lambda z: CrossEntropy().error(z, y, w), y, w, 2)
    m = bound.sequence(known).m
    assert bool(torch.isfinite(m).all())
    assert float(m.abs().max()) > 0.0


def test_loud_samples_do_not_overflow() -> None:
    """Paper's s = 1 gives logits up to n: softmax saturates, nothing becomes NaN."""
    bound = ClassBasis(scale=1.0).bind(BlockInfo(0, (4096,), None, 10), torch.zeros(1))
    y, w = torch.eye(10)[:2], torch.full((2,), 0.5)
    m = bound.step(
        Knowledge(torch.ones(2, 4096), lambda z: CrossEntropy().error(z, y, w), y, w, 2), None
    ).m
    assert bool(torch.isfinite(m).all())


def test_l2_scale_is_one_inside_the_unit_ball() -> None:
    for scale in ("l2", "l2_full"):
        bound = ClassBasis(scale=scale).bind(BlockInfo(0, (6,), None, 3), LIKE)
        plain = ClassBasis(scale=1.0).bind(BlockInfo(0, (6,), None, 3), LIKE)
        quiet = torch.full((1, 2, 6), 0.1, dtype=torch.float64)
        known = know(quiet, torch.tensor([0, 1]), 3)
        assert torch.allclose(bound.sequence(known).m, plain.sequence(known).m, atol=1e-15)


def test_a_squared_loss_makes_f_the_identity() -> None:
    outs, values = spikes(4, 3, 9), torch.randn(3, 5, dtype=torch.float64)
    w = torch.full((4, 3), 1 / 3, dtype=torch.float64)
    y = values.expand(4, 3, 5)
    known = Knowledge(outs, lambda z: SquaredError().error(z, y, w), y, w, 3)
    got = ClassBasis(scale="mean").bind(BlockInfo(0, (9,), None, 5), LIKE).sequence(known).m
    leaf = outs.clone().requires_grad_(True)
    z = leaf @ basis(5, 9, False).T / 9
    loss = ((z - y) ** 2).sum() / 2 / 3
    assert torch.allclose(got, torch.autograd.grad(loss, leaf)[0], atol=1e-14)


@given(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6), st.integers(1, 6))
def test_latent_pooling_is_adjoint(channels: int, h: int, w: int, k: int) -> None:
    """⟨pool a, b⟩ = ⟨a, poolᵀ b⟩ through the working signal's own maps."""
    bound = ClassBasis(pool=k).bind(BlockInfo(0, (channels, h, w), None, 3), LIKE)
    a = torch.randn(2, channels, h, w, dtype=torch.float64)
    b = torch.randn(2, channels * k * k, dtype=torch.float64)
    left = (bound._latents(a) * b).sum()
    right = (a * bound._to_output(b, a.shape)).sum()
    assert float((left - right).abs()) < 1e-11


def test_projections_are_their_formulas() -> None:
    matrix, error = (
        torch.randn(4, 30, dtype=torch.float64),
        torch.randn(6, 3, 4, dtype=torch.float64),
    )
    outs, labels = spikes(6, 3, 5, 6), torch.tensor([2, 0, 3])
    outs = outs.view(6, 3, 5, 6)
    known = know(outs, labels, 4, error)
    onehot = torch.eye(4, dtype=torch.float64)[labels]
    want = {
        "dfa": torch.einsum("tbc,cn->tbn", error, matrix),
        "sdfa": torch.einsum("tbc,cn->tbn", torch.sign(error), matrix) / 3,
        "drtp": (-onehot @ matrix / 3).expand(6, 3, 30),
    }
    for kind, m in want.items():
        bound = Projection(kind, matrices=(matrix,)).bind(BlockInfo(0, (5, 6), None, 4), LIKE)
        assert torch.allclose(bound.sequence(known).m, m.reshape(6, 3, 5, 6), atol=1e-14)
        bare = Projection(kind, batch_mean=False, matrices=(matrix,))
        got = bare.bind(BlockInfo(0, (5, 6), None, 4), LIKE).sequence(known).m
        assert torch.allclose(got, 3 * m.reshape(6, 3, 5, 6), atol=1e-14)


def feedback(spec: Projection, info: BlockInfo) -> Tensor:
    matrix = spec.bind(info, torch.zeros(1)).matrix
    assert matrix is not None
    return matrix.detach()


@pytest.mark.parametrize("kind", ["dfa", "sdfa", "drtp", "adaptive"])
def test_projection_matrices_are_fixed_fresh_and_in_range(kind) -> None:
    info = BlockInfo(2, (40, 5), None, 16)
    one = feedback(Projection(kind, seed=7), info)
    assert torch.equal(one, feedback(Projection(kind, seed=7), info))
    assert not torch.equal(one, feedback(Projection(kind, seed=8), info))
    other = BlockInfo(3, (40, 5), None, 16)
    assert not torch.equal(one, feedback(Projection(kind, seed=7), other))
    assert one.shape == (16, 200)
    assert float(one.abs().max()) <= 0.25
    assert float(one.abs().max()) > 0.24
    assert abs(float(one.mean())) < 0.02
    state = torch.get_rng_state()
    feedback(Projection(kind, seed=7), info)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: rules.tess(scale="max"), r"unknown logit scale: got max; expected 'mean', 'sqrt'"),
        (
            lambda: rules.tess(latent_decay=1.0),
            r"latent_decay out of range: got 1.0; expected a decay",
        ),
        (lambda: rules.tess(latent_decay=-0.1), r"latent_decay out of range: got -0.1"),
        (
            lambda: Projection("fa"),
            r"unknown projection: got fa; expected one of \('dfa', 'sdfa', 'drtp', 'symmetric', "
            r"'adaptive'\)",
        ),
        (
            lambda: Projection("drtp", label_period=0),
            r"^label_period: got 0; expected whole steps >= 1",
        ),
        (
            lambda: Projection("dfa", label_period=2),
            r"^label_period belongs to the label's projection: got dfa; expected 'drtp'\. Use the "
            r"learner's active_steps to learn at some steps only\.$",
        ),
        (
            lambda: rules.lls(mixing="full"),
            r"^unknown mixing: got full; expected 'none', 'gain' or 'matrix'",
        ),
        (lambda: ClassBasis(pool=-1), r"^pool: got -1; expected a size >= 1, 0 or None"),
        (
            lambda: rules.tp(against="all"),
            r"^unknown contrast: got all; expected 'batch', 'merged'",
        ),
        (lambda: rules.tp(decay=1.1), r"^decay out of range: got 1\.1; expected a decay per step"),
        (lambda: rules.e_prop(filter=-0.1), r"^filter out of range: got -0\.1; "),
        (lambda: rules.es_d_rtrl(1.5), r"^decay out of range: got 1\.5; "),
        (lambda: rules.decolle(upper=-1.0), r"^membrane band: got \(-1\.0, 0\.0\); expected "),
        (
            lambda: rules.decolle(lower=float("nan")),
            r"^membrane band: got \(0\.0, nan\); expected finite strengths >= 0\.$",
        ),
        (lambda: rules.etlp(1.5), r"^label_period: got 1\.5; expected whole steps >= 1\.$"),
        (lambda: rules.tp(drive=0.0), r"^drive: got 0\.0; expected a finite amplitude > 0\.$"),
        (lambda: rules.tp(drive=float("nan")), r"^drive: got nan; expected a finite amplitude > 0"),
        (
            lambda: rules.e_prop("output"),
            r"^unknown feedback: got output; expected one of \['adaptive', 'random', 'symmetric'\]",
        ),
        (
            lambda: rules.e_prop(filter="leak"),
            r"^filter: got leak; expected a decay per step, or 'readout'\.$",
        ),
        (lambda: rules.decolle(synaptic_decay=2.0), r"^synaptic_decay out of range: got 2\.0"),
        (lambda: rules.s_tllr("fa"), r"unknown projection: got fa"),
        (lambda: rules.tess(surrogate="relu"), r"unknown surrogate: got relu; expected one of \["),
        (lambda: rules.tess(pre_decay=1.5), r"pre_decay out of range: got 1.5; .*exp\(-dt/tau\)"),
        (lambda: rules.tess(post_decay=-0.1), r"post_decay out of range: got -0.1"),
        (lambda: rules.ottt(decay=2.0), r"pre_decay out of range: got 2.0"),
        (lambda: rules.s_tllr(readout_decay=1.01), r"readout_decay out of range: got 1.01"),
        (lambda: rules.tess(pre_decay=float("nan")), r"pre_decay out of range: got nan"),
        (lambda: rules.tess(latent_decay=float("nan")), r"latent_decay out of range: got nan"),
    ],
)
def test_impossible_constants_are_refused_with_text(build, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        build()
