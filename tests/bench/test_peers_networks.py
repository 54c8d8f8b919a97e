"""Every peer library computes our network's spikes, logits and gradients; needs .venv-peers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from helpers_peers import PEERS, PYTHON, case_of, needs_peers, network
from localspike import Learner, rules
from localspike.kernels.surrogate import ArcTangent, Surrogate, Triangle
from localspike.rules import Rule

pytestmark = needs_peers

# In the peers' Python, all cases of a library in one process: check, one step, the gradients.
SCRIPT = """
import json, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from agreement import check
from case import parse
from session import Session
from worker import library_of, made
for text in sys.argv[2:]:
    case = parse([text])
    peer, batch = made(case, library_of(case))
    found = check(peer, batch)
    Session(peer, batch).steps(1)
    weights = [p.grad.numpy() for p in peer.net.parameters() if p.ndim > 1]
    np.savez(case.weights.replace("weights", "gradients"), *weights)
    print(json.dumps(found))
"""


def exponential(d: Tensor) -> Tensor:
    """sinabs's surrogate at its default width of half the threshold, 0.6."""
    return torch.exp(-d.abs() / 0.3) / 0.3


# A leaking readout's past is cut off too, where ours would trace its input.
INSTANT = replace(rules.sltt(), eligibility=rules.TwoTrace(0.0, readout_decay=0.0))

OURS: dict[str, tuple[Rule, Surrogate]] = {
    "spikingjelly bptt": (rules.bptt(), Triangle(1.0)),
    "spikingjelly sltt": (INSTANT, Triangle(1.0)),
    "spikingjelly ottt": (rules.ottt(published_code=True), Triangle(1.0)),
    "snntorch bptt": (rules.bptt(), ArcTangent()),
    "norse bptt": (rules.bptt(detach_reset=False), Triangle()),
    "sinabs bptt": (rules.bptt(detach_reset=False), exponential),
}
"""The rule of ours that a library's method is, and the library's surrogate."""


def gradients(kind: str, rule: Rule, surrogate: Surrogate) -> list[Tensor]:
    """Ours, of all weights, first to last."""
    net, frames, labels = network(kind)
    Learner(net, replace(rule, surrogate=surrogate)).gradient(frames, labels)
    return [p.grad for p in net.parameters() if p.ndim > 1 and p.grad is not None]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a library's finished cases, run when first asked for."""
    ready: dict[str, Path] = {}

    def of(library: str) -> Path:
        if library not in ready:
            ready[library] = tmp_path_factory.mktemp(library)
            run(library, ready[library])
        return ready[library]

    return of


def cases(library: str) -> list[tuple[str, str]]:
    """Method and network of all that a library trains, VGG-9 by BPTT alone."""
    methods = [key.split()[1] for key in OURS if key.startswith(library)]
    pairs = [(m, kind) for m in methods for kind in ("mlp", "recurrent")]
    return [("bptt", "vgg9"), *(p for p in pairs if p != ("ottt", "recurrent"))]


def run(library: str, folder: Path) -> None:
    """One process of the peers' Python for all cases of a library."""
    names = cases(library)
    made = [case_of(folder / f"{m}-{kind}", library, m, kind) for m, kind in names]
    command = [str(PYTHON), "-c", SCRIPT, str(PEERS), *map(json.dumps, made)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for (m, kind), line in zip(names, done.stdout.splitlines(), strict=True):
        (folder / f"{m}-{kind}" / "check.json").write_text(line)


@pytest.mark.parametrize(
    ("library", "method", "kind"),
    [
        (library, *pair)
        for library in ("spikingjelly", "snntorch", "norse", "sinabs")
        for pair in cases(library)
    ],
)
def test_a_library_trains_our_network(
    folders: Callable[[str], Path], library: str, method: str, kind: str
) -> None:
    folder = folders(library) / f"{method}-{kind}"
    check = json.loads((folder / "check.json").read_text())
    assert max(check["spikes_by_block"].values()) == check["spikes"] < 1e-3
    assert len(check["spikes_by_block"]) == (8 if kind == "vgg9" else 1)
    assert check["logits"] < 1e-3
    assert {"surrogate", "neuron", "engine", "loss"} <= check.keys()
    with np.load(folder / "gradients.npz") as file:
        theirs = [torch.from_numpy(file[key]) for key in file.files]
    ours = gradients(kind, *OURS[f"{library} {method}"])
    for mine, other in zip(ours, theirs, strict=True):
        # Up to a factor: their loss is a mean over steps, and norse's weights are scaled.
        assert float((mine / mine.norm() - other / other.norm()).norm()) < 1e-3
