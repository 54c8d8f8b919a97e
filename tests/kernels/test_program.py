"""A function of tensors written down once and run without its Python."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from localspike.kernels import script
from localspike.kernels.program import Program
from localspike.kernels.record import Untraceable


def everything(xs: list[Tensor]) -> list[Tensor]:
    """What steps are made of: several results, lists, empty lists, numbers, views, in-place."""
    x, y = xs
    pooled, where = torch.nn.functional.max_pool2d(x, 2, return_indices=True)
    norms = torch._foreach_norm([x, y])
    grads = torch.ops.aten.convolution_backward(
        x, y, y.new_ones(1, 1, 1, 1), None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1,
        [False, True, False],
    )  # fmt: skip
    masked = x.masked_fill(x > 0.5, -math.inf).clamp_(max=math.inf)
    counted = x.new_zeros([]) + x.sum([]) + torch.arange(3, dtype=x.dtype).sum()
    wide = (x.to(torch.bfloat16) * 0.3).to(torch.float64)
    return [pooled, where, torch.stack(list(norms)), grads[1], masked, counted, wide]


def _maps() -> list[Tensor]:
    return [torch.rand(1, 1, 4, 4), torch.rand(1, 1, 4, 4)]


def test_a_program_does_what_the_function_does() -> None:
    program = Program(everything, _maps())
    other = _maps()
    assert program.how == "script"
    assert script.same(program(other), everything(other))
    assert not script.same(program(_maps()), everything(other))


def test_python_is_run_once() -> None:
    calls = []

    def function(xs: list[Tensor]) -> list[Tensor]:
        calls.append(1)
        return [xs[0] + 1.0]

    program = Program(function, [torch.zeros(2)])
    for i in range(5):
        assert program([torch.full((2,), float(i))])[0].tolist() == [i + 1.0] * 2
    assert len(calls) == 1


def test_what_changes_an_input_does_so_in_every_run() -> None:
    program = Program(lambda xs: [xs[0].add_(xs[1])], [torch.zeros(2), torch.ones(2)])
    total = torch.zeros(2)
    for _ in range(3):
        program([total, torch.ones(2)])
    assert total.tolist() == [3.0, 3.0]


def test_a_tensor_from_outside_is_the_very_tensor() -> None:
    outside = torch.ones(2)
    program = Program(lambda xs: [xs[0] * outside], [torch.ones(2)])
    outside.mul_(3.0)
    assert program([torch.ones(2)])[0].tolist() == [3.0, 3.0]


def test_a_look_at_a_number_is_refused() -> None:
    with pytest.raises(Untraceable, match="it looks at a number inside a tensor"):
        Program(lambda xs: [xs[0] * (2.0 if bool(xs[0].sum() > 0) else 1.0)], [torch.ones(2)])


@pytest.mark.parametrize("fault", ["unwritable", "wrong"])
def test_without_the_interpreter_operations_run_one_by_one(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should it refuse the text, or do something else than it says."""

    def source(graph: torch.fx.Graph) -> str:
        if fault == "unwritable":
            raise script.Unwritable("a test")
        return "def run(x: Tensor) -> List[Tensor]:\n    return [x + 2.0]"

    monkeypatch.setattr(script, "source", source)
    program = Program(lambda xs: [xs[0] + 1.0], [torch.zeros(2)])
    assert program.how == "graph"
    assert program([torch.ones(2)])[0].tolist() == [2.0, 2.0]


def test_intermediate_results_are_given_up_at_once() -> None:
    """Memory of a run is that of a few tensors, not of all it makes."""

    def chain(xs: list[Tensor]) -> list[Tensor]:
        x = xs[0]
        for _ in range(50):
            x = x + 1.0
        return [x.sum()]

    program = Program(chain, [torch.zeros(8)])
    size = 1_000_000  # numbers: 50 results would be 200 MB
    with torch.profiler.profile(profile_memory=True) as profiler:
        program([torch.zeros(size)])
    events = profiler.profiler.kineto_results.events()
    held, most = 0, 0
    for change in (e.nbytes() for e in events if e.name() == "[memory]"):
        held += change
        most = max(most, held)
    assert 4 * size <= most <= 4 * 4 * size
