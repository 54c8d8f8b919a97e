"""The fused passes against the kernels they stand for, chunk by chunk, eager and compiled."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from localspike.kernels import compiling, fused, maxpool, neuron, parts, pool, trace, windows
from localspike.kernels.neuron import Constants, NeuronState
from localspike.kernels.slopes import kept
from localspike.kernels.surrogate import Rectangle, Triangle, heaviside

LIF = Constants(0.7, 0.6, "soft", 0.4)
TRACES = [
    fused.TwoTraceConstants(0.5),
    fused.TwoTraceConstants(0.0, 1.0, 0.3, -0.7),
    fused.TwoTraceConstants(0.9, 0.3, 0.2, 1.0),
    fused.TwoTraceConstants(1.0, 1.0, 1.0, 0.5),
]


def wave(steps: int, neurons: int = 23) -> torch.Tensor:
    """Currents [T, N] under which neurons fire now and then."""
    return torch.randn(steps, neurons, generator=torch.Generator().manual_seed(steps)).double()


@pytest.mark.parametrize("steps", [1, 12, 16, 17, 37, 100])
@pytest.mark.parametrize("reset", ["soft", "hard", "none"])
def test_scan_is_the_neuron_step_by_step(steps: int, reset: str) -> None:
    constants, currents = LIF._replace(reset=reset), wave(steps)
    v = torch.linspace(-1, 1, 23).double()
    o, psi, last = fused.scan(currents, v, constants, Triangle())
    slow = neuron.neuron_scan(currents, NeuronState(v), constants, spike=heaviside)
    assert 0.05 < float(slow.o.mean()) < 0.6 or steps == 1
    assert torch.equal(o, slow.o)
    torch.testing.assert_close(psi.source, Triangle()(slow.u - 0.6), rtol=0, atol=1e-12)
    torch.testing.assert_close(last, slow.last.v, rtol=0, atol=1e-12)


def test_scan_counts_the_threshold_itself_where_the_neuron_does() -> None:
    at = torch.full((1, 2), 0.6, dtype=torch.float64)
    for inclusive in (False, True):
        o, _, _ = fused.scan(at, torch.zeros(2).double(), LIF, Triangle(), inclusive)
        assert bool(o.all()) is inclusive


@pytest.mark.parametrize("steps", [1, 12, 17, 37])
@pytest.mark.parametrize("c", TRACES)
def test_collapse_is_the_reverse_trace_plus_the_post_trace(
    steps: int, c: fused.TwoTraceConstants
) -> None:
    m, psi = wave(steps), wave(steps + 1)[1:].abs()
    traced = trace.trace_reverse(m * psi * c.pre_gain, c.pre_decay)
    expected = traced + c.post_gain * m * trace.trace_exclusive(psi, c.post_decay)
    torch.testing.assert_close(fused.collapse(m, kept(psi), c).c, expected, rtol=1e-12, atol=1e-12)
    total = fused.collapse_sum(m, kept(psi), c)
    torch.testing.assert_close(total, expected.sum(0), rtol=1e-12, atol=1e-12)


def test_every_constant_of_the_collapse_matters() -> None:
    m, psi, base = wave(12), wave(13)[1:].abs(), fused.TwoTraceConstants(0.5, 1.0, 0.2, 1.0)
    before = fused.collapse(m, kept(psi), base).c
    for name in base._fields:
        changed = fused.collapse(m, kept(psi), base._replace(**{name: 0.77})).c
        assert not torch.allclose(before, changed), name


def test_narrow_tensors_keep_their_dtype_and_wide_sums() -> None:
    m, psi = torch.ones(300, 2).bfloat16(), torch.ones(300, 2).bfloat16()
    total = fused.collapse_sum(m, kept(psi), fused.TwoTraceConstants(0.0))
    assert total.dtype == torch.bfloat16
    assert total.tolist() == [300.0, 300.0]  # a bfloat16 sum of ones would stop at 256


@pytest.mark.parametrize("steps", range(1, 200))
def test_chunks_cover_every_step_in_order(steps: int) -> None:
    found = parts.parts_of(torch.zeros(steps))
    assert [t for part in found for t in range(steps)[part]] == list(range(steps))
    assert max(part.stop - part.start for part in found) <= parts.MOST


def test_flat_follows_memory_and_comes_back() -> None:
    plain = torch.arange(2 * 3 * 4 * 5 * 6.0).view(2, 3, 4, 5, 6)
    last = maxpool.channels_last(plain.flatten(0, 1)).unflatten(0, (2, 3))
    for x in (plain, last, plain[..., 0], torch.arange(6.0).view(2, 3, 1)):
        there = fused.flat(x)
        assert torch.equal(fused.unflat(there, x), x)
    assert fused.flat(last).data_ptr() == last.data_ptr()
    static = last[:1].expand(7, 3, 4, 5, 6)
    assert fused.flat(static).stride(0) == 0


@pytest.mark.parametrize("size", [2, 3])
def test_max_pooling_of_channels_last_maps_is_max_pooling(size: int) -> None:
    draw = torch.Generator().manual_seed(size)
    x = (torch.rand(3, 5, 6, 12, generator=draw) < 0.3).float()  # ties everywhere
    last = maxpool.channels_last(x)
    assert maxpool.fits(last, size) and not maxpool.fits(x, size)
    out, which = maxpool.forward(last, size)
    expected, indices = pool.max_pool(x, size)
    assert torch.equal(out, expected)
    grad = torch.randn(expected.shape, generator=draw)
    back = maxpool.pullback(grad, which, size)
    assert torch.equal(back, pool.max_pool_pullback(grad, indices, x.shape))


def test_max_pooling_leaves_what_it_is_not_made_for() -> None:
    assert not maxpool.fits(maxpool.channels_last(torch.zeros(1, 2, 5, 4)), 2)  # a rest
    assert not maxpool.fits(maxpool.channels_last(torch.zeros(1, 2, 4, 4)).requires_grad_(), 2)


@pytest.mark.skipif(
    compiling.obstacle(torch.device("cpu")) is not None, reason="no C++ compiler for kernels"
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_compiled_kernels_give_eager_numbers(dtype: torch.dtype) -> None:
    m, psi = wave(13, 64).to(dtype), wave(14, 64)[1:].abs().to(dtype)
    c, x = fused.TwoTraceConstants(0.9, 1.0, 0.2, -1.0), wave(8, 4096).view(8, 64, 8, 8).to(dtype)
    x = maxpool.channels_last(x)

    def scanned(currents: torch.Tensor) -> list[torch.Tensor]:
        o, psi, v = fused.scan(currents, torch.zeros(64), LIF, Rectangle())
        return [o, *fused.collapse(m, psi, c, lead=True), v]

    def everything() -> list[torch.Tensor]:
        out, which = maxpool.forward(x, 2)
        return [
            *scanned(m),
            *fused.collapse(m, kept(psi), c, lead=True),
            out,
            maxpool.pullback(out, which, 2),
            # In the other memory order: torch 2.13 miscompiled that in bfloat16.
            maxpool.pullback(out.contiguous(), which, 2),
            *windows.collapse(windows.Windows(out[:, None], which), kept(x[:, None]), c, lead=True),
            windows.collapse_sum(windows.Windows(out[:, None]), kept(x[:, None]), c),
        ]

    eager = everything()
    with compiling.compiled():
        fast = everything()
    for one, other in zip(eager, fast, strict=True):
        torch.testing.assert_close(
            one, other, rtol=1e-5 if dtype == torch.float32 else 1e-2, atol=0
        )
    assert compiling.seconds_spent() > 0


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_under_a_mode_that_watches_kernels_run_uncompiled() -> None:
    """Counting a rule's products must neither fail nor spoil a kernel for what comes after."""
    kernel = compiling.Kernel(lambda x: x @ x)
    with compiling.compiled(), FlopCounterMode(display=False) as counter:
        kernel(torch.ones(3, 3))
        assert not compiling.active()
    assert counter.get_total_flops() == 54
    with compiling.compiled():
        assert compiling.active() and not kernel._failed


