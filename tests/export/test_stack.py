"""Stack of the runtime on a Cortex-M4F: frames of known size, small, none sized at run time."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from helpers_export import GCC, TARGET, needs_cross_compiler, planned, written
from localspike.export.fixed import in_fixed_point

RUNTIME = ("ls.c", "ls_map.c", "ls_learn.c", "ls_extra.c", "ls_fixed.c", "ls_store.c")
STEP = ("run", "linear_receive")
LEARN = ("ls_learn", "ls_learn_vector", "learn_row", "linear_change")
MOST_FRAME, MOST_STEP, MOST_LEARN = 112, 160, 224
MOST_LOAD = 160  # a piece of what is read lies there


def frames(folder: Path, level: str) -> dict[str, tuple[int, str]]:
    """Bytes and kind of every function's frame, as the compiler says."""
    options = [x for x in TARGET if x.startswith(("--specs", "-m", "-std", "-ffp"))]
    command = [GCC, *options, level, "-fstack-usage", "-I.", "-c", *RUNTIME]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    lines = [line for su in sorted(folder.glob("*.su")) for line in su.read_text().splitlines()]
    parts = [line.split("\t") for line in lines]
    return {name.rsplit(":", 1)[1]: (int(size), kind) for name, size, kind in parts}


@pytest.mark.parametrize("dtype", ["f32", "int8"])
@pytest.mark.parametrize("level", ["-Os", "-O2"])
def test_frames_are_small_and_known(level: str, dtype: str, tmp_path: Path) -> None:
    needs_cross_compiler()
    plan = in_fixed_point(planned("linear")[0], dtype)  # type: ignore[arg-type]
    found = frames(written(plan, tmp_path), level)
    assert len(found) > 30 and {"run", "ls_learn", "ls_load"} <= set(found)
    assert {kind for _, kind in found.values()} == {"static"}  # nothing sized at run time
    assert found["ls_load"][0] <= MOST_LOAD
    rest = [size for name, (size, _) in found.items() if name != "ls_load"]
    assert max(rest) <= MOST_FRAME
    for path, most in ((STEP, MOST_STEP), (LEARN, MOST_LEARN)):
        assert sum(found[name][0] for name in path if name in found) <= most, found
