"""The exported C: the same bits as its mirror on this machine and on emulated ones."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from helpers_export import (
    CASES,
    EMULATED,
    SANITIZED,
    STRICT,
    emulators,
    make,
    needs_compiler,
    planned,
    self_check,
    written,
)
from localspike.export.write import files_of


@pytest.mark.parametrize("case", CASES)
def test_the_self_check_passes_at_every_level(
    case: str, tmp_path: Path, runtime_objects: Path
) -> None:
    """Spikes and weights of 36 learning steps, both ways of learning, as hashes of the mirror's."""
    needs_compiler()
    folder = written(planned(case)[0], tmp_path)
    said = set()
    for level in (f"-O0 {SANITIZED}", "-O3"):
        ran = self_check(folder, f"{level} {STRICT}", runtime_objects)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        said.add(ran.stdout)
    assert len(said) == 1
    text = said.pop()
    assert "selfcheck: passed" in text and "misuse: all refused" in text


@pytest.mark.parametrize("case", ["linear, filtered latents", "recurrent", "conv"])
@pytest.mark.parametrize("machine", EMULATED)
def test_the_self_check_passes_on_emulated_machines(
    machine: str, case: str, tmp_path: Path
) -> None:
    needs_compiler()
    if machine not in emulators():
        pytest.skip(f"{', '.join(EMULATED[machine])} not installed")
    ran = make(written(planned(case)[0], tmp_path), machine)
    assert ran.returncode == 0 and "selfcheck: passed" in ran.stdout + ran.stderr, ran.stderr


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("an event", r"\{0,"),
        ("a label", r"vector_labels\[3\] = \{\n    \d"),
        ("spikes", r"VECTOR_INFER_SPIKES 0x."),
        ("spikes while learning", r"VECTOR_LEARN_SPIKES 0x."),
        ("weights", r"VECTOR_LEARN_WEIGHTS 0x."),
        ("gathered weights", r"VECTOR_GATHER_WEIGHTS 0x."),
    ],
)
def test_a_wrong_vector_fails_the_self_check(
    what: str, pattern: str, tmp_path: Path, runtime_objects: Path
) -> None:
    needs_compiler()
    folder = written(planned("linear")[0], tmp_path)
    path = folder / "test" / "vectors.h"
    text = path.read_text()
    found = re.search(pattern, text)
    assert found is not None
    last = found.group()[-1]
    if what == "an event":
        changed = found.group().replace("0", "1")
    else:
        changed = found.group()[:-1] + ("1" if last != "1" else "2")
    path.write_text(text.replace(found.group(), changed, 1))
    ran = self_check(folder, "-O0", runtime_objects)
    assert ran.returncode != 0 and "FAILED" in ran.stdout


def test_bytes_are_the_same_in_plan_macros_manifest_and_code(tmp_path: Path) -> None:
    """The self-check compares macros with `ls_arena_bytes`; here macros with plan and manifest."""
    for case in CASES:
        plan, _, _ = planned(case)
        folder = tmp_path / case.replace(", ", "-").replace(" ", "-")
        written(plan, folder, np.zeros((12, plan.inputs), np.uint8))  # silence takes no time
        manifest = json.loads((folder / "manifest.json").read_text())
        macros = (folder / "ls_model.h").read_text()
        for mode in ("infer", "learn", "gather"):
            parts = re.findall(rf"#define LS_{mode.upper()}_\w+ \(([0-9u +]+)\)", macros)
            total = sum(int(n) for part in parts for n in re.findall(r"[0-9]+", part))
            assert total == plan.arena(mode) == manifest["arena_bytes"][mode], (case, mode)


def test_nothing_grows_with_time(tmp_path: Path) -> None:
    plan, _, (net, _) = planned("conv, running statistics")
    buffers = plan.buffers("gather")
    neurons = sum(layer.shape.neurons for layer in plan.layers)
    assert sum(b["membrane"] for b in buffers.values() if "membrane" in b) == 4 * neurons
    assert neurons == sum(net._neurons()) + plan.classes
    # No dimension of time anywhere in the model's tables.
    assert "STEPS" not in written(plan, tmp_path).joinpath("ls_model.h").read_text()


@pytest.mark.parametrize("case", ["linear, post trace", "conv"])
def test_equal_over_as_many_steps_as_the_mirror_and_the_online_mode(
    case: str, tmp_path: Path
) -> None:
    """216 learning steps, which `test_mirror` takes from the mirror on to PyTorch's online mode."""
    needs_compiler()
    plan = planned(case)[0]
    counts = (np.random.default_rng(3).random((216, plan.inputs)) < 0.25).astype(np.uint8)
    for name, text in files_of(plan, counts).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    ran = make(tmp_path, "build/selfcheck")
    assert ran.returncode == 0, ran.stderr
    done = subprocess.run([tmp_path / "build" / "selfcheck"], capture_output=True, check=False)
    assert done.returncode == 0, done.stdout
