"""Bytes are one number: in the cost table, the manifest, the macros, the code and the link map."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers_export import GCC, SOURCES, TARGET, needs_compiler, needs_cross_compiler, written
from localspike.config import Part, RunConfig, build_network
from localspike.export import MODES, Plan
from localspike.export.fixed import DTYPES, Dtype, in_fixed_point
from localspike.recipes import recipe
from localspike.recipes.costs import Asked
from localspike.recipes.device_costs import device_costs, untrained
from localspike.recipes.exporting import plan_of_run

PROBE = """
#include <stdio.h>
#include "ls_model.h"
static uint32_t arena_infer[LS_ARENA_INFER / 4], arena_learn[LS_ARENA_LEARN / 4];
static uint32_t arena_gather[LS_ARENA_GATHER / 4];
static ls_slot slots[LS_LAYERS];
static ls_net net;
#define SAY(name) printf("%s %lu\\n", #name, (unsigned long)(name))
int main(void) {
    int bad = ls_init(&net, &ls_model, slots, arena_infer, sizeof arena_infer, LS_INFER);
    bad |= ls_init(&net, &ls_model, slots, arena_learn, sizeof arena_learn, LS_LEARN);
    bad |= ls_init(&net, &ls_model, slots, arena_gather, sizeof arena_gather, LS_LEARN | LS_GATHER);
    bad |= ls_init(&net, &ls_model, slots, arena_learn, sizeof arena_learn - 1, LS_LEARN)
        != LS_BAD_ARENA;
    SAY(ls_arena_bytes(&ls_model, LS_INFER)); SAY(ls_arena_bytes(&ls_model, LS_LEARN));
    SAY(ls_arena_bytes(&ls_model, LS_LEARN | LS_GATHER));
    SAY(sizeof(ls_layer)); SAY(sizeof(ls_place)); SAY(sizeof(ls_layout)); SAY(sizeof(ls_config));
    SAY(sizeof(ls_shape));
    MACROS
    return bad;
}
"""


def config(data: str, model: str, sizes: Mapping[str, Any], rule: str, **options: Any) -> RunConfig:
    made = recipe(f"{data}-tess")
    return replace(made, model=Part(model, dict(sizes)), rule=Part(rule, options))


def words(rule: str, **options: Any) -> RunConfig:
    return config("keywords", "mlp", {"hidden": (17, 12), "rate": 0.05}, rule, **options)


def digits(pooling: str, rule: str, **options: Any) -> RunConfig:
    return config("nmnist", "convnet", {"channels": (3, 5), "pooling": pooling}, rule, **options)


CONFIGS = {
    "linear": (words("tess", post_gain=0.0), "all"),
    "linear, post trace": (words("tess", post_gain=-0.7), "all"),
    "linear, stored basis": (words("tess_plus"), "all"),
    "linear, label": (words("drtp"), "all"),
    "linear, filtered latents, last two": (words("tess", latent_decay=0.9), "last-2"),
    "linear, frozen": (words("frozen"), "all"),
    "linear, infers": (words("tess"), "none"),
    "recurrent": (config("keywords", "recurrent", {"hidden": (13,)}, "tess"), "all"),
    "conv, max pooling": (digits("max", "tess", pool=1), "all"),
    "conv, mean pooling": (digits("avg", "tess", pool=1, post_gain=0.0), "all"),
    "conv, stored basis": (digits("max", "tess_plus", pool=1), "last-2"),
}


CONFIGS |= {
    "linear, int8": CONFIGS["linear, post trace"],
    "recurrent, int16": CONFIGS["recurrent"],
    "conv, int8": CONFIGS["conv, max pooling"],
}


def dtype_of(case: str) -> Dtype:
    return next((dtype for dtype in DTYPES if case.endswith(dtype)), "f32")


def planned(case: str) -> tuple[Plan, dict[str, Any]]:
    """A plan, and the cost table of one like it."""
    asked, learn = CONFIGS[case]
    device = device_costs(asked, Asked(rules=("frozen",)), learn, dtype=dtype_of(case))
    plan = plan_of_run(untrained(asked, build_network(asked)), learn)
    return in_fixed_point(plan, dtype_of(case)), device


def exported(plan: Plan, folder: Path) -> Path:
    """The files, with vectors of silence, which take no time to make."""
    return written(plan, folder, np.zeros((12, plan.inputs), np.uint8))


def probe(folder: Path) -> None:
    """main.c, which says every macro of bytes that ls_model.h has."""
    names = re.findall(
        r"#define (LS_(?:ARENA|INFER|LEARN|GATHER)_\w+) \(", (folder / "ls_model.h").read_text()
    )
    said = " ".join(f"SAY({name});" for name in names)
    (folder / "main.c").write_text(PROBE.replace("MACROS", said))


def sections(folder: Path) -> dict[str, dict[str, int]]:
    """Bytes of every section of data in the link map, by object file and name."""
    linked = (folder / "map").read_text().partition("Linker script and memory map")[2]
    found: dict[str, dict[str, int]] = {"ls_model.o": {}, "main.o": {}}
    pattern = r"^ \.(?:rodata|bss|data\.rel\.ro(?:\.local)?)\.(\w+)\s+0x[0-9a-f]+\s+0x([0-9a-f]+)"
    for name, size, file in re.findall(rf"{pattern}\s+(\S+)$", linked, re.MULTILINE):
        if file in found and int(size, 16):
            found[file][name] = int(size, 16)
    return found


def compiled(folder: Path, *command: str) -> dict[str, dict[str, int]]:
    """Build the probe; what the linker placed where."""
    probe(folder)
    objects = [str(Path(name).with_suffix(".o")) for name in (*SOURCES, "main.c")]
    for step in (
        ["-fdata-sections", "-c", *SOURCES, "main.c"], ["-Wl,-Map=map", *objects, "-o", "probe"],
    ):  # fmt: skip
        ran = subprocess.run(
            [*command, *step], cwd=folder, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
    return sections(folder)


def tables(plan_tables: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """The symbols of a plan's tables and their bytes."""
    return {
        f"{kind}{i}": n for i, held in enumerate(plan_tables.values()) for kind, n in held.items()
    }


