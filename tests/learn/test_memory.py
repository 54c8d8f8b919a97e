"""Streaming for ever in constant memory: tensors held, and the process itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from localspike import Learner, models, rules

LINUX = Path("/proc/self/status")

RUN = """
import torch
from localspike import Learner, models, rules

def resident():
    text = open("/proc/self/status").read()
    return int(text.split("VmRSS:")[1].split()[0])

torch.set_num_threads(1)
torch.manual_seed(0)
net = models.convnet(2, 4, image=8, channels=(3,))
learner = Learner(
    net, getattr(rules, RULE)(), torch.optim.SGD(net.parameters(), 1e-4), update="step"
)
frames = (torch.rand(50, 1, 2, 8, 8) < 0.3).float()
labels = torch.tensor([2])
for t in range(10_000):
    learner.stream(frames[t % 50], labels)
    if t == 99:
        early = resident()
print(early, resident())
"""


@pytest.mark.skipif(not LINUX.exists(), reason="resident memory is read from Linux's /proc")
@pytest.mark.parametrize("rule", ["tess"])
def test_ten_thousand_steps_hold_the_memory_of_a_hundred(rule: str) -> None:
    source = RUN.replace("RULE", repr(rule))
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    early, late = (int(n) for n in done.stdout.split())
    assert abs(late - early) < 5 * 1024, f"resident set moved from {early} to {late} KiB"


@pytest.mark.parametrize("update", ["step", "sequence"])
@pytest.mark.parametrize(
    "build",
    [rules.tess, lambda: rules.tess(latent_decay=0.9), rules.s_tllr, rules.ottt, rules.sltt],
)
def test_tensors_held_do_not_depend_on_the_number_of_steps(build, update: str) -> None:
    net = models.convnet(2, 4, image=8, channels=(3, 4))
    learner = Learner(net, build(), torch.optim.SGD(net.parameters(), 1e-3), update=update)
    state, held = learner.init_stream(2), {}
    labels = torch.tensor([1, 3])
    for t in range(60):
        learner.stream((torch.rand(2, 2, 8, 8) < 0.3).float(), labels, state)
        tensors = [
            *state.tensors(),
            *state.gradients.weight.values(),
            *state.gradients.bias.values(),
        ]
        held[t] = sum(x.untyped_storage().nbytes() for x in tensors)
    assert held[1] == held[10] == held[59]
