"""docs/add_a_rule.md: its code is short, runs, is right, and appears in a comparison."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from helpers import CLASSES, assert_same, batch, gradient, hidden, make, norm
from localspike import models, rules
from localspike.cli import main
from localspike.kernels.surrogate import Triangle
from localspike.recipes.family import entries
from localspike.recipes.plugin import forget, load_plugins

PAGE = Path(__file__).parents[2] / "docs" / "add_a_rule.md"


def blocks() -> list[str]:
    """The page's Python: the rule, the entry, the check."""
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Path]:
    """The page's file, with the entry at its end, loaded."""
    path = tmp_path / "committee.py"
    path.write_text("\n".join(blocks()[:2]), encoding="utf-8")
    (loaded,) = load_plugins([path])
    yield path
    forget(loaded)


def test_the_rule_is_under_forty_lines() -> None:
    code = [line for line in blocks()[0].splitlines() if line.strip()]
    assert 20 < len(code) < 40


def test_the_page_s_entry_is_there_and_gone_with_the_plugin(plugin: Path) -> None:
    assert entries()["committee-fast"].settings == ("optimizer.lr=1e-2",)
    assert "committee" not in entries()  # entered under another name
    (loaded,) = load_plugins([plugin])
    forget(loaded)
    assert "committee-fast" not in entries()


@pytest.mark.parametrize("kind", ["linear", "conv", "recurrent"])
def test_the_rule_is_the_same_on_every_schedule_and_net(plugin: Path, kind: str) -> None:
    net = make(kind)
    frames, labels = batch(net)
    rule = rules.PRESETS["committee"]()
    found = {
        s: gradient(net, rule, frames, labels, schedule=s)[0] for s in ("layerwise", "streaming")
    }
    assert norm(hidden(found["layerwise"])) > 1e-3
    assert_same(found["layerwise"], found["streaming"], 1e-10)


def test_its_signal_is_the_gradient_of_the_votes_loss(plugin: Path) -> None:
    """Without a trace, one layer and one step: autograd of the cross-entropy of the votes."""
    net = models.mlp(14, (12,), CLASSES, standardised=False, rate=0.3).double()
    frames, labels = batch(net, steps=1)
    found, _ = gradient(net, rules.PRESETS["committee"](decay=0.0), frames, labels)
    block = net.blocks["hidden1"]
    weight = block.synapse.weight.detach().clone().requires_grad_(True)
    d = frames[0] @ weight.T - block.neuron.threshold
    # The spikes, with Ψ for their derivative.
    spikes = (d > 0).to(d) + Triangle()(d.detach()) * (d - d.detach())
    votes = torch.stack([spikes[:, c::CLASSES].sum(1) for c in range(CLASSES)], 1)
    torch.nn.functional.cross_entropy(votes, labels).backward()
    assert torch.allclose(found["hidden1.synapse.weight"], weight.grad, atol=1e-12)
    assert float(weight.grad.norm()) > 1e-3


def test_the_page_s_own_check_passes(tmp_path: Path) -> None:
    """In a process and a folder of its own, as whoever follows the page has it."""
    (tmp_path / "committee.py").write_text(blocks()[0], encoding="utf-8")
    (tmp_path / "check.py").write_text(f"{blocks()[2]}print(len(found))", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "check.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("2\n", "")


def test_it_appears_in_compare(
    plugin: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The page's command, made tiny."""
    command = re.search(r"^localspike (compare .*)$", PAGE.read_text(encoding="utf-8"), re.M)[1]
    words = command.replace("committee,tess,frozen,bptt", "committee-fast").split()
    words[words.index("committee.py")] = str(plugin)
    tiny = ["--epochs", "1", "--limit", "32", "--seeds", "1", "--out", str(tmp_path / "out")]
    assert main([*words, *tiny, "--json"]) == 0
    (row,) = json.loads(capfd.readouterr().out)["rows"]
    assert row["rule"] == "committee-fast"
    assert row["schedule"] == "layerwise" and row["step_size"] == 0.01
    assert 0.0 <= row["accuracy_mean"] <= 1.0