def check_map(found: Mapping[str, Mapping[str, int]], device: Mapping[str, Any]) -> None:
    """The arenas are as large as the table says, and so is every table of numbers."""
    for mode in MODES:
        assert found["main.o"][f"arena_{mode}"] == device["arena_bytes"][mode]
    numbers = {
        k: n for k, n in found["ls_model.o"].items() if re.match(r"(weight|basis|phase)\d", k)
    }
    assert numbers == tables(device["tables"])
    assert sum(numbers.values()) == device["flash_bytes"]


@pytest.mark.parametrize("case", CONFIGS)
def test_the_cost_table_is_the_manifest_the_macros_the_code_and_the_link_map(
    case: str, tmp_path: Path
) -> None:
    needs_compiler()
    plan, device = planned(case)
    folder = exported(plan, tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    for key in ("arena_bytes", "buffers", "tables", "flash_bytes", "learns", "parameters"):
        assert device[key] == manifest[key], key
    found = compiled(folder, "cc", "-std=c99", "-O1", "-no-pie", "-ffp-contract=off")
    check_map(found, device)
    ran = subprocess.run([folder / "probe"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0
    said = {k: int(n) for k, n in re.findall(r"^(.+) (\d+)$", ran.stdout, re.MULTILINE)}
    for mode, flags in zip(MODES, ("LS_INFER", "LS_LEARN", "LS_LEARN | LS_GATHER"), strict=True):
        arena = device["arena_bytes"][mode]
        assert arena == said[f"LS_ARENA_{mode.upper()}"]
        assert arena == said[f"ls_arena_bytes(&ls_model, {flags})"]
        for i, (layer, held) in enumerate(device["buffers"][mode].items()):
            name = f"LAYER{i - 1}" if layer else "NET"
            assert said[f"LS_{mode.upper()}_{name}"] == sum(held.values()), (mode, layer)
    # What else a model has are tables of dimensions and places, by the size of its structs.
    loops = sum(layer.recurrent for layer in plan.layers)
    each = {key: said[f"sizeof({key})"] for key in ("ls_layer", "ls_place", "ls_layout")}
    rest = len(plan.layers) * (each["ls_layer"] + 3 * each["ls_place"]) + 3 * each["ls_layout"]
    rest += said["sizeof(ls_config)"] + loops * said["sizeof(ls_shape)"]
    assert sum(found["ls_model.o"].values()) - device["flash_bytes"] == rest


@pytest.mark.parametrize("case", ["linear", "recurrent", "conv, stored basis", "conv, int8"])
def test_the_link_map_of_a_microcontroller(case: str, tmp_path: Path) -> None:
    needs_cross_compiler()
    plan, device = planned(case)
    folder = exported(plan, tmp_path)
    check_map(compiled(folder, GCC, *TARGET, "-Os", "-Wl,--defsym=__ram_size=0x400000"), device)


def test_another_number_in_a_table_or_a_macro_is_seen(tmp_path: Path) -> None:
    """The comparison is with what the linker placed: one more weight is four more bytes."""
    needs_compiler()
    plan, device = planned("linear")
    folder = exported(plan, tmp_path)
    path = folder / "ls_model.c"
    path.write_text(path.read_text().replace("weight1[204]", "weight1[205]"))
    found = compiled(folder, "cc", "-std=c99", "-O1", "-no-pie", "-ffp-contract=off")
    assert found["ls_model.o"]["weight1"] == 4 + tables(device["tables"])["weight1"]
    with pytest.raises(AssertionError):
        check_map(found, device)
