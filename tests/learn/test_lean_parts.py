"""A long sequence in parts: what crosses them, what is not divided, and the memory it takes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from helpers_lean import BATCH, CLASSES, NETS, RULES, STEPS, firing, fitted
from localspike import Learner, models, rules
from localspike.learn.lean_credit import Between
from localspike.learn.learner import LeanLayerwise
from localspike.nn import Integrator, Linear, Network, Readout, Spiking
from localspike.rules.class_basis import BoundClassBasis, ClassBasis
from localspike.rules.eligibility import TwoTrace

# That of the class learners use, however it was imported.
ENGINE = LeanLayerwise.parts.__globals__


def biased() -> Network:
    """A leaky readout with a bias, whose trace crosses parts as well."""
    blocks = {
        "hidden": Spiking(Linear(20, 15, standardised=True), recurrent=Linear(15, 15)),
        "readout": Readout(Linear(15, CLASSES, bias=True), Integrator(0.8)),
    }
    return firing(Network(blocks, (20,)))


@pytest.mark.parametrize("lengths", [None, torch.tensor([13, 4, 9, 1])], ids=["whole", "padded"])
@pytest.mark.parametrize("rule", [*RULES, "traced bias"])
@pytest.mark.parametrize("net", ["mlp", "max", "avg", "uneven", "recurrent", "residual", "biased"])
def test_in_parts_the_gradient_is_that_of_one_piece(
    net: str, rule: str, lengths: Tensor | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neurons, three traces, the signal's filter and the readout go on where they were."""
    torch.manual_seed(0)
    network = (biased() if net == "biased" else NETS[net]()).double()
    made = rules.tess() if rule == "traced bias" else RULES[rule]()
    if rule == "traced bias":
        assert isinstance(made.eligibility, TwoTrace)
        made = replace(made, eligibility=replace(made.eligibility, trace_bias=True))
    learner, found = Learner(network, made), []
    for size in (STEPS, 5, 1):  # parts of 13; of 5, 5 and 3; step by step
        monkeypatch.setitem(ENGINE, "steps_at_once", lambda *_, size=size: size)
        frames = torch.zeros(STEPS, BATCH, *network.sample_shape)
        assert len(LeanLayerwise(learner.credit).parts(frames)) == -(-STEPS // size)
        found.append(fitted(network, learner, False, lengths))
    for parts in found[1:]:
        assert len(parts) == len(found[0]) > 4
        for one, other in zip(parts, found[0], strict=True):
            assert float((one - other).norm()) <= 1e-11 * (float(other.norm()) + 1e-9)


@pytest.mark.parametrize("what", ["pre", "post", "signal", "bias"])
def test_everything_handed_from_part_to_part_matters(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    net = biased().double()
    rule = rules.tess(latent_decay=0.9, post_gain=0.5)
    assert isinstance(rule.eligibility, TwoTrace)
    rule = replace(rule, eligibility=replace(rule.eligibility, trace_bias=True))
    monkeypatch.setitem(ENGINE, "steps_at_once", lambda *_: 5)
    learner, found = Learner(net, rule), []
    for damaged in (False, True):
        if damaged:
            for name in ("learn", "learn_readout"):
                monkeypatch.setitem(ENGINE, name, without(what, ENGINE[name]))
        found.append(torch.cat([x.flatten() for x in fitted(net, learner, False, None)[3:]]))
    assert float((found[0] - found[1]).norm()) > 1e-3 * float(found[0].norm())


def without(what: str, function: Callable[..., Between]) -> Callable[..., Between]:
    """The function, forgetting one field of what it hands on."""

    def forgetful(*args: object) -> Between:
        after = function(*args)
        zeros = {k: torch.zeros_like(x) for k, x in after.pre.items()}
        empty = {"pre": zeros, "post": None, "signal": None, "bias": 0.0}
        return after._replace(**{what: empty[what]})

    return forgetful


def test_what_cannot_be_continued_is_not_divided() -> None:
    frames = torch.zeros(800, 32, 20)
    nets = {"whole": NETS["mixed"](), "parts": NETS["mlp"]()}
    parts = {k: LeanLayerwise(Learner(n, rules.tess()).credit) for k, n in nets.items()}
    assert [len(parts[k].parts(frames)) for k in nets] == [1, 13]
    assert len(parts["parts"].parts(frames[:1].expand(800, 32, 20))) == 1  # static: one product
    learner = Learner(NETS["mlp"](), replace(rules.tess(), signal=Own()))
    assert learner.lean and len(LeanLayerwise(learner.credit).parts(frames)) == 1


class Own(ClassBasis):
    """A user's signal: what it does over a sequence is its own business."""

    def bind(self, block, like):  # type: ignore[no-untyped-def, override]
        return OwnBound(self, block, like)


class OwnBound(BoundClassBasis):
    """At work."""


class OneStep(TwoTrace):
    """A readout's eligibility of a user's own: it collapses as it likes."""

    def collapse(self, m, local, afferents=("input",), **more):  # type: ignore[no-untyped-def, override]
        return super().collapse(0.5 * m, local, afferents, **more)


class Halved(TwoTrace):
    """Traces whose readout is not the plain one."""

    def for_block(self, cell):  # type: ignore[no-untyped-def, override]
        return TwoTrace(self.pre_decay, self.post_decay, self.pre_gain, self.post_gain)

    def for_readout(self, leak):  # type: ignore[no-untyped-def, override]
        return OneStep(pre_decay=leak)


class Quieter(Halved):
    """Another readout: known traces, unusual gain."""

    def for_readout(self, leak):  # type: ignore[no-untyped-def, override]
        return TwoTrace(pre_decay=leak, pre_gain=0.1)


@pytest.mark.parametrize("traces", [Halved, Quieter])
def test_a_readout_with_traces_of_its_own_is_asked_for_them(traces: type[TwoTrace]) -> None:
    torch.manual_seed(0)
    net = biased().double()
    found = []
    for size in (STEPS, 5):
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(ENGINE, "steps_at_once", lambda *_, size=size: size)
            learner = Learner(net, replace(rules.tess(), eligibility=traces(0.5, 0.2, 1.0, 1.0)))
            assert learner.lean
            assert len(LeanLayerwise(learner.credit).parts(torch.zeros(STEPS, BATCH, 20))) == 1
            found.append(fitted(net, learner, False, None))
    learner.lean = False
    found.append(fitted(net, learner, False, None))
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            assert float((one - two).norm()) <= 1e-11 * (float(two.norm()) + 1e-9)


def test_many_narrow_parts_add_up_as_one_piece_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """In bfloat16 a running sum of 60 parts would lose a tenth of what they add."""
    torch.manual_seed(0)
    net = firing(models.mlp(20, (15,), CLASSES))
    frames = (torch.rand(240, 64, 20) < 0.3).float() * 1.5
    labels = torch.randint(CLASSES, (64,))
    exact, errors = [], []
    for precision, size in (("float32", 240), ("bf16", 240), ("bf16", 4)):
        monkeypatch.setitem(ENGINE, "steps_at_once", lambda *_, size=size: size)
        net.zero_grad()
        Learner(net, rules.tess(), precision=precision).gradient(frames, labels)  # type: ignore[arg-type]
        weight = net.blocks["hidden1"].synapse.weight
        assert weight.grad is not None
        exact = exact or [weight.grad.clone()]
        errors.append(float((weight.grad - exact[0]).norm() / exact[0].norm()))
    assert errors[0] == 0 < errors[2] < 1.5 * errors[1]


RISE = """
import sys
import torch
from localspike import Learner, models, rules

def peak():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])

torch.set_num_threads(1)
torch.manual_seed(0)
kind, steps = sys.argv[1], int(sys.argv[2])
net = models.mlp(40, (300,), 4) if kind == "mlp" else models.recurrent(40, (300,), 4)
learner = Learner(net, rules.tess(), torch.optim.SGD(net.parameters(), 1e-4))
labels = torch.randint(4, (32,))
for _ in range(2):
    learner.fit((torch.rand(70, 32, 40) < 0.1).float(), labels)
frames = (torch.rand(steps, 32, 40) < 0.1).float()
before = peak()
learner.fit(frames, labels)
learner.evaluate(frames, labels)
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("kind", ["mlp", "recurrent"])
def test_memory_does_not_grow_with_the_steps(kind: str) -> None:
    """One float32 quantity of the hidden layer over 2,000 steps has 73 MiB."""
    command = [sys.executable, "-c", RISE, kind, "2000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 24 * 1024, f"memory rose by {int(done.stdout)} KiB"
