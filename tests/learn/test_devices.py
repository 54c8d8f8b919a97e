"""A training step on a device other than the CPU: no operation mixes the two, little is read back.

The device "meta" stands for it: it works out shapes, layouts and dtypes and has no numbers. What
is read from it must be made up here, so it is counted, and an operation that takes tensors of
both devices, which CUDA refuses or waits for, is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from localspike import models, rules
from localspike.bench.floor import Floor
from localspike.bench.workload import Workload
from localspike.learn import loss
from localspike.learn.learner import Learner
from localspike.nn import Network

META = torch.device("meta")
CROSSING = ("aten._to_copy", "aten.copy_")


class OneDevice(TorchDispatchMode):
    """Refuses operations on tensors of two devices; a single CPU number is a number."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        inputs = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        found = {x.device.type for x in inputs if x.ndim or x.device.type != "cpu"}
        if len(found) > 1 and not str(func).startswith(CROSSING):
            raise AssertionError(f"{func} works on {sorted(found)}")
        return func(*args, **(kwargs or {}))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What is read from the device; every number there is 0.1 and everything is true."""
    seen: list[str] = []

    def answer(name: str, made_up: Callable[[Tensor], Any]) -> None:
        real = getattr(Tensor, name)

        def read(self: Tensor, *arguments: Any) -> Any:
            if self.device != META:
                return real(self, *arguments)
            seen.append(name)
            return made_up(self)

        monkeypatch.setattr(Tensor, name, read)

    answer("tolist", lambda x: torch.full(x.shape, 0.1).tolist())
    answer("__bool__", lambda x: True)
    answer("__float__", lambda x: 0.1)
    monkeypatch.setattr(loss, "_check_classes", lambda *_: seen.append("labels"))
    yield seen


NETS: dict[str, tuple[Callable[[], Network], bool]] = {
    "vgg9": (lambda: models.vgg9(3, 10, width=0.0625, image=16, dropout=0.1, rate=None), True),
    "mlp": (lambda: models.mlp(20, (30,), 4, rate=None), False),
    "recurrent": (lambda: models.recurrent(20, (30,), 4, rate=None), False),
    "convnet": (lambda: models.convnet(2, 4, channels=(4, 8), image=16, rate=None), False),
}


def step(net: str, rule: str, lengths: Tensor | None = None, **options: Any) -> Learner:
    """A step and a judgement; the learner."""
    build, static = NETS[net]
    network = build().to(META)
    optimizer = torch.optim.Adam(network.parameters(), foreach=False)
    learner = Learner(network, rules.PRESETS[rule](), optimizer, compile="off", **options)
    frames = torch.empty(4, 2, *network.sample_shape, device=META)
    frames = frames[:1].expand(frames.shape) if static else frames
    labels = torch.empty(2, dtype=torch.long, device=META)
    with OneDevice():
        learner.fit(frames, labels, lengths)
        learner.evaluate(frames, labels, lengths)
    return learner


@pytest.mark.usefixtures("reads")
@pytest.mark.parametrize("rule", sorted(rules.PRESETS))
@pytest.mark.parametrize("net", ["mlp", "convnet"])
def test_every_rule_learns_on_one_device(net: str, rule: str) -> None:
    step(net, rule, precision="bf16")


@pytest.mark.usefixtures("reads")
@pytest.mark.parametrize("rule", ["tess", "bptt", "s_tllr"])
@pytest.mark.parametrize(
    ("net", "options"),
    [
        ("vgg9", {"precision": "bf16", "clip_norm": 1.0}),
        ("recurrent", {"active_steps": 2}),
        ("mlp", {"lengths": torch.tensor([2, 4])}),
    ],
)
def test_so_do_nets_and_settings(rule: str, net: str, options: dict[str, Any]) -> None:
    step(net, rule, **options)


@pytest.mark.usefixtures("reads")
@pytest.mark.parametrize("rule", ["s_tllr", "ottt", "dfa"])
@pytest.mark.parametrize("net", ["vgg9", "convnet", "recurrent"])
def test_so_do_lean_sweeps(rule: str, net: str) -> None:
    assert step(net, rule, schedule="two_sweep", precision="bf16").lean


def test_a_batch_waits_for_the_device_only_to_check(reads: list[str]) -> None:
    """Labels, frames, membranes, gradients, rates; judging has neither of the two in the middle."""
    step("vgg9", "tess", precision="bf16")
    assert len(reads) == 5 + 3


def test_the_floor_stays_on_its_device() -> None:
    for net in ("vgg9", "recurrent"):
        sizes = (("width", 0.0625),) if net == "vgg9" else ()
        work = Workload(net, 2, 2, sizes)
        floor = Floor(work.blank(), work, torch.bfloat16, "meta")
        with OneDevice():
            floor()


def test_what_mixes_devices_is_noticed() -> None:
    with OneDevice(), pytest.raises(AssertionError, match=r"aten.mm.*cpu.*meta"):
        torch.empty(2, 2, device=META) @ torch.ones(2, 2)
