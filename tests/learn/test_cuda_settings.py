"""What is set for a CUDA device: flags alone, which are there without one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from localspike.bench import methods
from localspike.bench.job import Job
from localspike.bench.workload import Workload
from localspike.config import DataConfig, Part, RunConfig, build_session
from localspike.config import build as building
from localspike.learn.cuda import settle

CUDA = torch.device("cuda")
Flags = tuple[bool, bool, bool, bool]


def flags() -> Flags:
    """Deterministic, benchmark, TF32 of convolutions and of matrix products."""
    cudnn = torch.backends.cudnn
    wide = torch.backends.cuda.matmul.allow_tf32
    return cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, wide


@pytest.fixture(autouse=True)
def put_back() -> Iterator[Flags]:
    before = flags()
    yield before
    cudnn = torch.backends.cudnn
    cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32 = before[:3]
    torch.backends.cuda.matmul.allow_tf32 = before[3]


@pytest.mark.parametrize("repeatable", [True, False])
def test_products_repeat_or_are_the_fastest(put_back: Flags, repeatable: bool) -> None:
    settle(CUDA, "bf16", repeatable)
    assert flags() == (repeatable, not repeatable, *put_back[2:])
    settle(CUDA, "float32", repeatable)
    assert flags() == (repeatable, not repeatable, False, False)


def test_other_devices_are_left_alone(put_back: Flags) -> None:
    settle(torch.device("cpu"), "float32", repeatable=False)
    assert flags() == put_back


def test_a_run_and_a_benchmark_ask_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []
    for module in (building, methods):
        monkeypatch.setattr(module, "settle", lambda *given: asked.append(given))
    data = DataConfig("keywords", {"steps": 2}, limit=4)
    build_session(RunConfig("x", data, Part("mlp", {"hidden": (3,)}), Part("frozen")))
    cpu, work = torch.device("cpu"), Workload("mlp", 1, 2)
    methods.build(Job(work, "floor", "bf16"))
    methods.build(Job(work, "tess", "bf16", compile="off", repeatable=False))
    methods.build(Job(work, "tess", compile="off"))
    assert asked == [
        (cpu, "float32", True), (cpu, "bf16", False), (cpu, "bf16", False), (cpu, "float32", True),
    ]  # fmt: skip
