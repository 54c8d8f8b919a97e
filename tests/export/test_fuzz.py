"""The fuzzer of every export: it finds nothing, and would find what is missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from helpers_export import STRICT, make, needs_compiler, planned, written
from localspike.export import Plan
from localspike.export.fixed import Dtype, in_fixed_point


def fixed(case: str, dtype: Dtype) -> Plan:
    return in_fixed_point(planned(case)[0], dtype)


NOTICED = r"fuzz: FAILED|fuzz: .*: got|runtime error|AddressSanitizer"
FUZZED = [("linear, post trace", "f32"), ("recurrent", "int8"), ("conv, mean pooling", "int16")]


@pytest.mark.parametrize(("case", "dtype"), FUZZED)
def test_random_calls_break_nothing(case: str, dtype: Dtype, tmp_path: Path) -> None:
    """Every outcome that a call has was there, twice the same."""
    needs_compiler()
    folder = written(fixed(case, dtype), tmp_path)
    said = [make(folder, "fuzz", "RUNS=6000", "SEED=3", f"CFLAGS={STRICT}") for _ in range(2)]
    assert said[0].returncode == 0, said[0].stdout + said[0].stderr
    assert said[0].stdout == said[1].stdout and "fuzz: passed: 6000 calls" in said[0].stdout
    lines = {line.split()[0]: line for line in said[0].stdout.splitlines() if line.strip()}
    codes = {
        "ls_init": "OK BAD_ARGUMENT BAD_ARENA BAD_MODEL",
        "ls_step": "OK BAD_ARGUMENT",
        "ls_step_events": "OK BAD_ARGUMENT BAD_EVENT",
        "ls_learn": "OK BAD_ARGUMENT BAD_LABEL NOT_LEARNING",
        "ls_update": "OK BAD_ARGUMENT NOT_LEARNING",
        "ls_save": "OK BAD_ARGUMENT NOT_LEARNING IO",
        "ls_load": "OK BAD_ARGUMENT NOT_LEARNING BAD_BLOB OTHER_VERSION OTHER_MODEL IO",
    }
    for name, expected in codes.items():
        assert set(expected.split()) <= set(lines[name].split()), lines[name]


@pytest.mark.parametrize(
    ("file", "check", "without"),
    [
        ("ls.c", "if (index[i] >= net->config->inputs)", "if (0)"),
        ("ls_store.c", "stored == ~crc ? LS_OK", "1 ? LS_OK"),
        ("ls_store.c", "crc != sum ? LS_IO", "0 ? LS_IO"),
        ("ls_fixed.c", "if (!(x < (float)LS_MOST))", "if (x >= (float)LS_MOST)"),
        ("ls_learn.c", "label >= net->config->classes", "label > net->config->classes"),
    ],
)
def test_the_fuzzer_sees_a_check_that_is_missing(
    file: str, check: str, without: str, tmp_path: Path
) -> None:
    needs_compiler()
    folder = written(fixed("linear", "int8"), tmp_path)
    source = (folder / file).read_text()
    assert source.count(check) == 1
    (folder / file).write_text(source.replace(check, without))
    ran = make(folder, "fuzz", "RUNS=20000")
    assert ran.returncode != 0
    assert "fuzz: passed" not in ran.stdout
    assert re.search(NOTICED, ran.stdout + ran.stderr), ran.stderr