def test_a_failing_compiler_is_said_once_and_eager_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("ld: cannot find -lgomp\nand so on")

    monkeypatch.setattr(torch, "compile", broken)
    monkeypatch.setattr(compiling, "_said", set())
    kernel = compiling.Kernel(lambda x: x + 1)
    with compiling.compiled():
        with pytest.warns(RuntimeWarning, match=r"ld: cannot find -lgomp; kernels run uncompiled"):
            assert kernel(torch.ones(1)).tolist() == [2.0]
        assert kernel(torch.ones(1)).tolist() == [2.0]
    # One kernel's failure is no other's, and no reason to refuse compile="on".
    assert "failed" not in (compiling.obstacle(torch.device("cpu")) or "")


def test_a_compiler_that_says_nothing_is_named_by_its_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_: object, **__: object) -> object:
        def run(*_: object) -> None:
            raise AssertionError

        return run

    monkeypatch.setattr(torch, "compile", broken)
    monkeypatch.setattr(compiling, "_said", set())
    with compiling.compiled(), pytest.warns(RuntimeWarning, match="failed: AssertionError; "):
        assert compiling.Kernel(lambda x: x + 1)(torch.ones(1)).tolist() == [2.0]


@pytest.mark.parametrize(
    ("choice", "neurons", "compiler", "answer"),
    [
        ("off", 10**6, True, False),
        ("auto", 10**6, True, True),
        ("auto", 10, True, False),
        ("auto", 10**6, False, False),
        ("on", 10, True, True),
    ],
)
def test_who_compiles(
    choice: compiling.Compile,
    neurons: int,
    compiler: bool,
    answer: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compiling, "_cpp_compiler", lambda: "c++" if compiler else None)
    assert compiling.wanted(choice, torch.device("cpu"), neurons, 1000) is answer


@pytest.mark.parametrize("c", TRACES)
@pytest.mark.parametrize("chosen", [False, True])
def test_a_signal_kept_by_windows_is_the_one_spread_out(
    chosen: bool, c: fused.TwoTraceConstants
) -> None:
    steps, batch, side = 13, 2, 6
    psi = wave(steps, batch * 3 * side * side).abs().view(steps, batch, 3, side, side)
    x = maxpool.channels_last(psi.flatten(0, 1))
    psi, m = x.unflatten(0, (steps, batch)), wave(steps, batch * 27).view(steps, batch, 3, 3, 3)
    wide, which = windows.spread(m, 2), None
    if chosen:
        _, which = maxpool.forward(x, 2)
        wide = maxpool.pullback(m.flatten(0, 1), which, 2).unflatten(0, (steps, batch))
    expected = fused.collapse(wide.flatten(1), kept(psi.flatten(1)), c).c.view(psi.shape)
    found = windows.collapse(windows.Windows(m, which), kept(psi), c).c
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    total = windows.collapse_sum(windows.Windows(m, which), kept(psi), c)
    torch.testing.assert_close(total, expected.sum(0), rtol=1e-12, atol=1e-12)


def test_autograd_sees_into_a_kernel() -> None:
    kernel, x = compiling.Kernel(lambda x: x.square()), torch.ones(3, requires_grad=True)
    with compiling.compiled():
        kernel(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2.0] * 3
