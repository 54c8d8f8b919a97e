"""The programs in examples/device: built from an export by its Makefile, run here and emulated."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from helpers_export import STRICT, emulators, make, needs_compiler, planned, written
from localspike.export.fixed import Dtype, in_fixed_point

FOLDER = Path(__file__).parents[2] / "examples" / "device"
SAID = re.compile(r"stream: right of 24: (\d+) before, (\d+) after learning, (\d+) after loading")


@pytest.mark.parametrize(
    ("case", "dtype"), [("linear", "f32"), ("linear", "int8"), ("conv", "int16")]
)
def test_a_stream_learns_saves_and_loads_everywhere(
    case: str, dtype: Dtype, tmp_path: Path
) -> None:
    """The same line, to the sample, with sanitizers and on every emulated machine."""
    needs_compiler()
    folder = written(in_fixed_point(planned(case)[0], dtype), tmp_path)
    main = f"MAIN={FOLDER / 'stream.c'}"
    sanitized = "-O1 -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all"
    said = make(folder, "host", main, f"CFLAGS={sanitized} {STRICT}")
    assert said.returncode == 0, said.stdout + said.stderr
    found = SAID.search(said.stdout)
    assert found is not None, said.stdout
    before, after, again = map(int, found.groups())
    assert again == after
    assert after > before or case != "linear"  # the convolutional one barely moves
    for machine in emulators():
        ran = make(folder, machine, main)
        assert ran.returncode == 0 and found.group() in ran.stdout + ran.stderr, machine


def test_the_readme_s_commands_are_those_of_the_makefile() -> None:
    text = (FOLDER / "README.md").read_text()
    for target in ("host", "cortex-m4", "cortex-m3", "rv32"):
        assert f"make -C words {target} MAIN=$PWD/examples/device/stream.c" in text
